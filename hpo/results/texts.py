"""Descriptions of a study and its trials in words: MLflow's descriptions, the dashboard notes.

They say what the report, the definition and the data say; the time of writing has no part in them,
so a run that adds nothing changes nothing. "Dashboard notes" are optuna-dashboard's, one for the
study and one for each trial.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from hpo.data.dataset import Dataset
from hpo.definition import StudyDefinition
from hpo.estimators.candidates import Candidates
from hpo.estimators.several import StudySpace
from hpo.ledger.trials import DERIVED, FAILURE, fold_scores, has_converged, mean_and_std
from hpo.results.links import mlflow_server, runs_path
from hpo.results.rendering import render
from hpo.results.result import StudyResult
from hpo.results.tracking_state import TrackingState

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


FOREIGN_NOTE = "**Not hpo's**: another client asked or ended this trial, so no result counts it."


def describe_search(definition: StudyDefinition, dataset: Dataset, space: StudySpace) -> str:
    """Describe what is searched, and on which data."""
    return render(
        "search.md.jinja",
        definition=definition,
        dataset=dataset,
        title=space.recipe.title,
        searched=space.searched,
    )


def summarize_search(definition: StudyDefinition, dataset: Dataset, space: StudySpace) -> str:
    """Describe what is searched in plain text, for a page that shows Markdown as it is typed."""
    return (
        f"{definition.study.metric} of {space.recipe.title},"
        f" {len(dataset.X_train)} training rows, {definition.cv.n_splits} folds;"
        f" searched: {', '.join(space.searched)}"
    )


def describe_best(search: str, metric: str, number: int, value: float) -> str:
    """Describe a search that goes on: below its description, the highest trial so far."""
    return f"{search}\n\n- **Best so far: trial {number}**, {metric} {value:.4f} over the folds"


def describe_study(search: str, result: StudyResult) -> str:
    """Describe what was searched, which trial was chosen, how good it is and how sure that is."""
    return render("outcome.md.jinja", search=search, result=result)


def make_dashboard_notes(
    study: str,
    result: StudyResult,
    tracking: TrackingState,
    trials: Sequence["FrozenTrial"],
    recipe: Candidates,
    foreign: Sequence[int] = (),
) -> dict[int | None, str]:
    """Write the study's dashboard note, under None, and each finished trial's, under its number.

    Args:
        study: The study's description, from :func:`describe_study`.
        result: The result of the run.
        tracking: What MLflow holds by now, to link to.
        trials: All that are hpo's own.
        recipe: Of the study's estimators.
        foreign: The numbers of those that are not.
    """
    server = mlflow_server(result.tracking_uri)
    address = f"{server}/{tracking.comparison}" if tracking.comparison else None
    notes: dict[int | None, str] = {
        None: render("dashboard_note_of_study.md.jinja", study=study, address=address),
        **dict.fromkeys(foreign, FOREIGN_NOTE),
    }
    for trial in trials:
        if trial.state.is_finished():
            run_id = tracking.run_ids.get(trial.number)
            run_path = run_id and runs_path(str(tracking.experiment_id), run_id)
            notes[trial.number] = _note_trial(
                trial,
                recipe,
                is_best=trial.number == result.best.number,
                is_baseline=trial.number == result.estimates.baseline_trial,
                defaults_title=result.estimates.defaults_title,
                address=f"{server}/{run_path}" if run_path else None,
            )
    return notes


def make_failure_dashboard_notes(
    trials: Iterable["FrozenTrial"], recipe: Candidates
) -> dict[int | None, str]:
    """Write the dashboard notes of failed trials alone, for a run that has no result."""
    failed = (trial for trial in trials if FAILURE in trial.user_attrs)
    return {trial.number: _note_trial(trial, recipe) for trial in failed}


def _note_trial(
    trial: "FrozenTrial",
    recipe: Candidates,
    *,
    is_best: bool = False,
    is_baseline: bool = False,
    defaults_title: str = "",
    address: str | None = None,
) -> str:
    attributes: dict[str, Any] = trial.user_attrs
    derived = attributes.get(DERIVED, {})
    return render(
        "dashboard_note_of_trial.md.jinja",
        failure=attributes.get(FAILURE),
        scores={name: mean_and_std(scores) for name, scores in fold_scores(trial).items()},
        noted={name: derived[name] for name in recipe.noted_params if name in derived},
        converged=has_converged(trial),
        is_best=is_best,
        is_baseline=is_baseline,
        defaults_title=defaults_title,
        address=address,
    )
