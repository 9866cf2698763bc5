"""The preflight: what a run would meet, and what mends it; makes and changes nothing.

What the next run mends by itself is a finding too. Whether a study is the one that is asked for is
left to the run, which says so before it writes.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from hpo.errors import HpoError, LedgerError, TrackingError
from hpo.ledger.inspection import MLFLOW, OPTUNA, Trials, read_database, read_trials
from hpo.ledger.lock import driven_elsewhere, find_holder, find_session, lock_key, lock_path
from hpo.settings import (
    DEFAULT_TRACKING_URI,
    ServiceSettings,
    hide_password,
    sqlite_path,
)
from hpo.tracking import keys
from hpo.tracking.connection import check_server
from hpo.tracking.reader import (
    StudyRuns,
    deleted_parent,
    is_finished,
    key_of,
    read_runs,
    trashed_experiment,
)


@dataclass(frozen=True)
class Finding:
    """One line of the preflight.

    Attributes:
        check: Its subject: ``settings``, ``storage``, ``tracking`` or ``study``.
        message: What is so.
        hint: What mends it, or None.
        exit_code: Of the error that says so, 0 where all is well.
    """

    check: str
    message: str
    hint: str | None = None
    exit_code: int = 0

    @classmethod
    def of(cls, check: str, error: HpoError) -> Self:
        """Turn an error into a finding."""
        return cls(check, str(error), error.hint, error.exit_code)

    def to_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints."""
        return {
            "check": self.check,
            "ok": not self.exit_code,
            "message": self.message,
            "hint": self.hint,
        }

    def to_text(self) -> str:
        """One line."""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{'wrong' if self.exit_code else 'ok':<6} {self.check:<9} {self.message}{hint}"


def check_run(settings: ServiceSettings, study: str) -> list[Finding]:
    """Look at everything that a run with these settings would meet.

    Args:
        settings: Where ledger and tracking are.
        study: The study's name.
    """
    findings: list[Finding] = []

    @contextmanager
    def noting(check: str) -> Iterator[None]:
        try:
            yield
        except HpoError as error:
            findings.append(Finding.of(check, error))

    storage, tracking = settings.storage, settings.tracking_uri
    trials: Trials | None = None
    runs: StudyRuns | None = None
    path = sqlite_path(storage)
    holder = None if path is None else find_holder(lock_path(path, study))
    with noting("storage"):
        _check_place(storage, LedgerError)
    with noting("storage"), read_database(storage, OPTUNA) as connection:
        trials = read_trials(connection, study)
        if connection is not None and path is None:
            holder = find_session(connection.connection.cursor(), lock_key(study))
        later = "is made by the first run; only then can optuna-dashboard open it"
        findings.append(
            Finding(
                "storage",
                f"{hide_password(storage)} {later if connection is None else 'can be opened'}",
            )
        )
    with noting("tracking"):
        _check_place(tracking, TrackingError)
    with noting("tracking"):
        _check_old_file_store(tracking)
    with noting("tracking"):
        uid, is_made = trials.uid if trials else None, True
        if tracking.startswith("http"):
            check_server(tracking)
        else:
            with read_database(tracking, MLFLOW) as connection:
                is_made = connection is not None
        runs = read_runs(tracking, study, uid) if is_made else StudyRuns()
        state = "can be opened" if is_made else "is made by the first run"
        findings.append(Finding("tracking", f"{hide_password(tracking)} {state}"))
        if runs.experiment is not None and runs.experiment.lifecycle_stage == "deleted":
            raise trashed_experiment(runs.experiment)
        if (parent_id := runs.deleted_by_hand().get(uid or "")) is not None:
            raise deleted_parent(study, parent_id)
    if holder is not None:
        findings.append(Finding.of("study", driven_elsewhere(f"study '{study}'", holder)))
    elif trials is not None:
        findings.extend(_iter_study(study, trials, runs))
    return findings


def _check_place(url: str, error: type[HpoError]) -> None:
    """That an SQLite file, and those that SQLite makes beside it, can be written."""
    path = sqlite_path(url)
    for place in () if path is None else (path.parent, path):
        if place.exists() and not os.access(place, os.W_OK):
            raise error(
                f"{place} is not writable for this user",
                hint="change its owner or mode, or put the database elsewhere",
            )


def _check_old_file_store(tracking_uri: str) -> None:
    """Where MLflow finds one, it takes it for its default store, which it then refuses to open."""
    old = [path for path in Path("mlruns").glob("*/meta.yaml") if path.parent.name.isdigit()]
    if old and tracking_uri == DEFAULT_TRACKING_URI:
        raise TrackingError(
            "'mlflow ui' ends with an error in this directory:"
            f" it opens the old file store {old[0].parent.parent}, not mlflow.db",
            hint="mkdir -p mlruns-old && for old in mlruns/*/meta.yaml;"
            ' do mv "${old%/*}" mlruns-old; done',
        )


def _iter_study(study: str, trials: Trials, runs: StudyRuns | None) -> Iterator[Finding]:
    """Find what a run that ended early left behind."""
    of_study = f"of study '{study}'"
    finished = [
        number for number, state in trials.states.items() if state not in ("RUNNING", "WAITING")
    ]
    n_running = sum(state == "RUNNING" for state in trials.states.values())
    left = [
        (
            n_running,
            LedgerError.exit_code,
            f"trials {of_study} left RUNNING: {n_running}",
            "takes them up",
        )
    ]
    if runs is not None and trials.uid is not None:
        there = {key_of(run) for run in runs.active if is_finished(run)}.union(
            runs.deleted_by_hand()
        )
        n_behind = sum(keys.trial_key(trials.uid, number) not in there for number in finished)
        lacking = f"finished trials {of_study} that MLflow lacks: {n_behind} of {len(finished)}"
        n_second = len(runs.active) - len({key_of(run) for run in runs.active})
        n_open, code = sum(not is_finished(run) for run in runs.active), TrackingError.exit_code
        left += [
            (n_behind, code, lacking, "writes them"),
            (
                n_second,
                code,
                f"second runs of the same trials {of_study} in MLflow: {n_second}",
                "deletes them",
            ),
            (n_open, code, f"runs {of_study} left RUNNING in MLflow: {n_open}", "finishes them"),
        ]
    for count, exit_code, message, mend in left:
        if count:
            yield Finding("study", message, f"run the same command again: it {mend}", exit_code)
    if not any(count for count, *_ in left):
        where = ", all of them in MLflow" if len(left) > 1 and finished else ""
        yield Finding("study", f"finished trials {of_study}: {len(finished)}{where}")
