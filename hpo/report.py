"""What a run gave, as values, as JSON for programs and as a short text for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hpo.errors import HpoError
from hpo.settings import DEFAULT_TRACKING_URI, hide_password


@dataclass(frozen=True)
class StudyResult:
    """The values of a run's report, and the fitted model.

    Attributes:
        study: The study's name.
        metric: The judged scorer.
        storage: The ledger's URL, without its password.
        tracking_uri: MLflow's, without its password.
        experiment_id: MLflow's, or None where it is not known.
        parent_run_id: MLflow's, or None where it is not known.
        n_trials: Counts: ``complete``, ``pruned``, ``failed``.
        n_new_trials: How many of them this run added.
        n_ties: Completed trials that share the best value, the best one included.
        baseline_value: Mean CV score of scikit-learn's defaults, or None where they failed.
        best_number: The best trial's number.
        best_value: Its mean CV score.
        best_std: Its standard deviation over the folds.
        best_params: Its complete params.
        best_run_id: Its child run, or None while tracking is behind.
        holdout: Scorer name to score on the hold-out.
        model_uri: The logged final model, or None while tracking is behind.
        registry: The registered model's ``name``, the ``version``, the ``decision`` with its ``comparison``, and the ``champion``;
            None where it is not registered.
        n_behind: Finished trials that MLflow does not have yet, or None where that is not known.
        tracking_problem: Why it is behind, one line, or None.
        search_seconds: Time of the search alone.
        total_seconds: Time of the whole run.
        columns: Kind to feature names.
        notes: What was done to data and space that a person should know, one line each.
        model: The fitted pipeline.
    """

    study: str
    metric: str
    storage: str
    tracking_uri: str
    experiment_id: str | None
    parent_run_id: str | None
    n_trials: dict[str, int]
    n_new_trials: int
    n_ties: int
    baseline_value: float | None
    best_number: int
    best_value: float
    best_std: float
    best_params: dict[str, Any]
    best_run_id: str | None
    holdout: dict[str, float]
    model_uri: str | None
    registry: dict[str, Any] | None
    n_behind: int | None
    tracking_problem: str | None
    search_seconds: float
    total_seconds: float
    columns: dict[str, list[str]]
    notes: tuple[str, ...]
    model: Any = field(repr=False, compare=False)

    @property
    def is_tracking_complete(self) -> bool:
        """Whether MLflow has every finished trial and the final model."""
        return self.tracking_problem is None

    @property
    def gain(self) -> float | None:
        """Best mean CV score minus that of the defaults; None where the defaults failed."""
        return None if self.baseline_value is None else self.best_value - self.baseline_value

    def to_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints; what is not known is None."""
        return {
            "study": self.study,
            "storage": self.storage,
            "tracking_uri": self.tracking_uri,
            "experiment_id": self.experiment_id,
            "parent_run_id": self.parent_run_id,
            "n_trials": self.n_trials,
            "baseline": {"value": self.baseline_value},
            "best": {
                "number": self.best_number,
                "value": self.best_value,
                "std": self.best_std,
                "params": self.best_params,
                "run_id": self.best_run_id,
            },
            "holdout": self.holdout,
            "model_uri": self.model_uri,
            "registry": self.registry,
            "tracking": "complete" if self.is_tracking_complete else "behind",
            "seconds": {"search": round(self.search_seconds, 3), "total": round(self.total_seconds, 3)},
        }

    def to_text(self) -> str:
        """The report, one fact a line."""
        rows = [
            ("study", f"{self.study}: {self._counts()}"),
            ("columns", ", ".join(f"{len(names)} {kind}" for kind, names in self.columns.items())),
            *(("note", note) for note in self.notes),
            ("best", f"trial {self.best_number}: {_format_params(self.best_params)}"),
            ("cv", f"{self.metric} {self.best_value:.4f} ± {self.best_std:.4f}{self._ties()}"),
            ("gain", self._gain()),
            ("hold-out", ", ".join(f"{name} {score:.4f}" for name, score in self.holdout.items())),
            ("model", self.model_uri or "not logged yet: MLflow is behind, the same command catches up"),
            *([("registry", self._registry(self.registry))] if self.registry else []),
            ("pages", f"{dashboard_command(self.storage)}  ->  http://127.0.0.1:8080"),
            ("", mlflow_page(self.tracking_uri, self.experiment_id)),
        ]
        return "\n".join(f"{label:<9} {text}" for label, text in rows)

    def _counts(self) -> str:
        finished = sum(self.n_trials.values())
        parts = [f"{count} {state}" for state, count in self.n_trials.items() if count]
        text = f"{finished} trials ({', '.join(parts)})"
        return text if self.n_new_trials else f"{text}; all done before, nothing was changed"

    def _ties(self) -> str:
        return f", shared by {self.n_ties} trials (log loss decides)" if self.n_ties > 1 else ""

    def _registry(self, registry: dict[str, Any]) -> str:
        decided = "became the champion" if registry["decision"] == "champion" else "is the challenger"
        now = registry["champion"]
        others = "" if now == registry["version"] else f"; the champion is {f'version {now}' if now else 'for you to choose'}"
        return f"{registry['name']} version {registry['version']} {decided}{others}: {registry['comparison']}"

    def _gain(self) -> str:
        if self.gain is None:
            return "unknown: scikit-learn's defaults failed"
        if self.gain <= 0:
            return f"none over scikit-learn's defaults ({self.baseline_value:.4f})"
        return f"{self.gain:+.4f} over scikit-learn's defaults ({self.baseline_value:.4f})"


def error_to_json(error: HpoError) -> dict[str, Any]:
    """The object that ``--json`` prints when a run ends in an error."""
    return {"error": {"kind": error.kind, "message": str(error), "hint": error.hint}, "exit_code": error.exit_code}


def dashboard_command(storage: str) -> str:
    """The command that shows the study's progress; the password is left for the user to fill in."""
    return f"optuna-dashboard {hide_password(storage)}"


def mlflow_page(tracking_uri: str, experiment_id: str | None) -> str:
    """The command that shows the runs, if one is needed, and the address to open: the kind of view is a part of it."""
    page = f"/#/experiments/{experiment_id}/runs?workflowType=machine_learning" if experiment_id else ""
    if tracking_uri.startswith("http"):
        return hide_password(tracking_uri).rstrip("/") + page
    store = "" if tracking_uri == DEFAULT_TRACKING_URI else f" --backend-store-uri {hide_password(tracking_uri)}"
    return f"mlflow ui{store}  ->  http://127.0.0.1:5000{page}"


def _format_params(params: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {value:.4g}" if isinstance(value, float) else f"{name} = {value}" for name, value in params.items())
