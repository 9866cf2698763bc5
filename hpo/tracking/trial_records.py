"""Makes the record of a child run from a finished trial."""

from collections.abc import Mapping

from optuna.trial import FrozenTrial, TrialState

from hpo.ledger.trials import (
    CONVERGED,
    DERIVED,
    FAILURE,
    SCORES,
    TRACEBACK,
    fold_scores,
    has_converged,
    is_foreign,
    mean_and_std,
    milliseconds,
)
from hpo.results.links import dashboard_trial
from hpo.tracking import keys
from hpo.tracking.run_records import RunStatus, StudyRecord, TrialRecord

STATUS_OF: Mapping[TrialState, RunStatus] = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAIL: "FAILED",
}

Measured = tuple[dict[str, float], dict[str, dict[int, float]]]
"""Metrics, and metrics by step."""

_OWN_ATTRIBUTES = frozenset({SCORES, CONVERGED, DERIVED, FAILURE, TRACEBACK})


def make_record(trial: FrozenTrial, study: StudyRecord) -> TrialRecord:
    """Make the child run's record of a finished trial.

    A trial of ``hpo`` has its scores in attributes of known names. Of any other study, attributes
    become tags, and intermediate values the steps of a metric.
    """
    end = milliseconds(trial.datetime_complete)
    start = milliseconds(trial.datetime_start) if trial.datetime_start is not None else end
    metrics, steps = _measure(trial, study)
    params = {**trial.params, **trial.user_attrs.get(DERIVED, {})}
    return TrialRecord(
        key=keys.trial_key(study.uid, trial.number),
        number=trial.number,
        status=STATUS_OF[trial.state],
        start_time_ms=start,
        end_time_ms=max(start, end),
        params=keys.renamed(params),
        metrics={keys.TRIAL_NUMBER: float(trial.number), **metrics},
        steps=steps,
        tags=_tags(trial, study),
        traceback=trial.user_attrs.get(TRACEBACK),
    )


def is_left_out(trial: FrozenTrial, study: StudyRecord) -> bool:
    """Whether a trial has no part in the comparison: hpo scores the study, and not this trial."""
    return study.is_scored_here and is_foreign(trial)


def _measure(trial: FrozenTrial, study: StudyRecord) -> Measured:
    if is_left_out(trial, study):
        return {}, {}
    if SCORES in trial.user_attrs:
        return _measure_ours(trial)
    return _measure_other(trial, study.value_name)


def _measure_ours(trial: FrozenTrial) -> Measured:
    """Metrics, and metrics by fold, of a trial that was scored here.

    A pruned trial has no mean: over fewer folds, it would not compare.
    """
    metrics: dict[str, float] = {}
    steps: dict[str, dict[int, float]] = {}
    for scorer, scores in fold_scores(trial).items():
        if trial.state == TrialState.COMPLETE:
            mean, std = mean_and_std(scores)
            metrics |= {keys.cv_mean(scorer): mean, keys.cv_std(scorer): std}
        steps[keys.fold_metric(scorer)] = dict(enumerate(scores))
    return metrics, steps


def _measure_other(trial: FrozenTrial, metric: str) -> Measured:
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
    attributes = trial.user_attrs.items()
    tags = keys.renamed({name: value for name, value in attributes if name not in _OWN_ATTRIBUTES})
    tags[keys.TRIAL_STATE] = trial.state.name
    if SCORES in trial.user_attrs:
        tags[keys.CONVERGED] = str(has_converged(trial)).lower()
    if FAILURE in trial.user_attrs:
        tags[keys.FAILURE] = str(trial.user_attrs[FAILURE])
    if is_left_out(trial, study):
        values = ", ".join(map(str, trial.values or ()))
        tags[keys.FOREIGN] = f"asked or ended by another client{values and f', value {values}'}"
    if study.dashboard is not None:
        address = dashboard_trial(study.dashboard, trial.number)
        tags[keys.DESCRIPTION] = f"[Trial {trial.number} in optuna-dashboard]({address})"
    if keys.DATA_DIGEST in study.tags:
        tags[keys.DATA_DIGEST] = study.tags[keys.DATA_DIGEST]
    return tags
