"""The preflight: what would go wrong with these settings, and how to put it right.

It makes and changes nothing. Something that the next run puts right by itself is a finding too.
Whether a study has the definition that is asked for is left to the run, which says so before it
writes.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from hpo.errors import HpoError, LedgerError, TrackingError
from hpo.escaping import hide_password
from hpo.ledger.inspection import (
    OPTUNA,
    Trials,
    read_database,
    read_driver,
    read_maker,
    read_trials,
)
from hpo.ledger.lock import driven_elsewhere, made_elsewhere
from hpo.settings import DEFAULT_TRACKING_URI, ServiceSettings, sqlite_path
from hpo.tracking import keys
from hpo.tracking.model_files import find_problem_of
from hpo.tracking.numbers import parse_numbers
from hpo.tracking.reader import (
    deleted_parent,
    is_finished,
    is_made,
    is_trashed,
    key_of,
    trashed_experiment,
)
from hpo.tracking.study_runs import StudyRuns, read_runs


@dataclass(frozen=True)
class Finding:
    """One line of the preflight.

    Attributes:
        check: Its subject: ``settings``, ``storage``, ``tracking`` or ``study``.
        message: The state of the subject.
        hint: How to put it right, or None.
        exit_code: That of the error found, or 0 where all is well.
    """

    check: str
    message: str
    hint: str | None = None
    exit_code: int = 0

    @classmethod
    def of(cls, check: str, error: HpoError) -> Self:
        """Make a finding of an error."""
        return cls(check, str(error), error.hint, error.exit_code)

    def to_json(self) -> dict[str, Any]:
        """Give the object that ``--json`` prints."""
        return {
            "check": self.check,
            "ok": not self.exit_code,
            "message": self.message,
            "hint": self.hint,
        }

    def to_text(self) -> str:
        """Give the finding as one line."""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{'wrong' if self.exit_code else 'ok':<6} {self.check:<9} {self.message}{hint}"


def check_run(settings: ServiceSettings, study: str) -> list[Finding]:
    """Look at everything that a run with these settings would meet.

    Args:
        settings: Where ledger and tracking are.
        study: The study's name.
    """
    preflight = _Preflight(study, settings.tracking_uri)
    preflight.check_storage(settings.storage)
    preflight.check_tracking()
    preflight.check_study()
    return preflight.findings


@dataclass
class _Preflight:
    """The checks, each of which builds on what the ones before it could read.

    Attributes:
        study: The study's name.
        tracking_uri: MLflow's.
        findings: One for each thing looked at; an error ends its own check only.
        trials: The study in the ledger, or None where the ledger cannot be read.
        runs: The study in MLflow, or None where MLflow cannot be read.
        holder: The driver that has the study now, or None.
    """

    study: str
    tracking_uri: str
    findings: list[Finding] = field(default_factory=list)
    trials: Trials | None = None
    runs: StudyRuns | None = None
    holder: str | None = None

    @contextmanager
    def _noting(self, check: str) -> Iterator[None]:
        try:
            yield
        except HpoError as error:
            self.findings.append(Finding.of(check, error))

    def check_storage(self, url: str) -> None:
        """Whether the ledger can be read and written, and who drives the study."""
        self.holder = read_driver(url, None, self.study)  # a file's lock can be seen without it
        with self._noting("storage"):
            _check_writable(url, LedgerError)
        with self._noting("storage"), read_database(url, OPTUNA) as connection:
            self.trials = read_trials(connection, self.study)
            self.holder = self.holder or read_driver(url, connection, self.study)
            state = "can be opened"
            if connection is None:
                _check_maker(url)
                state = "is made by the first run; only then can optuna-dashboard open it"
            self.findings.append(Finding("storage", f"{hide_password(url)} {state}"))

    def check_tracking(self) -> None:
        """Whether MLflow can be read and written, and nothing of the study was deleted in it."""
        url = self.tracking_uri
        with self._noting("tracking"):
            _check_writable(url, TrackingError)
        with self._noting("tracking"):
            _check_old_file_store(url)
        with self._noting("tracking"):
            uid = self.trials.uid if self.trials else None
            is_there = is_made(url)
            self.runs = runs = read_runs(url, self.study, uid) if is_there else StudyRuns()
            if not is_there:
                _check_maker(url)
            state = "can be opened" if is_there else "is made by the first run"
            self.findings.append(Finding("tracking", f"{hide_password(url)} {state}"))
            if runs.experiment is not None and is_trashed(runs.experiment):
                raise trashed_experiment(runs.experiment)
            if (parent_id := runs.deleted_by_hand().get(uid or "")) is not None:
                raise deleted_parent(self.study, parent_id)

    def check_study(self) -> None:
        """Whether a run that ended early left something to do."""
        if self.holder is not None:
            error = driven_elsewhere(f"study '{self.study}'", self.holder)
            self.findings.append(Finding.of("study", error))
        elif self.trials is not None:
            left = _find_unfinished(self.study, self.trials, self.runs)
            with self._noting("study"):
                left += self._find_lost_model(self.trials.uid)
            self.findings += left or [_all_done(self.study, self.trials, self.runs)]

    def _find_lost_model(self, uid: str | None) -> list[Finding]:
        """Find a final model that the parent run names and that cannot be loaded."""
        tags = self.runs.parent_tags(uid) if self.runs and uid else {}
        uri = tags.get(keys.MODEL_URI)
        problem = uri and find_problem_of(uri.removeprefix("models:/"), self.tracking_uri)
        if not problem:
            return []
        message = f"the model {uri} of study '{self.study}' cannot be loaded: {problem}"
        hint = "run the same command again: it writes it again"
        return [Finding("study", message, hint, TrackingError.exit_code)]


def _check_writable(url: str, error: type[HpoError]) -> None:
    """Refuse an SQLite file that cannot be written, or has no room for SQLite's own files."""
    path = sqlite_path(url)
    for place in () if path is None else (path.parent, path):
        if place.exists() and not os.access(place, os.W_OK):
            raise error(
                f"{place} is not writable for this user",
                hint="change its owner or mode, or put the database elsewhere",
            )


