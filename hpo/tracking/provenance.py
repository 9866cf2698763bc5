"""Makes the records of a study and its final model from definition, data and result.

They say where both come from: what was searched, on which rows, with which versions.
"""

import hashlib
import json
from collections.abc import Mapping

import numpy as np
import pandas as pd
from pandas.api import types

from hpo.data.columns import COLUMNS_FILE
from hpo.data.dataset import Dataset
from hpo.definition import StudyDefinition
from hpo.estimators.final_model import predict_example, trusted_types
from hpo.estimators.recipe import Recipe
from hpo.estimators.several import StudySpace
from hpo.estimators.tasks import read_decision
from hpo.identity import digest_of
from hpo.ledger.places import Whereabouts
from hpo.results.links import dashboard_study
from hpo.results.model_card import make_card
from hpo.results.result import StudyResult
from hpo.results.texts import describe_study, summarize_search
from hpo.settings import ServiceSettings, digest_of_place
from hpo.tracking import keys
from hpo.tracking.comparison import make_view
from hpo.tracking.run_records import (
    Conclusion,
    DatasetRecord,
    FinalRecord,
    HeldOut,
    ModelRecord,
    StudyRecord,
)
from hpo.tracking.study_metrics import measure
from hpo.versions import version_of

SERVING_PACKAGES = ("mlflow", "scikit-learn", "skops", "numpy", "scipy", "pandas")

_IN_JSON = (str, bool, int, float)

MAX_HELD_OUT_ROWS = 20_000
"""Rows that models are compared and drawn on; of a larger hold-out, drawn by the seed."""


def make_study_record(
    definition: StudyDefinition,
    dataset: Dataset,
    space: StudySpace,
    where: Whereabouts,
    study_id: int,
    versions: Mapping[str, str],
    storage: str,
    description: str,
) -> StudyRecord:
    """Make the record of a study's parent run.

    Args:
        definition: What is searched.
        dataset: On which data.
        space: What a trial is asked.
        where: The study's uid, and where its ledger has been.
        study_id: The storage's own id of it.
        versions: Package name to version.
        storage: The ledger's URL.
        description: Markdown: what is searched, and on which data.
    """
    identity = definition.identity()
    return StudyRecord(
        uid=where.uid,
        name=definition.name,
        value_name=keys.cv_mean(definition.study.metric),
        is_scored_here=True,
        params={name: str(value) for name, value in identity.items()},
        tags={
            keys.STUDY_NAME: definition.name,
            **dict.fromkeys((keys.LEDGER, keys.WRITER), digest_of_place(storage)),
            keys.DATA_DIGEST: dataset.digest,
            keys.DEFINITION_DIGEST: digest_of(identity),
            **{keys.version_tag(package): text for package, text in versions.items()},
        },
        texts={
            keys.DEFINITION_FILE: json.dumps(definition.model_dump(mode="json"), indent=2),
            keys.COLUMN_KINDS_FILE: json.dumps(
                {"kinds": dataset.columns.kinds(), "notes": dataset.notes}, indent=2
            ),
            keys.SPACE_FILE: json.dumps(definition.search_space.model_dump(mode="json"), indent=2),
        },
        dataset=DatasetRecord(
            dataset.name,
            dataset.digest,
            definition.data.source,
            dataset.columns.signature(),
            len(dataset.X_train),
        ),
        description=description,
        summary=summarize_search(definition, dataset, space),
        dashboard=dashboard_study(study_id),
        places=where.places,
        copied_from=where.copied_from,
        view=make_view(definition, space, where.uid),
    )


