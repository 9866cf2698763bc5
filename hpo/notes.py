"""What both pages say of a study and its trials in words: the descriptions of MLflow's runs, the notes of optuna-dashboard.

Nothing here depends on the time of writing, so a run that adds nothing changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hpo.data import Dataset
from hpo.definition import Range, StudyDefinition
from hpo.markdown import link
from hpo.report import StudyResult, describe_gain, describe_ties, run_address
from hpo.selection import CONVERGED, DERIVED, FAILURE, fold_scores, mean_and_std

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def describe_search(definition: StudyDefinition, dataset: Dataset) -> str:
    """What is searched, and on which data."""
    cv, space = definition.cv, definition.search_space
    searched = ", ".join(f"`{name}`" for name in type(space).model_fields if isinstance(getattr(space, name), Range | tuple))
    columns = ", ".join(f"{len(of_kind)} {kind}" for kind, of_kind in dataset.columns.kinds().items())
    repeats = f", {cv.n_repeats} times" if cv.n_repeats > 1 else ""
    return (
        f"**{definition.study.metric}** of logistic regression on **{dataset.name}** ({len(dataset.X_train)} training rows,"
        f" {columns} columns; {len(dataset.X_test)} rows held out), {cv.n_splits} folds{repeats}. Searched: {searched}."
    )


def describe_outcome(result: StudyResult) -> str:
    """Which trial was chosen, how good it is and how sure that is."""
    judged = result.holdout_score
    counts = ", ".join(f"{count} {state}" for state, count in result.n_trials.items() if count)
    score = f"{result.metric} {result.best_value:.4f} ± {result.best_std:.4f} over the folds"
    lines = (
        f"**Best: trial {result.best_number}**, {score}; {describe_ties(result.n_ties, result.n_trials['complete'])}",
        f"Hold-out: {result.metric} {judged.value:.4f} ({judged.low:.4f} to {judged.high:.4f})",
        f"Gain: {describe_gain(result.gain, result.n_holdout_rows)}",
        f"Trials: {counts}",
    )
    return "\n".join(f"- {line}" for line in lines)


def make_notes(
    description: str, result: StudyResult, trials: Sequence[FrozenTrial], run_ids: Mapping[int, str]
) -> dict[int | None, str]:
    """The note of a study, under None, and of every finished trial, under its number.

    Args:
        description: Of the search.
        result: Of the run.
        trials: Of the study.
        run_ids: Trial number to child run, as far as they are known.
    """
    page = result.mlflow_address
    seen = link("All trials compared in MLflow", page) if page else "Not in MLflow yet: the same command catches up."
    tie = "This page's own best trial may be another one: it takes the first of those with the highest value."
    notes: dict[int | None, str] = {None: f"{description}\n\n{describe_outcome(result)}\n\n{tie}\n\n{seen}"}
    for trial in trials:
        if trial.state.is_finished():
            parts = list(_iter_parts(trial, result))
            if trial.number in run_ids:
                parts.append(link("Run in MLflow", run_address(result, run_ids[trial.number])))
            notes[trial.number] = "\n\n".join(parts)
    return notes


def _iter_parts(trial: FrozenTrial, result: StudyResult) -> list[str]:
    roles = []
    if trial.number == result.best_number:
        roles.append("**Best trial**: the final model is fitted with its params.")
    if result.baseline_value is not None and trial.number == 0 and trial.value == result.baseline_value:
        roles.append("**Baseline**: scikit-learn's defaults.")
    if FAILURE in trial.user_attrs:
        roles.append(f"**Failed**: {trial.user_attrs[FAILURE]}")
    scores = {name: mean_and_std(of_folds) for name, of_folds in fold_scores(trial).items()}
    means = [f"{name} {mean:.4f} ± {std:.4f}" for name, (mean, std) in scores.items()]
    solver = trial.user_attrs.get(DERIVED, {}).get("solver")
    derived = [f"solver {solver}" + ("" if trial.user_attrs.get(CONVERGED, True) else ", which did not converge")] if solver else []
    return [*roles, "; ".join([*means, *derived])]
