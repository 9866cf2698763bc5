"""What a run gave, as values, as JSON for programs and as a short text for people."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.results.intervals import Estimate, half_width_over_folds
from hpo.results.rendering import render
from hpo.settings import DEFAULT_STORAGE, DEFAULT_TRACKING_URI, hide_password
from hpo.tracking.run_records import TrackingState

if TYPE_CHECKING:
    import optuna
    import pandas as pd

DASHBOARD = "http://127.0.0.1:8080"
"""Where ``optuna-dashboard`` serves its page unless told otherwise."""

DEFAULT_STUDY = "iris"


@dataclass(frozen=True)
class NestedScore:
    """The judged metric on the test rows of outer folds, each after a search and a refit of its own.

    Attributes:
        scores: Of the folds that are done.
        n_folds: How many there are to be.
        greatest: What no score can be above.
    """

    scores: tuple[float, ...]
    n_folds: int
    greatest: float = 1.0

    @property
    def estimate(self) -> Estimate | None:
        """Their mean with its 95 % interval; None until all are done."""
        if len(self.scores) < self.n_folds:
            return None
        mean, half = (
            float(np.mean(self.scores)),
            float(half_width_over_folds(np.array(self.scores), self.n_folds)),
        )
        return Estimate(mean, mean - half, min(mean + half, self.greatest))

    def to_json(self) -> dict[str, Any]:
        """The scores, and the estimate where there is one."""
        estimate = self.estimate
        return {
            "n_folds": self.n_folds,
            "scores": list(self.scores),
            **({} if estimate is None else estimate.to_json()),
        }


@dataclass(frozen=True, kw_only=True)
class StudyResult(TrackingState):
    """The values of a run's report, with what MLflow holds of the study, and the fitted model.

    Beside the attributes of :class:`TrackingState`, such as ``model_uri``, there are these.

    Attributes:
        study: The study's name.
        metric: The judged scorer.
        storage: The ledger's URL, without its password.
        tracking_uri: MLflow's, without its password.
        n_trials: Counts: ``complete``, ``pruned``, ``failed``.
        n_new_trials: How many of them this run added.
        n_ties: Completed trials that the folds cannot tell from the highest one, that one included.
        baseline_value: Mean CV score of scikit-learn's defaults, or None where they failed.
        rule: How the best trial was chosen: ``best`` or ``one_standard_error``.
        refit: Which rows the model was fitted on: ``train``, or ``all`` after it was scored without the hold-out.
        best_number: Its number.
        best_value: Its mean CV score.
        best_std: Its standard deviation over the folds.
        best_params: Its complete params.
        holdout: Scorer name to score on the hold-out.
        n_holdout_rows: How many rows were held out.
        holdout_score: By the judged metric, with its 95 % interval.
        gain: That score minus the defaults' on the same rows, with its interval; None where the defaults failed.
        nested: The score of search and refit, or None where it was not asked for.
        search_seconds: Time of the search alone.
        total_seconds: Time of the whole run.
        columns: Kind to feature names.
        notes: What was done to data and space that a person should know, one line each.
        model: The fitted pipeline.
        open_study: Gives the Optuna study, for reading.
    """

    study: str
    metric: str
    storage: str
    tracking_uri: str
    n_trials: dict[str, int]
    n_new_trials: int
    n_ties: int
    baseline_value: float | None
    rule: str
    refit: str = "train"
    best_number: int
    best_value: float
    best_std: float
    best_params: dict[str, Any]
    holdout: dict[str, float]
    n_holdout_rows: int
    holdout_score: Estimate
    gain: Estimate | None
    nested: NestedScore | None = None
    search_seconds: float
    total_seconds: float = 0.0
    columns: dict[str, list[str]]
    notes: tuple[str, ...]
    model: Any = field(repr=False, compare=False)
    open_study: Callable[[], "optuna.Study"] = field(repr=False, compare=False)

    @property
    def is_tracking_complete(self) -> bool:
        """Whether MLflow has every finished trial and the final model."""
        return self.tracking_problem is None

    @property
    def best_run_id(self) -> str | None:
        """The best trial's child run, or None while tracking is behind."""
        return self.run_ids.get(self.best_number)

    @property
    def optimism(self) -> Estimate:
        """How much the best trial's mean CV score promises more than the final model keeps on the hold-out."""
        cv, held_out = self.best_value, self.holdout_score
        return Estimate(cv - held_out.value, cv - held_out.high, cv - held_out.low)

    def describe_ties(self) -> str:
        """How many trials cannot be told from the highest one."""
        n_complete = self.n_trials["complete"]
        if self.n_ties > 1:
            return f"{self.n_ties} of {n_complete} trials tie within noise"
        return f"no other of {n_complete} trials ties within noise"

    def describe_gain(self) -> str:
        """Whether the search was worth it, in words."""
        if self.gain is None:
            return "unknown: scikit-learn's defaults failed"
        if self.gain.low == self.gain.high:
            return "the search gained nothing over the defaults: they are what was chosen"
        measured = f"{_format_signed(self.gain)} on {self.n_holdout_rows} held-out rows"
        if self.gain.low > 0:
            return f"{measured}, over scikit-learn's defaults"
        if self.gain.high < 0:
            return f"the search lost to the defaults: {measured}"
        return f"the search gained nothing over the defaults that is more than chance: {measured}"

    def describe_optimism(self) -> str:
        """How far the CV score can be believed, in words."""
        low, high = self.optimism.low, self.optimism.high
        verdict = (
            "cv promises too much"
            if low > 0
            else "cv promises too little"
            if high < 0
            else "no more than chance"
        )
        return f"cv minus hold-out {_format_signed(self.optimism)}: {verdict}"

    def to_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints; what is not known is None."""
        own = ("study", "storage", "tracking_uri", "n_trials", "holdout")
        tracked = ("experiment_id", "parent_run_id", "model_uri", "registry")
        best = ("number", "value", "std", "params", "run_id")
        estimates = {
            "holdout_score": self.holdout_score,
            "gain": self.gain,
            "optimism": self.optimism,
            "nested": self.nested,
        }
        return {
            **{name: getattr(self, name) for name in (*own, *tracked)},
            "baseline": {"value": self.baseline_value},
            "best": {
                **{name: getattr(self, f"best_{name}") for name in best},
                "rule": self.rule,
                "refit": self.refit,
            },
            "ties": {"n_tied": self.n_ties, "n_complete": self.n_trials["complete"]},
            **{name: estimate and estimate.to_json() for name, estimate in estimates.items()},
            "tracking": "complete" if self.is_tracking_complete else "behind",
            "seconds": {
                "search": round(self.search_seconds, 3),
                "total": round(self.total_seconds, 3),
            },
        }

    def plot(self, kind: str) -> Any:
        """Optuna's interactive figure of one kind.

        Args:
            kind: ``optimization_history``, ``param_importances``, ``slice``, ``contour``, ``parallel_coordinate``, ``timeline`` or
                ``edf``: what Optuna's own names have after ``plot_``.
        """
        from hpo.results.plots import plot_study  # noqa: PLC0415 - it loads Optuna, and a report needs none of it

        return plot_study(self.open_study(), kind)

    def to_text(self) -> str:
        """The report, one fact a line."""
        return render(
            "report.txt.jinja",
            result=self,
            dashboard=f"optuna-dashboard {self.storage}  ->  {DASHBOARD}",
            mlflow=mlflow_page(self.tracking_uri, self.comparison),
            ui=ui_command(self.study, self.storage, self.tracking_uri),
        )

    def _repr_html_(self) -> str:
        """The report as Jupyter shows it."""
        return render("report.html.jinja", rows=split_report(self.to_text()))

    def trials_dataframe(self) -> "pd.DataFrame":
        """All trials, as Optuna's ``Study.trials_dataframe`` has them: fold scores are in ``user_attrs_hpo.scores``."""
        return self.open_study().trials_dataframe()


