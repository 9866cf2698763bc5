"""What a run gave, as values, as JSON for programs and as a short text for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpo.errors import HpoError
from hpo.intervals import Estimate, half_width_over_folds
from hpo.settings import DEFAULT_TRACKING_URI, hide_password

DASHBOARD = "http://127.0.0.1:8080"
"""Where ``optuna-dashboard`` serves its page unless told otherwise."""


@dataclass(frozen=True)
class NestedScore:
    """The judged metric on the test rows of outer folds, each after a search and a refit of its own.

    Attributes:
        scores: Of the folds that are done.
        n_folds: How many there are to be.
    """

    scores: tuple[float, ...]
    n_folds: int

    @property
    def estimate(self) -> Estimate | None:
        """Their mean with its 95 % interval; None until all are done."""
        if len(self.scores) < self.n_folds:
            return None
        mean, half = float(np.mean(self.scores)), float(half_width_over_folds(np.array(self.scores), self.n_folds))
        return Estimate(mean, mean - half, min(mean + half, 1.0))

    def to_json(self) -> dict[str, Any]:
        """The scores, and the estimate where there is one."""
        estimate = self.estimate
        return {"n_folds": self.n_folds, "scores": list(self.scores), **({} if estimate is None else estimate.to_json())}


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """The values of a run's report, and the fitted model.

    Attributes:
        study: The study's name.
        metric: The judged scorer.
        storage: The ledger's URL, without its password.
        tracking_uri: MLflow's, without its password.
        experiment_id: MLflow's, or None where it is not known.
        parent_run_id: MLflow's, or None where it is not known.
        comparison: What follows MLflow's address in the link that compares the trials, or None where it is not known.
        n_trials: Counts: ``complete``, ``pruned``, ``failed``.
        n_new_trials: How many of them this run added.
        n_ties: Completed trials that the folds cannot tell from the highest one, that one included.
        baseline_value: Mean CV score of scikit-learn's defaults, or None where they failed.
        rule: How the best trial was chosen: ``best`` or ``one_standard_error``.
        best_number: Its number.
        best_value: Its mean CV score.
        best_std: Its standard deviation over the folds.
        best_params: Its complete params.
        best_run_id: Its child run, or None while tracking is behind.
        holdout: Scorer name to score on the hold-out.
        n_holdout_rows: How many rows were held out.
        holdout_score: By the judged metric, with its 95 % interval.
        gain: That score minus the defaults' on the same rows, with its interval; None where the defaults failed.
        nested: The score of search and refit, or None where it was not asked for.
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
    experiment_id: str | None = None
    parent_run_id: str | None = None
    comparison: str | None = None
    n_trials: dict[str, int]
    n_new_trials: int
    n_ties: int
    baseline_value: float | None
    rule: str
    best_number: int
    best_value: float
    best_std: float
    best_params: dict[str, Any]
    best_run_id: str | None = None
    holdout: dict[str, float]
    n_holdout_rows: int
    holdout_score: Estimate
    gain: Estimate | None
    nested: NestedScore | None = None
    model_uri: str | None = None
    registry: dict[str, Any] | None = None
    n_behind: int | None = None
    tracking_problem: str | None = None
    search_seconds: float
    total_seconds: float = 0.0
    columns: dict[str, list[str]]
    notes: tuple[str, ...]
    model: Any = field(repr=False, compare=False)

    @property
    def is_tracking_complete(self) -> bool:
        """Whether MLflow has every finished trial and the final model."""
        return self.tracking_problem is None

    @property
    def mlflow_address(self) -> str | None:
        """Where MLflow's page compares the trials, or None where that is not known; ``mlflow ui`` serves a local store there."""
        return f"{mlflow_server(self.tracking_uri)}/{self.comparison}" if self.comparison else None

    @property
    def optimism(self) -> Estimate:
        """How much the best trial's mean CV score promises more than the final model keeps on the hold-out."""
        return self.holdout_score.subtracted_from(self.best_value)

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
                "rule": self.rule,
            },
            "ties": {"n_tied": self.n_ties, "n_complete": self.n_trials["complete"]},
            "holdout": self.holdout,
            "holdout_score": self.holdout_score.to_json(),
            "gain": None if self.gain is None else self.gain.to_json(),
            "optimism": self.optimism.to_json(),
            "nested": None if self.nested is None else self.nested.to_json(),
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
            ("best", f"trial {self.best_number}{_RULES[self.rule]}: {_format_params(self.best_params)}"),
            ("cv", self._cv()),
            ("hold-out", self._holdout()),
            ("gain", describe_gain(self.gain, self.n_holdout_rows)),
            ("optimism", describe_optimism(self.optimism)),
            *(("nested", line) for line in self._nested()),
            ("model", self.model_uri or "not logged yet: MLflow is behind, the same command catches up"),
            *([("registry", self._registry(self.registry))] if self.registry else []),
            ("pages", f"{dashboard_command(self.storage)}  ->  {DASHBOARD}"),
            ("", mlflow_page(self.tracking_uri, self.comparison)),
        ]
        return "\n".join(f"{label:<9} {text}" for label, text in rows)

    def _counts(self) -> str:
        finished = sum(self.n_trials.values())
        parts = [f"{count} {state}" for state, count in self.n_trials.items() if count]
        text = f"{finished} trials ({', '.join(parts)})"
        return text if self.n_new_trials else f"{text}; all done before, nothing was changed"

    def _cv(self) -> str:
        defaults = "" if self.baseline_value is None else f" (scikit-learn's defaults {self.baseline_value:.4f})"
        ties = describe_ties(self.n_ties, self.n_trials["complete"])
        return f"{self.metric} {self.best_value:.4f} ± {self.best_std:.4f}{defaults}; {ties}"

    def _holdout(self) -> str:
        judged, others = self.holdout_score, (f"{name} {score:.4f}" for name, score in self.holdout.items() if name != self.metric)
        interval = f"95 % interval {judged.low:.4f} to {judged.high:.4f}, {self.n_holdout_rows} rows"
        return ", ".join((f"{self.metric} {judged.value:.4f} ({interval})", *others))

    def _nested(self) -> list[str]:
        if self.nested is None:
            return []
        done, n_folds, estimate = len(self.nested.scores), self.nested.n_folds, self.nested.estimate
        if estimate is None:
            return [f"{done} of {n_folds} outer folds done: the same command goes on"]
        interval = f"95 % interval {estimate.low:.4f} to {estimate.high:.4f}"
        above = f"the best trial's cv score is {self.best_value - estimate.value:+.4f} against it"
        return [f"{self.metric} {estimate.value:.4f} ({interval}) of search and refit on {n_folds} outer folds; {above}"]

    def _registry(self, registry: dict[str, Any]) -> str:
        decided = "became the champion" if registry["decision"] == "champion" else "is the challenger"
        now = registry["champion"]
        others = "" if now == registry["version"] else f"; the champion is {f'version {now}' if now else 'for you to choose'}"
        return f"{registry['name']} version {registry['version']} {decided}{others}: {registry['comparison']}"


