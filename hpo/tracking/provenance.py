"""Where a study and its model come from: what the parent run and the logged model say of definition, data and versions."""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version

import numpy as np
import pandas as pd

from hpo.data.dataset import Dataset
from hpo.definition import StudyDefinition, digest_of
from hpo.estimators.final_model import FinalModel, trusted_types
from hpo.estimators.loading import COLUMNS_FILE
from hpo.estimators.recipe import Recipe
from hpo.estimators.space import SearchedSpace
from hpo.results.result import DASHBOARD, StudyResult
from hpo.results.texts import describe_study, make_card, make_view
from hpo.settings import ServiceSettings
from hpo.tracking import keys
from hpo.tracking.run_records import DatasetRecord, HeldOut, ModelRecord, StudyRecord

SERVING_PACKAGES = ("mlflow", "scikit-learn", "skops", "numpy", "scipy", "pandas")

INPUT_EXAMPLE_ROWS = 5
MAX_HELD_OUT_ROWS = 20_000
"""Of a larger hold-out, so many rows drawn with the study's seed are handed over to compare two models on and to draw."""


def make_study_record(
    definition: StudyDefinition,
    dataset: Dataset,
    space: SearchedSpace,
    uid: str,
    study_id: int,
    versions: Mapping[str, str],
    description: str,
) -> StudyRecord:
    """What the parent run says of a study.

    Args:
        definition: What is searched.
        dataset: On which data.
        space: What a trial is asked.
        uid: The study's own for ever.
        study_id: The storage's own id of it.
        versions: Package name to version.
        description: Markdown, what is searched and on which data.
    """
    identity, columns = definition.identity(), dataset.columns
    return StudyRecord(
        uid=uid,
        name=definition.name,
        value_name=keys.cv_mean(definition.study.metric),
        params={name: str(value) for name, value in identity.items()},
        tags={
            keys.STUDY_NAME: definition.name,
            keys.DATA_DIGEST: dataset.digest,
            keys.DEFINITION_DIGEST: digest_of(identity),
            **{keys.version_tag(package): text for package, text in versions.items()},
        },
        texts={
            keys.DEFINITION_FILE: json.dumps(definition.model_dump(mode="json"), indent=2),
            keys.COLUMNS_FILE: json.dumps(
                {"kinds": columns.kinds(), "notes": dataset.notes}, indent=2
            ),
            keys.SPACE_FILE: json.dumps(definition.search_space.model_dump(mode="json"), indent=2),
        },
        dataset=DatasetRecord(
            dataset.name,
            dataset.digest,
            definition.data.source,
            columns.signature(),
            len(dataset.X_train),
        ),
        description=description,
        dashboard=f"{DASHBOARD}/dashboard/studies/{study_id}",
        view=make_view(definition, space, uid),
    )


def make_model_record(
    study: StudyRecord,
    time_ms: int,
    result: StudyResult,
    definition: StudyDefinition,
    dataset: Dataset,
    recipe: Recipe,
    judged: FinalModel,
    settings: ServiceSettings,
) -> ModelRecord:
    """What is logged with the final model.

    Args:
        study: What is written of it.
        time_ms: When the best trial ended, milliseconds since 1970, UTC.
        result: What is known of study and model, with the model that ships.
        definition: What was searched.
        dataset: The rows.
        recipe: Of the estimator.
        judged: Fitted on the training rows.
        settings: Whether it is registered and drawn.
    """
    columns = dataset.columns
    example = dataset.X_train.head(INPUT_EXAMPLE_ROWS).reset_index(drop=True)
    study_metrics, study_steps = _measure(result)
    return ModelRecord(
        key=keys.trial_key(study.uid, result.best_number)
        + ("" if result.refit == "train" else f"/{result.refit}"),
        trial_number=result.best_number,
        model=result.model,
        input_example=example,
        expected=result.model.predict(example),
        metrics={keys.holdout_metric(name): score for name, score in judged.holdout.items()},
        params={name: str(value) for name, value in result.best_params.items()},
        time_ms=time_ms,
        input_types=columns.signature(),
        n_finished=sum(result.n_trials.values()),
        study_metrics=study_metrics,
        study_steps=study_steps,
        study_tags={
            keys.SELECTION_RULE: result.rule,
            keys.REFIT: result.refit,
            keys.TIES: result.describe_ties(),
            keys.GAIN: result.describe_gain(),
        },
        description=describe_study(study.description, result),
        card=make_card(result, definition, dataset, recipe),
        trusted_types=trusted_types(recipe),
        needs_hpo=bool(columns.datetime),
        files={COLUMNS_FILE: columns.model_dump_json()},
        requirements=tuple(f"{package}=={version(package)}" for package in SERVING_PACKAGES),
        refit=result.refit,
        held_out=_hold_out(recipe, judged, definition, dataset)
        if settings.register or settings.plots
        else None,
        is_drawn=settings.plots,
        registered_name=settings.register,
        rule=definition.registry.rule,
    )


def _measure(result: StudyResult) -> tuple[dict[str, float], dict[str, dict[int, float]]]:
    """The study's metrics, and those that have a value for each outer fold."""
    metric, nested = result.metric, result.nested
    scored = {
        keys.holdout_metric(metric): result.holdout_score,
        keys.optimism_metric(metric): result.optimism,
    }
    if result.gain is not None:
        scored[keys.gain_metric(metric)] = result.gain
    metrics = {keys.N_TIED: float(result.n_ties)}
    for name, estimate in scored.items():
        metrics |= {
            name: estimate.value,
            **keys.interval_metrics(name, estimate.low, estimate.high),
        }
    if nested is None or nested.estimate is None:
        return metrics, {}
    name, score = keys.nested_metric(metric), nested.estimate
    metrics |= {f"{name}_mean": score.value, f"{name}_std": float(np.std(nested.scores))}
    metrics |= keys.interval_metrics(name, score.low, score.high)
    return metrics, {name: dict(enumerate(nested.scores))}


def _hold_out(
    recipe: Recipe, judged: FinalModel, definition: StudyDefinition, dataset: Dataset
) -> HeldOut:
    """The hold-out as it is handed over; of a large one, some rows."""
    X, y, groups, seed = dataset.X_test, dataset.y_test, dataset.groups_test, definition.study.seed
    digest = hashlib.sha256(pd.util.hash_pandas_object(X).to_numpy().tobytes()).hexdigest()[:32]
    if len(y) > MAX_HELD_OUT_ROWS:
        rows = np.random.default_rng(seed).choice(len(y), MAX_HELD_OUT_ROWS, replace=False)
        X, y, groups = X.iloc[rows], y[rows], None if groups is None else groups[rows]
    return HeldOut(recipe, judged.pipeline, definition.study.metric, X, y, groups, digest, seed)
