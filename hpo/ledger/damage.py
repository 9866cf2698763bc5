"""Finds what in a study is not what was written, and says where, before anything is made of it.

A storage is a database that other programs, and people, write to.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from sqlalchemy import Connection, text

from hpo.errors import LedgerError, first_line
from hpo.ledger.trials import CONVERGED, DERIVED, FAILURE, SCORES, TRACEBACK

_HINT = (
    "put a copy of the storage back, or bring the study back from study/optuna_journal.log of its"
    " parent run, or start another with --name"
)
_NOT_FOUND = "Record does not exist."
"""What Optuna says where a study or a trial was deleted."""

_OF_STUDY = (
    "SELECT NULL AS number, key, value_json FROM study_user_attributes WHERE study_id = :study_id"
)
_OF_STUDY_BY_OPTUNA = _OF_STUDY.replace("user", "system")
_OF_TRIALS = (
    "SELECT number, key, value_json FROM trial_user_attributes JOIN trials USING (trial_id)"
    " WHERE study_id = :study_id"
)
_OF_TRIALS_BY_OPTUNA = _OF_TRIALS.replace("user", "system")
_PARAMS = (
    "SELECT number, param_name, param_value, distribution_json"
    " FROM trial_params JOIN trials USING (trial_id) WHERE study_id = :study_id"
)

_VALUES = (
    "SELECT number, value_type, value FROM trials LEFT JOIN trial_values USING (trial_id)"
    " WHERE study_id = :study_id AND state = 'COMPLETE'"
)
_STEPS = (
    "SELECT number, intermediate_value_type, intermediate_value"
    " FROM trial_intermediate_values JOIN trials USING (trial_id) WHERE study_id = :study_id"
)
_N_DIRECTIONS = "SELECT count(*) FROM study_directions WHERE study_id = :study_id"
_NUMBERS = "SELECT number FROM trials WHERE study_id = :study_id ORDER BY number"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_identity(value: Any) -> bool:
    kinds = {"uid": str, "definition": dict, "data_digest": str, "versions": dict}
    return _is_table(value) and all(isinstance(value.get(key), kinds[key]) for key in kinds)


def _is_wish(value: Any) -> bool:
    kinds = {"n_trials": int, "definition": dict, "submitted_at": float | int}
    return _is_table(value) and all(isinstance(value.get(key), kinds[key]) for key in kinds)


def _are_scores(value: Any) -> bool:
    return _is_table(value) and all(
        isinstance(scores, list)
        and scores
        and all(isinstance(score, float | int) for score in scores)
        for scores in value.values()
    )


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "hpo.identity": _is_identity,
    "hpo.uid": _is_text,
    "hpo.places": lambda value: _is_table(value) and isinstance(value.get("places", []), list),
    "hpo.wish": _is_wish,
    "study:metric_names": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "fixed_params": _is_table,
    "note_ver": lambda value: isinstance(value, int),
    SCORES: _are_scores,
    CONVERGED: lambda value: isinstance(value, bool),
    DERIVED: _is_table,
    FAILURE: _is_text,
    TRACEBACK: _is_text,
}


def parse(key: str, content: str) -> Any:
    """Read an attribute of a study or a trial.

    Raises:
        ValueError: It is no JSON, or not what its key says.
    """
    value = json.loads(content)
    kind = key if key in _KINDS else key.rpartition(":")[2]  # "dashboard:7:note_ver"
    if not _KINDS.get(kind, lambda _: True)(value):
        raise ValueError(f"{key} is {content[:40]}")
    return value


def check_study(connection: Connection, study_id: int | None, name: str) -> None:
    """Refuse a study that holds what cannot be read.

    Args:
        connection: To the storage.
        study_id: The storage's own number of the study; None where there is none.
        name: The study's.

    Raises:
        LedgerError: An attribute, a param or a value is not what was written, or a trial is gone.
    """
    of_study = {"study_id": study_id}
    for query in (_OF_STUDY, _OF_STUDY_BY_OPTUNA, _OF_TRIALS, _OF_TRIALS_BY_OPTUNA):
        for number, key, content in connection.execute(text(query), of_study):
            with _naming(name, number, key):
                parse(key, content)
    for number, param, value, distribution in connection.execute(text(_PARAMS), of_study):
        with _naming(name, number, f"param '{param}'"):
            _read_distribution(distribution).to_external_repr(value)
    for query, what in ((_VALUES, "value"), (_STEPS, "intermediate value")):
        for number, kind, value in connection.execute(text(query), of_study):
            with _naming(name, number, what):
                if kind is None or (kind == "FINITE" and not isinstance(value, float | int)):
                    raise ValueError(value)
    if study_id is not None and not connection.scalar(text(_N_DIRECTIONS), of_study):
        raise LedgerError(f"study '{name}' is damaged: it has no direction", hint=_HINT)
    numbers = [*connection.scalars(text(_NUMBERS), of_study)]
    if numbers != [*range(len(numbers))]:
        gone = min({*range(len(numbers))}.difference(numbers))
        raise LedgerError(f"study '{name}' is damaged: it has no trial {gone}", hint=_HINT)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Raise our error for what Optuna raises where a table holds what it never wrote."""
    try:
        yield
    except (ValueError, TypeError, LookupError) as error:
        if error.args == (_NOT_FOUND,):
            raise
        problem = f"{type(error).__name__}: {first_line(error)}"
        raise LedgerError(f"study '{name}' cannot be read: {problem}", hint=_HINT) from error


@contextmanager
def _naming(name: str, number: int | None, what: str) -> Iterator[None]:
    """Say which attribute or param cannot be read."""
    try:
        yield
    except (ValueError, TypeError, LookupError) as error:
        where = f"study '{name}'" if number is None else f"trial {number} of study '{name}'"
        raise LedgerError(
            f"{where} is damaged: its {what} is not what was written", hint=_HINT
        ) from error


@lru_cache(maxsize=256)
def _read_distribution(content: str) -> BaseDistribution:
    return json_to_distribution(content)
