"""Draws what is logged of a study and its final model: the two may be drawn side by side."""

import math
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import optuna

from hpo.errors import HpoError, first_line
from hpo.tracking import keys
from hpo.tracking.interface import quiet
from hpo.tracking.run_records import Drawings, FinalRecord

T = TypeVar("T")

Drawn = Drawings | str
"""The figures of a model, or why there are none."""


def draw_later(final: FinalRecord) -> Callable[[], Drawn]:
    """Draw the figures of a model when they are asked for."""
    return partial(draw_model_figures, final)


def draw_model_figures(final: FinalRecord) -> Drawn:
    """Draw the figures of the final model on its held-out rows."""
    return _try(partial(_draw_model, final))


def draw_study_page(study: optuna.Study) -> dict[str, bytes] | str:
    """Draw the page of the study, or say why not.

    Raises:
        HpoError: The study cannot be read.
    """
    return _try(partial(_draw_study, study), passed_on=HpoError)


def _draw_model(final: FinalRecord) -> Drawings:
    from hpo.results.figures import draw_model  # noqa: PLC0415 - it loads matplotlib

    held = final.held_out
    if held is None:
        return Drawings()
    of_model, importances = draw_model(
        held.recipe,
        held.model,
        final.model.model,
        held.X,
        held.y,
        metric=held.metric,
        seed=held.seed,
        positive=held.positive,
        over_time=held.over_time,
        costs=held.costs,
        decision=held.decision,
    )
    names = keys.importance_metrics(held.X.columns)
    metrics = {
        names[column]: value for column, value in importances.items() if math.isfinite(value)
    }
    return Drawings(of_model=of_model, metrics=metrics)


def _draw_study(study: optuna.Study) -> dict[str, bytes]:
    from hpo.results.plots import draw_study  # noqa: PLC0415 - it loads plotly

    return draw_study(study)


def _try(draw: Callable[[], T], passed_on: type[Exception] | tuple[()] = ()) -> T | str:
    try:
        with quiet():
            return draw()
    except passed_on:
        raise
    except Exception as error:  # noqa: BLE001 - whatever drawing raises, the model is there
        return f"{type(error).__name__}: {first_line(error)}"
