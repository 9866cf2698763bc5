"""Whether time matters for a table with dates whose rows are shuffled: its defaults, scored twice.

Once on folds that go forward in time, and once on folds of the same sizes after the rows were
shuffled: so the two differ by time alone, not by how many rows a fold is fitted on.
"""

from dataclasses import replace

import numpy as np

from hpo.data.dataset import Dataset
from hpo.data.order import Order, find_dates
from hpo.errors import DataError
from hpo.escaping import quote
from hpo.estimators.cross_validation import prepare_folds
from hpo.estimators.recipe import Params
from hpo.search.executor import Executor
from hpo.search.plan import Plan

NOISE = 2.0
"""Standard errors of the difference from which two scores differ."""


def compare_orders(plan: Plan, params: Params, executor: Executor) -> list[str]:
    """Say how the defaults score forward in time and shuffled, where that differs; else nothing.

    Args:
        plan: Of a study.
        params: Complete ones of the estimator whose defaults are scored.
        executor: Where folds are scored; it holds other folds afterwards.
    """
    dataset = plan.dataset
    dates = find_dates(dataset.X_train)
    if not dates or dataset.order is not None or dataset.X_train.shape[1] == 1:
        return []
    name = dates[0]
    in_order, shuffled = _arrange(dataset, name, plan.definition.study.seed)
    try:
        forward = _score_defaults(plan, params, in_order, executor)
        at_random = _score_defaults(plan, params, shuffled, executor)
    except DataError:
        return []  # too few dates, or a class that is not there all the time
    error = NOISE * np.sqrt(2 / len(at_random)) * np.std(at_random, ddof=1)
    if not forward or abs(np.mean(at_random) - np.mean(forward)) <= error:
        return []
    scores = f"{np.mean(forward):.4f}, on as many rows drawn at random {np.mean(at_random):.4f}"
    on = f"on rows after those they were fitted on by {quote(name)}"
    return [f"time matters: {on}, the defaults score {plan.definition.study.metric} {scores}"]


def _arrange(dataset: Dataset, name: str, seed: int) -> tuple[Dataset, Dataset]:
    """The training rows without a column of dates, in its order and shuffled."""
    times = dataset.X_train[name].to_numpy()
    rows = times.argsort(kind="stable")[: int((~np.isnat(times)).sum())]
    columns = dataset.columns
    without = columns.model_copy(
        update={
            "datetime": tuple(other for other in columns.datetime if other != name),
            "as_read": {key: dtype for key, dtype in columns.as_read.items() if key != name},
        }
    )
    whole = replace(dataset, columns=without, X_train=dataset.X_train.drop(columns=name))
    shuffled = np.random.default_rng(seed).permutation(rows)
    return (
        _take(whole, rows, Order(name, times[rows])),
        _take(whole, shuffled, Order(name, np.arange(len(rows)))),
    )


def _take(dataset: Dataset, rows: np.ndarray, order: Order) -> Dataset:
    return replace(
        dataset,
        X_train=dataset.X_train.iloc[rows],
        y_train=dataset.y_train[rows],
        groups=None if dataset.groups is None else dataset.groups[rows],
        order=order,
    )


def _score_defaults(
    plan: Plan, params: Params, dataset: Dataset, executor: Executor
) -> list[float]:
    """The defaults' score on each fold; none where a fit failed."""
    space, objective = plan.space.of(params), plan.objective.of(params)
    folds = prepare_folds(dataset, plan.definition, plan.task, objective.recipe.preprocessing)
    executor.hold(replace(objective, folds=folds))
    defaults, metric = space.default_params(), plan.definition.study.metric
    results = [executor.evaluate(defaults, step) for step in range(executor.n_steps)]
    failed = any(result.failure is not None for result in results)
    return [] if failed else [result.scores[metric] for result in results]
