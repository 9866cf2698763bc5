"""Any study file either loads or is refused in one line; every valid one can be written and read
again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import DefinitionError
from hpo.identity import digest_of
from hpo.study_file import StudyDefinition, load_definition
from tests.property.strategies import junk, known_keys, scalars, sections, to_toml, without_absent


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory, "study.toml")


def load(
    path: Path, content: dict[str, Any], overrides: dict[str, Any] | None = None
) -> StudyDefinition:
    path.write_bytes(to_toml(content).encode())
    return load_definition(path, overrides)


def refusal(
    path: Path, content: dict[str, Any] | bytes, overrides: dict[str, Any] | None = None
) -> str | None:
    """The line that refuses a file, or None where it loads; any other end is an error of the test."""
    path.write_bytes(content if isinstance(content, bytes) else to_toml(content).encode())
    try:
        load_definition(path, overrides)
    except DefinitionError as error:
        return str(error)
    return None


def is_fine(line: str | None, path: Path) -> bool:
    """Whether a refusal is one line that begins with its place and has nothing of Pydantic's or
    Python's own.
    """
    if line is None:
        return True
    return (
        len(line.splitlines()) == 1
        and line.startswith((f"{path}: ", "flag "))
        and "pydantic" not in line
    )


@given(junk)
def test_junk_loads_or_is_refused_in_one_line(path, content):
    assert is_fine(refusal(path, content), path)


@given(sections, st.lists(st.tuples(known_keys, known_keys, scalars), min_size=1, max_size=3))
def test_one_wrong_key_among_good_ones_loads_or_is_refused_in_one_line(path, content, mutations):
    for section, key, value in mutations:
        content.setdefault(section, {})[key] = value
    assert is_fine(refusal(path, content), path)


@given(
    junk,
    st.dictionaries(
        st.sampled_from(["study.n_trials", "study.name", "data.source", "study.seed"]), scalars
    ),
)
def test_junk_with_flags_loads_or_is_refused_in_one_line(path, content, overrides):
    assert is_fine(refusal(path, content, overrides), path)


@given(st.binary(max_size=60))
def test_any_bytes_load_or_are_refused_in_one_line(path, content):
    assert is_fine(refusal(path, content), path)


@given(sections)
def test_valid_definition_is_never_refused(path, content):
    assert refusal(path, content) is None


@given(sections)
def test_valid_definition_round_trips_through_a_file(path, content):
    definition = load(path, content)
    again = load(path, without_absent(definition))
    assert again == definition
    assert digest_of(again.identity()) == digest_of(definition.identity())


@given(sections)
def test_valid_definition_round_trips_through_json(content):
    definition = StudyDefinition.model_validate(content)
    assert StudyDefinition.model_validate_json(definition.model_dump_json()) == definition
    assert StudyDefinition.model_validate(definition.model_dump(mode="json")) == definition


@given(sections, sections)
def test_digest_is_equal_only_for_equal_identities(one, two):
    first, second = (
        StudyDefinition.model_validate(one).identity(),
        StudyDefinition.model_validate(two).identity(),
    )
    assert (digest_of(first) == digest_of(second)) == (first == second)
