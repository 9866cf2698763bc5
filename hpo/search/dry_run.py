"""What a run would do, without doing it: data, columns, space, splits, and an estimate of the time. Writes nothing at all.

Everything that a run checks before its first trial is checked here too. The estimate rests on trial 0, whose folds are fitted
and timed in this process.
"""

import statistics
import time
from collections import Counter
from typing import Any

from threadpoolctl import threadpool_limits

from hpo.definition import StudyDefinition
from hpo.ledger.mirror import Mirror
from hpo.ledger.storage import quiet_optuna
from hpo.search.nested import check_nested
from hpo.search.plan import load_data, make_plan

DRIVER_SECONDS = 0.01
"""What asking, telling and storing takes a trial, on SQLite."""


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
        study = definition.study
        space = plan.space
        objective = plan.objective
        mirror = Mirror(
            definition.sampler, definition.pruner, seed=study.seed, concurrency=study.concurrency
        )
        params = space.complete(space.suggest(mirror.ask(0, fixed=space.baseline())))
        seconds = []
        failures = []
        for step in range(objective.n_steps):
            started = time.perf_counter()
            failures.append(objective.evaluate(params, step).failure)
            seconds.append(time.perf_counter() - started)
    n_folds = objective.n_steps
    n_processes = workers if isinstance(workers, int) else 1
    fold_seconds = statistics.median(seconds)
    trial_seconds = fold_seconds * -(-n_folds // min(n_processes, n_folds)) + DRIVER_SECONDS
    return {
        "study": definition.name,
        "n_trials": study.n_trials,
        "metric": study.metric,
        "data": {
            "source": definition.data.source,
            "target": dataset.target,
            "n_train": len(dataset.y_train),
            "n_holdout": len(dataset.y_test),
            "classes": {
                str(label): count
                for label, count in sorted(Counter(dataset.y_train.tolist()).items())
            },
        },
        "columns": dataset.columns.kinds(),
        "n_features": space.shape.n_features,
        "search_space": space.entries.model_dump(mode="json", exclude_none=True),
        "splits": {
            **definition.cv.model_dump(),
            "n_folds": n_folds,
            "grouped_by": definition.data.group,
        },
        "notes": list(plan.notes),
        "trial_0": {"params": params, "failure": next(filter(None, failures), None)},
        "estimate": {
            "n_processes": n_processes,
            "fold_seconds": round(fold_seconds, 6),
            "search_seconds": round((1 + (study.nested or 0)) * study.n_trials * trial_seconds, 3),
        },
    }
