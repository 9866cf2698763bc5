"""The identity of a study: kept with it when it begins, compared whenever it is opened again."""

import uuid
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna

from hpo.definition import StudyDefinition
from hpo.errors import IdentityError
from hpo.ledger.damage import reading
from hpo.ledger.failures import never, repeat, say_nothing
from hpo.ledger.inspection import OPTUNA, read_database, read_identity
from hpo.ledger.transactions import LedgerStorage
from hpo.versions import describe_changes

IDENTITY = "hpo.identity"
"""Study attribute: uid, definition, data digest and versions; written once, in one transaction."""


OTHER_VERSIONS = "hpo.other_versions"
"""Study attribute: there once it was resumed with other versions."""


@dataclass(frozen=True)
class StudyIdentity:
    """Everything that makes a study this one.

    Attributes:
        name: Its name in the storage.
        metric: What its values are called.
        definition: Dotted key to plain value of all that may not change.
        data_digest: Stands for the data.
        versions: Package name to version; others are noted, not refused.
        earlier: The digest that an earlier version gave these data, and how to go on with it.
    """

    name: str
    metric: str
    definition: Mapping[str, Any]
    data_digest: str
    versions: Mapping[str, str]
    earlier: Mapping[str, str] = field(default_factory=dict)


def open_study(storage: LedgerStorage, asked: StudyIdentity) -> Mapping[str, Any]:
    """Make the study, or find it to be the one that is asked for.

    Returns:
        Its identity, with notes where libraries are others now.

    Raises:
        IdentityError: It was begun with another definition or other data, or not by hpo.
        LedgerError: It holds what cannot be read.
    """
    name = asked.name
    storage.check_study(name)
    storage.remove_orphans()
    with reading(name):
        study = optuna.create_study(
            storage=storage, study_name=name, direction="maximize", load_if_exists=True
        )
    known = study.user_attrs.get(IDENTITY)
    if known is None:
        is_maximized = study.directions == [optuna.study.StudyDirection.MAXIMIZE]
        if study.get_trials(deepcopy=False) or not is_maximized:
            raise IdentityError(
                f"study '{name}' exists in this storage and was not made by hpo",
                hint="choose another --name",
            )
        return _begin(study, asked)
    check_identity(known, asked)
    others = ", ".join(describe_changes(known["versions"], asked.versions))
    note = f"begun with other versions ({others}): new trials may differ from those of one run"
    if others and OTHER_VERSIONS not in study.user_attrs:
        study.set_user_attr(OTHER_VERSIONS, True)
    return {
        **known,
        "notes": [note] if others else [],
        "has_other_versions": bool(others) or OTHER_VERSIONS in study.user_attrs,
    }


def check_identity(known: Mapping[str, Any], asked: StudyIdentity) -> None:
    """Refuse a study that was begun with something else.

    Args:
        known: The identity that it has.
        asked: The one that is asked for.

    Raises:
        IdentityError: The definition or the data differ.
    """
    changes = describe_changes(known["definition"], asked.definition)
    if known["data_digest"] != asked.data_digest:
        changes.append(f"data {known['data_digest'][:8]} -> {asked.data_digest[:8]}")
    if changes:
        raise IdentityError(
            f"study '{asked.name}' was begun with something else: {', '.join(changes)}",
            hint=asked.earlier.get(known["data_digest"], "undo the change")
            + ", or start another study with --name",
        )


def keep_rule(
    definition: StudyDefinition,
    url: str,
    stop_signal: Callable[[], int | None] = never,
    note: Callable[[str], None] = say_nothing,
) -> StudyDefinition:
    """A definition with the rule that its study was begun under, if it was and none is named.

    Args:
        definition: What is asked for.
        url: Of the storage.
        stop_signal: Gives the number of a signal that asked to stop, or None.
        note: Takes one line that says what is waited for.

    Raises:
        LedgerError: The storage cannot be read.
        InterruptedBySignal: A signal came while it was away.
    """
    if getattr(definition.estimator, "rule", 1) is not None:
        return definition  # an estimator of one's own has no rule of ours

    def read(_: bool) -> Mapping[str, Any] | None:
        with read_database(url, OPTUNA) as connection:
            return read_identity(connection, definition.name)

    begun = repeat(read, stop_signal, note)
    if begun is None:
        return definition
    rule = begun["definition"].get("estimator.rule", 1)
    estimator = definition.estimator.model_copy(update={"rule": rule})
    return definition.model_copy(update={"estimator": estimator})


def new_identity(asked: StudyIdentity) -> dict[str, Any]:
    """Give what a study keeps of an identity when it begins, under a uid of its own."""
    return {
        "uid": uuid.uuid4().hex,
        "definition": dict(asked.definition),
        "data_digest": asked.data_digest,
        "versions": dict(asked.versions),
    }


def _begin(study: optuna.Study, asked: StudyIdentity) -> Mapping[str, Any]:
    identity = new_identity(asked)
    with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
        study.set_metric_names([asked.metric])
    study.set_user_attr(IDENTITY, identity)
    return identity
