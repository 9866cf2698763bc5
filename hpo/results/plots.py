"""The study's plots, drawn by Optuna on one interactive page that opens offline.

Takes a study, gives figures or the content of a file. Where a plot cannot be drawn, as importances
of one trial cannot, the page says so instead.
"""

import html
import warnings
from typing import Any

import optuna
from plotly.io import to_html

from hpo.ledger.storage import quiet_optuna
from hpo.ledger.trials import without_foreign

PLOTS = (
    "optimization_history",
    "param_importances",
    "slice",
    "parallel_coordinate",
    "contour",
    "timeline",
    "edf",
)
"""The part of Optuna's names after ``plot_``."""

PAGE_FILE = "plots/study.html"

MAX_TRIALS = 2000
"""Of a longer study the last are drawn: a line for every trial takes minutes and shows nothing."""


def plot_study(study: optuna.Study, kind: str) -> Any:
    """Draw one of :data:`PLOTS` with plotly."""
    options: dict[str, Any] = {}
    if study.metric_names and kind != "timeline":
        options["target_name"] = study.metric_names[0]
    if kind == "contour":
        # One panel for each pair of params: seven would make 42.
        options["params"] = list(optuna.importance.get_param_importances(study))[:2]
    return getattr(optuna.visualization, f"plot_{kind}")(study, **options)


def draw_study(study: optuna.Study) -> dict[str, bytes]:
    """Draw every plot on one page.

    Returns:
        Artifact path to content.
    """
    # Warnings of experimental functions and of few trials, which nobody can act on here.
    with quiet_optuna(), warnings.catch_warnings(action="ignore"):
        study = _copy_finished(study)
        title = html.escape(study.study_name)
        parts = [f"<h1>{title}</h1>"]
        for kind in PLOTS:
            try:
                figure = plot_study(study, kind)
                # The first figure brings the library, so that the page opens without a network.
                parts.append(to_html(figure, full_html=False, include_plotlyjs=len(parts) == 1))
            except (ValueError, RuntimeError) as error:
                parts.append(f"<p>No {kind.replace('_', ' ')}: {html.escape(str(error))}</p>")
    head = f'<head><meta charset="utf-8"><title>{title}</title></head>'
    page = (f'<!DOCTYPE html><html lang="en">{head}<body>', *parts, "</body></html>")
    return {PAGE_FILE: "\n".join(page).encode()}


def _copy_finished(study: optuna.Study) -> optuna.Study:
    """Copy hpo's finished trials into memory: every plot would ask a database for all of them."""
    trials = without_foreign(study.get_trials(deepcopy=False))
    trials = [trial for trial in trials if trial.state.is_finished()]
    which = "" if len(trials) <= MAX_TRIALS else f": the last {MAX_TRIALS} of {len(trials)} trials"
    copy = optuna.create_study(study_name=study.study_name + which, direction=study.direction)
    copy.add_trials(trials[-MAX_TRIALS:])
    if study.metric_names:
        copy.set_metric_names(study.metric_names)
    return copy
