"""A study's identity: what is kept with it when it begins, and compared whenever it is opened again."""

import uuid
import warnings
from collections.abc import Mapping
from typing import Any

import optuna

from hpo.definition import StudyDefinition
from hpo.errors import IdentityError
from hpo.ledger.transactions import LedgerStorage
from hpo.versions import describe_changes

IDENTITY = "hpo.identity"
"""Study attribute: uid, definition, data digest and versions; written once, in one transaction."""


def open_study(
    storage: LedgerStorage,
    definition: StudyDefinition,
    data_digest: str,
    versions: Mapping[str, str],
) -> Mapping[str, Any]:
    """Make the study, or find it to be the one that is asked for.

    Returns:
        Its identity, with notes where libraries are others now.

    Raises:
        IdentityError: It was begun with another definition or other data, or not by hpo.
    """
    name = definition.name
    study = optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True
    )
    identity = definition.identity()
    known = study.user_attrs.get(IDENTITY)
    if known is None:
        if (
            study.get_trials(deepcopy=False)
            or study.direction != optuna.study.StudyDirection.MAXIMIZE
        ):
            raise IdentityError(
                f"study '{name}' exists in this storage and was not made by hpo",
                hint="choose another --name",
            )
        known = {
            "uid": uuid.uuid4().hex,
            "definition": identity,
            "data_digest": data_digest,
            "versions": dict(versions),
        }
        with warnings.catch_warnings(
            action="ignore", category=optuna.exceptions.ExperimentalWarning
        ):
            study.set_metric_names([definition.study.metric])
        study.set_user_attr(IDENTITY, known)
        return known
    changes = describe_changes(known["definition"], identity)
    if known["data_digest"] != data_digest:
        changes.append(f"data {known['data_digest'][:8]} -> {data_digest[:8]}")
    if changes:
        raise IdentityError(
            f"study '{name}' was begun with something else: {', '.join(changes)}",
            hint="undo the change, or start another study with --name",
        )
    others = describe_changes(known["versions"], versions)
    note = f"begun with other versions ({', '.join(others)}): new trials may differ from those of one run"
    return {**known, "notes": [note] if others else []}
