"""Figures and tables of the final model: what it gets right, and what it goes by.

Those of its task come from a module a task, those that only its estimator has from the recipe;
permutation importance is for all.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline

from hpo.estimators.decision import without_decision, without_rule
from hpo.estimators.recipe import BarChart, Recipe
from hpo.estimators.tasks import task_of
from hpo.results import classification_figures, regression_figures
from hpo.results.decision_figure import draw_threshold
from hpo.results.decisions import JudgedDecision
from hpo.results.drawing import draw_bars, shorten, to_csv, to_png
from hpo.results.over_time import OverTime
from hpo.results.over_time_figure import draw_periods, tabulate_periods

MAX_PERMUTED = 100
"""Columns; of a wider table permuting each would take minutes."""

PERMUTED_ROWS = 1000
N_REPEATS = 5

FIGURES_OF_TASK: Mapping[str, Any] = {
    "classification": classification_figures,
    "regression": regression_figures,
}


def draw_model(
    recipe: Recipe,
    judged: Pipeline,
    shipped: Pipeline,
    X: pd.DataFrame,
    y: np.ndarray,
    *,
    metric: str,
    seed: int,
    positive: Any = None,
    over_time: OverTime | None = None,
    costs: Any = None,
    decision: JudgedDecision | None = None,
) -> tuple[dict[str, bytes], dict[str, float]]:
    """Draw all that is known of a model.

    Args:
        recipe: Of the estimator.
        judged: Fitted without the held-out rows, with the decision that ships.
        shipped: The model that the estimator's own charts are of.
        X: The held-out rows, shape (n_samples, n_features).
        y: Their target, shape (n_samples,).
        metric: The judged scorer: what a permuted column costs is counted in it.
        seed: Of the permutations.
        positive: The positive one of two classes, or None.
        over_time: The scores part by part where rows are in the order of time, or None.
        costs: What answers cost, or None.
        decision: What was decided, or None.

    Returns:
        Artifact path to content, and the importance of each column.
    """
    of_task = FIGURES_OF_TASK[recipe.task]
    task = task_of(recipe)

    def score(model: Pipeline, X: pd.DataFrame, y: np.ndarray) -> float:
        return task.predictions(model, X, positive, costs).score(metric, y)

    importances = permute_columns(without_rule(judged), X, y, scoring=score, seed=seed)
    inner = without_decision(shipped)
    own = {chart.name: chart.tabulate(inner) for chart in recipe.charts}
    tables = {**own, **of_task.tabulate(judged, X, y), "permutation_importance": importances}
    if over_time is not None:
        tables["score_over_time"] = tabulate_periods(over_time)
    files = {f"tables/{name}.csv": to_csv(table) for name, table in tables.items() if len(table)}
    # A "$" in a name is no formula; a name may be in a script that the font does not have.
    with mpl.rc_context({"text.parse_math": False}), warnings.catch_warnings(action="ignore"):
        figures = of_task.draw(judged, X, y, positive)
        if decision is not None and decision.curve is not None:
            figures["threshold"] = draw_threshold(decision)
        for chart in recipe.charts:
            figures[chart.name] = _draw_chart(chart, own[chart.name])
        if len(importances):
            figures["permutation_importance"] = draw_bars(
                "Permutation importance",
                importances["column"].map(shorten),
                importances["mean"],
                f"loss of {metric} on held-out rows",
                importances["std"],
            )
        if over_time is not None:
            figures["score_over_time"] = draw_periods(over_time, metric)
        files |= {f"figures/{name}.png": to_png(figure) for name, figure in figures.items()}
    return files, dict(zip(importances["column"], importances["mean"], strict=True))


def _draw_chart(chart: BarChart, table: pd.DataFrame) -> Figure:
    labels = table[list(chart.labels)].map(shorten).agg(": ".join, axis="columns").map(shorten)
    return draw_bars(chart.title, labels, table[chart.value], chart.xlabel)


def permute_columns(
    pipeline: Pipeline,
    X: pd.DataFrame,
    y: np.ndarray,
    *,
    scoring: str | Callable[..., float],
    seed: int,
) -> pd.DataFrame:
    """Measure what the score loses when a column's values are shuffled; empty for wide tables.

    Breiman 2001, Machine Learning 45, 5-32.
    """
    if X.shape[1] > MAX_PERMUTED:
        return pd.DataFrame({"column": [], "mean": [], "std": []})
    n_rows = min(len(X), PERMUTED_ROWS)
    found = permutation_importance(
        pipeline, X, y, scoring=scoring, n_repeats=N_REPEATS, random_state=seed, max_samples=n_rows
    )
    table = pd.DataFrame(
        {"column": X.columns, "mean": found.importances_mean, "std": found.importances_std}
    )
    return table.sort_values("mean", ascending=False, kind="stable", ignore_index=True)
