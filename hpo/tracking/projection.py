"""Keeps MLflow's child runs equal to the ledger's finished trials.

Nothing is marked in the ledger. MLflow is asked once, at the start, what it holds; from then on the
projection knows what it wrote itself. After an error it does not know, and looks for a run before
it creates one.
"""

import time
from collections.abc import Sequence
from itertools import accumulate

from optuna.trial import FrozenTrial, TrialState

from hpo.ledger.trials import milliseconds
from hpo.tracking import keys
from hpo.tracking.run_records import StudyRecord, TrialRecord
from hpo.tracking.trial_records import is_left_out, make_record
from hpo.tracking.writer import MlflowWriter


class Projection:
    """Keeps the runs of one study equal to its finished trials.

    Attributes:
        run_ids: Trial number to the id of its finished run.
        has_written: Whether a run was written.
    """

    def __init__(self, writer: MlflowWriter, study: StudyRecord) -> None:
        self._writer = writer
        self._study = study
        self._unfinished: dict[int, str] = {}
        self._in_doubt: set[int] = set()
        self._next_point = 0
        self.run_ids: dict[int, str] = {}
        self.has_written = False
        self._purged: frozenset[int] = frozenset()

    @property
    def written(self) -> frozenset[int]:
        """The trials whose runs were finished once, including those purged since."""
        return self._purged.union(self.run_ids)

    def reconcile(self, trials: Sequence[FrozenTrial]) -> None:
        """Open the study in MLflow and learn what is there.

        Args:
            trials: All of the study's trials, by number.

        Raises:
            TrackingError: MLflow refuses or is away.
        """
        starts = [
            milliseconds(trial.datetime_start)
            for trial in trials
            if trial.datetime_start is not None
        ]
        self._writer.open(min(starts, default=time.time_ns() // 1_000_000))
        self.learn()

    def learn(self) -> None:
        """Ask MLflow what it holds of the study, and delete duplicates.

        Raises:
            TrackingError: MLflow refuses or is away.
        """
        self.run_ids, self._unfinished = self._writer.find_trials()
        # A person deleted them, then "mlflow gc" removed what would say so.
        self._purged = self._writer.written.difference(self.run_ids, self._unfinished)

    def catch_up(self, trials: Sequence[FrozenTrial]) -> None:
        """Write what is missing, in the order of the numbers.

        Args:
            trials: All of the study's trials, by number.

        Raises:
            TrackingError: MLflow refuses or is away; what was written stays, the next call goes on.
        """
        for trial in self.missing(trials):
            self._write(self.describe(trial))
        points = self._best_so_far(trials)
        if points:
            self._writer.write_parent_metric(keys.best_so_far(self._study.value_name), points)
            self._next_point = points[-1][0] + 1

    def has_work(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether a call of :meth:`catch_up` would write anything."""
        return bool(self.missing(trials) or self._best_so_far(trials))

    def missing(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """The finished trials that have no finished run and never had one."""
        written = self.written
        return [
            trial for trial in trials if trial.state.is_finished() and trial.number not in written
        ]

    def describe(self, trial: FrozenTrial) -> TrialRecord:
        """Make the record of a finished trial's run."""
        return make_record(trial, self._study)

    def _write(self, record: TrialRecord) -> None:
        """Write one run.

        An attempt whose answer was lost may have created it, so the next one looks for it first.
        """
        number = record.number
        run_id = self._unfinished.pop(number, None)
        if run_id is None and number in self._in_doubt:
            run_id = self._writer.find_trial(record.key)
        self._in_doubt.add(number)
        self.has_written = True
        self.run_ids[number] = self._writer.write_trial(record, run_id)

    def _best_so_far(self, trials: Sequence[FrozenTrial]) -> list[tuple[int, float, int]]:
        """The points that the parent run's best value so far lacks.

        Returns:
            Trial number, best value up to it, and when it ended, milliseconds since 1970, UTC.
        """
        if not self._writer.parent_is_open:
            return []
        complete = [
            trial
            for trial in trials
            if trial.state == TrialState.COMPLETE
            and len(trial.values) == 1
            and not is_left_out(trial, self._study)
        ]
        best = accumulate(
            (trial.values[0] for trial in complete), max if self._study.is_maximized else min
        )
        return [
            (trial.number, value, milliseconds(trial.datetime_complete))
            for trial, value in zip(complete, best, strict=True)
            if trial.number >= self._next_point
        ]


def end_time_ms(trials: Sequence[FrozenTrial]) -> int:
    """The end of a study that ends now, milliseconds since 1970, UTC.

    It is not before that of its trials, though the clock may have gone back.
    """
    moments = (
        moment
        for trial in trials
        for moment in (trial.datetime_start, trial.datetime_complete)
        if moment is not None
    )
    return max((time.time_ns() // 1_000_000, *map(milliseconds, moments)))
