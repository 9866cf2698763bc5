"""A dry run: data, columns, space, splits and an estimate of the time, with nothing run.

Everything that a run checks before its first trial is checked here too. The estimate rests on trial
0, whose folds are fitted and timed in this process. Nothing is written.
"""

import statistics
import time
from collections import Counter
from typing import Any

from threadpoolctl import threadpool_limits

from hpo.data.dataset import Dataset
from hpo.definition import StudyDefinition
from hpo.ledger.mirror import Mirror
from hpo.ledger.storage import quiet_optuna
from hpo.search.nested import check_nested
from hpo.search.plan import Plan, load_data, make_plan

DRIVER_SECONDS = 0.01
"""Asking, telling and storing one trial, on SQLite."""


def plan_study(definition: StudyDefinition, workers: int | str) -> dict[str, Any]:
    """Load, check and prepare as a run does, and time trial 0.

    Returns:
        The object that ``--json`` prints.

    Raises:
        InputError: As the run would.
    """
    with threadpool_limits(1), quiet_optuna():
        dataset = load_data(definition)
        check_nested(dataset, definition)
        plan = make_plan(definition, dataset)
        params, seconds, failure = _time_trial_0(plan)
    study = definition.study
    n_folds = plan.objective.n_steps
    n_processes = workers if isinstance(workers, int) else 1
    rounds = -(-n_folds // min(n_processes, n_folds))
    n_trials = (1 + (study.nested or 0)) * study.n_trials
    return {
        "study": definition.name,
        "n_trials": study.n_trials,
        "metric": study.metric,
        "data": _describe_data(definition, dataset),
        "columns": dataset.columns.kinds(),
        "n_features": plan.space.shape.n_features,
        "search_space": plan.space.entries.model_dump(mode="json", exclude_none=True),
        "splits": {
            **definition.cv.model_dump(),
            "n_folds": n_folds,
            "grouped_by": definition.data.group,
        },
        "notes": list(plan.notes),
        "trial_0": {"params": params, "failure": failure},
        "estimate": {
            "n_processes": n_processes,
            "fold_seconds": round(seconds, 6),
            "search_seconds": round(n_trials * (seconds * rounds + DRIVER_SECONDS), 3),
        },
    }


def _time_trial_0(plan: Plan) -> tuple[dict[str, Any], float, str | None]:
    """Fit trial 0 as the search would: its params, the median seconds of a fold, its failure."""
    definition = plan.definition
    study = definition.study
    mirror = Mirror(
        definition.sampler, definition.pruner, seed=study.seed, concurrency=study.concurrency
    )
    trial = mirror.ask(0, fixed=plan.space.baseline())
    params = plan.space.complete(plan.space.suggest(trial))
    seconds = []
    failures = []
    for step in range(plan.objective.n_steps):
        started = time.perf_counter()
        failures.append(plan.objective.evaluate(params, step).failure)
        seconds.append(time.perf_counter() - started)
    return params, statistics.median(seconds), next(filter(None, failures), None)


def _describe_data(definition: StudyDefinition, dataset: Dataset) -> dict[str, Any]:
    counts = sorted(Counter(dataset.y_train.tolist()).items())
    return {
        "source": definition.data.source,
        "target": dataset.target,
        "n_train": len(dataset.y_train),
        "n_holdout": len(dataset.y_test),
        "classes": {str(label): count for label, count in counts},
        "positive": None if dataset.positive is None else str(dataset.positive),
    }
