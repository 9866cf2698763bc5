"""Names of scorers; loads scikit-learn only for one that few use."""

import math
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

from hpo.decision_section import COST
from hpo.errors import DefinitionError, did_you_mean, first_line

if TYPE_CHECKING:
    import numpy as np

    from hpo.estimators.task import Predictions, Task

USUAL_METRICS = frozenset(
    {
        "accuracy",
        "balanced_accuracy",
        "f1",
        "f1_macro",
        "f1_weighted",
        "neg_brier_score",
        "neg_log_loss",
        "average_precision",
        "precision",
        "recall",
        "roc_auc",
        "roc_auc_ovo",
        "roc_auc_ovr",
        "r2",
        "neg_mean_absolute_error",
        "neg_root_mean_squared_error",
    }
)
"""Names of ``sklearn.metrics.get_scorer_names()`` that are known without asking it."""


def check_metric_names(names: Iterable[str]) -> None:
    """Refuse a metric that scikit-learn does not know.

    Raises:
        DefinitionError: A name is none of scikit-learn's scorers, nor :data:`COST`.
    """
    rare = [name for name in names if name not in USUAL_METRICS and name != COST]
    if not rare:
        return
    from sklearn.metrics import get_scorer_names  # noqa: PLC0415 - it takes a second to load

    known = get_scorer_names()
    for name in rare:
        if name not in known:
            raise DefinitionError(
                "study.metric: a metric should be the name of a scikit-learn scorer,"
                f" but got '{name}'",
                hint=did_you_mean(
                    name, known, "sklearn.metrics.get_scorer_names() lists them", n=3
                ),
            )


def check_score(
    model: "Predictions", metric: str, y: "np.ndarray", *, what: str, hint: str
) -> None:
    """Refuse a metric that does not score a model.

    Args:
        model: A fitted one.
        metric: A scorer's name.
        y: The rows' target.
        what: The target's values, in a word.
        hint: Which metrics would do.

    Raises:
        DefinitionError: The scorer raises, or gives no finite number.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            score = model.score(metric, y)
        if not math.isfinite(score):
            # Worded below, with all else that a scorer may raise.
            raise ValueError(f"it gives {score}")  # noqa: TRY301
    except (ValueError, TypeError, AttributeError) as error:
        raise DefinitionError(
            f"study.metric: metric '{metric}' cannot judge these {what}: {first_line(error)}",
            hint=hint,
        ) from error


def resolve_metrics(
    metric: str, extra: Iterable[str], task: "Task", *, has_probabilities: bool = True
) -> tuple[str, ...]:
    """List the scorers of every trial: the judged one, the task's own, the requested ones.

    Raises:
        DefinitionError: A name is none of scikit-learn's scorers, or judges probabilities that
            the estimator does not give.
    """
    check_metric_names((metric, *extra))
    always = leave_out_probabilities(task.always_scored, task, has_probabilities)
    for name in (metric, *extra):
        if not has_probabilities and task.needs_probabilities(name):
            raise DefinitionError(
                f"study.metric: metric '{name}' judges probabilities,"
                " which this estimator does not give",
                hint="for example accuracy or balanced_accuracy, or another estimator.name",
            )
    return tuple(dict.fromkeys((metric, *always, *extra)))


def leave_out_probabilities(
    metrics: Iterable[str], task: "Task", has_probabilities: bool
) -> list[str]:
    """Those of some scorers that can judge an estimator with or without probabilities."""
    return [name for name in metrics if has_probabilities or not task.needs_probabilities(name)]
