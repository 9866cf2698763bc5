"""Lists the studies of a storage, read without making or changing anything."""

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, text

from hpo.errors import InputError, did_you_mean
from hpo.escaping import hide_password
from hpo.ledger.damage import parse
from hpo.ledger.optuna_tables import STUDIES, TRIALS

_NAMES = "SELECT study_id, study_name FROM studies ORDER BY study_id"
_STATES = "SELECT study_id, state, count(*) AS n FROM trials GROUP BY study_id, state"
_DIRECTIONS = "SELECT study_id, direction FROM study_directions"
_METRICS = (
    "SELECT study_id, key, value_json FROM study_system_attributes WHERE key = 'study:metric_names'"
)
_UIDS = (
    "SELECT study_id, key, value_json FROM study_user_attributes"
    " WHERE key IN ('hpo.identity', 'hpo.uid')"
)
_VALUES = (
    "SELECT study_id, max(value) AS highest, min(value) AS lowest"
    " FROM trials JOIN trial_values USING (trial_id)"
    " WHERE state = 'COMPLETE' AND value_type = 'FINITE' GROUP BY study_id"
)


@dataclass(frozen=True)
class ListedStudy:
    """One study of a storage.

    Attributes:
        name: Its name.
        study_id: The storage's own number of it.
        uid: By which MLflow's runs name it; None where neither ``hpo`` nor its callback tracks it.
        states: Name of a state to how many trials are in it.
        best: The best value of its complete trials; None where there is none, or no one metric.
        metric: What its values are called, or None.
    """

    name: str
    study_id: int
    uid: str | None = None
    states: dict[str, int] = field(default_factory=dict)
    best: float | None = None
    metric: str | None = None

    @property
    def n_trials(self) -> int:
        """How many trials it has."""
        return sum(self.states.values())

    def to_json(self) -> dict[str, Any]:
        """Give the object that ``--json`` prints."""
        return asdict(self)


def name_nested(index: int, n_folds: int) -> str:
    """The end of the name of a nested search's study, after the study's own and a dot."""
    return f"nested-{index}-of-{n_folds}"


def is_nested(name: str, study: str) -> bool:
    """Whether a name is that of a nested search of a study."""
    return re.fullmatch(rf"{re.escape(study)}\.nested-\d+-of-\d+", name) is not None


def list_studies(connection: Connection | None) -> list[ListedStudy]:
    """List all studies in the order in which they were made; none where there is no database."""
    if connection is None:
        return []

    def select(query: str) -> Sequence[Any]:
        return connection.execute(text(query)).all()

    states: dict[int, dict[str, int]] = defaultdict(dict)
    for row in select(_STATES):
        states[row.study_id][row.state] = row.n
    directions: dict[int, list[str]] = defaultdict(list)
    for row in select(_DIRECTIONS):
        directions[row.study_id].append(row.direction)
    metrics = {row.study_id: _read(row.key, row.value_json) for row in select(_METRICS)}
    uids = {row.study_id: _read(row.key, row.value_json) for row in select(_UIDS)}
    best = {
        row.study_id: row.lowest if directions[row.study_id] == ["MINIMIZE"] else row.highest
        for row in select(_VALUES)
        if len(directions[row.study_id]) == 1 and isinstance(row.highest, float | int)
    }
    return [
        ListedStudy(
            row.study_name,
            row.study_id,
            uids.get(row.study_id),
            states[row.study_id],
            best.get(row.study_id),
            metrics.get(row.study_id),
        )
        for row in select(_NAMES)
    ]


def read_ends(
    connection: Connection | None, names: Collection[str]
) -> dict[str, dict[int, datetime]]:
    """Read when the finished trials of some studies ended: by study and number, in local time."""
    found: dict[str, dict[int, datetime]] = {name: {} for name in names}
    if connection is not None:
        of_study = STUDIES.c.study_id == TRIALS.c.study_id
        query = (
            select(STUDIES.c.study_name, TRIALS.c.number, TRIALS.c.datetime_complete)
            .join_from(TRIALS, STUDIES, of_study)
            .where(STUDIES.c.study_name.in_(names), TRIALS.c.datetime_complete.is_not(None))
        )
        for name, number, end in connection.execute(query):
            found[name][number] = end
    return found


def find_study(studies: Sequence[ListedStudy], name: str, url: str) -> ListedStudy:
    """Give the study of a name.

    Raises:
        InputError: There is none.
    """
    for study in studies:
        if study.name == name:
            return study
    raise missing_study(name, studies, url)


def missing_study(name: str, studies: Sequence[ListedStudy], url: str) -> InputError:
    """Give the error for a name that no study of a storage has."""
    names = [study.name for study in studies]
    otherwise = "python -m hpo list shows those that are there" if names else "check --storage"
    return InputError(
        f"there is no study '{name}' in {hide_password(url)}",
        hint=did_you_mean(name, names, otherwise),
    )


def _read(key: str, value: str) -> str | None:
    """Read a uid, or the name of the first metric; None where somebody changed it."""
    try:
        content = parse(key, value)
    except ValueError:
        return None
    if isinstance(content, list):
        return next(iter(content), None)
    return str(content["uid"] if key == "hpo.identity" else content)
