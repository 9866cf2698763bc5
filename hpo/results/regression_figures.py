"""Figures of a regressor on held-out rows, drawn with scikit-learn's display."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import PredictionErrorDisplay
from sklearn.pipeline import Pipeline

from hpo.results.drawing import make_figure

MAX_POINTS = 2000


def tabulate(model: Pipeline, X: pd.DataFrame, y: np.ndarray) -> dict[str, pd.DataFrame]:
    """The prediction of each row, by name."""
    predicted = model.predict(X)
    table = pd.DataFrame({"actual": y, "predicted": predicted, "residual": y - predicted})
    return {"predictions": table}


def draw(
    model: Pipeline,
    X: pd.DataFrame,
    y: np.ndarray,
    positive: Any = None,  # noqa: ARG001 - figures of every task are asked alike
) -> dict[str, Figure]:
    """Predicted against actual, and residuals, by name."""
    predicted = model.predict(X)
    return {
        "predicted_against_actual": _draw(y, predicted, "actual_vs_predicted", "Predictions"),
        "residuals": _draw(y, predicted, "residual_vs_predicted", "Residuals"),
    }


def _draw(y: np.ndarray, predicted: np.ndarray, kind: str, name: str) -> Figure:
    n_shown = min(len(y), MAX_POINTS)
    figure, ax = make_figure(f"{name} on {len(y)} held-out rows", "first", n_shown, len(y))
    PredictionErrorDisplay.from_predictions(
        y[:n_shown],
        predicted[:n_shown],
        kind=kind,
        ax=ax,
        scatter_kwargs={"alpha": 0.5, "s": 12},
    )
    return figure
