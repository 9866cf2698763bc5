"""Whether the report can be believed: ``python -m tests.benchmarks.honesty --studies 200``.

Data are drawn from logistic models that are known, so the true score of any fitted model is known
too: the mean, over many fresh rows, of what the truth gives its predictions. Each study is small
(150 training rows, 600 held out, best of 30 trials) and goes through the real search, ledger, refit
and judgement; only MLflow is left out. Of each case this prints:

- how often the 95 % intervals of the hold-out score and of the gain hold the truth, and how wide
  they are, since a wide one proves nothing;
- the mean error of both, with its standard error, and beside it that of the best trial's
  cross-validation score, which is what people report: the bias of best-of-N;
- with nested searches, the mean error of their score. They fit on fewer rows than the final model
  (4 of 5), so a little below is right.

A study whose best trial is the defaults has no gain, and says so: it is counted apart.

``--held-out 400`` judges so many studies of each case in ``held_out`` instead: every kind of metric,
rare and many classes, few rows, groups and numbers, without the search. ``--tables 50`` does so for
numbers of real tables, in ``held_out_tables``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from hpo.estimators.final_model import build_pipeline
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION
from hpo.results.selection import select_best
from hpo.search.driver import Driver
from hpo.search.executor import LocalExecutor
from hpo.search.loop import Search
from hpo.search.nested import score_nested
from hpo.search.outcome import Searched, judge_study
from hpo.search.plan import Plan, make_plan
from hpo.settings import ServiceSettings
from hpo.study_file import load_definition
from tests.benchmarks.held_out import HELD_OUT_CASES, describe_case
from tests.benchmarks.held_out_tables import TABLES, describe_table

N_ROWS = 750
TEST_SIZE = 0.8
N_TRIALS = 30
N_FRESH = 200_000
N_OUTER = 5


@dataclass(frozen=True)
class Case:
    """A known truth and the metric that is judged.

    Attributes:
        name: As printed.
        metric: ``accuracy`` or ``neg_log_loss``.
        coefficients: Of the logistic model whose rows are drawn; the features are standard normal.
    """

    name: str
    metric: str
    coefficients: tuple[float, ...]

    def draw(self, n: int, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
        """So many rows, and the true probability of class 1 of each."""
        X = rng.normal(size=(n, len(self.coefficients)))
        return pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])]), 1 / (
            1 + np.exp(-X @ np.array(self.coefficients))
        )

    def true_score(self, model, X: pd.DataFrame, truth: np.ndarray) -> float:
        """What a fitted model scores on endless rows, as far as these tell."""
        probabilities = model.predict_proba(X)
        if self.metric == "accuracy":
            return float(np.mean(np.where(probabilities[:, 1] > 0.5, truth, 1 - truth)))
        clipped = np.log(np.clip(probabilities, np.finfo(float).eps, None))
        return float(np.mean(truth * clipped[:, 1] + (1 - truth) * clipped[:, 0]))


CASES = (
    Case("few of many columns matter", "accuracy", (1.5, -1.5, 1.0, *([0.0] * 27))),
    Case("all columns matter a little", "accuracy", (0.25,) * 16),
    Case("few of many columns matter", "neg_log_loss", (1.5, -1.5, 1.0, *([0.0] * 27))),
)


@dataclass(frozen=True)
class Outcome:
    """One study: what it said, and the truth.

    Attributes:
        score: Of the final model: hold-out value, low, high.
        gain: Over the defaults, the same; None where they were chosen.
        cv: The best trial's mean over the folds.
        cv_gain: That minus the defaults'.
        nested: Of search and refit on outer folds, or not a number.
        true_score: Of the final model.
        true_gain: Of the final model over the defaults.
    """

    score: tuple[float, float, float]
    gain: tuple[float, float, float] | None
    cv: float
    cv_gain: float
    nested: float
    true_score: float
    true_gain: float


def run_case(
    case: Case, n_studies: int, n_nested: int, n_trials: int = N_TRIALS
) -> Iterator[Outcome]:
    """So many studies, the first ones with nested searches."""
    fresh = case.draw(N_FRESH, np.random.default_rng(10**6))
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="hpo-honesty-", dir=shared if shared.is_dir() else None
    ) as directory:
        for index in range(n_studies):
            plan = plan_case(
                case, index, Path(directory), n_trials, N_OUTER if index < n_nested else None
            )
            # A database a study: an old one would make each search a little slower than the last.
            path = Path(directory, f"{index}.db")
            yield run_one(case, plan, f"sqlite:///{path}", fresh)
            path.unlink()


def plan_case(case: Case, seed: int, directory: Path, n_trials: int, n_outer: int | None) -> Plan:
    """A study on rows that are drawn anew."""
    rng = np.random.default_rng(seed)
    X, truth = case.draw(N_ROWS, rng)
    X.assign(y=(rng.random(N_ROWS) < truth).astype(int)).to_parquet(directory / "rows.parquet")
    return make_plan(
        load_definition(
            overrides={
                "data.source": str(directory / "rows.parquet"),
                "data.target": "y",
                "data.test_size": TEST_SIZE,
                "study.metric": case.metric,
                "study.n_trials": n_trials,
                "study.seed": seed,
                "study.nested": n_outer,
                # saga takes ten times as long, and tells nothing more here
                "search_space.penalty": ["l2", "l1"],
            }
        )
    )


def run_one(
    case: Case, plan: Plan, storage: str, fresh: tuple[pd.DataFrame, np.ndarray]
) -> Outcome:
    """Search, refit, judge, as ``hpo.study_run`` does, and look the truth up."""
    definition, dataset = plan.definition, plan.dataset
    driver = Driver(ServiceSettings(storage, workers=1), {}, LocalExecutor())
    with driver.open(plan) as ledger:
        Search(driver, plan, ledger).run()
        trials = ledger.trials()
    best = select_best(
        trials,
        definition.selection.rule,
        recipe=LOGISTIC_REGRESSION,
        n_splits=definition.cv.n_splits,
    )
    result = judge_study(plan, Searched(trials, best), ServiceSettings())
    nested = float("nan")
    if definition.study.nested is not None:
        nested = score_nested(plan, driver, n_trials=definition.study.n_trials)[0].estimate.value
    default_params = plan.space.default_params()
    defaults = build_pipeline(
        LOGISTIC_REGRESSION, dataset.columns, definition.preprocessing, default_params
    )
    defaults.fit(dataset.X_train, dataset.y_train)
    score, gain = result.estimates.holdout_score, result.estimates.gain
    true_score = case.true_score(result.model, *fresh)
    return Outcome(
        score=(score.value, score.low, score.high),
        gain=None if result.best.params == default_params else (gain.value, gain.low, gain.high),
        cv=result.best.value,
        cv_gain=result.best.value - result.estimates.baseline_value,
        nested=nested,
        true_score=true_score,
        true_gain=true_score - case.true_score(defaults, *fresh),
    )


def coverage(intervals: Sequence[tuple[float, float, float]], truths: Sequence[float]) -> float:
    """The share of intervals that hold their truth."""
    return float(
        np.mean(
            [low <= truth <= high for (_, low, high), truth in zip(intervals, truths, strict=True)]
        )
    )


def describe_intervals(
    intervals: Sequence[tuple[float, float, float]], truths: Sequence[float]
) -> str:
    """How often they hold the truth, how wide they are, how far their middle numbers are from it."""
    width = np.median([high - low for _, low, high in intervals])
    error = mean_error([value for value, _, _ in intervals], truths)
    return (
        f"covered {coverage(intervals, truths):.1%}, median width {width:.4f}, mean error {error}"
    )


def mean_error(values: Sequence[float], truths: Sequence[float]) -> str:
    """How far values are from the truth on average, with the standard error of that."""
    errors = np.array(values) - np.array(truths)
    errors = errors[np.isfinite(errors)]
    return f"{errors.mean():+.4f} ± {errors.std(ddof=1) / np.sqrt(len(errors)):.4f}"


def describe(case: Case, outcomes: Sequence[Outcome]) -> str:
    """The figures of a case, one a line."""
    truths = [outcome.true_score for outcome in outcomes]
    scores = [outcome.score for outcome in outcomes]
    tuned = [outcome for outcome in outcomes if outcome.gain is not None]
    gains, true_gains = (
        [outcome.gain for outcome in tuned],
        [outcome.true_gain for outcome in tuned],
    )
    gained = describe_intervals(gains, true_gains)
    cv, cv_gain = (
        mean_error([o.cv for o in outcomes], truths),
        mean_error([o.cv_gain for o in tuned], true_gains),
    )
    lines = [
        f"{case.name}, {case.metric}: {len(outcomes)} studies, true score {np.mean(truths):.4f}",
        f"  hold-out score: {describe_intervals(scores, truths)}",
        f"  gain, of the {len(tuned)} that did not choose the defaults, truly {np.mean(true_gains):+.4f}: {gained}",
        f"  uncorrected, best of {N_TRIALS} by cross-validation: mean error of the score {cv}, of the gain {cv_gain}",
    ]
    nested = [outcome for outcome in outcomes if np.isfinite(outcome.nested)]
    if len(nested) > 1:
        true_nested = [outcome.true_score for outcome in nested]
        lines.append(
            f"  nested, {len(nested)} studies: mean error {mean_error([o.nested for o in nested], true_nested)},"
            f" where the best of {N_TRIALS} has {mean_error([o.cv for o in nested], true_nested)}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=200, help="of each case")
    parser.add_argument(
        "--nested", type=int, default=40, help="so many of them with nested searches"
    )
    parser.add_argument("--case", type=int, help="one case alone, from 0")
    parser.add_argument(
        "--held-out", type=int, metavar="N", help="judge so many studies of each kind of metric"
    )
    parser.add_argument(
        "--tables", type=int, metavar="N", help="judge so many studies of each real table"
    )
    options = parser.parse_args()
    if options.tables:
        tables = TABLES if options.case is None else [TABLES[options.case]]
        for table in tables:
            print(describe_table(*table, options.tables), flush=True)
        return
    if options.held_out:
        cases = HELD_OUT_CASES if options.case is None else [HELD_OUT_CASES[options.case]]
        for case in cases:
            print(describe_case(case, options.held_out), flush=True)
        return
    for case in CASES if options.case is None else [CASES[options.case]]:
        outcomes = []
        for outcome in run_case(case, options.studies, options.nested):
            outcomes.append(outcome)
            if len(outcomes) % 25 == 0 or len(outcomes) == options.studies:
                print(describe(case, outcomes), flush=True)


if __name__ == "__main__":
    main()
