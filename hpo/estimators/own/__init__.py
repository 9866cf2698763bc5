"""An estimator of one's own: any object with scikit-learn's interface, given from Python.

Its recipe is made of the object itself, and travels in the ``[estimator]`` section of the
definition, so that all that asks a definition for its recipe gets this one.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import PrivateAttr
from sklearn.base import is_classifier, is_regressor

from hpo.definition import StudyDefinition
from hpo.errors import DefinitionError
from hpo.estimator_section import EstimatorSection
from hpo.estimators.own.description import check_importable, describe_params, path_of
from hpo.estimators.own.params import OwnEstimator, OwnSpace, prepare, read_space
from hpo.estimators.recipe import Params, Recipe, TrainingShape, alike, always

_DOTTED = re.compile(r"\w+(\.\w+)+")


class OwnSection(EstimatorSection):
    """``[estimator]`` of a study whose estimator was given: its class and params as plain values.

    Attributes:
        params: Name to plain value of every param, nested ones too; part of the study's identity.
    """

    params: dict[str, Any]
    _recipe: Recipe = PrivateAttr()

    @property
    def recipe(self) -> Recipe:
        """The recipe that was made of the object."""
        return self._recipe


def bring_estimator(
    definition: StudyDefinition,
    estimator: Any,
    space: Mapping[str, Any] | None,
    trusted_types: Sequence[str | type] = (),
) -> StudyDefinition:
    """Put an estimator of one's own into a definition, where one was given.

    Args:
        definition: Names no estimator and no search space, unless none was given.
        estimator: The object, which is not changed, or None.
        space: Param, by its ``set_params`` name, to a :class:`Range`, a list of choices, or a value
            that it gets.
        trusted_types: Types that its saved model may hold beside those that skops trusts.

    Raises:
        DefinitionError: One of them cannot be searched, or the definition has its own.
    """
    if estimator is None:
        if space is None and not trusted_types:
            return definition
        raise DefinitionError(
            "estimator: space and trusted_types are of an estimator, and none was given",
            hint="run_study(..., estimator=...), or [search_space] in the study file",
        )
    _check_definition(definition)
    trusted = [_name_of_type(each) for each in trusted_types]
    check_importable(type(estimator), "estimator")
    prepared = prepare(estimator, definition.study.seed)
    entries, fixed = read_space(space or {}, prepared)
    prepared = prepare(fixed, definition.study.seed)
    recipe = make_recipe(OwnEstimator(prepared, dict(entries)), trusted_types=trusted)
    params = describe_params(prepared)
    section = OwnSection(name=recipe.name, params=params)
    section._recipe = recipe  # noqa: SLF001 - no field: it is no part of the identity
    # The class of the given definition would write another estimator's space in its identity.
    sections = {**dict(definition), "estimator": section, "search_space": entries}
    return StudyDefinition.model_construct(definition.model_fields_set, **sections)


def _check_definition(definition: StudyDefinition) -> None:
    """Refuse what a definition says of another estimator, or of rows that are given as they are."""
    if definition.estimator.name is not None:
        raise DefinitionError(
            f"estimator: the definition names {definition.estimator.name},"
            " and an estimator was given",
            hint="leave one of them out",
        )
    for key in ("search_space", "fixed"):
        if getattr(definition, key).model_fields_set:
            raise DefinitionError(
                f"{key}: the definition has one, and an estimator was given",
                hint="name its params in space={...}",
            )
    for key in ("numeric", "categorical"):
        if getattr(definition.data, key):
            raise DefinitionError(
                f"data.{key}: an estimator of one's own gets the table as it is",
                hint="change the column's dtype in the table",
            )
    if definition.selection.rule != "best":
        raise DefinitionError(
            f"selection.rule: of an estimator of one's own nobody knows what is simpler, so"
            f" '{definition.selection.rule}' cannot choose",
            hint="take 'best'",
        )


def _name_of_type(named: str | type) -> str:
    name = named if isinstance(named, str) else path_of(named)
    if not _DOTTED.fullmatch(name):
        raise DefinitionError(
            f"trusted_types: this should be a list of names with their modules, but got {name!r}",
            hint='for example ["my_steps.Clip"]',
        )
    return name


def make_recipe(own: OwnEstimator, *, trusted_types: Sequence[str] = ()) -> Recipe:
    """Make the recipe of an estimator that is prepared, or was loaded.

    Raises:
        DefinitionError: It is neither a classifier nor a regressor.
    """
    estimator = own.estimator
    name = path_of(type(estimator))
    if not is_classifier(estimator) and not is_regressor(estimator):
        raise DefinitionError(
            f"estimator: this should be a classifier or a regressor, but got {name}",
            hint="end a pipeline with one; a class of one's own derives from ClassifierMixin or"
            " RegressorMixin, before BaseEstimator",
        )
    return Recipe(
        name=name,
        title=_title(estimator),
        task="classification" if is_classifier(estimator) else "regression",
        space=OwnSpace,
        asking_order=tuple(sorted(own.entries)),
        defaults=own.defaults,
        takes_whole_numbers=own.takes_whole_numbers,
        applies=always,
        derive=_derive_nothing,
        is_affordable=always,
        check=own.check,
        build=own.build,
        simplicity=alike,
        preprocessing="none",
        defaults_title="the params as given",
        has_probabilities=own.has_probabilities,
        trusted_types=tuple(trusted_types),
    )


def _title(estimator: Any) -> str:
    """The class, and the classes of a pipeline's steps."""
    steps = [type(step).__name__ for _, step in getattr(estimator, "steps", ()) if step]
    name = type(estimator).__name__
    return f"{name}({', '.join(steps)})" if steps else name


def _derive_nothing(params: Params, _shape: TrainingShape, _seed: int) -> dict[str, Any]:
    return dict(params)
