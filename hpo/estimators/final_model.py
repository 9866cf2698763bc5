"""The best trial's params refitted on all training rows and scored on the hold-out, once: the model that ships.

Or, where the definition asks for it, a second fit ships, on all rows; its score is then that of the first, which saw fewer.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import skops.io
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from hpo.data.dataset import Dataset
from hpo.definition import StudyDefinition
from hpo.errors import DataError
from hpo.estimators.cross_validation import score_model
from hpo.estimators.estimator import build_pipeline, build_preprocessing

CHECKED_ROWS = 200

TRUSTED_TYPES = ("hpo.calendar.CalendarParts", "numpy.dtype")
"""What a model of ours may hold beside what skops trusts itself; a constant, since a model's file could name anything."""


@dataclass(frozen=True)
class FinalModel:
    """A fitted pipeline and what is known of it.

    Attributes:
        pipeline: Preprocessing and classifier, fitted.
        holdout: Scorer name to score on the hold-out.
    """

    pipeline: Pipeline = field(repr=False, compare=False)
    holdout: dict[str, float]


def check_saving(dataset: Dataset, definition: StudyDefinition) -> None:
    """Make sure before the search that its model can be saved and loaded without trusting anything else.

    Raises:
        DataError: The preprocessing of this table holds a type that is not trusted.
    """
    preprocessing = build_preprocessing(dataset.columns, definition.preprocessing).fit(
        dataset.X_train.head(CHECKED_ROWS)
    )
    untrusted = set(skops.io.get_untrusted_types(data=skops.io.dumps(preprocessing))) - set(
        TRUSTED_TYPES
    )
    if untrusted:
        raise DataError(
            f"data: the model could not be loaded safely, it would hold {', '.join(sorted(untrusted))}"
        )


def fit_final_model(
    params: Mapping[str, Any], dataset: Dataset, definition: StudyDefinition, metrics: Iterable[str]
) -> FinalModel:
    """Refit and score.

    Args:
        params: Complete params, as the trial was scored with.
        dataset: The training rows and the hold-out.
        definition: How rows are preprocessed.
        metrics: Scorer names of the trials.
    """
    pipeline = _fit(
        build_pipeline(dataset.columns, definition.preprocessing, params),
        dataset.X_train,
        dataset.y_train,
    )
    # Beside those of the trials, the ones that say more about unequal classes.
    scorers = dict.fromkeys(
        (
            *metrics,
            "balanced_accuracy",
            "f1_macro",
            "roc_auc" if len(dataset.classes) == 2 else "roc_auc_ovr",
        )
    )
    # A score that is not defined for these rows.
    with warnings.catch_warnings(action="ignore"):
        scores = score_model(pipeline, dataset.X_test, dataset.y_test, scorers)
    return FinalModel(pipeline, scores)


def refit_on_all(pipeline: Pipeline, dataset: Dataset) -> Pipeline:
    """The same model fitted on the training rows and the hold-out."""
    X, y = (
        pd.concat([dataset.X_train, dataset.X_test]),
        np.concatenate([dataset.y_train, dataset.y_test]),
    )
    return _fit(clone(pipeline), X, y)


def _fit(pipeline: Pipeline, X: pd.DataFrame, y: np.ndarray) -> Pipeline:
    # A fit that does not converge is marked on its trial.
    with warnings.catch_warnings(action="ignore"):
        return pipeline.fit(X, y)
