"""The interface of an estimator: a recipe is all that the project knows about one.

A recipe is one value in the module of its family; ``estimators/recipes.py`` lists them by name.
Everything else asks the recipe: nothing outside it knows the estimator's arguments. A recipe loads
no library before its estimator is built, so that a study file is checked at no cost.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import ValidationError

from hpo.errors import DefinitionError, did_you_mean
from hpo.escaping import quote
from hpo.search_space import Range, SearchSpace

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator
    from sklearn.pipeline import Pipeline

Params = Mapping[str, Any]

TaskName: TypeAlias = Literal["classification", "regression"]


@dataclass(frozen=True)
class TrainingShape:
    """The size of the first fold's training rows: what the cost of a fit depends on.

    Attributes:
        n_samples: Rows.
        n_features: Columns after preprocessing.
        n_classes: Classes.
        n_values: Stored values: all of a dense table, those that are not zero of a sparse one.
        is_sparse: Whether the rows are sparse.
    """

    n_samples: int
    n_features: int
    n_classes: int
    n_values: int
    is_sparse: bool

    @property
    def n_outputs(self) -> int:
        """Rows of the coefficient matrix that a multinomial fit works on."""
        return self.n_classes if self.n_classes > 2 else 1

    @property
    def n_cells(self) -> int:
        """Values that one pass over the rows touches."""
        return self.n_values * self.n_outputs


@dataclass(frozen=True)
class BarChart:
    """A table that only this estimator has, with the chart that is drawn of it.

    Attributes:
        name: Of both files.
        title: Of the chart.
        tabulate: The table from the fitted pipeline, the largest value first.
        labels: Columns that name a bar, joined by a colon.
        value: The column that is its length.
        xlabel: What the length means.
    """

    name: str
    title: str
    tabulate: Callable[["Pipeline"], "pd.DataFrame"]
    labels: tuple[str, ...]
    value: str
    xlabel: str


def always(*_: object) -> bool:
    """Every param applies, every choice is affordable."""
    return True


def alike(_params: Params) -> tuple[float, ...]:
    """Nothing is known of what is simpler: the earlier trial is taken of equal ones."""
    return ()


def accept(_estimator: Any) -> None:
    """Most estimators are checked by skops alone."""


def _fix(space: SearchSpace, values: Params) -> SearchSpace:
    """Put values in the place of entries, checked by the rules of the space itself."""
    kind = type(space)
    for name in values:
        if name not in kind.model_fields:
            listed = f"they are {', '.join(kind.model_fields)}"
            raise DefinitionError(
                f"fixed.{name}: {quote(name)} is no param",
                hint=did_you_mean(name, kind.model_fields, listed),
            )
    given = {name: getattr(space, name) for name in space.model_fields_set}
    try:
        return kind.model_validate({**given, **values})
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        reason = found.get("ctx", {}).get("error") or found["msg"].removeprefix("Input ")
        place = f"fixed.{found['loc'][0]}" if found["loc"] else "fixed"
        raise DefinitionError(f"{place}: {reason}") from None


@dataclass(frozen=True)
class Rule:
    """How params are derived: a study goes on under the one that it was begun under.

    Attributes:
        derive: As :attr:`Recipe.derive`.
        is_affordable: As :attr:`Recipe.is_affordable`.
    """

    derive: Callable[[Params, TrainingShape, int], dict[str, Any]]
    is_affordable: Callable[[str, Any, TrainingShape], bool]


@dataclass(frozen=True, eq=False)
class Recipe:
    """One estimator.

    Attributes:
        name: scikit-learn's name of the class.
        title: What a sentence calls it.
        task: What it predicts, by the name of the task.
        space: The class of its ``[search_space]``: a field a param, the default space as defaults;
            a param whose default is None is derived unless the study file names it.
        asking_order: The params in the order in which a trial is asked for them.
        defaults: The baseline: scikit-learn's defaults, in the words of the space. A param that
            applies to none of them is absent.
        takes_whole_numbers: Whether a range of a param is one of whole numbers.
        applies: Whether a param means anything beside those that were chosen before it.
        derive: Params completed by a fixed rule on the training rows' shape and the seed.
        is_affordable: Whether a fit with one choice costs so little on rows of a shape that it
            stays in the *default* space; a choice that a study file names always stays.
        check: Refuses, with a ``DefinitionError``, a space that cannot fit so many classes.
        fix: The space with plain values in the place of entries; refuses, with a
            ``DefinitionError``, what is no argument and what it does not take.
        build: The unfitted estimator from complete params, and the positions of the columns that
            hold categories as whole numbers.
        simplicity: Sorts models by their complete params; greater is simpler.
        preprocessing: Which kind of preprocessing it wants; ``none``, of one's own, gets the table
            as it was read.
        defaults_title: What a sentence calls the baseline.
        charts: What only this estimator shows of a fitted model.
        limits: What the model card says of its limits, one sentence an entry.
        noted_params: Derived params that a trial's dashboard note names.
        has_probabilities: Whether a classifier gives probabilities.
        quick: Params with which a fit on a few rows is quick, and shows what a model is made of.
        is_repeatable: Whether it is known that two fits with one seed are the same.
        trusted_types: What a saved model may hold beside what skops trusts itself.
        saved_types: Kinds of skops nodes and classes that a saved model is made of, beside the
            estimator, arrays and plain values.
        check_loaded: Refuses, with a ``ValueError``, a fitted estimator from a file whose arrays
            would be read out of bounds.
        home: Where the module of its class lies.
        package: A library that it needs, which an extra of that name installs.
        modules: Modules of this package that its saved models need beside those of every model.
        rule: The number of the rule that ``derive`` and ``is_affordable`` are.
        earlier: The rules before it, the first first.
    """

    name: str
    title: str
    task: TaskName
    space: type[SearchSpace]
    asking_order: tuple[str, ...]
    defaults: Params
    takes_whole_numbers: Callable[[str, Range], bool]
    applies: Callable[[str, Params], bool]
    derive: Callable[[Params, TrainingShape, int], dict[str, Any]]
    is_affordable: Callable[[str, Any, TrainingShape], bool]
    check: Callable[[SearchSpace, int], None]
    build: Callable[[Params, Sequence[int]], "BaseEstimator"]
    simplicity: Callable[[Params], tuple[float, ...]]
    preprocessing: Literal["linear", "distance", "tree", "none"] = "linear"
    fix: Callable[[SearchSpace, Params], SearchSpace] = _fix
    has_probabilities: bool = True
    defaults_title: str = "scikit-learn's defaults"
    charts: tuple[BarChart, ...] = ()
    limits: tuple[str, ...] = ()
    noted_params: tuple[str, ...] = ()
    quick: Params = field(default_factory=dict)
    is_repeatable: bool = True
    trusted_types: tuple[str, ...] = ()
    saved_types: tuple[tuple[str, str], ...] = ()
    check_loaded: Callable[[Any], None] = accept
    home: str = "sklearn"
    package: str = ""
    modules: tuple[str, ...] = ()
    rule: int = 1
    earlier: tuple[Rule, ...] = ()

    def is_of(self, kind: str) -> bool:
        """Whether a class, by module and name, is this one."""
        module, _, name = kind.rpartition(".")
        return name == self.name and f"{module}.".startswith(f"{self.home}.")

    @property
    def takes_text(self) -> bool:
        """Whether columns of free text are used: their words are many, and most of them are 0."""
        return self.preprocessing == "linear"

    @property
    def recipes(self) -> tuple["Recipe", ...]:
        """This one alone, as the only candidate of a study."""
        return (self,)

    def choose(self, params: Params) -> tuple["Recipe", Params]:
        """The recipe that complete params are of, and the params in its own words."""
        return self, params

    def of_rule(self, number: int) -> "Recipe":
        """The recipe with an earlier rule, or its own.

        Raises:
            DefinitionError: It has no such rule.
        """
        if not 1 <= number <= self.rule:
            raise DefinitionError(
                f"estimator.rule: should be at most {self.rule} for {self.name}, but got {number}",
                hint="leave it out, or use the version of hpo that the study was begun with",
            )
        if number == self.rule:
            return self
        rule = self.earlier[number - 1]
        return replace(self, rule=number, derive=rule.derive, is_affordable=rule.is_affordable)
