"""The result of a run: as values, as JSON for programs, and as a short report for people."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hpo.estimators.decision import Decision
from hpo.estimators.final_model import FinalModel
from hpo.results.estimates import BestTrial, Estimates
from hpo.results.intervals import Estimate
from hpo.results.links import DASHBOARD, mlflow_page, ui_command
from hpo.results.rendering import render
from hpo.results.tracking_state import TrackingState
from hpo.results.verdicts import Ended, Verdicts

if TYPE_CHECKING:
    import optuna
    import pandas as pd


@dataclass(frozen=True, kw_only=True, repr=False)
class StudyResult(Verdicts):
    """Everything a run found out: its report, what MLflow holds of it, and the fitted model.

    Attributes:
        study: The study's name.
        metric: The judged scorer.
        storage: The ledger's URL, without its password.
        tracking_uri: MLflow's, without its password.
        n_trials: Counts: ``complete``, ``pruned``, ``failed``.
        n_new_trials: How many of them this run added.
        n_wanted: The total that the study was to have.
        n_missing: How many of them are not there.
        ended: What ended the search: ``finished``, ``timeout`` or ``patience``.
        best: The chosen trial.
        estimates: How far it can be trusted.
        judged: Its params fitted on the training rows, and the scores of that fit on the hold-out.
        refit: The rows that ``model`` was fitted on: ``train``, or ``all``.
        model: The fitted pipeline that ships and takes raw rows; refitted on all of them where
            ``refit`` says so, with the decision around it where there is one.
        decision: What is put around the pipeline; by default nothing.
        tracking: What MLflow holds of the study.
        columns: Kind to feature names.
        notes: What a person should know of data, search space and ledger, one line each.
        trusted_types: Types that loading a model of one's own estimator takes.
        search_seconds: Time of the search alone.
        total_seconds: Time of the whole run.
        open_study: Opens the Optuna study for reading.
    """

    study: str
    metric: str
    storage: str
    tracking_uri: str
    n_trials: dict[str, int]
    n_new_trials: int
    n_wanted: int = 0
    n_missing: int = 0
    ended: Ended = "finished"
    best: BestTrial
    estimates: Estimates
    judged: FinalModel
    refit: str = "train"
    model: Any = field(repr=False, compare=False)
    decision: Decision = field(default_factory=Decision)
    tracking: TrackingState = field(default_factory=TrackingState)
    columns: dict[str, list[str]]
    notes: tuple[str, ...]
    trusted_types: tuple[str, ...] = ()
    search_seconds: float
    total_seconds: float = 0.0
    open_study: Callable[[], "optuna.Study"] = field(repr=False, compare=False)

    def __repr__(self) -> str:
        """One line: the report is :meth:`to_text`."""
        best, held_out = self.best, self.estimates.holdout_score.value
        return (
            f"<{type(self).__name__} {self.study}: {sum(self.n_trials.values())} trials,"
            f" best {best.number}, {self.metric} {best.value:.4f} cv, {held_out:.4f} hold-out>"
        )

    @property
    def best_number(self) -> int:
        """The best trial's number."""
        return self.best.number

    @property
    def best_value(self) -> float:
        """The best trial's mean CV score."""
        return self.best.value

    @property
    def best_params(self) -> dict[str, Any]:
        """The best trial's complete params."""
        return self.best.params

    @property
    def best_run_id(self) -> str | None:
        """The best trial's child run, or None while tracking is behind."""
        return self.tracking.run_ids.get(self.best.number)

    @property
    def baseline_value(self) -> float | None:
        """The mean CV score of scikit-learn's defaults, or None where they failed."""
        return self.estimates.baseline_value

    @property
    def holdout_score(self) -> Estimate:
        """The score on the hold-out by the judged metric."""
        return self.estimates.holdout_score

    @property
    def gain(self) -> Estimate | None:
        """The gain over scikit-learn's defaults on the hold-out, or None where they failed."""
        return self.estimates.gain

    @property
    def parent_run_id(self) -> str | None:
        """The parent run's id, or None while tracking is behind."""
        return self.tracking.parent_run_id

    @property
    def model_uri(self) -> str | None:
        """``models:/...`` of the final model, or None while tracking is behind."""
        return self.tracking.model_uri

    @property
    def n_behind(self) -> int | None:
        """Finished trials that MLflow lacks, or None while unknown."""
        return self.tracking.n_behind

    @property
    def tracking_problem(self) -> str | None:
        """Why MLflow is behind, one line, or None."""
        return self.tracking.tracking_problem

    @property
    def is_tracking_complete(self) -> bool:
        """Whether MLflow has every finished trial and the final model."""
        return self.tracking.tracking_problem is None

    def to_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints; what is not known is None."""
        tracking = self.tracking
        estimates = {
            "holdout_score": self.estimates.holdout_score,
            "gain": self.estimates.gain,
            "optimism": self.optimism,
            "nested": self.estimates.nested,
        }
        constant, contest = self.estimates.constant, self.estimates.contest
        return {
            "verdict": self.describe_verdict(),
            "constant": constant.to_json(),
            "caution": self.describe_caution() or None,
            "study": self.study,
            "storage": self.storage,
            "tracking_uri": self.tracking_uri,
            "n_trials": self.n_trials,
            "ended": self.ended,
            "n_missing": self.n_missing,
            "n_not_converged": self.estimates.n_unconverged,
            "holdout": self.holdout,
            "experiment_id": tracking.experiment_id,
            "parent_run_id": tracking.parent_run_id,
            "model_uri": tracking.model_uri,
            "registry": None if tracking.registry is None else asdict(tracking.registry),
            "baseline": {"value": self.estimates.baseline_value},
            "best": {**self.best.to_json(), "run_id": self.best_run_id, "refit": self.refit},
            **({"estimators": contest.to_json()} if contest else {}),
            "notes": list(self.notes),
            "ties": {"n_tied": self.estimates.n_ties, "n_complete": self.n_trials["complete"]},
            **{name: estimate and estimate.to_json() for name, estimate in estimates.items()},
            **self.estimates.more_to_json(),
            "tracking": "complete" if self.is_tracking_complete else "behind",
            "seconds": {
                "search": round(self.search_seconds, 3),
                "total": round(self.total_seconds, 3),
            },
        }

    def to_text(self) -> str:
        """The report, one fact a line."""
        return render(
            "report.txt.jinja",
            result=self,
            dashboard=f"optuna-dashboard {self.storage}  ->  {DASHBOARD}",
            mlflow=mlflow_page(self.tracking_uri, self.tracking.comparison),
            ui=ui_command(self.study, self.storage, self.tracking_uri),
        )

    def _repr_html_(self) -> str:
        """The report as Jupyter shows it."""
        return render("report.html.jinja", rows=split_report(self.to_text()))

    def plot(self, kind: str) -> Any:
        """One of Optuna's interactive figures.

        Args:
            kind: The part of Optuna's name after ``plot_``: ``optimization_history``,
                ``param_importances``, ``slice``, ``contour``, ``parallel_coordinate``,
                ``timeline`` or ``edf``.
        """
        from hpo.results.plots import plot_study  # noqa: PLC0415 - loads Optuna's plots

        return plot_study(self.open_study(), kind)

    def trials_dataframe(self) -> "pd.DataFrame":
        """All trials, as Optuna's ``Study.trials_dataframe`` has them.

        Fold scores are in ``user_attrs_hpo.scores``.
        """
        return self.open_study().trials_dataframe()


def split_report(text: str) -> list[tuple[str, str]]:
    """Split a report's lines into label and fact; one without a label belongs to the one above."""
    return [(line[:9].strip(), line[10:]) for line in text.splitlines()]