def _check_maker(url: str) -> None:
    """Refuse a database whose tables another process is making: a run would wait for it."""
    if (maker := read_maker(url)) is not None:
        raise made_elsewhere(hide_password(url), maker)


def _check_old_file_store(tracking_uri: str) -> None:
    """Refuse a file store of old where MLflow would take it for its default, then not open it."""
    old = [path for path in Path("mlruns").glob("*/meta.yaml") if path.parent.name.isdigit()]
    if old and tracking_uri == DEFAULT_TRACKING_URI:
        raise TrackingError(
            "'mlflow ui' ends with an error in this directory:"
            f" it opens the old file store {old[0].parent.parent}, not mlflow.db",
            hint="mkdir -p mlruns-old && for old in mlruns/*/meta.yaml;"
            ' do mv "${old%/*}" mlruns-old; done',
        )


def _find_unfinished(study: str, trials: Trials, runs: StudyRuns | None) -> list[Finding]:
    """Find what the next run completes: a line for each kind of it."""
    of_study = f"of study '{study}'"
    ledger = LedgerError.exit_code
    n_running = sum(state == "RUNNING" for state in trials.states.values()) - len(trials.foreign)
    left = [(n_running, f"trials {of_study} left RUNNING: {n_running}", "takes them up", ledger)]
    if runs is not None and trials.uid is not None:
        mlflow = TrackingError.exit_code
        finished = trials.finished()
        written = parse_numbers(runs.parent_tags(trials.uid).get(keys.WRITTEN_TRIALS, ""))
        there = {keys.trial_key(trials.uid, number) for number in written}
        there.difference_update(key_of(run) for run in runs.active)
        there.update(key_of(run) for run in runs.active if is_finished(run))
        there.update(runs.deleted_by_hand())
        n_behind = sum(keys.trial_key(trials.uid, number) not in there for number in finished)
        n_second = len(runs.active) - len({key_of(run) for run in runs.active})
        n_open = sum(not is_finished(run) for run in runs.active)
        behind = f"finished trials {of_study} that MLflow lacks: {n_behind} of {len(finished)}"
        second = f"second runs of the same trials {of_study} in MLflow: {n_second}"
        unfinished = f"runs {of_study} left RUNNING in MLflow: {n_open}"
        left.append((n_behind, behind, "writes them", mlflow))
        left.append((n_second, second, "deletes them", mlflow))
        left.append((n_open, unfinished, "finishes them", mlflow))
    return [
        Finding("study", message, f"run the same command again: it {mend}", exit_code)
        for count, message, mend, exit_code in left
        if count
    ]


def _all_done(study: str, trials: Trials, runs: StudyRuns | None) -> Finding:
    n_finished = len(trials.finished())
    where = ""
    if runs is not None and trials.uid is not None and n_finished:
        there = {key_of(run) for run in runs.active}
        n_deleted = sum(keys.trial_key(trials.uid, n) not in there for n in trials.finished())
        where = ", all of them in MLflow"
        if n_deleted:
            where = f", in MLflow but for {n_deleted} whose runs were deleted"
    left_out = ""
    if trials.foreign:
        left_out = f"; another client's, RUNNING and left alone: {len(trials.foreign)}"
    return Finding("study", f"finished trials of study '{study}': {n_finished}{where}{left_out}")
