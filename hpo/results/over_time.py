"""The score part by part, in the order of time: whether a model holds as time goes on."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo.data.dataset import Dataset
from hpo.data.order import Order
from hpo.estimators.task import Split
from hpo.results.intervals import Estimate, estimate_by_t


@dataclass(frozen=True)
class Period:
    """A part of the rows that was scored by a model fitted on rows before it.

    Attributes:
        first: The time of its first row: a date, or a number.
        last: That of its last.
        n_fitted: Rows that the model was fitted on.
        n_scored: Its rows.
        score: By the judged metric.
    """

    first: Any
    last: Any
    n_fitted: int
    n_scored: int
    score: float

    def to_json(self) -> dict[str, Any]:
        """Its values by name, times as a report shows them."""
        return {
            "from": show_time(self.first),
            "to": show_time(self.last),
            "n_fitted": self.n_fitted,
            "n_scored": self.n_scored,
            "score": self.score,
        }


@dataclass(frozen=True)
class OverTime:
    """The scores of the best trial's folds and of the hold-out, in the order of time.

    Attributes:
        column: The column that the rows are in the order of.
        periods: The folds, then the hold-out.
        holdout_score: The score on the hold-out with its interval.
    """

    column: str
    periods: tuple[Period, ...]
    holdout_score: Estimate

    @property
    def change(self) -> Estimate:
        """The change from one part to the next: the slope of a straight line, with its t interval.

        Later parts are scored by models that were fitted on more rows, so a score that falls does
        so in spite of that.
        """
        scores = np.array([period.score for period in self.periods])
        steps = np.arange(len(scores)) - (len(scores) - 1) / 2
        slope = float(steps @ scores / (steps @ steps))
        rest = scores - scores.mean() - slope * steps
        df = len(scores) - 2
        return estimate_by_t(slope, float(np.sqrt(rest @ rest / df / (steps @ steps))), df)

    def to_json(self) -> dict[str, Any]:
        """Folds, hold-out and change."""
        *folds, held_out = (period.to_json() for period in self.periods)
        return {
            "column": self.column,
            "folds": folds,
            "holdout": held_out,
            "change": self.change.to_json(),
        }


def show_time(time: Any) -> Any:
    """A number as it is; a date without a time of day where that is midnight."""
    if not isinstance(time, np.datetime64):
        return float(time)
    text = str(np.datetime_as_string(time, unit="s"))
    return text.removesuffix("T00:00:00").replace("T", " ")


def score_over_time(
    dataset: Dataset, splits: list[Split], scores: list[float], held_out: Estimate
) -> OverTime | None:
    """Put scores in the order of time; None where rows have none.

    Args:
        dataset: The rows.
        splits: Of the training rows into folds.
        scores: One a fold.
        held_out: The score on the hold-out.
    """
    if dataset.order is None or dataset.order_test is None:
        return None
    periods = [
        _period(dataset.order, train, test, score)
        for (train, test), score in zip(splits, scores, strict=True)
    ]
    every = np.arange(len(dataset.y_test))
    last = _period(dataset.order_test, np.arange(len(dataset.y_train)), every, held_out.value)
    return OverTime(dataset.order.name, (*periods, last), held_out)


def _period(order: Order, train: np.ndarray, test: np.ndarray, score: float) -> Period:
    return Period(order.times[test[0]], order.times[test[-1]], len(train), len(test), score)
