"""The findings of the preflight: what the next run completes of a study, or puts right."""

from dataclasses import dataclass
from typing import Any, Self

from hpo.errors import HpoError, LedgerError, TrackingError
from hpo.ledger.inspection import Trials
from hpo.tracking import keys
from hpo.tracking.model_files import find_problem_of
from hpo.tracking.moved_store import FOLDER, read_moves
from hpo.tracking.numbers import parse_numbers
from hpo.tracking.reader import is_finished, key_of
from hpo.tracking.study_runs import StudyRuns


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


def find_moved_artifacts(tracking_uri: str) -> list[Finding]:
    """Find artifacts that MLflow addresses where its database was before it was moved or copied."""
    return [
        Finding(
            "tracking",
            f"MLflow's artifacts are in {new / FOLDER}, but addressed in {old}",
            "run the same command again: it moves the addresses",
            TrackingError.exit_code,
        )
        for old, new in read_moves(tracking_uri).items()
    ]


def find_lost_model(
    study: str, trials: Trials, runs: StudyRuns | None, tracking_uri: str
) -> list[Finding]:
    """Find a final model that the parent run names and that cannot be loaded.

    Raises:
        TrackingError: MLflow is away.
    """
    tags = runs.parent_tags(trials.uid) if runs and trials.uid else {}
    uri = tags.get(keys.MODEL_URI)
    problem = uri and find_problem_of(uri.removeprefix("models:/"), tracking_uri)
    if not problem:
        return []
    message = f"the model {uri} of study '{study}' cannot be loaded: {problem}"
    hint = "run the same command again: it writes it again"
    return [Finding("study", message, hint, TrackingError.exit_code)]


def find_unfinished(study: str, trials: Trials, runs: StudyRuns | None) -> list[Finding]:
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
        is_without_parent = bool(runs.active) and not runs.has(trials.uid)
        n_behind = sum(keys.trial_key(trials.uid, number) not in there for number in finished)
        n_second = len(runs.active) - len({key_of(run) for run in runs.active})
        n_open = sum(not is_finished(run) for run in runs.active)
        behind = f"finished trials {of_study} that MLflow lacks: {n_behind} of {len(finished)}"
        second = f"second runs of the same trials {of_study} in MLflow: {n_second}"
        unfinished = f"runs {of_study} left RUNNING in MLflow: {n_open}"
        left.append(
            (is_without_parent, f"MLflow lost the parent run {of_study}", "writes it", mlflow)
        )
        left.append((n_behind, behind, "writes them", mlflow))
        left.append((n_second, second, "deletes them", mlflow))
        left.append((n_open, unfinished, "finishes them", mlflow))
    return [
        Finding("study", message, f"run the same command again: it {mend}", exit_code)
        for count, message, mend, exit_code in left
        if count
    ]


def all_done(study: str, trials: Trials, runs: StudyRuns | None) -> Finding:
    """Say where the trials of a study are that has nothing left to do."""
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
