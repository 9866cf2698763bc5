"""The status of submitted studies: one value a study, from a fixed number of queries."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from hpo.ledger.inspection import OPTUNA, read_database, read_drivers
from hpo.ledger.listing import list_studies
from hpo.ledger.queue import Wished, read_durations, read_improvements, read_queue
from hpo.ledger.submitting import not_submitted
from hpo.results.links import dashboard_study, mlflow_page
from hpo.settings import ServiceSettings

State = Literal["queued", "running", "done", "failed", "cancelled"]
FINAL: tuple[State, ...] = ("done", "failed", "cancelled")
"""States in which a study stays until it is submitted again."""

MOST_VALUES = 50


@dataclass(frozen=True)
class StudyStatus:
    """One submitted study.

    Attributes:
        name: Its name.
        uid: By which MLflow's runs name it.
        state: Whether it waits, is driven, or how it ended.
        reason: Why it failed, or what it waits for; or None.
        n_trials: Finished trials.
        n_wanted: The total that is wanted.
        n_failed: Failed trials among them.
        best_value: The highest value, or None.
        metric: What values are called.
        direction: Whether high values are good: ``maximize``, as the values of all studies here.
        values: The best value so far after equal numbers of trials, at most 50 of them.
        holdout: The final model's score on the hold-out and the ends of its 95 % interval.
        running_on: Host and process that drive it, or None.
        since: Since when, as they say it; or None.
        submitted_at: Seconds since 1970, UTC.
        priority: Studies with a higher one are driven first.
        seconds_left: How long the rest takes while it is driven, or None.
        model_uri: Of the final model, or None.
        dashboard_url: Its page in optuna-dashboard.
        mlflow_url: Its page in MLflow.
    """

    name: str
    uid: str | None
    state: State
    reason: str | None
    n_trials: int
    n_wanted: int
    n_failed: int
    best_value: float | None
    metric: str | None
    direction: str
    values: tuple[float, ...]
    holdout: tuple[float | None, ...] | None
    running_on: str | None
    since: str | None
    submitted_at: float
    priority: int
    seconds_left: float | None
    model_uri: str | None
    dashboard_url: str
    mlflow_url: str

    def to_json(self) -> dict[str, Any]:
        """Give the object that ``--json`` prints."""
        return asdict(self)


def read_status(settings: ServiceSettings, name: str | None = None) -> list[StudyStatus]:
    """Read the status of all submitted studies, in the order of the queue, or of one.

    Raises:
        MissingStudyError: The one was not submitted.
        LedgerError: The storage cannot be read.
    """
    with read_database(settings.storage, OPTUNA) as connection:
        queue = read_queue(connection)
        if name is not None:
            queue = [wished for wished in queue if wished.name == name]
            if not queue:
                raise not_submitted(name)
        if connection is None:
            return []
        drivers = read_drivers(settings.storage, connection, [wished.name for wished in queue])
        listed = {study.name: study for study in list_studies(connection)}
        improvements = read_improvements(connection)
        durations = read_durations(connection)
    found = []
    for wished in queue:
        study = listed[wished.name]
        driver = drivers.get(wished.name)
        on, _, since = (driver or "").partition(", since ")
        outcome = wished.wish.outcome or {}
        n_trials = wished.n_finished
        found.append(
            StudyStatus(
                name=wished.name,
                uid=study.uid,
                state=_state(wished, driver),
                reason=wished.wish.reason,
                n_trials=n_trials,
                n_wanted=wished.wish.n_trials,
                n_failed=wished.states.get("FAIL", 0),
                best_value=study.best,
                metric=study.metric,
                direction="maximize",
                values=sample(improvements.get(wished.study_id, ()), n_trials),
                holdout=tuple(outcome["holdout"]) if outcome.get("holdout") else None,
                running_on=on.removeprefix("hpo on ").removeprefix("host ") or None,
                since=since or None,
                submitted_at=wished.wish.submitted_at,
                priority=wished.wish.priority,
                seconds_left=_time_left(wished, driver, durations.get(wished.study_id)),
                model_uri=outcome.get("model_uri"),
                dashboard_url=dashboard_study(wished.study_id),
                mlflow_url=mlflow_page(settings.tracking_uri, outcome.get("comparison")),
            )
        )
    return found


def _state(wished: Wished, driver: str | None) -> State:
    if wished.wish.cancelled_at is not None:
        return "cancelled"
    if driver is not None:
        return "running"
    if wished.wish.is_failed:
        return "failed"
    return "queued" if wished.is_open else "done"


def _time_left(wished: Wished, driver: str | None, seconds: float | None) -> float | None:
    if driver is None or seconds is None:
        return None
    concurrency: int = wished.wish.definition.get("study", {}).get("concurrency", 1)
    n_left = max(0, wished.wish.n_trials - wished.n_finished)
    return round(n_left * seconds / concurrency, 3)


def sample(improvements: Sequence[tuple[int, float]], n_trials: int) -> tuple[float, ...]:
    """The best value so far after equal numbers of trials; the last is that after all."""
    if not improvements or n_trials < 1:
        return ()
    n_values = min(MOST_VALUES, n_trials)
    values = []
    ahead = list(improvements)
    best: float | None = None
    for index in range(1, n_values + 1):
        last = index * n_trials // n_values
        while ahead and ahead[0][0] < last:
            best = ahead.pop(0)[1]
        if best is not None:
            values.append(best)
    if ahead:  # numbers go beyond the count of finished trials while some are open
        values[-1:] = [ahead[-1][1]]
    return tuple(values)


def is_due(wished: Wished) -> bool:
    """Whether a study is to be driven now."""
    return wished.is_open and wished.wish.next_attempt_at <= time.time()
