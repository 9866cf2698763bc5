"""Figures of a classifier on held-out rows, drawn with scikit-learn's displays."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    PrecisionRecallDisplay,
    RocCurveDisplay,
    confusion_matrix,
)
from sklearn.pipeline import Pipeline

from hpo.results.drawing import MAX_LABELS, make_figure, shorten

MAX_CURVES = 10
"""Classes that have a curve of their own."""


def tabulate(model: Pipeline, X: pd.DataFrame, y: np.ndarray) -> dict[str, pd.DataFrame]:
    """The confusion matrix, by name."""
    classes = model.classes_
    counts = confusion_matrix(y, model.predict(X), labels=classes)
    matrix = pd.DataFrame(counts, columns=classes)
    matrix.insert(0, "true class", classes, allow_duplicates=True)
    return {"confusion_matrix": matrix}


def draw(
    model: Pipeline, X: pd.DataFrame, y: np.ndarray, positive: Any = None
) -> dict[str, Figure]:
    """The confusion matrix, and ROC, precision-recall and calibration curves, by name."""
    figures = {"confusion_matrix": _draw_confusion(y, model.predict(X))}
    if not hasattr(model, "predict_proba"):
        return figures
    probabilities = model.predict_proba(X)
    for name, display in _CURVES.items():
        figure = _draw_curves(name, display, model.classes_, y, probabilities, positive)
        figures[re.sub(r"\W", "_", name.lower())] = figure
    return figures


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
    positive: Any,
) -> Figure:
    """A curve a class, each against the rest; of two classes that of the positive one."""
    of_all = classes
    if len(classes) == 2:
        of_all = classes[1:] if positive is None else classes[classes == positive]
    shown = of_all if len(classes) == 2 else _commonest(y, MAX_CURVES)
    figure, ax = make_figure(
        f"{name} on {len(y)} held-out rows", "commonest classes", len(shown), len(of_all)
    )
    for label, scores in zip(classes, probabilities.T, strict=True):
        if label in shown and 0 < (y == label).sum() < len(y):
            draw(y == label, scores, name=shorten(label), ax=ax)
    # The displays name the positive class there, which is another one for each curve.
    ax.set(xlabel=ax.get_xlabel().partition(" (")[0], ylabel=ax.get_ylabel().partition(" (")[0])
    ax.legend(fontsize="small")
    return figure


def _draw_confusion(y: np.ndarray, predicted: np.ndarray) -> Figure:
    labels = np.union1d(y, predicted)
    shown = labels if len(labels) <= MAX_LABELS else _commonest(y, MAX_LABELS)
    title, size = f"Confusion matrix on {len(y)} held-out rows", 3.5 + 0.3 * len(shown)
    figure, ax = make_figure(title, "commonest classes", len(shown), len(labels), size + 1, size)
    ConfusionMatrixDisplay.from_predictions(
        y,
        predicted,
        labels=shown,
        display_labels=list(map(shorten, shown)),
        xticks_rotation="vertical",
        cmap="Blues",
        ax=ax,
    )
    return figure


def _commonest(y: np.ndarray, n: int) -> np.ndarray:
    """Labels, sorted, array of shape (at most n,)."""
    labels, counts = np.unique(y, return_counts=True)
    return labels[np.sort(np.argsort(-counts, kind="stable")[:n])]
