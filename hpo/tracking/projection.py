"""Keeps MLflow's child runs equal to the ledger's finished trials.

Nothing is marked in the ledger. MLflow is asked once, at the start, what it holds; from then on the
projection knows what it wrote itself. After an error it does not know, and looks for a run before
it creates one.
"""

import time
from collections.abc import Mapping, Sequence
from itertools import accumulate

from optuna.trial import FrozenTrial, TrialState

from hpo.ledger.trials import (
    CONVERGED,
    DERIVED,
    FAILURE,
    SCORES,
    TRACEBACK,
    fold_scores,
    mean_and_std,
    milliseconds,
)
from hpo.results.links import dashboard_trial
from hpo.tracking import keys
from hpo.tracking.run_records import RunStatus, StudyRecord, TrialRecord
from hpo.tracking.writer import MlflowWriter

STATUS_OF: Mapping[TrialState, RunStatus] = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAIL: "FAILED",
}

_OWN_ATTRIBUTES = frozenset({SCORES, CONVERGED, DERIVED, FAILURE, TRACEBACK})


class Projection:
    """Keeps the runs of one study equal to its finished trials.

    Attributes:
        run_ids: Trial number to the id of its finished run.
    """

    def __init__(self, writer: MlflowWriter, study: StudyRecord) -> None:
        self._writer = writer
        self._study = study
        self._unfinished: dict[int, str] = {}
        self._in_doubt: set[int] = set()
        self._next_point = 0
        self.run_ids: dict[int, str] = {}

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

    def catch_up(self, trials: Sequence[FrozenTrial]) -> None:
        """Write what is missing, in the order of the numbers.

        Args:
            trials: All of the study's trials, by number.

        Raises:
            TrackingError: MLflow refuses or is away; what was written stays, the next call goes on.
        """
        for trial in self.missing(trials):
            self._write(make_record(trial, self._study))
        points = self._best_so_far(trials)
        if points:
            self._writer.write_parent_metric(keys.best_so_far(self._study.value_name), points)
            self._next_point = points[-1][0] + 1

    def has_work(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether a call of :meth:`catch_up` would write anything."""
        return bool(self.missing(trials) or self._best_so_far(trials))

    def missing(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """The finished trials that have no finished run."""
        return [
            trial
            for trial in trials
            if trial.state.is_finished() and trial.number not in self.run_ids
        ]

    def _write(self, record: TrialRecord) -> None:
        """Write one run.

        An attempt whose answer was lost may have created it, so the next one looks for it first.
        """
        number = record.number
        run_id = self._unfinished.get(number)
        if run_id is None and number in self._in_doubt:
            run_id = self._writer.find_trial(record.key)
        self._in_doubt.add(number)
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
            if trial.state == TrialState.COMPLETE and len(trial.values) == 1
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


def make_record(trial: FrozenTrial, study: StudyRecord) -> TrialRecord:
    """Make the child run's record of a finished trial.

    A trial of ``hpo`` has its scores in attributes of known names. Of any other study, attributes
    become tags, and intermediate values the steps of a metric.
    """
    end = milliseconds(trial.datetime_complete)
    start = milliseconds(trial.datetime_start) if trial.datetime_start is not None else end
    is_ours = SCORES in trial.user_attrs
    metrics, steps = _measure_ours(trial) if is_ours else _measure_other(trial, study.value_name)
    params = {**trial.params, **trial.user_attrs.get(DERIVED, {})}
    return TrialRecord(
        key=keys.trial_key(study.uid, trial.number),
        number=trial.number,
        status=STATUS_OF[trial.state],
        start_time_ms=start,
        end_time_ms=max(start, end),
        params={keys.allowed(name): str(value) for name, value in params.items()},
        metrics={keys.TRIAL_NUMBER: float(trial.number), **metrics},
        steps=steps,
        tags=_tags(trial, study),
        traceback=trial.user_attrs.get(TRACEBACK),
    )


def _measure_ours(trial: FrozenTrial) -> tuple[dict[str, float], dict[str, dict[int, float]]]:
    """Metrics, and metrics by fold, of a trial that was scored here.

    A pruned trial has no mean: over fewer folds, it would not compare.
    """
    metrics: dict[str, float] = {}
    steps: dict[str, dict[int, float]] = {}
    for scorer, scores in fold_scores(trial).items():
        if trial.state == TrialState.COMPLETE:
            mean, std = mean_and_std(scores)
            metrics |= {keys.cv_mean(scorer): mean, keys.cv_std(scorer): std}
        steps[keys.cv_metric(scorer)] = dict(enumerate(scores))
    return metrics, steps


def _measure_other(
    trial: FrozenTrial, metric: str
) -> tuple[dict[str, float], dict[str, dict[int, float]]]:
    """Metrics, and intermediate values by step, of a trial of any other study."""
    # A pruned trial's value is that of its last step, which does not compare with the others.
    values = trial.values if trial.state == TrialState.COMPLETE else []
    value_names = [metric] if len(values) == 1 else [f"{metric}_{i}" for i in range(len(values))]
    steps = (
        {keys.intermediate(metric): dict(trial.intermediate_values)}
        if trial.intermediate_values
        else {}
    )
    return dict(zip(value_names, values, strict=True)), steps


def _tags(trial: FrozenTrial, study: StudyRecord) -> dict[str, str]:
    tags = {
        keys.allowed(name): str(value)
        for name, value in trial.user_attrs.items()
        if name not in _OWN_ATTRIBUTES
    }
    tags[keys.TRIAL_STATE] = trial.state.name
    if SCORES in trial.user_attrs:
        tags[keys.CONVERGED] = str(trial.user_attrs.get(CONVERGED, True)).lower()
    if FAILURE in trial.user_attrs:
        tags[keys.FAILURE] = str(trial.user_attrs[FAILURE])
    if study.dashboard is not None:
        address = dashboard_trial(study.dashboard, trial.number)
        tags[keys.DESCRIPTION] = f"[Trial {trial.number} in optuna-dashboard]({address})"
    if keys.DATA_DIGEST in study.tags:
        tags[keys.DATA_DIGEST] = study.tags[keys.DATA_DIGEST]
    return tags
