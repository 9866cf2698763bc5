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
from hpo.definition import Range, StudyDefinition, choices_of, digest_of
from hpo.final_model import TRUSTED_TYPES, FinalModel
from hpo.notes import describe_outcome
from hpo.report import DASHBOARD, StudyResult, describe_gain, describe_ties
from hpo.shipped_model import COLUMNS_FILE
from hpo.tracking import names
from hpo.tracking.records import Conclusion, DatasetRecord, ModelRecord, Registration, StudyRecord

SERVING_PACKAGES = ("mlflow", "scikit-learn", "skops", "numpy", "scipy", "pandas")

MAX_COMPARED_ROWS = 20_000
"""Of a larger hold-out, so many rows drawn with the study's seed are handed over to compare two models on."""


def make_study_record(
    definition: StudyDefinition, dataset: Dataset, uid: str, study_id: int, versions: Mapping[str, str], description: str
) -> StudyRecord:
    """What the parent run says of a study.

    Args:
        definition: What is searched.
        dataset: On which data.
        uid: The study's own for ever.
        study_id: The storage's own id of it.
        versions: Package name to version.
        description: Markdown, what is searched and on which data.
    """
    identity, space = definition.identity(), definition.search_space
    searched = [name for name in type(space).model_fields if isinstance(getattr(space, name), Range | tuple)]
    branches = {"l1_ratio", *(["C"] if "none" in choices_of(space.penalty) else [])}
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
        description=description,
        trials_page=f"{DASHBOARD}/dashboard/studies/{study_id}/trials?numbers=",
        spread_name=names.cv_std(definition.study.metric),
        chart_params=tuple(name for name in searched if name not in branches),
        branch_params=tuple(name for name in searched if name in branches),
        # MLflow's axes are linear: of a range that is searched by its logarithm they would show one end.
        linear_params=tuple(name for name in searched if isinstance(entry := getattr(space, name), Range) and not entry.log),
    )


def make_conclusion(result: StudyResult, description: str) -> Conclusion:
    """What the parent run says of a study's outcome."""
    metric = result.metric
    test, gain, optimism = names.holdout_metric(metric), names.gain_metric(metric), names.optimism_metric(metric)
    metrics = {
        names.N_TIED: float(result.n_ties),
        **names.interval_metrics(test, result.holdout_score.low, result.holdout_score.high),
        optimism: result.optimism.value,
        **names.interval_metrics(optimism, result.optimism.low, result.optimism.high),
    }
    if result.gain is not None:
        metrics |= {gain: result.gain.value, **names.interval_metrics(gain, result.gain.low, result.gain.high)}
    steps: dict[str, dict[int, float]] = {}
    if result.nested is not None and result.nested.estimate is not None:
        nested, score = names.nested_metric(metric), result.nested.estimate
        metrics |= {f"{nested}_mean": score.value, f"{nested}_std": float(np.std(result.nested.scores))}
        metrics |= names.interval_metrics(nested, score.low, score.high)
        steps[nested] = dict(enumerate(result.nested.scores))
    return Conclusion(
        n_finished=sum(result.n_trials.values()),
        metrics=metrics,
        steps=steps,
        tags={
            names.SELECTION_RULE: result.rule,
            names.TIES: describe_ties(result.n_ties, result.n_trials["complete"]),
            names.GAIN: describe_gain(result.gain, result.n_holdout_rows),
        },
        description=f"{description}\n\n{describe_outcome(result)}",
    )


def make_model_record(
    uid: str,
    number: int,
    time_ms: int,
    params: Mapping[str, Any],
    columns: Columns,
    model: FinalModel,
    conclusion: Conclusion,
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
        conclusion: What the parent run says beside it.
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
        conclusion=conclusion,
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
