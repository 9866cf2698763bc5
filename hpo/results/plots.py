"""The study's plots, drawn by Optuna's own functions: one interactive page that opens without a network, and pictures.

Takes a study and gives figures or the content of files; what cannot be drawn of a study (importances of one trial) is said on the
page and left out.
"""

import html
import io
import warnings
from typing import Any

import matplotlib as mpl
import numpy as np
import optuna
from matplotlib import pyplot as plt
from optuna.visualization import matplotlib as pictures
from plotly.io import to_html

from hpo.ledger.storage import quiet_optuna

PLOTS = (
    "optimization_history",
    "param_importances",
    "slice",
    "parallel_coordinate",
    "contour",
    "timeline",
    "edf",
)
"""What follows ``plot_`` in Optuna's names."""

PAGE_FILE = "plots/study.html"

MAX_TRIALS = 2000
"""Of a longer study the last ones are drawn: a line or a bar a trial would take minutes, and show nothing."""


def plot_study(study: optuna.Study, kind: str, library: Any = optuna.visualization) -> Any:
    """One of :data:`PLOTS` as Optuna's interactive plotly figure, or as another of its libraries draws it."""
    options: dict[str, Any] = {}
    if study.metric_names and kind != "timeline":
        options["target_name"] = study.metric_names[0]
    if kind == "contour":
        # A panel for each pair of params: of seven there would be 42.
        options["params"] = list(optuna.importance.get_param_importances(study))[:2]
    return getattr(library, f"plot_{kind}")(study, **options)


def draw_study(study: optuna.Study) -> dict[str, bytes]:
    """Every plot as a picture, and all of them on one page.

    Returns:
        Artifact path to content.
    """
    files: dict[str, bytes] = {}
    # Warnings of functions that may change, of too few trials: nobody can do anything about them here.
    with quiet_optuna(), mpl.rc_context(), warnings.catch_warnings(action="ignore"):
        study = _copy_finished(study)
        title = html.escape(study.study_name)
        parts = [f"<h1>{title}</h1>"]
        for kind in PLOTS:
            try:
                figure = plot_study(study, kind)
                # The library once, in the first figure: a page that needs a network shows nothing behind a firewall.
                parts.append(to_html(figure, full_html=False, include_plotlyjs=len(parts) == 1))
                files[f"plots/{kind}.png"] = _picture(plot_study(study, kind, pictures))
            except (ValueError, RuntimeError) as error:
                parts.append(f"<p>No {kind.replace('_', ' ')}: {html.escape(str(error))}</p>")
    head = f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head><body>'
    files[PAGE_FILE] = "\n".join((head, *parts, "</body></html>")).encode()
    return files


def _copy_finished(study: optuna.Study) -> optuna.Study:
    """The finished trials in memory: a database would be asked for all of them by every plot."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    which = "" if len(trials) <= MAX_TRIALS else f": the last {MAX_TRIALS} of {len(trials)} trials"
    copy = optuna.create_study(study_name=study.study_name + which, direction=study.direction)
    copy.add_trials(trials[-MAX_TRIALS:])
    if study.metric_names:
        copy.set_metric_names(study.metric_names)
    return copy


def _picture(axes: Any) -> bytes:
    figure, buffer = np.ravel(axes)[0].figure, io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    # Optuna makes it with pyplot, which keeps it.
    plt.close(figure)
    return buffer.getvalue()