def split_report(text: str) -> list[tuple[str, str]]:
    """Label and fact of each line of a report; a fact under an empty label belongs to the label above."""
    return [(line[:9].strip(), line[10:]) for line in text.splitlines()]


def _format_signed(estimate: Estimate) -> str:
    return f"{estimate.value:+.4f} ({estimate.low:+.4f} to {estimate.high:+.4f})"


def mlflow_page(tracking_uri: str, path: str | None) -> str:
    """The command that shows the runs, if one is needed, and the address to open."""
    address = mlflow_server(tracking_uri) + (f"/{path}" if path else "")
    if tracking_uri.startswith("http"):
        return address
    store = (
        ""
        if tracking_uri == DEFAULT_TRACKING_URI
        else f" --backend-store-uri {hide_password(tracking_uri)}"
    )
    return f"mlflow ui{store}  ->  {address}"


def mlflow_server(tracking_uri: str) -> str:
    """The server's own address, or the one that ``mlflow ui`` serves a database at."""
    return (
        hide_password(tracking_uri).rstrip("/")
        if tracking_uri.startswith("http")
        else "http://127.0.0.1:5000"
    )


def ui_command(study: str, storage: str, tracking_uri: str) -> str:
    """The command that opens both pages of a study; passwords are left for the user to fill in."""
    given = {"--name": study, "--storage": storage, "--tracking-uri": tracking_uri}
    defaults = {
        "--name": DEFAULT_STUDY,
        "--storage": DEFAULT_STORAGE,
        "--tracking-uri": DEFAULT_TRACKING_URI,
    }
    flags = [
        f" {flag} {hide_password(value)}"
        for flag, value in given.items()
        if value != defaults[flag]
    ]
    return f"python -m hpo.ui{''.join(flags)}"
