"""Classification: all that the project knows about classes, as one task value."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import Pipeline

from hpo.data.dataset import Dataset
from hpo.data.order import Order
from hpo.data.target import Folds
from hpo.data_section import CvSection, DataSection
from hpo.decision_section import DecisionSection
from hpo.escaping import on_one_line, quote
from hpo.estimators.classification import positive as positive_class
from hpo.estimators.classification import target
from hpo.estimators.classification.costs import Costs, read_costs
from hpo.estimators.classification.influence import (
    find_mistakes,
    has_enough_rows,
    influence,
    smoothed_influence,
)
from hpo.estimators.classification.rare import treat_rare
from hpo.estimators.classification.scores import (
    OF_POSITIVE,
    Predicted,
    check_metrics,
    judges_probabilities,
    needs_probabilities,
)
from hpo.estimators.classification.thresholds import check_thresholds
from hpo.estimators.influence import Smoothed
from hpo.estimators.mistakes import Mistakes
from hpo.estimators.task import Split

MAX_LABEL = 60
"""Characters of a label in a sentence."""


class Classification:
    """The task of :class:`hpo.estimators.task.Task` for a target of labels."""

    name = "classification"
    step_name = "classifier"
    usual_metric = "accuracy"
    always_scored: tuple[str, ...] = ("accuracy", "neg_log_loss")
    tie_metric = "neg_log_loss"

    def of_column(self, column: pd.Series) -> Self:  # noqa: ARG002
        """Labels, whatever the column holds."""
        return self

    def read(self, present: pd.Series, notes: list[str]) -> np.ndarray:
        """Read labels: integers stay numbers, everything else is text."""
        return target.read_labels(present, notes)

    def hold_out(
        self,
        y: np.ndarray,
        groups: np.ndarray | None,
        section: DataSection,
        seed: int,
        order: Order | None = None,
    ) -> Split:
        """Hold rows out by class, or the last ones by time."""
        return target.hold_out(y, groups, section, seed, order)

    def check(self, y_train: np.ndarray, n_splits: int) -> None:
        """Refuse a class with fewer training rows than folds."""
        target.check_classes(y_train, n_splits)

    def treat_rare(
        self,
        y: np.ndarray,
        groups: np.ndarray | None,
        section: DataSection,
        folds: Folds,
        notes: list[str],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Drop or pool classes with too few rows, where the section says so."""
        return treat_rare(y, groups, section, folds, notes)

    def find_positive(self, y: np.ndarray, section: DataSection) -> Any:
        """Find the positive one of two classes."""
        return positive_class.find_positive(y, section.positive)

    def count_classes(self, y: np.ndarray) -> int:
        """Count the distinct labels."""
        return len(np.unique(y))

    def encode(self, y: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
        """Turn labels into their positions in sorted order."""
        return np.asarray(np.searchsorted(np.unique(y if known is None else known), y))

    def split(self, dataset: Dataset, section: CvSection, seed: int) -> list[Split]:
        """Split by class, or forward in time."""
        return target.make_splits(dataset.y_train, dataset.groups, section, seed, dataset.order)

    def check_outer_folds(
        self, dataset: Dataset, n_folds: int, section: CvSection, seed: int
    ) -> None:
        """Refuse outer folds that lack a class, or whose own folds would."""
        target.check_outer_folds(
            dataset.y_train, dataset.groups, n_folds, section, seed, dataset.order
        )

    def check_metrics(self, metrics: Sequence[str], y: np.ndarray, positive: Any = None) -> None:
        """Refuse a scorer that cannot judge these classes."""
        check_metrics(metrics, y, positive)

    def advise(
        self, metrics: Sequence[str], y: np.ndarray, positive: Any, section: DataSection
    ) -> list[str]:
        """Say which class is positive, and which metric sees a rare class."""
        return positive_class.advise(metrics, y, positive, is_named=section.positive is not None)

    def needs_probabilities(self, metric: str) -> bool:
        """Whether a scorer asks for ``predict_proba``; a ranking takes ``decision_function``."""
        return needs_probabilities(metric)

    def holdout_metrics(self, y: np.ndarray) -> tuple[str, ...]:
        """Scorers that say more about unequal classes."""
        ranking = "roc_auc" if self.count_classes(y) == 2 else "roc_auc_ovr"
        return ("balanced_accuracy", "f1_macro", ranking)

    def read_decision(
        self, section: DecisionSection, dataset: Dataset, *, has_probabilities: bool
    ) -> Costs | None:
        """Check a decision on all rows, and read what answers cost in the training rows."""
        classes = np.unique(dataset.y_train)
        check_thresholds(section, len(classes), has_probabilities=has_probabilities)
        costs = read_costs(section, classes, dataset.positive, dataset.X_train)
        if costs is not None:
            costs.of_table(dataset.X_test)
        return costs

    def predictions(
        self, model: Any, X: Any, positive: Any = None, costs: Costs | None = None
    ) -> Predicted:
        """Ask a fitted classifier about rows."""
        return Predicted(model, X, positive=positive, costs=costs)

    def constant_model(
        self, y: np.ndarray, metric: str = "", positive: Any = None
    ) -> DummyClassifier:
        """Always answer the commonest class, with the classes' shares as probabilities.

        By a score of the positive class, as f1, always answer that: what beats the other alone,
        which scores nothing, may be noise.
        """
        X = np.zeros((len(y), 1))
        if metric in OF_POSITIVE and positive is not None:
            return DummyClassifier(strategy="constant", constant=positive).fit(X, y)
        return DummyClassifier(strategy="prior").fit(X, y)

    def describe_constant(self, model: Any, metric: str) -> str:
        """Say which class it answers; for a metric of probabilities, that it knows the shares."""
        if judges_probabilities(metric):
            return "knowing only how common each class is"
        label = str(model.predict([[0]])[0])
        return f"always answering '{on_one_line(label)[:MAX_LABEL]}'"

    def strata(self, y: np.ndarray) -> np.ndarray:
        """The class of each row by position: rows are held out by class."""
        return np.asarray(np.unique(y, return_inverse=True)[1])

    def influence(self, metric: str, y: np.ndarray, model: Predicted) -> np.ndarray | None:
        """How much each row moves a score."""
        return influence(metric, y, model)

    def smoothed(self, metric: str, y: np.ndarray, models: Sequence[Predicted]) -> Smoothed | None:
        """Scores of labels and costs of answers, beside made-up rows of each class."""
        return smoothed_influence(metric, y, models)

    def mistakes(self, metric: str, y: np.ndarray, models: Sequence[Predicted]) -> Mistakes | None:
        """The answers of models, where a mistake costs the same in every row of two classes."""
        return find_mistakes(metric, y, models)

    def unit(self, metric: str, y: np.ndarray) -> float:  # noqa: ARG002
        """1: scores are shares, or losses of about that size."""
        return 1.0

    def has_enough_rows(self, metric: str, y: np.ndarray, model: Predicted) -> bool:
        """Whether every class has enough rows for an interval."""
        return has_enough_rows(metric, y, model)

    def predict_columns(self, model: Pipeline, X: pd.DataFrame) -> pd.DataFrame:
        """``prediction``, and ``probability_<class>`` where the estimator gives probabilities."""
        table = pd.DataFrame({"prediction": model.predict(X)})
        if not hasattr(model, "predict_proba"):
            return table
        names = [f"probability_{label}" for label in model.classes_]
        return table.join(pd.DataFrame(model.predict_proba(X), columns=names))

    def difference(self, model: Any, other: Any) -> str:
        """Say which classes only one of two classifiers knows."""
        if not hasattr(other, "classes_"):
            return "not both predict classes"
        unknown = set(model.classes_.tolist()) ^ set(other.classes_.tolist())
        named = ", ".join(map(quote, sorted(unknown, key=str)[:5]))
        return f"not both know the classes {named}" if unknown else ""


CLASSIFICATION = Classification()
