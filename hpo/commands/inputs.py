"""The definition and the settings that a command's flags make."""

import argparse
from dataclasses import fields
from typing import TYPE_CHECKING

from hpo.errors import SettingsError
from hpo.settings import ServiceSettings, read_settings, read_token

if TYPE_CHECKING:
    from hpo.definition import StudyDefinition
    from hpo.service.client import Client


def settings_of(options: argparse.Namespace) -> ServiceSettings:
    """Make settings from flags and environment.

    Raises:
        SettingsError: A URL cannot be used.
    """
    known = {field.name for field in fields(ServiceSettings)}
    # A command without --storage needs no ledger, so $HPO_STORAGE is not checked for it.
    given = {"storage": ServiceSettings.storage, **vars(options)}
    return read_settings(**{name: value for name, value in given.items() if name in known})


def client_of(options: argparse.Namespace) -> "Client | None":
    """Make the client of the service that the flags name; None where they name none.

    Raises:
        SettingsError: The address is none, the token cannot be read, or a storage is named, too.
    """
    if options.server is None:
        return None
    if options.storage is not None or options.tracking_uri is not None:
        line = "--server: the service has a storage and an MLflow of its own"
        raise SettingsError(line, hint="leave out --storage and --tracking-uri")
    from hpo.service.client import Client

    return Client(options.server, token=read_token(options.token_file))


def definition_of(options: argparse.Namespace) -> "StudyDefinition":
    """Make the definition from the study file and the flags that override it.

    Raises:
        DefinitionError: The file cannot be read, or a key or value is not allowed.
    """
    from hpo.study_file import FLAGS, load_definition

    given = {key: getattr(options, flag.removeprefix("--"), None) for key, flag in FLAGS.items()}
    definition = load_definition(
        options.study, {key: value for key, value in given.items() if value is not None}
    )
    data = definition.data
    # Sorted, since the order of flags is no change of the study.
    drop = (*data.drop, *sorted({*getattr(options, "drop", ())} - {*data.drop}))
    return definition.model_copy(update={"data": data.model_copy(update={"drop": drop})})
