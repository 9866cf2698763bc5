"""Submits and cancels studies: everything that a run checks before trial 0, then a wish."""

import time
from pathlib import Path
from typing import Any

from hpo.definition import StudyDefinition
from hpo.errors import InputError, QueueFullError
from hpo.ledger.identity import check_identity, keep_rule
from hpo.ledger.inspection import OPTUNA, read_database, read_identity
from hpo.ledger.queue import read_queue
from hpo.ledger.storage import open_storage, quiet_optuna
from hpo.ledger.submitting import change_wish, put_wish
from hpo.ledger.wishes import Wish
from hpo.search.nested import check_nested
from hpo.search.plan import load_data, make_plan
from hpo.service.status import StudyStatus, read_status
from hpo.service.tables import find_table
from hpo.settings import ServiceSettings
from hpo.study_file import load_definition
from hpo.versions import recorded_versions

MOST_PRIORITY = 1000


def submit_study(
    definition: StudyDefinition,
    settings: ServiceSettings,
    *,
    priority: int = 0,
    data_in_place: bool = False,
) -> StudyStatus:
    """Hand a study in: a server drives it from now on.

    The same again changes nothing; more trials raise the total; after a failure or a cancellation
    the study is queued again.

    Args:
        definition: What is searched and judged.
        settings: Where ledger and tracking are, and what a queue may hold.
        priority: Studies with a higher one are driven first.
        data_in_place: Whether the table stays where it is: servers reach it by the same path.

    Raises:
        InputError: It cannot work, or the study was begun with something else; nothing was written.
        TrackingError: MLflow cannot keep the table.
        LedgerError: The storage failed.
    """
    if not -MOST_PRIORITY <= priority <= MOST_PRIORITY:
        raise InputError(
            f"--priority: this should be from {-MOST_PRIORITY} to {MOST_PRIORITY},"
            f" but got {priority}"
        )
    definition = _named(definition)
    with quiet_optuna():
        ruled = keep_rule(definition, settings.storage)
        dataset = load_data(ruled)
        check_nested(dataset, ruled)
        asked = make_plan(ruled, dataset).identity(recorded_versions())
        with read_database(settings.storage, OPTUNA) as connection:
            known = read_identity(connection, definition.name)
            if known is not None:
                check_identity(known, asked)
            _check_room(definition.name, read_queue(connection), settings.max_queued)
        table = find_table(definition, settings, in_place=data_in_place)
        if table is not None and "digest" in table:
            from hpo.tracking.kept_tables import keep_table  # noqa: PLC0415 - it loads MLflow

            path = Path(definition.data.source)
            keep_table(settings.tracking_uri, path, table["digest"])
        wish = Wish(
            n_trials=definition.study.n_trials,
            definition=_to_mapping(definition, is_kept="digest" in (table or {})),
            submitted_at=time.time(),
            priority=priority,
            table=table,
            register=settings.register,
            plots=settings.plots,
        )
        storage = open_storage(settings.storage)
        try:
            put_wish(storage, asked, wish)
        finally:
            storage.engine.dispose()
    (status,) = read_status(settings, definition.name)
    return status


def cancel_study(settings: ServiceSettings, name: str) -> StudyStatus:
    """Stop a study, wherever it is driven; what is done stays, and it can be submitted again.

    Raises:
        MissingStudyError: It was not submitted.
        LedgerError: The storage failed.
    """
    (status,) = read_status(settings, name)
    if status.state in ("queued", "running"):
        storage = open_storage(settings.storage)
        try:
            change_wish(storage, name, Wish.cancelled)
        finally:
            storage.engine.dispose()
        (status,) = read_status(settings, name)
    return status


def read_definition(wish: Wish) -> StudyDefinition:
    """Make the definition that was submitted, with the total that is wanted now.

    Raises:
        DefinitionError: A key or value is not allowed: it is of another version.
    """
    content = {
        f"{section}.{key}": value
        for section, keys in wish.definition.items()
        for key, value in keys.items()
    }
    return load_definition(None, {**content, "study.n_trials": wish.n_trials})


def _named(definition: StudyDefinition) -> StudyDefinition:
    """A definition that names its study: the name of its table may be another on a server."""
    study = definition.study.model_copy(update={"name": definition.name})
    return definition.model_copy(update={"study": study})


def _to_mapping(definition: StudyDefinition, *, is_kept: bool) -> dict[str, Any]:
    """Give the keys that were given; where a kept table was before is no part of the wish."""
    content = definition.model_dump(mode="json", exclude_unset=True)
    content["study"].pop("n_trials", None)
    if is_kept:
        content["data"].pop("source")
    return content


def _check_room(name: str, queue: list[Any], most: int) -> None:
    n_open = sum(wished.is_open for wished in queue if wished.name != name)
    if n_open >= most:
        raise QueueFullError(
            f"the queue is full: {n_open} studies are submitted and not done",
            hint="wait for one to end, cancel one, or raise HPO_MAX_QUEUED",
        )
