"""Reads the queue: all submitted studies, how far they are, who drives them.

A fixed number of queries, whatever the number of studies; nothing is made or changed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from hpo.errors import first_line
from hpo.ledger.damage import parse
from hpo.ledger.wishes import WISH, Wish

_WISHES = (
    "SELECT studies.study_id, study_name, value_json FROM study_system_attributes"
    " JOIN studies USING (study_id) WHERE key = :key"
)
_STATES = (
    "SELECT study_id, state, count(*) AS n FROM trials WHERE study_id IN"
    " (SELECT study_id FROM study_system_attributes WHERE key = :key) GROUP BY study_id, state"
)
_IMPROVEMENTS = (
    "SELECT study_id, number, value FROM (SELECT study_id, number, value, max(value) OVER"
    " (PARTITION BY study_id ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    " AS earlier FROM trials JOIN trial_values USING (trial_id) WHERE state = 'COMPLETE'"
    " AND value_type = 'FINITE' AND study_id IN"
    " (SELECT study_id FROM study_system_attributes WHERE key = :key)) AS valued"
    " WHERE earlier IS NULL OR value > earlier ORDER BY study_id, number"
)
_SECONDS = {
    "sqlite": "86400 * (julianday(datetime_complete) - julianday(datetime_start))",
    "postgresql": "EXTRACT(EPOCH FROM datetime_complete - datetime_start)",
}
_DURATIONS = (
    "SELECT study_id, avg({seconds}) AS seconds FROM trials"
    " WHERE state IN ('COMPLETE', 'PRUNED', 'FAIL') AND study_id IN"
    " (SELECT study_id FROM study_system_attributes WHERE key = :key) GROUP BY study_id"
)


@dataclass(frozen=True)
class Wished:
    """A submitted study.

    Attributes:
        name: Its name.
        study_id: The storage's own number of it.
        wish: What is wanted of it.
        states: Name of a state to how many trials are in it.
    """

    name: str
    study_id: int
    wish: Wish
    states: dict[str, int] = field(default_factory=dict)

    @property
    def n_finished(self) -> int:
        """How many trials are over."""
        return sum(n for state, n in self.states.items() if state not in ("RUNNING", "WAITING"))

    @property
    def is_open(self) -> bool:
        """Whether there is something to drive, now or after a pause."""
        return self.wish.is_open(self.states.get("WAITING", 0))


def read_queue(connection: Connection | None) -> list[Wished]:
    """Read all submitted studies, in the order in which they are driven.

    A wish that is not what was written has failed: it must not keep others waiting.
    """
    if connection is None:
        return []
    key = {"key": WISH}
    states: dict[int, dict[str, int]] = defaultdict(dict)
    rows = connection.execute(text(_WISHES), key).all()
    for row in connection.execute(text(_STATES), key):
        states[row.study_id][row.state] = row.n
    found = []
    for row in rows:
        try:
            wish = Wish.from_json(parse(WISH, row.value_json))
        except (ValueError, TypeError) as error:
            reason = f"its wish cannot be read: {first_line(error)}"
            wish = Wish(0, {}, 0.0, is_failed=True, reason=reason)
        found.append(Wished(row.study_name, row.study_id, wish, states[row.study_id]))
    return sorted(
        found, key=lambda each: (-each.wish.priority, each.wish.submitted_at, each.study_id)
    )


def find_kept_table(queue: Sequence[Wished], name: str) -> tuple[Mapping[str, str], str | None]:
    """Find where the table of a study is kept; empty where it is not.

    Returns:
        The wish's ``table``, and the name of another study that uses the same one, or None.
    """
    tables = {wished.name: wished.wish.table or {} for wished in queue}
    table = tables.pop(name, {})
    sharers = (other for other in tables if tables[other].get("digest", "") == table.get("digest"))
    return table, next(sharers, None)


def read_improvements(connection: Connection) -> dict[int, Sequence[tuple[int, float]]]:
    """Read the trials that were better than all before: by study, number and value of each."""
    found: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for row in connection.execute(text(_IMPROVEMENTS), {"key": WISH}):
        found[row.study_id].append((row.number, float(row.value)))
    return dict(found)


def read_durations(connection: Connection) -> dict[int, float]:
    """Read how long a finished trial took, in seconds, on average; by study."""
    query = _DURATIONS.format(seconds=_SECONDS[connection.dialect.name])
    rows = connection.execute(text(query), {"key": WISH})
    return {row.study_id: float(row.seconds) for row in rows if row.seconds is not None}
