"""What is said of a study, its trials and its model in words: MLflow's descriptions, optuna-dashboard's notes, the model card.

They put in words what report, definition and data say, and stand in templates. Nothing here depends on the time of writing, so a
run that adds nothing changes nothing.
"""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.data.dataset import Dataset
from hpo.definition import StudyDefinition
from hpo.estimators.recipe import Recipe
from hpo.estimators.space import SearchedSpace
from hpo.ledger.trials import CONVERGED, DERIVED, FAILURE, fold_scores, mean_and_std
from hpo.results.rendering import render
from hpo.results.result import StudyResult, mlflow_server
from hpo.tracking import keys

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

MAX_ROWS = 50
"""Columns and classes that the card lists."""


def describe_search(definition: StudyDefinition, dataset: Dataset, space: SearchedSpace) -> str:
    """What is searched, and on which data."""
    return render(
        "search.md.jinja",
        definition=definition,
        dataset=dataset,
        title=space.recipe.title,
        searched=space.searched,
    )


def describe_best(search: str, metric: str, number: int, value: float) -> str:
    """The same while the search goes on, below it the highest trial so far."""
    return f"{search}\n\n- **Best so far: trial {number}**, {metric} {value:.4f} over the folds"


def describe_study(search: str, result: StudyResult) -> str:
    """What is searched, and what came of it: which trial was chosen, how good it is and how sure that is."""
    return render("outcome.md.jinja", search=search, result=result)


def make_card(
    result: StudyResult, definition: StudyDefinition, dataset: Dataset, recipe: Recipe
) -> str:
    """The model card: what a person who did not make the model should know before it is used.

    After Mitchell et al. 2019, "Model Cards for Model Reporting", FAT*. The model's URI is not known when it is written:
    ``keys.MODEL_URI_MARK`` stands for it.

    Args:
        result: What is known of study and model.
        definition: What was searched.
        dataset: The rows.
        recipe: Of the estimator.
    """
    labels, counts = np.unique(
        np.concatenate([dataset.y_train, dataset.y_test]), return_counts=True
    )
    card = render(
        "model_card.md.jinja",
        result=result,
        definition=definition,
        dataset=dataset,
        recipe=recipe,
        counts=dict(zip(labels, counts, strict=True)),
        columns=[(name, kind) for kind, names in result.columns.items() for name in names],
        uri=keys.MODEL_URI_MARK,
        max_rows=MAX_ROWS,
    )
    return card + "\n"


def make_view(definition: StudyDefinition, space: SearchedSpace, uid: str) -> str:
    """What MLflow's page shows of a study's trials when they are compared, as the page itself saves a view.

    Exactly this study's child runs, the best first, with the columns and charts that say something.
    """
    metric = definition.study.metric
    state = render(
        "comparison.json.jinja",
        name=definition.name,
        uid=uid,
        value=keys.cv_mean(metric),
        axes=(keys.TRIAL_NUMBER, keys.cv_std(metric)),
        params=space.searched,
        # A run without one of the params would not be drawn.
        always=space.always_asked,
        runs=f"tags.`{keys.STUDY_UID}` = '{uid}' AND tags.`{keys.TRIAL_STATE}` LIKE '%'",
    )
    return json.dumps(json.loads(state))


def make_notes(
    study: str, result: StudyResult, trials: Sequence["FrozenTrial"], recipe: Recipe
) -> dict[int | None, str]:
    """The dashboard's note of a study, under None, and of every finished trial, under its number.

    Args:
        study: As :func:`describe_study` says it.
        result: Of the run.
        trials: Of the study.
        recipe: Of the estimator.
    """
    server = mlflow_server(result.tracking_uri)
    address = f"{server}/{result.comparison}" if result.comparison else None
    notes: dict[int | None, str] = {
        None: render("study_note.md.jinja", study=study, address=address)
    }
    for trial in trials:
        if trial.state.is_finished():
            run_id = result.run_ids.get(trial.number)
            notes[trial.number] = _note_trial(
                trial,
                recipe,
                is_best=trial.number == result.best_number,
                is_baseline=trial.number == 0 and trial.value == result.baseline_value is not None,
                address=f"{server}/{keys.runs_path(str(result.experiment_id), run_id)}"
                if run_id
                else None,
            )
    return notes


def note_failures(trials: Iterable["FrozenTrial"], recipe: Recipe) -> dict[int | None, str]:
    """The notes of failed trials alone, for a run that has no result."""
    failed = (trial for trial in trials if FAILURE in trial.user_attrs)
    return {trial.number: _note_trial(trial, recipe) for trial in failed}


def _note_trial(trial: "FrozenTrial", recipe: Recipe, **about: Any) -> str:
    derived = trial.user_attrs.get(DERIVED, {})
    return render(
        "trial_note.md.jinja",
        failure=trial.user_attrs.get(FAILURE),
        scores={name: mean_and_std(scores) for name, scores in fold_scores(trial).items()},
        noted={name: derived[name] for name in recipe.noted_params if name in derived},
        has_converged=trial.user_attrs.get(CONVERGED, True),
        **{"is_best": False, "is_baseline": False, "address": None} | about,
    )