def make_final_record(
    study: StudyRecord,
    time_ms: int,
    result: StudyResult,
    definition: StudyDefinition,
    dataset: Dataset,
    recipe: Recipe,
    settings: ServiceSettings,
) -> FinalRecord:
    """Make the record of what the end of a search brought.

    Args:
        study: What the parent run says already.
        time_ms: When the best trial ended, milliseconds since 1970, UTC.
        result: Study and model, as far as known before tracking has ended.
        definition: What was searched.
        dataset: The rows.
        recipe: Of the estimator.
        settings: Whether the model is registered and drawn.
    """
    metrics, steps = measure(result)
    needs_rows = settings.register is not None or settings.plots
    return FinalRecord(
        model=_make_model_record(study, time_ms, result, dataset, recipe),
        n_finished=sum(result.n_trials.values()),
        conclusion=Conclusion(
            metrics=metrics,
            steps=steps,
            tags={
                keys.SELECTION_RULE: result.best.rule,
                keys.REFIT: result.refit,
                keys.TIES: result.describe_ties(),
                keys.GAIN: result.describe_gain(),
                keys.VERDICT: result.describe_verdict(),
                keys.ENDED: result.ended,
                keys.CONVERGED: str(result.best.converged).lower(),
            },
            description=describe_study(study.description, result),
            card=make_card(result, definition, dataset, recipe),
        ),
        held_out=_hold_out(recipe, result, definition, dataset) if needs_rows else None,
        is_drawn=settings.plots,
        registered_name=settings.register,
        rule=definition.registry.rule,
        caution=result.describe_caution(),
        is_useful=result.estimates.constant.is_beaten,
    )


def _make_model_record(
    study: StudyRecord, time_ms: int, result: StudyResult, dataset: Dataset, recipe: Recipe
) -> ModelRecord:
    columns, example = dataset.columns, dataset.example
    rows = columns.convert(example)
    key = keys.trial_key(study.uid, result.best.number)
    parts = [key, *([] if result.refit == "train" else [result.refit]), result.decision.digest]
    ready = _make_json_ready(example, rows)
    packages = [*SERVING_PACKAGES, *filter(None, [recipe.package])]
    return ModelRecord(
        key="/".join(filter(None, parts)),
        trial_number=result.best.number,
        refit=result.refit,
        model=result.model,
        input_example=ready,
        expected=predict_example(result.model, columns, rows, ready),
        input_types=columns.signature(),
        has_typed_inputs=dataset.has_only_floats,
        metrics={keys.holdout_metric(name): score for name, score in result.holdout.items()},
        params={
            **{name: str(value) for name, value in result.best.params.items()},
            **{f"decision.{name}": value for name, value in result.decision.describe().items()},
        },
        time_ms=time_ms,
        requirements=tuple(f"{package}=={version_of(package)}" for package in packages),
        modules=(*recipe.modules, *result.decision.modules),
        trusted_types=trusted_types(recipe),
        files={COLUMNS_FILE: columns.model_dump_json()},
    )


def _make_json_ready(example: pd.DataFrame, converted: pd.DataFrame) -> pd.DataFrame:
    """The rows as JSON holds them: a gap is None, a date, a duration or a Decimal is text."""
    ready = {}
    for name, column in example.items():
        values = column
        if column.dtype.kind in "mM":
            values = column.astype("str")
        elif column.dtype == object:
            values = column.map(lambda cell: cell if isinstance(cell, _IN_JSON) else str(cell))
        elif types.is_float_dtype(column) and converted[name].dtype == object:  # Categories.
            values = converted[name]
        has_gaps = column.isna().any()
        ready[name] = values.astype(object).where(column.notna(), None) if has_gaps else values
    return pd.DataFrame(ready)


def _hold_out(
    recipe: Recipe, result: StudyResult, definition: StudyDefinition, dataset: Dataset
) -> HeldOut:
    """The hold-out to compare and draw on; of a large one, some rows."""
    X, y, groups = dataset.X_test, dataset.y_test, dataset.groups_test
    digest = hashlib.sha256(pd.util.hash_pandas_object(X).to_numpy().tobytes()).hexdigest()[:32]
    seed = definition.study.seed
    if len(y) > MAX_HELD_OUT_ROWS:
        rows = np.random.default_rng(seed).choice(len(y), MAX_HELD_OUT_ROWS, replace=False)
        rows.sort()  # they may be in the order of time
        X, y = X.iloc[rows], y[rows]
        groups = None if groups is None else groups[rows]
    costs = read_decision(definition, dataset, recipe)
    return HeldOut(
        recipe,
        result.decision.wrap(result.judged.pipeline),
        definition.study.metric,
        X,
        y,
        groups,
        digest,
        seed,
        dataset.positive,
        result.estimates.over_time,
        costs and costs.mean(),
        result.estimates.decision,
    )
