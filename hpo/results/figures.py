"""Figures and tables of the final model: its predictions on the held-out rows, its coefficients.

Drawn with scikit-learn's displays on figures of their own, so that no state of pyplot is touched.
Of many classes or features the largest are shown, and the title says so; the tables have all.
"""

import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.inspection import permutation_importance
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    PrecisionRecallDisplay,
    RocCurveDisplay,
    confusion_matrix,
)
from sklearn.pipeline import Pipeline

from hpo.data.tables import write_table

MAX_LABELS = 25
"""Classes in a matrix, bars in a chart."""

MAX_CURVES = 10
"""Classes that get a curve."""

MAX_PERMUTED = 100
"""Columns of a table up to which each is permuted: more would take minutes."""

PERMUTED_ROWS = 1000
N_REPEATS = 5
NAME_LENGTH = 40


def draw_model(
    judged: Pipeline, shipped: Pipeline, X: pd.DataFrame, y: np.ndarray, *, metric: str, seed: int
) -> tuple[dict[str, bytes], dict[str, float]]:
    """Draw a model's figures and write its tables.

    Args:
        judged: Fitted without the held-out rows.
        shipped: The model whose coefficients are shown.
        X: The held-out rows, shape (n_samples, n_features).
        y: Their labels, shape (n_samples,).
        metric: The judged scorer, by which a column's importance is measured.
        seed: The seed of the permutations.

    Returns:
        Artifact path to content, and the importance of each column.
    """
    coefficients = list_coefficients(shipped)
    importances = permute_columns(judged, X, y, metric=metric, seed=seed)
    predicted = judged.predict(X)
    tables = {
        "coefficients": coefficients,
        "confusion_matrix": _count_confusion(y, predicted, judged.classes_),
        "permutation_importance": importances,
    }
    files = {f"tables/{name}.csv": _to_csv(table) for name, table in tables.items() if len(table)}
    # A "$" in a name is no formula; a name may be in a script that the font does not have.
    with mpl.rc_context({"text.parse_math": False}), warnings.catch_warnings(action="ignore"):
        figures = {"confusion_matrix": _draw_confusion(y, predicted)}
        probabilities = judged.predict_proba(X)
        for name, draw in _CURVES.items():
            figures[re.sub(r"\W", "_", name.lower())] = _draw_curves(
                name, draw, judged.classes_, y, probabilities
            )
        figures["coefficients"] = _draw_coefficients(coefficients)
        if len(importances):
            figures["permutation_importance"] = _draw_importances(importances, metric)
        files |= {f"figures/{name}.png": _to_png(figure) for name, figure in figures.items()}
    return files, dict(zip(importances["column"], importances["mean"], strict=True))


def _count_confusion(y: np.ndarray, predicted: np.ndarray, classes: np.ndarray) -> pd.DataFrame:
    counts = confusion_matrix(y, predicted, labels=classes)
    matrix = pd.DataFrame(counts, columns=classes)
    matrix.insert(0, "true class", classes)
    return matrix


def list_coefficients(pipeline: Pipeline) -> pd.DataFrame:
    """List the coefficients by feature and class, the largest first.

    Numbers are scaled, so a coefficient is for one standard deviation; its exponential is the
    factor on the odds: with two classes those of the second, with more those of the class against
    the geometric mean of all.
    """
    preprocessing = pipeline[0]
    classifier = pipeline[-1]
    # Not the transformer's own list, which refuses a name that two columns give.
    features = np.concatenate(
        [step.get_feature_names_out(names) for _, step, names in preprocessing.transformers_]
    )
    classes = classifier.classes_[-len(classifier.coef_) :]
    table = pd.DataFrame(classifier.coef_, index=classes, columns=features).rename_axis("class")
    table = table.reset_index().melt("class", var_name="feature", value_name="coefficient")[
        ["feature", "class", "coefficient"]
    ]
    with np.errstate(over="ignore"):
        table["odds_ratio"] = np.exp(table["coefficient"])
    return table.sort_values(
        "coefficient", key=abs, ascending=False, kind="stable", ignore_index=True
    )


def permute_columns(
    pipeline: Pipeline, X: pd.DataFrame, y: np.ndarray, *, metric: str, seed: int
) -> pd.DataFrame:
    """Measure the loss of the score when a column is shuffled; empty for wide tables.

    Breiman 2001, Machine Learning 45, 5-32.
    """
    if X.shape[1] > MAX_PERMUTED:
        return pd.DataFrame({"column": [], "mean": [], "std": []})
    n_rows = min(len(X), PERMUTED_ROWS)
    found = permutation_importance(
        pipeline, X, y, scoring=metric, n_repeats=N_REPEATS, random_state=seed, max_samples=n_rows
    )
    table = pd.DataFrame(
        {"column": X.columns, "mean": found.importances_mean, "std": found.importances_std}
    )
    return table.sort_values("mean", ascending=False, kind="stable", ignore_index=True)


