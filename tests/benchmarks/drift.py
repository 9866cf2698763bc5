"""What scores promise where time matters: ``python -m tests.benchmarks.drift``.

The defaults are judged on tables with shuffled folds and with ``data.time``; the truth is the score
of the model that ships, refitted on all rows, on many rows of the time that follows. The weights of
two columns *wander* around their mean, or *turn* steadily away from what they were, or stay as they
are (*calm*), where both ways should promise right.

*Rows that resemble those before*: held-out rows whose inputs and errors follow an autoregression of
first order. How often does the interval hold the score on endless rows: in order, and were the rows
taken for independent?
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict

import numpy as np
import pandas as pd
from scipy.signal import lfilter

N_ROWS = 1000
N_AFTER = 20_000
AHEAD = 0.2
"""The time that follows, as a share of the table's: as long as the hold-out."""

MEMORY = 0.05
"""The time in which wandering weights forget, as a share of the table's."""

WANDER = 1.5
"""The standard deviation of wandering weights; their means are 1 and 0."""

TURN = 2.0
"""Radians by which turning weights turn over the time of a table."""

LIKENESS = (0.0, 0.7)
HELD_OUT = (200, 1000)
METRICS = {
    "classification": ("accuracy", "neg_log_loss", "roc_auc"),
    "regression": ("r2", "neg_mean_absolute_error", "neg_median_absolute_error"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=("promise", "order"), help="one part alone")
    options = parser.parse_args()
    if options.part != "order":
        for kind in ("wander", "turn", "calm"):
            show_promises(kind, options)
    if options.part != "promise":
        show_coverage(options)
    return 0


def show_promises(kind: str, options: argparse.Namespace) -> None:
    """By how much cross-validation and hold-out promise too much, with 95 % intervals."""
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(options.tables):
        for way, values in promise(kind, np.random.default_rng((options.seed, number))).items():
            found[way].append(values)
    print(f"\n{kind}: {options.tables} tables of {N_ROWS} rows, AUC promised less AUC afterwards")
    for way, values in found.items():
        mean, half = np.mean(values), 1.96 * np.std(values, ddof=1) / len(values) ** 0.5
        print(f"  {way}: {mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})", flush=True)


def promise(kind: str, rng: np.random.Generator) -> dict[str, float]:
    """What each way of judging promises of one table, less what comes."""
    from sklearn.metrics import roc_auc_score

    from hpo.estimators.final_model import fit_final_model, refit_on_all
    from hpo.search.plan import load_data, make_plan
    from hpo.study_file import load_definition

    weights = draw_weights(kind, rng)
    table = draw(weights, np.sort(rng.random(N_ROWS)), rng)
    later = draw(weights, 1 + AHEAD * rng.random(N_AFTER), rng)
    found = {}
    for way, overrides in (("shuffled", {"data.drop": ["t"]}), ("data.time", {"data.time": "t"})):
        given = {"study.name": "t", "data.target": "y", "study.metric": "roc_auc", **overrides}
        definition = load_definition(overrides=given).for_frame()
        plan = make_plan(definition, load_data(definition, table))
        params = plan.space.default_params()
        recipe, own = plan.recipe.choose(params)
        steps = [plan.objective.evaluate(params, step) for step in range(plan.objective.n_steps)]
        judged = fit_final_model(recipe, own, plan.dataset, plan.definition, ("roc_auc",))
        shipped = refit_on_all(judged.pipeline, plan.dataset)
        X = later[list(plan.dataset.X_train.columns)]
        truth = roc_auc_score(later["y"], shipped.predict_proba(X)[:, 1])
        found[f"{way}, cross-validation"] = np.mean([each.scores["roc_auc"] for each in steps])
        found[f"{way}, hold-out"] = judged.holdout["roc_auc"]
        for judge in ("cross-validation", "hold-out"):
            found[f"{way}, {judge}"] -= truth
    return found


def draw_weights(kind: str, rng: np.random.Generator) -> np.ndarray:
    """The two weights at equal steps of the table's time and what follows."""
    time = np.linspace(0, 1 + AHEAD, 1000)
    if kind == "turn":
        return np.column_stack([2 * np.cos(TURN * time), 2 * np.sin(TURN * time)])
    weights = np.tile([1.0, 0.0], (len(time), 1))
    if kind == "wander":
        kept = np.exp(-(time[1] - time[0]) / MEMORY)
        steps = WANDER * rng.normal(size=(len(time), 2))
        steps[1:] *= np.sqrt(1 - kept**2)
        weights += lfilter([1], [1, -kept], steps, axis=0)
    return weights


def draw(weights: np.ndarray, t: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of given times."""
    X = rng.normal(size=(len(t), 2))
    logit = (weights[(t / (1 + AHEAD) * len(weights)).astype(int)] * X).sum(axis=1)
    y = np.where(rng.random(len(t)) < 1 / (1 + np.exp(-logit)), "yes", "no")
    return pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "t": t, "y": y})


def show_coverage(options: argparse.Namespace) -> None:
    """How often intervals hold the score on endless rows, and the gain over a constant model."""
    n_drawn = 2 * options.tables
    print(
        f"\nintervals that hold the truth, of {n_drawn} hold-outs: in order / taken as independent"
    )
    for task, metrics in METRICS.items():
        for likeness in LIKENESS:
            for n in HELD_OUT:
                rng = np.random.default_rng((options.seed, n))
                shown = [
                    f"{metric} {held}"
                    for metric, held in count(task, likeness, n, n_drawn, rng)
                    if metric in metrics
                ]
                print(f"  {task}, {n} rows, likeness {likeness}: {', '.join(shown)}", flush=True)


def count(
    name: str, likeness: float, n: int, n_drawn: int, rng: np.random.Generator
) -> list[tuple[str, str]]:
    """Metric to the shares of the intervals that hold the truth, of the score and of the gain."""
    from sklearn.linear_model import LinearRegression, LogisticRegression

    from hpo.estimators.tasks import TASKS
    from hpo.results.holdout import judge_models

    task = TASKS[name]
    X, y = follow(name, likeness, 200_000, rng)
    kind = LogisticRegression if name == "classification" else LinearRegression
    model, constant = kind().fit(X[:5000], y[:5000]), task.constant_model(y[:5000])
    shares = []
    for metric in METRICS[name]:
        ours, theirs = (task.predictions(each, X).score(metric, y) for each in (model, constant))
        held = np.zeros((2, 2))
        n_told = np.zeros((2, 2))
        for _ in range(n_drawn):
            X_test, y_test = follow(name, likeness, n, rng)
            models = [task.predictions(each, X_test) for each in (model, constant)]
            for row, is_ordered in enumerate((True, False)):
                score, (gain,) = judge_models(
                    task, models, y_test, None, metric, seed=0, is_ordered=is_ordered
                )
                for column, (estimate, truth) in enumerate(((score, ours), (gain, ours - theirs))):
                    n_told[row, column] += estimate.is_known
                    held[row, column] += (
                        estimate.low <= truth <= estimate.high and estimate.is_known
                    )
        of_score, of_gain = (100 * held / np.maximum(n_told, 1)).T
        shown = " / ".join(f"{share:.0f} %" for share in of_score)
        shares.append((metric, f"{shown} (gain {' / '.join(f'{each:.0f} %' for each in of_gain)})"))
    return shares


def follow(
    name: str, likeness: float, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows in order, of which inputs and errors resemble those of the row before."""
    start = 200
    noise = rng.normal(size=(n + start, 2)) * (1 - likeness**2) ** 0.5
    x, error = lfilter([1], [1, -likeness], noise, axis=0)[start:].T
    value = x + error
    return x[:, None], value if name == "regression" else (value > 0).astype(int)


if __name__ == "__main__":
    sys.exit(main())
