"""Where a study and its model come from: what the parent run and the logged model say of definition, data and versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from hpo.columns import Columns
from hpo.data import Dataset
from hpo.definition import StudyDefinition, digest_of
from hpo.final_model import TRUSTED_TYPES, FinalModel
from hpo.shipped_model import COLUMNS_FILE
from hpo.tracking import names
from hpo.tracking.records import DatasetRecord, ModelRecord, Registration, StudyRecord

SERVING_PACKAGES = ("mlflow", "scikit-learn", "skops", "numpy", "scipy", "pandas")

MAX_COMPARED_ROWS = 20_000
"""Of a larger hold-out, so many rows drawn with the study's seed are handed over to compare two models on."""


def make_study_record(definition: StudyDefinition, dataset: Dataset, uid: str, versions: Mapping[str, str]) -> StudyRecord:
    """What the parent run says of a study."""
    identity = definition.identity()
    return StudyRecord(
        uid=uid,
        name=definition.name,
        value_name=names.cv_mean(definition.study.metric),
        params={name: str(value) for name, value in identity.items()},
        tags={
            names.STUDY_NAME: definition.name,
            names.DATA_DIGEST: dataset.digest,
            names.DEFINITION_DIGEST: digest_of(identity),
            **{names.version_tag(package): text for package, text in versions.items()},
        },
        texts={
            names.DEFINITION_FILE: json.dumps(definition.model_dump(mode="json"), indent=2),
            names.COLUMNS_FILE: json.dumps({"kinds": dataset.columns.kinds(), "notes": dataset.notes}, indent=2),
            names.SPACE_FILE: json.dumps(definition.search_space.model_dump(mode="json"), indent=2),
        },
        dataset=DatasetRecord(
            name=dataset.name,
            digest=dataset.digest,
            source=definition.data.source,
            columns=dataset.columns.signature(),
            n_rows=len(dataset.X_train),
        ),
    )


def make_model_record(
    uid: str,
    number: int,
    time_ms: int,
    params: Mapping[str, Any],
    columns: Columns,
    model: FinalModel,
    registration: Registration | None,
) -> ModelRecord:
    """What is logged with the final model.

    Args:
        uid: The study's.
        number: The best trial's.
        time_ms: When that trial ended, milliseconds since 1970, UTC.
        params: Its complete params.
        columns: The features by kind.
        model: The refitted model.
        registration: The registered model that gets a version, or None.
    """
    return ModelRecord(
        key=names.trial_key(uid, number),
        trial_number=number,
        model=model.pipeline,
        input_example=model.input_example,
        expected=model.expected,
        metrics={names.holdout_metric(name): score for name, score in model.holdout.items()},
        params={name: str(value) for name, value in params.items()},
        time_ms=time_ms,
        input_types=columns.signature(),
        trusted_types=TRUSTED_TYPES,
        needs_hpo=bool(columns.datetime),
        files={COLUMNS_FILE: columns.to_json()},
        requirements=tuple(f"{package}=={version(package)}" for package in SERVING_PACKAGES),
        registration=registration,
    )


def make_registration(name: str, definition: StudyDefinition, dataset: Dataset) -> Registration:
    """Under which name the final model is registered, and what it is compared with the champion by."""
    X, y = dataset.X_test, dataset.y_test
    digest = hashlib.sha256(pd.util.hash_pandas_object(X).to_numpy().tobytes()).hexdigest()[:32]
    if len(y) > MAX_COMPARED_ROWS:
        rows = np.random.default_rng(definition.study.seed).choice(len(y), MAX_COMPARED_ROWS, replace=False)
        X, y = X.iloc[rows], y[rows]
    return Registration(name, definition.registry.rule, definition.study.metric, X, y, digest)
