"""The interface of a task: what a study predicts. Classification is one.

A task is all that the project knows about the target: nothing outside it knows of classes. How its
target is read and held out is :class:`hpo.data.target.Target`, which the data room asks for.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from hpo.data.dataset import Dataset
from hpo.data.target import Target
from hpo.data_section import CvSection, DataSection
from hpo.decision_section import DecisionSection
from hpo.estimators.influence import Smoothed
from hpo.estimators.mistakes import Mistakes

Split = tuple[np.ndarray, np.ndarray]
"""Positions of the rows to fit on and of those to score."""


class Predictions(Protocol):
    """A fitted model on given rows, which predicts each kind of response once.

    Attributes:
        model: The fitted model.
    """

    model: Any

    def predict(self) -> np.ndarray:
        """The predicted target, array of shape (n_samples,)."""
        ...

    def score(self, metric: str, y: np.ndarray) -> float:
        """One scorer's score, given the rows' target."""
        ...

    def responses(self) -> dict[str, np.ndarray]:
        """By method, what a decision is made of; empty where there is none to make."""
        ...

    def take(self, rows: np.ndarray) -> "Predictions":
        """The same model on some of the rows, by position."""
        ...


class Task(Target, Protocol):
    """A kind of target, with everything that depends on it.

    Attributes:
        step_name: The estimator's step in a pipeline.
        usual_metric: The judged scorer where a study names none.
        always_scored: Scorer names of every trial, beside the judged one.
        tie_metric: The scorer that decides between trials of one value.
    """

    step_name: str
    usual_metric: str
    always_scored: tuple[str, ...]
    tie_metric: str

    def count_classes(self, y: np.ndarray) -> int:
        """Count the classes of a target."""
        ...

    def encode(self, y: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
        """Turn a target into what folds are fitted on; ``known`` has values that ``y`` may lack."""
        ...

    def split(self, dataset: Dataset, section: CvSection, seed: int) -> list[Split]:
        """Split the training rows into ``n_splits * n_repeats`` folds; no group is split.

        In the order of time folds go forward.

        Raises:
            DataError: A fold would be fitted on too little of the target.
        """
        ...

    def check_outer_folds(
        self, dataset: Dataset, n_folds: int, section: CvSection, seed: int
    ) -> None:
        """Make sure that the training rows of every outer fold can be searched.

        Raises:
            DataError: They cannot.
        """
        ...

    def check_metrics(self, metrics: Sequence[str], y: np.ndarray, positive: Any = None) -> None:
        """Score a constant model, so that a metric that does not fit ends the run before trial 0.

        Raises:
            DefinitionError: A scorer cannot judge this target.
        """
        ...

    def advise(
        self, metrics: Sequence[str], y: np.ndarray, positive: Any, section: DataSection
    ) -> list[str]:
        """Say what a person should know of these metrics on this target, the judged one first."""
        ...

    def needs_probabilities(self, metric: str) -> bool:
        """Whether a scorer can judge only an estimator that gives probabilities."""
        ...

    def holdout_metrics(self, y: np.ndarray) -> tuple[str, ...]:
        """Name the scorers of the hold-out, beside those of the trials."""
        ...

    def read_decision(
        self, section: DecisionSection, dataset: Dataset, *, has_probabilities: bool
    ) -> Any:
        """Check a decision, and read what answers cost in the training rows, or None.

        Raises:
            DefinitionError: The section does not fit this target, these rows or the estimator.
        """
        ...

    def predictions(
        self, model: Any, X: Any, positive: Any = None, costs: Any = None
    ) -> Predictions:
        """Ask a fitted model about rows; some scores are of the positive class or of costs."""
        ...

    def constant_model(self, y: np.ndarray, metric: str = "", positive: Any = None) -> Any:
        """A fitted model that ignores the columns: the one that does best by a metric."""
        ...

    def describe_constant(self, model: Any, metric: str) -> str:
        """Say what such a model does, as a metric sees it."""
        ...

    def strata(self, y: np.ndarray) -> np.ndarray:
        """The stratum of each row by position, array of shape (n_samples,): how it was held out."""
        ...

    def influence(self, metric: str, y: np.ndarray, model: Any) -> np.ndarray | None:
        """How much each row moves a score, array of shape (n_samples,); None where unknown."""
        ...

    def smoothed(self, metric: str, y: np.ndarray, models: Sequence[Any]) -> Smoothed | None:
        """The same beside made-up rows, for scores that see few kinds of rows; None for others."""
        ...

    def mistakes(self, metric: str, y: np.ndarray, models: Sequence[Any]) -> Mistakes | None:
        """The answers of models whose score is the cost of their mistakes; None for others."""
        ...

    def unit(self, metric: str, y: np.ndarray) -> float:
        """How large a score's differences are at their greatest, roughly, in its own unit."""
        ...

    def has_enough_rows(self, metric: str, y: np.ndarray, model: Any) -> bool:
        """Whether there are enough rows for an interval of the score."""
        ...

    def predict_columns(self, model: Pipeline, X: pd.DataFrame) -> pd.DataFrame:
        """The columns that a batch prediction gives for every row."""
        ...

    def difference(self, model: Any, other: Any) -> str:
        """Say why two fitted models do not predict the same target, or nothing."""
        ...
