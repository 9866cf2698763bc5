"""The search of several estimators in one study: each one's space and its folds.

A trial chooses its estimator first, then the params of that one; everything else is asked of the
one that was chosen, in its own words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from optuna.trial import BaseTrial, FixedTrial

from hpo.estimators.candidates import ESTIMATOR, Candidates, name_params, own_params
from hpo.estimators.cross_validation import CrossValidation
from hpo.estimators.objective import StepResult
from hpo.estimators.preprocessing import Kind
from hpo.estimators.recipe import Params, Recipe, TrainingShape
from hpo.estimators.space import SearchedSpace, leave_out_costly
from hpo.search_space import SearchSpace


@dataclass(frozen=True)
class SeveralSpaces:
    """The spaces of a study's estimators.

    Attributes:
        recipe: Theirs.
        entries: A table an estimator.
        spaces: Name of an estimator to its space, whose prefix is that name.
    """

    recipe: Candidates
    entries: SearchSpace
    spaces: Mapping[str, SearchedSpace]

    @property
    def n_features(self) -> int:
        """Columns after preprocessing, of the estimator that gets most."""
        return max(space.n_features for space in self.spaces.values())

    @property
    def names(self) -> list[str]:
        """All params."""
        return [ESTIMATOR, *(name for each in self.spaces.values() for name in each.names)]

    @property
    def searched(self) -> list[str]:
        """The params that trials choose."""
        return [ESTIMATOR, *(name for each in self.spaces.values() for name in each.searched)]

    @property
    def asked_together(self) -> list[list[str]]:
        """Groups of params that the same trials choose."""
        own = [group for space in self.spaces.values() for group in space.asked_together]
        return [[ESTIMATOR], *own]

    def of(self, params: Params) -> SearchedSpace:
        """The space of the estimator that params are of."""
        return self.spaces[params[ESTIMATOR]]

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Ask a trial for its estimator, then for the params of that one."""
        name = trial.suggest_categorical(ESTIMATOR, tuple(self.spaces))
        return name_params(name, self.spaces[name].suggest(trial))

    def given(self, number: int) -> dict[str, Any] | None:
        """The params that one of the first trials is given: each estimator's defaults in turn."""
        if number >= len(self.spaces):
            return None
        baselines = ((name, space.baseline()) for name, space in self.spaces.items())
        given = [
            {ESTIMATOR: name, **baseline} for name, baseline in baselines if baseline is not None
        ]
        return given[number] if number < len(given) else None

    def complete(self, params: Params) -> dict[str, Any]:
        """Chosen and fixed params, completed by the estimator's rule: ready for a fit."""
        return name_params(params[ESTIMATOR], self.of(params).complete(own_params(params)))

    def replay(self, params: Params) -> dict[str, Any]:
        """The complete params of a trial that is in the ledger, from those that it chose."""
        return self.complete(self.suggest(FixedTrial(dict(params))))


@dataclass(frozen=True, eq=False)
class SeveralObjectives:
    """The objectives of a study's estimators, on the same splits.

    Attributes:
        objectives: Name of an estimator to its objective; those of one kind of preprocessing share
            their folds.
    """

    objectives: Mapping[str, CrossValidation]

    @property
    def n_steps(self) -> int:
        """One step a fold."""
        return next(iter(self.objectives.values())).n_steps

    @property
    def metrics(self) -> tuple[str, ...]:
        """Scorer names, the judged one first."""
        return next(iter(self.objectives.values())).metrics

    def of(self, params: Params) -> CrossValidation:
        """The objective of the estimator that params are of."""
        return self.objectives[params[ESTIMATOR]]

    def evaluate(self, params: Params, step: int) -> StepResult:
        """Score complete params on one fold."""
        return self.of(params).evaluate(own_params(params), step)

    def part(self, step: int) -> "SeveralObjectives":
        """The objectives of one fold alone."""
        return SeveralObjectives({name: each.part(step) for name, each in self.objectives.items()})


StudySpace: TypeAlias = SearchedSpace | SeveralSpaces
StudyObjective: TypeAlias = CrossValidation | SeveralObjectives


def search_space(
    candidates: Candidates,
    entries: SearchSpace,
    shapes: Mapping[Kind, TrainingShape],
    seed: int,
) -> tuple[StudySpace, list[str]]:
    """Make what the trials of a study are asked.

    Args:
        candidates: What is searched.
        entries: The definition's.
        shapes: Kind of preprocessing to the shape of the training rows after it.
        seed: The study's.

    Returns:
        The space, less what costs too much of a default one, and what a person should know of it.
    """
    if isinstance(candidates, Recipe):
        shape = shapes[candidates.preprocessing]
        searched, notes = leave_out_costly(candidates, entries, shape)
        return SearchedSpace(candidates, searched, shape, seed), notes
    spaces = {}
    notes = []
    for recipe in candidates.recipes:
        shape, prefix = shapes[recipe.preprocessing], f"{recipe.name}."
        searched, more = leave_out_costly(recipe, getattr(entries, recipe.name), shape, prefix)
        spaces[recipe.name] = SearchedSpace(recipe, searched, shape, seed, prefix)
        notes += more
    kept = entries.model_copy(update={name: space.entries for name, space in spaces.items()})
    return SeveralSpaces(candidates, kept, spaces), notes