_CURVES: dict[str, Callable[..., Any]] = {
    "ROC curve": RocCurveDisplay.from_predictions,
    "Precision-recall curve": PrecisionRecallDisplay.from_predictions,
    "Calibration curve": lambda y, score, **options: CalibrationDisplay.from_predictions(
        y, score, strategy="quantile", n_bins=int(np.clip(len(y) // 20, 5, 10)), **options
    ),
}


def _draw_curves(
    name: str,
    draw: Callable[..., Any],
    classes: np.ndarray,
    y: np.ndarray,
    probabilities: np.ndarray,
) -> Figure:
    """Draw a curve for each class against the rest; of two classes, for the second."""
    of_all = classes[1:] if len(classes) == 2 else classes
    shown = of_all if len(classes) == 2 else _commonest(y, MAX_CURVES)
    figure, ax = _make_figure(
        f"{name} on {len(y)} held-out rows", "commonest classes", len(shown), len(of_all)
    )
    for label, scores in zip(classes, probabilities.T, strict=True):
        if label in shown and 0 < (y == label).sum() < len(y):
            draw(y == label, scores, name=_shorten(label), ax=ax)
    # The displays add the positive class to the labels, which differs from curve to curve.
    ax.set(xlabel=ax.get_xlabel().partition(" (")[0], ylabel=ax.get_ylabel().partition(" (")[0])
    ax.legend(fontsize="small")
    return figure


def _draw_confusion(y: np.ndarray, predicted: np.ndarray) -> Figure:
    labels = np.union1d(y, predicted)
    shown = labels if len(labels) <= MAX_LABELS else _commonest(y, MAX_LABELS)
    title = f"Confusion matrix on {len(y)} held-out rows"
    size = 3.5 + 0.3 * len(shown)
    figure, ax = _make_figure(title, "commonest classes", len(shown), len(labels), size + 1, size)
    ConfusionMatrixDisplay.from_predictions(
        y,
        predicted,
        labels=shown,
        display_labels=list(map(_shorten, shown)),
        xticks_rotation="vertical",
        cmap="Blues",
        ax=ax,
    )
    return figure


def _draw_coefficients(coefficients: pd.DataFrame) -> Figure:
    labels = coefficients["feature"].map(_shorten) + ": " + coefficients["class"].map(_shorten)
    xlabel = "log odds of the class; of a number, by standard deviation"
    return _draw_bars("Coefficients", labels, coefficients["coefficient"], xlabel)


def _draw_importances(importances: pd.DataFrame, metric: str) -> Figure:
    return _draw_bars(
        "Permutation importance",
        importances["column"].map(_shorten),
        importances["mean"],
        f"loss of {metric} on held-out rows",
        importances["std"],
    )


def _draw_bars(
    title: str, names: pd.Series, values: pd.Series, xlabel: str, errors: pd.Series | None = None
) -> Figure:
    """Draw bars from the top down, by position, since two shortened names may be the same."""
    largest = values.head(MAX_LABELS)
    figure, ax = _make_figure(
        title, "largest", len(largest), len(values), height=2 + 0.25 * len(largest)
    )
    ax.barh(range(len(largest)), largest, xerr=None if errors is None else errors.head(MAX_LABELS))
    ax.set_yticks(range(len(largest)), list(names.head(MAX_LABELS)))
    ax.set_xlabel(xlabel)
    ax.margins(y=0.02)
    ax.invert_yaxis()
    return figure


def _make_figure(
    title: str, which: str, n_shown: int, n_all: int, width: float = 6.5, height: float = 5.0
) -> tuple[Figure, Axes]:
    """Make a figure; where not all are shown, its title says how many are."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(
        title + (f", the {n_shown} {which} of {n_all}" if n_shown < n_all else ""),
        fontsize="medium",
    )
    return figure, figure.subplots()


def _commonest(y: np.ndarray, n: int) -> np.ndarray:
    """The n commonest labels, sorted."""
    labels, counts = np.unique(y, return_counts=True)
    return labels[np.sort(np.argsort(-counts, kind="stable")[:n])]


def _shorten(name: object) -> str:
    text = str(name)
    if len(text) <= NAME_LENGTH:
        return text
    return f"{text[: NAME_LENGTH // 2]}…{text[-NAME_LENGTH // 2 + 1 :]}"


def _to_png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _to_csv(table: pd.DataFrame) -> bytes:
    text = io.StringIO()
    write_table(table, text)
    return text.getvalue().encode()
