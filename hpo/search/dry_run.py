"""A dry run: data, columns, space, splits and an estimate of the time, with nothing run.

Everything that a run checks before its first trial is checked here too. The estimate rests on fits
of params drawn from the searched space, some of each kind that it holds, timed in this process, or
in a worker where there are limits of a fit. Nothing is written.
"""

from collections import Counter
from contextlib import closing
from typing import Any

import loky
from threadpoolctl import threadpool_limits

from hpo.data.dataset import Dataset
from hpo.definition import SamplerSection, StudyDefinition
from hpo.ledger.mirror import Mirror
from hpo.ledger.storage import quiet_optuna
from hpo.search.driver import check_limits, count_processes
from hpo.search.executor import Executor
from hpo.search.forward_check import compare_orders
from hpo.search.loop import are_workers_worth_starting
from hpo.search.nested import check_nested
from hpo.search.plan import Plan, load_data, make_plan
from hpo.search.pool_executor import make_single_executor
from hpo.search.timing import mean_seconds, time_kinds

DRIVER_SECONDS = 0.03
"""Asking, telling and storing one trial on SQLite, while tracking takes its share of a core."""

N_DRAWN = 200
"""Params drawn to see how common each kind of fit is."""


def plan_study(definition: StudyDefinition, workers: int | str) -> dict[str, Any]:
    """Load, check and prepare as a run does, and time some fits.

    Returns:
        The object that ``--json`` prints.

    Raises:
        InputError: As the run would.
    """
    check_limits(workers, definition.limits)
    with threadpool_limits(1), quiet_optuna():
        dataset = load_data(definition)
        check_nested(dataset, definition)
        plan = make_plan(definition, dataset)
        with closing(make_single_executor(definition.limits)) as executor:
            executor.hold(plan.objective)
            params, failure = _try_trial_0(plan, executor)
            kinds = time_kinds(executor, _draw(plan))
            compared = compare_orders(plan, params, executor)
    definition = plan.definition
    study = definition.study
    return {
        "study": definition.name,
        "n_trials": study.n_trials,
        "metric": study.metric,
        "data": _describe_data(definition, dataset),
        "columns": dataset.columns.kinds(),
        "n_features": plan.space.n_features,
        "search_space": {
            name: entry for name, entry in plan.space.entries.flat().items() if entry is not None
        },
        "splits": {
            **definition.cv.model_dump(),
            "n_folds": plan.objective.n_steps,
            "grouped_by": definition.data.group,
            "ordered_by": definition.data.time,
        },
        "notes": [*plan.notes, *compared],
        "trial_0": {"params": params, "failure": failure},
        "estimate": {
            **_estimate(plan, mean_seconds(kinds), workers),
            "timeout_seconds": study.timeout_seconds,
            "fits": [kind.to_json() for kind in kinds],
        },
    }


def _estimate(plan: Plan, fold_seconds: float, workers: int | str) -> dict[str, Any]:
    study = plan.definition.study
    n_folds = plan.objective.n_steps
    n_trials = (1 + (study.nested or 0)) * study.n_trials
    n_processes = count_processes(workers, plan.dataset.X_train.size, plan.definition.limits)
    if workers == "auto" and are_workers_worth_starting(fold_seconds * n_folds, n_trials):
        n_processes = loky.cpu_count()
    rounds = -(-n_folds // min(n_processes, n_folds))
    return {
        "n_processes": n_processes,
        "fold_seconds": round(fold_seconds, 6),
        "search_seconds": round(n_trials * (fold_seconds * rounds + DRIVER_SECONDS), 3),
    }


def _try_trial_0(plan: Plan, executor: Executor) -> tuple[dict[str, Any], str | None]:
    """Fit one fold of trial 0 as the search would: its params and its failure."""
    study = plan.definition.study
    mirror = Mirror(
        plan.definition.sampler,
        plan.definition.pruner,
        seed=study.seed,
        concurrency=study.concurrency,
    )
    trial = mirror.ask(0, fixed=plan.space.given(0))
    params = plan.space.complete(plan.space.suggest(trial))
    return params, executor.evaluate(params, 0).failure


def _draw(plan: Plan) -> list[dict[str, Any]]:
    """Complete params as the study's sampler draws them at random."""
    mirror = Mirror(
        SamplerSection(kind="random"),
        plan.definition.pruner,
        seed=plan.definition.study.seed,
        concurrency=1,
    )
    space = plan.space
    return [space.complete(space.suggest(mirror.ask(number))) for number in range(N_DRAWN)]


def _describe_data(definition: StudyDefinition, dataset: Dataset) -> dict[str, Any]:
    y = dataset.y_train
    is_numeric = dataset.task == "regression"
    counts = [] if is_numeric else sorted(Counter(y.tolist()).items())
    numbers = {name: float(getattr(y, name)()) for name in ("min", "mean", "max") if is_numeric}
    return {
        "source": definition.data.source,
        "target": dataset.target,
        "n_train": len(dataset.y_train),
        "n_holdout": len(dataset.y_test),
        "task": dataset.task,
        "classes": {str(label): count for label, count in counts},
        "numbers": numbers,
        "positive": None if dataset.positive is None else str(dataset.positive),
    }