_RULES = {"best": "", "one_standard_error": " (the simplest within one standard error of the highest)"}


def describe_ties(n_ties: int, n_complete: int) -> str:
    """How many trials cannot be told from the highest one."""
    return (
        f"{n_ties} of {n_complete} trials tie within noise" if n_ties > 1 else f"no other of {n_complete} trials ties within noise"
    )


def describe_gain(gain: Estimate | None, n_rows: int) -> str:
    """Whether the search was worth it, in words; ``gain`` is that on the hold-out."""
    if gain is None:
        return "unknown: scikit-learn's defaults failed"
    if gain.low == gain.high:
        return "the search gained nothing over the defaults: they are what was chosen"
    measured = f"{_format_signed(gain)} on {n_rows} held-out rows"
    if gain.low > 0:
        return f"{measured}, over scikit-learn's defaults"
    if gain.high < 0:
        return f"the search lost to the defaults: {measured}"
    return f"the search gained nothing over the defaults that is more than chance: {measured}"


def describe_optimism(optimism: Estimate) -> str:
    """How far the CV score can be believed, in words."""
    verdict = (
        "no more than chance" if optimism.holds(0) else "cv promises too much" if optimism.low > 0 else "cv promises too little"
    )
    return f"cv minus hold-out {_format_signed(optimism)}: {verdict}"


def _format_signed(estimate: Estimate) -> str:
    return f"{estimate.value:+.4f} ({estimate.low:+.4f} to {estimate.high:+.4f})"


def error_to_json(error: HpoError) -> dict[str, Any]:
    """The object that ``--json`` prints when a run ends in an error."""
    return {"error": {"kind": error.kind, "message": str(error), "hint": error.hint}, "exit_code": error.exit_code}


def dashboard_command(storage: str) -> str:
    """The command that shows the study's progress; the password is left for the user to fill in."""
    return f"optuna-dashboard {hide_password(storage)}"


def mlflow_page(tracking_uri: str, path: str | None) -> str:
    """The command that shows the runs, if one is needed, and the address to open."""
    address = mlflow_server(tracking_uri) + (f"/{path}" if path else "")
    if tracking_uri.startswith("http"):
        return address
    store = "" if tracking_uri == DEFAULT_TRACKING_URI else f" --backend-store-uri {hide_password(tracking_uri)}"
    return f"mlflow ui{store}  ->  {address}"


def mlflow_server(tracking_uri: str) -> str:
    """The server's own address, or the one that ``mlflow ui`` serves a database at."""
    return hide_password(tracking_uri).rstrip("/") if tracking_uri.startswith("http") else "http://127.0.0.1:5000"


def run_address(result: StudyResult, run_id: str) -> str:
    """Where MLflow's page shows a run."""
    server = mlflow_server(result.tracking_uri)
    return f"{server}/#/experiments/{result.experiment_id}/runs/{run_id}?workflowType=machine_learning"


def _format_params(params: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {value:.4g}" if isinstance(value, float) else f"{name} = {value}" for name, value in params.items())
