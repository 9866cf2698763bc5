"""Study files: a TOML file with flags on top becomes a definition.

Takes text and gives frozen values, or one line that names the file, the key, what is allowed and
what was given.
"""

import json
import reprlib
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import SerializeAsAny, ValidationError, create_model

from hpo.definition import StudyDefinition as AnyDefinition
from hpo.errors import DefinitionError, did_you_mean
from hpo.estimator_section import EstimatorSection
from hpo.estimators.candidates import Candidates
from hpo.estimators.recipes import DEFAULT_RECIPE, candidates
from hpo.search_space import Bounds, Range, SearchSpace, Section

FLAGS = {
    "study.name": "--name",
    "study.metric": "--metric",
    "study.n_trials": "--trials",
    "study.timeout_seconds": "--timeout",
    "study.seed": "--seed",
    "study.concurrency": "--concurrency",
    "study.nested": "--nested",
    "data.source": "--data",
    "data.target": "--target",
    "data.positive": "--positive",
    "estimator.name": "--estimator",
}
"""Keys that a flag of the command may override."""


def load_definition(
    source: Path | str | Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> AnyDefinition:
    """Read a study file, put overrides on top, and validate the whole.

    Args:
        source: A TOML file, or what one would hold, or None for the built-in definition (Iris).
        overrides: Dotted key (``"study.n_trials"``) to value; errors name the flag of each.

    Raises:
        DefinitionError: The file cannot be read, or a key or value is not allowed.
    """
    place = f"{source}"
    if isinstance(source, Path | str):
        content = _read_toml(Path(source))
    else:
        content = deepcopy(dict(source or {}))
        place = "built-in definition" if source is None else "definition"
    overrides = dict(overrides or {})
    for key, value in overrides.items():
        section, _, name = key.partition(".")
        inner = content.setdefault(section, {})
        if isinstance(inner, dict):
            inner[name] = value
    try:
        kind = _class_of(content)
        return kind.model_validate(content)
    except ValidationError as error:
        raise _explain(error, place, overrides, kind()) from None


def _class_of(content: Mapping[str, Any]) -> type[AnyDefinition]:
    """The definition of the estimators that a file names."""
    try:
        names = EstimatorSection.model_validate(content.get("estimator", {})).names
    except ValidationError:
        names = ()  # found again, with its place, in the whole
    return definition_class(candidates(names) if names else DEFAULT_RECIPE)


@cache
def definition_class(recipe: Candidates) -> type[AnyDefinition]:
    """The definition of studies of these estimators: their params are keys of the search space."""
    # The target may decide for another estimator, whose space is written as it is.
    as_it_is: Any = SerializeAsAny()  # type: ignore[type-arg] # as an annotation has it
    space: Any = (Annotated[recipe.space, as_it_is], recipe.space())
    return create_model(
        "StudyDefinition",
        __base__=AnyDefinition,
        __doc__=AnyDefinition.__doc__,
        search_space=space,
    )


StudyDefinition = definition_class(DEFAULT_RECIPE)
"""The definition of studies whose file names no estimator; ``hpo.StudyDefinition``."""


def _read_toml(path: Path) -> dict[str, Any]:
    """Read a study file; a data file that it names is found relative to it."""
    hint = "give a study file with --study FILE, or leave it out for the built-in Iris study"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DefinitionError(
            f"{path}: the study file cannot be read ({error.strerror})", hint=hint
        ) from error
    except UnicodeDecodeError as error:
        raise DefinitionError(
            f"{path}: a study file should be UTF-8 text, but got other bytes at {error.start}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DefinitionError(f"{path}: this is not TOML: {error}") from error
    data = content.get("data")
    if (
        isinstance(data, dict)
        and isinstance(data.get("source"), str)
        and Path(data["source"]).suffix
        and "://" not in data["source"]
    ):
        data["source"] = str(path.parent / data["source"])
    return content


def _explain(
    error: ValidationError,
    source: str,
    overrides: Mapping[str, Any],
    built_in: AnyDefinition,
) -> DefinitionError:
    """Turn the first of Pydantic's findings into one line: place, key, rule, given value."""
    first = min(
        error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden"
    )
    location = _without_kinds([str(part) for part in first["loc"]], built_in)
    key = ".".join(location)
    place = f"flag {FLAGS.get(key, key)}" if key in overrides else f"{source}: {key}".rstrip(": ")
    if first["type"] == "extra_forbidden":
        allowed = _keys_at(built_in, location[:-1])
        hint = did_you_mean(location[-1], allowed)
        return DefinitionError(
            f"{place}: unknown key; allowed here: {', '.join(allowed)}", hint=hint
        )
    if first["type"] == "value_error":
        return DefinitionError(f"{place}: {first['ctx']['error']}")
    if first["type"] == "missing":
        return DefinitionError(
            f"{place}: this key is required, but got only {', '.join(first['input']) or 'nothing'}"
        )
    allowed_text = _OUR_WORDS.get(first["type"], first["msg"].removeprefix("Input "))
    given = list(first["input"]) if isinstance(first["input"], tuple) else first["input"]
    return DefinitionError(f"{place}: {allowed_text}, but got {reprlib.repr(given)}")


_OUR_WORDS = {
    "model_type": "should be a table",
    "tuple_type": "should be a list",
    "too_short": "should have at least one entry",
    **dict.fromkeys(("byte_size", "byte_size_unit"), 'should be bytes or a text such as "2 GB"'),
}
"""Pydantic's error types, in our words."""


def _without_kinds(location: list[str], built_in: AnyDefinition) -> list[str]:
    """Leave out the kind that an entry or a condition was taken for: no key of the file."""
    if len(location) < 2 or location[0] != "search_space":
        return location
    is_table = isinstance(dict(built_in.search_space).get(location[1]), SearchSpace)
    kept = location.copy()
    del kept[2 + is_table : 3 + is_table]
    if kept[2 + is_table : 3 + is_table] == ["when"]:
        del kept[4 + is_table : 5 + is_table]
    return kept


def _keys_at(built_in: AnyDefinition, location: list[str]) -> list[str]:
    """List the keys of the whole, of a section or a table within it, of a range or a condition."""
    if "when" in location:
        return list(Bounds.model_fields)
    place: Any = built_in
    for name in location:
        place = dict(place).get(name) if isinstance(place, Section) else None
    return list(type(place).model_fields if isinstance(place, Section) else Range.model_fields)


def make_schema() -> dict[str, Any]:
    """Make the JSON schema of study files, for editors.

    What a schema cannot say, :func:`load_definition` does.
    """
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **StudyDefinition.model_json_schema(),
    }
    space = schema["properties"].pop("search_space")
    names_another = {
        "required": ["estimator"],
        "properties": {
            "estimator": {
                "required": ["name"],
                "properties": {"name": {"not": {"const": DEFAULT_RECIPE.name}}},
            }
        },
    }
    # The arguments of another estimator are checked against its class, which this does not know.
    schema["if"] = names_another
    schema["then"] = {"properties": {"search_space": {"type": "object"}}}
    schema["else"] = {"properties": {"search_space": space}}
    schema["properties"]["search_space"] = {}
    text: dict[str, Any] = json.loads(json.dumps(schema).replace("``", "`"))
    return text | {
        "title": "hpo study file",
        "description": "What is searched and judged; every key has a default.",
    }
