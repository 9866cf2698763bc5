"""Regression: all that the project knows about a target of numbers, as one task value."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import GroupKFold, RepeatedKFold, ShuffleSplit
from sklearn.pipeline import Pipeline

from hpo.data.dataset import Dataset
from hpo.data.order import Order
from hpo.data.target import Folds
from hpo.data_section import CvSection, DataSection
from hpo.decision_section import DecisionSection
from hpo.errors import DataError, DefinitionError, first_line
from hpo.escaping import quote
from hpo.estimators.regression.influence import influence
from hpo.estimators.regression.scores import PredictedNumbers, check_metrics, loss_of
from hpo.estimators.task import Split

MIN_DISTINCT = 3
"""With fewer distinct numbers a target is one of classes."""

MIN_ROWS = 20
"""Rows from which a score has an interval: of fewer, errors of heavy tails show too little."""


class Regression:
    """The task of :class:`hpo.estimators.task.Task` for a target of numbers."""

    name = "regression"
    step_name = "regressor"
    usual_metric = "r2"
    always_scored: tuple[str, ...] = ("r2", "neg_root_mean_squared_error")
    tie_metric = "neg_root_mean_squared_error"

    def of_column(self, column: pd.Series) -> Self:  # noqa: ARG002
        """Numbers, whatever the column holds."""
        return self

    def read(self, present: pd.Series, notes: list[str]) -> np.ndarray:  # noqa: ARG002
        """Read numbers without gaps."""
        subject = f"data: target {quote(present.name)}"
        hint = "name a classifier with --estimator, or another column with --target"
        numbers = pd.to_numeric(present, errors="coerce").astype(np.float64)
        is_lost = numbers.isna()
        if is_lost.any():
            text = quote(present[is_lost].iloc[0])
            raise DataError(f"{subject} should be numbers, but got {text}", hint=hint)
        if not np.isfinite(numbers).all():
            raise DataError(
                f"{subject} holds infinite values", hint="replace them by a number or by nothing"
            )
        n_distinct = numbers.nunique()
        if n_distinct < MIN_DISTINCT:
            raise DataError(
                f"{subject} should be numbers that differ, but got {n_distinct} distinct values",
                hint=hint,
            )
        return numbers.to_numpy()

    def treat_rare(
        self,
        y: np.ndarray,
        groups: np.ndarray | None,  # noqa: ARG002
        section: DataSection,
        folds: Folds,  # noqa: ARG002
        notes: list[str],  # noqa: ARG002
    ) -> tuple[np.ndarray, np.ndarray]:
        """Keep every row; only classes can be rare."""
        if section.rare != "refuse":
            raise _refuse_classes("data.rare")
        return y, np.ones(len(y), dtype=bool)

    def find_positive(self, y: np.ndarray, section: DataSection) -> None:  # noqa: ARG002
        """Only classes can be positive."""
        if section.positive is not None:
            raise _refuse_classes("data.positive")

    def hold_out(
        self,
        y: np.ndarray,
        groups: np.ndarray | None,
        section: DataSection,
        seed: int,
        order: Order | None = None,
    ) -> Split:
        """Hold rows out at random, or whole groups, or the last ones by time."""
        if groups is None:
            splitter = ShuffleSplit(1, test_size=section.test_size, random_state=seed)
        else:
            n_parts = max(2, round(1 / section.test_size))
            splitter = GroupKFold(n_parts, shuffle=True, random_state=seed)
        try:
            train, test = (
                order.hold_out(section.test_size, groups)
                if order is not None
                else next(splitter.split(y, y, groups))
            )
        except ValueError as error:
            raise DataError(
                f"data: no hold-out of test_size = {section.test_size:g}: {first_line(error)}",
                hint="change data.test_size",
            ) from error
        if min(len(np.unique(y[train])), len(np.unique(y[test]))) < 2:
            raise DataError(
                f"data: a hold-out of test_size = {section.test_size:g} leaves training rows"
                " or held-out ones with only one number",
                hint="change data.test_size",
            )
        return train, test

    def check(self, y_train: np.ndarray, n_splits: int) -> None:
        """Refuse so few training rows that a fold has only one."""
        if len(y_train) < 2 * n_splits:
            raise DataError(
                f"data: n_splits = {n_splits} need {2 * n_splits} training rows,"
                f" but got {len(y_train)}",
                hint="lower cv.n_splits, or give more rows",
            )

    def count_classes(self, y: np.ndarray) -> int:  # noqa: ARG002
        """One: a fit works on one column of numbers."""
        return 1

    def encode(self, y: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:  # noqa: ARG002
        """Numbers are what folds are fitted on."""
        return y

    def split(self, dataset: Dataset, section: CvSection, seed: int) -> list[Split]:
        """Split at random, or by whole groups, or forward in time."""
        y, groups = dataset.y_train, dataset.groups
        n_splits, n_repeats = section.n_splits, section.n_repeats
        if dataset.order is not None:
            return dataset.order.split(n_splits, groups)
        if groups is None:
            folds = RepeatedKFold(n_splits=n_splits, n_repeats=n_repeats, random_state=seed)
            return list(folds.split(y))
        splitters = [
            GroupKFold(n_splits, shuffle=True, random_state=seed + repeat)
            for repeat in range(n_repeats)
        ]
        return [split for splitter in splitters for split in splitter.split(y, y, groups)]

    def check_outer_folds(
        self,
        dataset: Dataset,
        n_folds: int,
        section: CvSection,
        seed: int,  # noqa: ARG002
    ) -> None:
        """Refuse outer folds whose training rows or groups are too few."""
        if dataset.order is not None:
            dataset.order.check_outer_folds(n_folds, section.n_splits, dataset.groups)
            return
        units = dataset.y_train if dataset.groups is None else np.unique(dataset.groups)
        left = len(units) - -(-len(units) // n_folds)
        needed = section.n_splits if dataset.groups is not None else 2 * section.n_splits
        if len(units) < n_folds or left < needed:
            what = "rows" if dataset.groups is None else "groups"
            raise DataError(
                f"study.nested: {n_folds} outer folds leave {left} training {what},"
                f" but cv.n_splits = {section.n_splits} needs {needed}",
                hint="lower study.nested or cv.n_splits",
            )

    def check_metrics(self, metrics: Sequence[str], y: np.ndarray, positive: Any = None) -> None:  # noqa: ARG002
        """Refuse a scorer that cannot judge these numbers."""
        check_metrics(metrics, y, self.constant_model(y))

    def advise(
        self,
        metrics: Sequence[str],  # noqa: ARG002
        y: np.ndarray,  # noqa: ARG002
        positive: Any,  # noqa: ARG002
        section: DataSection,  # noqa: ARG002
    ) -> list[str]:
        """Nothing is to be said of numbers."""
        return []

    def needs_probabilities(self, metric: str) -> bool:  # noqa: ARG002
        """None does."""
        return False

    def holdout_metrics(self, y: np.ndarray) -> tuple[str, ...]:  # noqa: ARG002
        """A scorer in the target's own unit."""
        return ("neg_mean_absolute_error",)

    def read_decision(self, section: DecisionSection, dataset: Dataset, **_: bool) -> None:
        """Refuse a decision: numbers have none."""
        if section.is_set:
            raise DefinitionError(
                f"decision: it is of classes, but {quote(dataset.target)} is predicted as a number",
                hint="leave [decision] out, or name a classifier with --estimator",
            )

    def predictions(self, model: Any, X: Any, *_: Any, **__: Any) -> PredictedNumbers:
        """Ask a fitted regressor about rows."""
        return PredictedNumbers(model, X)

    def constant_model(self, y: np.ndarray, *_: Any) -> DummyRegressor:
        """Always answer the mean."""
        return DummyRegressor().fit(np.zeros((len(y), 1)), y)

    def describe_constant(self, model: Any, metric: str) -> str:  # noqa: ARG002
        """Say which number it answers."""
        return f"always answering the mean, {float(model.constant_.item()):.4g}"

    def strata(self, y: np.ndarray) -> np.ndarray:
        """One for all rows: they are held out at random."""
        return np.zeros(len(y), dtype=np.intp)

    def influence(self, metric: str, y: np.ndarray, model: PredictedNumbers) -> np.ndarray | None:
        """How much each row moves a score."""
        return influence(metric, y, model.predict())

    def smoothed(self, metric: str, y: np.ndarray, models: Sequence[Any]) -> None:
        """No score of numbers needs it."""

    def mistakes(self, metric: str, y: np.ndarray, models: Sequence[Any]) -> None:
        """A number is none."""

    def unit(self, metric: str, y: np.ndarray) -> float:
        """The loss of the constant model."""
        return loss_of(self.constant_model(y), metric, y)

    def has_enough_rows(self, metric: str, y: np.ndarray, model: PredictedNumbers) -> bool:  # noqa: ARG002
        """Whether there are enough rows for an interval; the greatest error of some never tells."""
        return len(y) >= MIN_ROWS and metric != "neg_max_error"

    def predict_columns(self, model: Pipeline, X: pd.DataFrame) -> pd.DataFrame:
        """``prediction``."""
        return pd.DataFrame({"prediction": model.predict(X)})

    def difference(self, model: Any, other: Any) -> str:  # noqa: ARG002
        """Say that another model predicts classes."""
        return "not both predict numbers" if hasattr(other, "classes_") else ""


def _refuse_classes(key: str) -> DataError:
    return DataError(
        f"{key} is about classes, but the target is of numbers",
        hint=f"leave {key} out, or name a classifier with --estimator",
    )


REGRESSION = Regression()
