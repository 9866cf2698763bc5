"""The runs of the callback: a study of a person's own, in the words of Optuna's old callback.

Saved searches and charts go on working: the tags, params and metrics of the old callback keep their
names, beside those that every child run of ``hpo`` has. Unlike a study that ``hpo`` drives, this
one may have several processes at work, each with a callback: each writes the trials that it ran,
and leaves the others for a while to whoever ran them.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import optuna
from optuna.trial import FrozenTrial, TrialState

from hpo.ledger.failures import translated
from hpo.ledger.trials import milliseconds
from hpo.tracking import keys
from hpo.tracking.callback_options import TrialOptions, as_tags
from hpo.tracking.objective_run import Place
from hpo.tracking.projection import Projection
from hpo.tracking.run_records import StudyRecord, TrialRecord
from hpo.tracking.trial_records import make_record
from hpo.tracking.writer import MlflowWriter

GRACE_SECONDS = 10.0
"""How long a trial is left to the process that ran it, if that is not this one."""


class CallbackProjection(Projection):
    """A projection that several processes may make of one study.

    Attributes:
        told: Numbers of the trials that this process ran.
        is_ending: Whether this is the last chance to write: nothing is left to others any more.
    """

    def __init__(
        self, writer: MlflowWriter, record: StudyRecord, study: optuna.Study, options: TrialOptions
    ) -> None:
        super().__init__(writer, record)
        self._optuna_study = study
        self._options = options
        self._elsewhere: frozenset[int] = frozenset()
        self._is_reconciled = False
        self.told: set[int] = set()
        self.is_ending = False

    def reconcile(self, trials: Sequence[FrozenTrial]) -> None:
        """Open the study in MLflow and learn what is there."""
        super().reconcile(trials)
        self._elsewhere = self._writer.find_elsewhere()
        self._is_reconciled = True

    def expect_run(self, number: int) -> Place | None:
        """Expect that a trial's objective starts its run.

        Returns:
            Where to start it, or None before MLflow was asked.
        """
        if not self._is_reconciled:
            return None
        self._in_doubt.add(number)
        return Place(self._study.uid, self._writer.experiment_id, self._writer.parent_run_id)

    def note_run(self, number: int, run_id: str) -> None:
        """Note the run that a trial's objective started."""
        self._unfinished[number] = run_id

    def missing(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """The finished trials that have no finished run, and that nobody else is about to write."""
        latest_end = time.time_ns() // 1_000_000 - 1000 * GRACE_SECONDS
        return [
            trial
            for trial in super().missing(trials)
            if trial.number not in self._elsewhere
            and (
                self.is_ending
                or trial.number in self.told
                or milliseconds(trial.datetime_complete) < latest_end
            )
        ]

    def catch_up(self, trials: Sequence[FrozenTrial]) -> None:
        """Write what is missing; another process may have written what this one did not run."""
        is_others = any(trial.number not in self.told for trial in self.missing(trials))
        if is_others:
            self.learn()
        super().catch_up(trials)
        if is_others and self.is_ending:
            # Another process may have written the same trial at the same moment.
            self.learn()

    def describe(self, trial: FrozenTrial) -> TrialRecord:
        """Make the record of a finished trial's run."""
        record = make_record(trial, self._study)
        values = trial.values if trial.state == TrialState.COMPLETE else []
        names = self._options.name_metrics(len(values))
        # A trial that another process ran may have another number of values than there are names.
        metrics = dict(zip(names, values, strict=False))
        return replace(
            record,
            name=self._options.run_name or str(trial.number),
            metrics={keys.TRIAL_NUMBER: float(trial.number), **metrics},
            tags=self._make_tags(trial, record),
        )

    def _make_tags(self, trial: FrozenTrial, record: TrialRecord) -> dict[str, str]:
        """Later ones win: the user's, the old callback's, the trial's, the study's, ours."""
        tags = {
            **self._options.tags,
            "number": str(trial.number),
            "datetime_start": str(trial.datetime_start),
            "datetime_complete": str(trial.datetime_complete),
            "state": trial.state.name,
            "direction": self._direction,
        }
        tags |= keys.renamed(
            {f"{name}_distribution": kind for name, kind in trial.distributions.items()}
        )
        if self._options.has_trial_attributes:
            tags |= as_tags(trial.user_attrs)
        if self._options.has_study_attributes:
            tags |= self._read_study_attributes()
        # MLflow refuses a run whose tag gives it another name than its own.
        tags.pop(keys.RUN_NAME, None)
        return {**tags, keys.TRIAL_STATE: record.tags[keys.TRIAL_STATE]}

    @cached_property
    def _direction(self) -> str:
        with translated("of the study"):
            names = [direction.name for direction in self._optuna_study.directions]
        return names[0] if len(names) == 1 else str(names)

    @translated("of the study")
    def _read_study_attributes(self) -> dict[str, str]:
        return as_tags(self._optuna_study.user_attrs)
