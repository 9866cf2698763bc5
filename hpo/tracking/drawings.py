"""Draws what the tracking process logs of a study and its final model."""

import math
from collections.abc import Callable
from typing import Any

import optuna

from hpo.tracking import keys
from hpo.tracking.run_records import Drawings, HeldOut


def draw_figures(
    shipped: Any, held: HeldOut, study: optuna.Study, on_step: Callable[[], None]
) -> Drawings:
    """Draw the figures of model and study; ``on_step`` is called after each of the two."""
    from hpo.results.figures import draw_model  # noqa: PLC0415 - it loads matplotlib and plotly
    from hpo.results.plots import draw_study  # noqa: PLC0415 - the same

    of_model, importances = draw_model(
        held.recipe,
        held.model,
        shipped,
        held.X,
        held.y,
        metric=held.metric,
        seed=held.seed,
        positive=held.positive,
    )
    names = keys.importance_metrics(held.X.columns)
    metrics = {
        names[column]: value for column, value in importances.items() if math.isfinite(value)
    }
    on_step()
    of_study = draw_study(study)
    on_step()
    return Drawings(of_model, of_study, metrics)
