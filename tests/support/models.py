"""The smallest model that a run could log: one column, four rows."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from hpo.data.columns import Columns
from hpo.definition import PreprocessingSection
from hpo.estimators.final_model import build_pipeline, trusted_types
from hpo.estimators.loading import COLUMNS_FILE
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION
from hpo.tracking.run_records import ModelRecord

from .doors import PARAMS

X = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
COLUMNS = Columns(numeric=("x",))


def small_model(
    key: str,
    *,
    trial_number: int = 0,
    metrics: Mapping[str, float] | None = None,
    files: Mapping[str, str] | None = None,
) -> ModelRecord:
    model = build_pipeline(LOGISTIC_REGRESSION, COLUMNS, PreprocessingSection(), PARAMS)
    model.fit(X, [0, 0, 1, 1])
    return ModelRecord(
        key=key,
        trial_number=trial_number,
        model=model,
        input_example=X,
        expected={"predict": model.predict(X)},
        metrics=dict(metrics or {}),
        params={"C": "1.0"},
        time_ms=1,
        requirements=("scikit-learn",),
        input_types={"x": "double"},
        trusted_types=trusted_types(LOGISTIC_REGRESSION),
        files={COLUMNS_FILE: COLUMNS.model_dump_json(), **(files or {})},
    )
