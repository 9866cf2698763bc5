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

from hpo.commands.findings import (
    Finding,
    all_done,
    find_lost_model,
    find_moved_artifacts,
    find_unfinished,
)
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
from hpo.tracking.reader import (
    deleted_parent,
    is_made,
    is_trashed,
    trashed_experiment,
)
from hpo.tracking.study_runs import StudyRuns, read_runs


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
            self.findings += find_moved_artifacts(url) if is_there else []

    def check_study(self) -> None:
        """Whether a run that ended early left something to do."""
        if self.holder is not None:
            error = driven_elsewhere(f"study '{self.study}'", self.holder)
            self.findings.append(Finding.of("study", error))
        elif self.trials is not None:
            left = find_unfinished(self.study, self.trials, self.runs)
            with self._noting("study"):
                left += find_lost_model(self.study, self.trials, self.runs, self.tracking_uri)
            self.findings += left or [all_done(self.study, self.trials, self.runs)]


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
