"""The candidates of a study: the one estimator that it searches, or several.

Of several, which one is a param of a trial, and each one's params are called ``NAME.param``. Like
recipes, this loads no library, so that a study file is checked at no cost.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from pydantic import create_model

from hpo.errors import DefinitionError
from hpo.estimators.recipe import Params, Recipe, TaskName
from hpo.search_space import SearchSpace

ESTIMATOR = "estimator"
"""The param that names a trial's estimator, where a study searches several."""


class Candidates(Protocol):
    """The recipes that a study searches: one, or several."""

    def __hash__(self) -> int:
        """By identity."""
        ...

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """All of them."""
        ...

    @property
    def name(self) -> str:
        """scikit-learn's names of the classes."""
        ...

    @property
    def title(self) -> str:
        """Their name in a sentence."""
        ...

    @property
    def task(self) -> TaskName:
        """The task that is common to all."""
        ...

    @property
    def space(self) -> type[SearchSpace]:
        """The class of ``[search_space]``."""
        ...

    @property
    def rule(self) -> int:
        """The number of the newest rule by which one derives params."""
        ...

    def of_rule(self, number: int) -> "Candidates":
        """The same with an earlier rule.

        Raises:
            DefinitionError: There is no such rule.
        """
        ...

    @property
    def has_probabilities(self) -> bool:
        """Whether all give probabilities."""
        ...

    @property
    def noted_params(self) -> tuple[str, ...]:
        """Derived params that a trial's dashboard note names."""
        ...

    def check(self, space: SearchSpace, n_classes: int) -> None:
        """Refuse a space that cannot fit so many classes.

        Raises:
            DefinitionError: It cannot.
        """
        ...

    def fix(self, space: SearchSpace, values: Params) -> SearchSpace:
        """Put fixed values into a space.

        Raises:
            DefinitionError: One cannot be fixed.
        """
        ...

    def simplicity(self, params: Params) -> tuple[float, ...]:
        """Sort models by their complete params; greater is simpler."""
        ...

    def choose(self, params: Params) -> tuple[Recipe, Params]:
        """The recipe that complete params are of, and the params in its own words."""
        ...


class SeveralTables(SearchSpace):
    """``[search_space]`` of several estimators: a table of each."""

    def flat(self) -> dict[str, Any]:
        """Which estimator comes first: it is a param too."""
        return {ESTIMATOR: [name for name, _ in self], **super().flat()}


def name_params(estimator: str, params: Params) -> dict[str, Any]:
    """An estimator's own params as a study of several names them."""
    return {ESTIMATOR: estimator, **{f"{estimator}.{name}": params[name] for name in params}}


def own_params(params: Params) -> dict[str, Any]:
    """The params of the chosen estimator, in its own words."""
    prefix = f"{params[ESTIMATOR]}."
    return {
        name.removeprefix(prefix): value
        for name, value in params.items()
        if name.startswith(prefix)
    }


@dataclass(frozen=True, eq=False)
class SeveralRecipes:
    """The recipes of a study's estimators, in the order in which it names them.

    Attributes:
        recipes: Two or more, of one task.
    """

    recipes: tuple[Recipe, ...]

    @property
    def name(self) -> str:
        """All names."""
        return ", ".join(recipe.name for recipe in self.recipes)

    @property
    def title(self) -> str:
        """Their name in a sentence."""
        return " or ".join(dict.fromkeys(recipe.title for recipe in self.recipes))

    @property
    def task(self) -> TaskName:
        """The task that is common to all."""
        return self.recipes[0].task

    @property
    def rule(self) -> int:
        """The newest of all: each has its own newest up to that."""
        return max(recipe.rule for recipe in self.recipes)

    def of_rule(self, number: int) -> "SeveralRecipes":
        """The same with an earlier rule of those that have it.

        Raises:
            DefinitionError: There is no such rule.
        """
        newest = max(self.recipes, key=lambda recipe: recipe.rule)
        if newest.of_rule(number) is newest:
            return self
        recipes = tuple(recipe.of_rule(min(number, recipe.rule)) for recipe in self.recipes)
        earlier = SeveralRecipes(recipes)
        # A study file was read as one of this class.
        vars(earlier)["space"] = self.space
        return earlier

    @property
    def has_probabilities(self) -> bool:
        """Whether all give probabilities, since all are judged alike."""
        return all(recipe.has_probabilities for recipe in self.recipes)

    @property
    def noted_params(self) -> tuple[str, ...]:
        """Derived params that a trial's dashboard note names."""
        return tuple(f"{each.name}.{param}" for each in self.recipes for param in each.noted_params)

    @cached_property
    def space(self) -> type[SearchSpace]:
        """``[search_space]``: a table an estimator."""
        spaces: dict[str, Any] = {each.name: (each.space, each.space()) for each in self.recipes}
        return create_model("SearchSpace", __base__=SeveralTables, **spaces)

    def check(self, space: SearchSpace, n_classes: int) -> None:
        """Check each table by its own recipe.

        Raises:
            DefinitionError: It cannot be searched.
        """
        for recipe in self.recipes:
            try:
                recipe.check(getattr(space, recipe.name), n_classes)
            except DefinitionError as error:
                line = str(error).replace("search_space", f"search_space.{recipe.name}", 1)
                raise DefinitionError(line, hint=error.hint) from error

    def fix(self, _space: SearchSpace, values: Params) -> SearchSpace:
        """Refuse values that do not say which estimator they are of.

        Raises:
            DefinitionError: Always.
        """
        raise DefinitionError(
            f"fixed.{next(iter(values))}: a study of several estimators has a table of each",
            hint="put the value into [search_space.NAME] of its estimator, where it is fixed too",
        )

    def simplicity(self, params: Params) -> tuple[float, ...]:
        """An estimator that is named earlier is simpler; then by its own order."""
        recipe, own = self.choose(params)
        return -self.recipes.index(recipe), *recipe.simplicity(own)

    def choose(self, params: Params) -> tuple[Recipe, Params]:
        """The recipe that params are of, and the params in its own words."""
        recipe = next(each for each in self.recipes if each.name == params[ESTIMATOR])
        return recipe, own_params(params)
