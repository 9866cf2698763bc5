"""The metrics of a study's parent run, from its result."""

import numpy as np

from hpo.results.estimates import Estimates
from hpo.results.intervals import Estimate
from hpo.results.result import StudyResult
from hpo.tracking import keys


def measure(result: StudyResult) -> tuple[dict[str, float], dict[str, dict[int, float]]]:
    """The study's metrics, and those that have a value for each outer fold."""
    metric = result.metric
    estimates = result.estimates
    scored = {
        keys.holdout_metric(metric): estimates.holdout_score,
        keys.optimism_metric(metric): result.optimism,
    }
    scored[keys.gain_over_constant_metric(metric)] = estimates.constant.gain
    if estimates.gain is not None:
        scored[keys.gain_metric(metric)] = estimates.gain
    scored |= _of_answers(estimates)
    metrics = {
        keys.N_TIED: float(estimates.n_ties),
        keys.N_UNCONVERGED: float(estimates.n_unconverged),
        keys.constant_metric(metric): estimates.constant.scores[metric],
    }
    for name, estimate in scored.items():
        metrics[name] = estimate.value
        if estimate.is_known:
            metrics |= keys.interval_metrics(name, estimate.low, estimate.high)
    if estimates.decision is not None and estimates.decision.threshold is not None:
        metrics[keys.DECISION_THRESHOLD] = estimates.decision.threshold
    nested = estimates.nested
    if nested is None or nested.estimate is None:
        return metrics, {}
    name = keys.nested_metric(metric)
    score = nested.estimate
    metrics |= {f"{name}_mean": score.value, f"{name}_std": float(np.std(nested.scores))}
    metrics |= keys.interval_metrics(name, score.low, score.high)
    return metrics, {keys.nested_fold_metric(metric): dict(enumerate(nested.scores))}


def _of_answers(estimates: Estimates) -> dict[str, Estimate]:
    """The scores of probabilities and of a decision; a cost is negated, as any scorer's loss is."""
    scored = {}
    if estimates.probabilities is not None:
        for name, estimate in estimates.probabilities.scores.items():
            scored[keys.holdout_metric(name)] = estimate
    decision = estimates.decision
    if decision is None:
        return scored
    scored[keys.decided_metric(decision.objective)] = decision.score
    for name, estimate in decision.conditions.items():
        scored[keys.decided_metric(name)] = estimate
    gains = {
        "likelier": decision.over_likelier,
        "defaults": decision.over_defaults,
        "one_answer": decision.over_answer,
    }
    return scored | {
        keys.decision_gain_metric(name): gain for name, gain in gains.items() if gain is not None
    }
