"""Every name is one that MLflow takes, and keys can be read back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name, _validate_param, _validate_tag
from sklearn.metrics import get_scorer_names

from hpo.tracking import keys
from hpo.tracking.numbers import format_numbers, parse_numbers

MLFLOW_NAME = re.compile(r"[\w\-. :/]{1,250}")
NAMES_OF_A_SCORER = [
    keys.fold_metric,
    keys.cv_mean,
    keys.cv_std,
    keys.best_so_far,
    keys.holdout_metric,
    keys.intermediate,
    keys.constant_metric,
    keys.gain_metric,
    keys.gain_over_constant_metric,
    keys.nested_metric,
    keys.nested_fold_metric,
]
CONSTANTS = {name: value for name, value in vars(keys).items() if name.isupper()}


@pytest.mark.parametrize("make", NAMES_OF_A_SCORER, ids=lambda make: make.__name__)
def test_metric_names_are_mlflows_and_distinct(make):
    made = [make(scorer) for scorer in get_scorer_names()]
    assert all(MLFLOW_NAME.fullmatch(name) for name in made)
    assert len(set(made)) == len(made)


def test_metric_names_of_one_scorer_are_distinct():
    made = [make("accuracy") for make in NAMES_OF_A_SCORER]
    assert made == [
        "fold_accuracy", "cv_accuracy_mean", "cv_accuracy_std", "best_accuracy", "test_accuracy", "accuracy_intermediate",
        "constant_accuracy", "gain_accuracy", "gain_over_constant_accuracy", "nested_accuracy", "nested_fold_accuracy",
    ]  # fmt: skip


def test_constants_are_mlflows_and_distinct():
    assert all(MLFLOW_NAME.fullmatch(value) for value in CONSTANTS.values())
    assert len(set(CONSTANTS.values())) == len(CONSTANTS)


@pytest.mark.parametrize(
    "name",
    [
        "a/b",
        "/a",
        "a/",
        "a//b",
        "a/./b",
        "a/../b",
        "..",
        ".",
        "",
        "../a",
        "a\nb",
        "ä=1",
        "x" * 999,
        "x/" * 125 + "y",
    ],
)
def test_what_mlflow_refuses_in_a_name_is_replaced(name):
    for made in (keys.allowed(name), keys.importance_metrics([name])[name]):
        _validate_metric_name(made)
        _validate_param(made, "1")
        _validate_tag(made, "1")


@pytest.mark.parametrize(
    "name", ["accuracy", "val/accuracy", "layers/0/units", "a.b", "size of house: m-2"]
)
def test_what_mlflow_takes_is_kept(name):
    assert keys.allowed(name) == name


def test_names_that_collide_get_a_number():
    assert keys.distinct(["a?", "b", "a!", "a_", "a$"]) == {
        "a?": "a__2", "b": "b", "a!": "a__3", "a_": "a_", "a$": "a__4",
    }  # fmt: skip
    assert keys.importance_metrics(["a?", "a!"]) == {
        "a?": "importance_a_",
        "a!": "importance_a__2",
    }
    assert keys.renamed({"a!": 1, "a?": 2}) == keys.renamed({"a?": 2, "a!": 1})


@given(st.lists(st.text(max_size=5) | st.text("?!$_2", max_size=4) | st.just("x" * 300 + "y")))
def test_distinct_names_are_distinct_and_mlflows(names):
    made = keys.distinct(names)
    assert made.keys() == set(names)
    assert len(set(made.values())) == len(made)
    for name, new in made.items():
        _validate_metric_name(new)
        assert len(new) <= 250
        assert new == name or keys.allowed(name) != name


def test_tags_of_ours_say_so():
    ours = (
        "KEY",
        "STUDY_UID",
        "DATA_DIGEST",
        "DEFINITION_DIGEST",
        "FAILURE",
        "CONVERGED",
        "BEST_TRIAL",
        "MODEL_URI",
        "SUPERSEDED_BY",
    )
    assert all(CONSTANTS[name].startswith("hpo.") for name in ours)
    assert keys.version_tag("scikit-learn") == "hpo.version.scikit-learn"


@pytest.mark.parametrize("number", [0, 7, 10_000])
def test_number_is_read_back_from_a_key(number):
    key = keys.trial_key("0123456789abcdef" * 2, number)
    assert keys.number_of(key) == number
    assert re.fullmatch(r"[0-9a-f]{32}/\d+", key)


def test_keys_are_distinct():
    assert len({keys.trial_key(uid, number) for uid in ("a", "b") for number in range(20)}) == 40


def test_run_names_sort_as_the_numbers():
    numbers = [0, 9, 10, 99, 100, 9999]
    assert sorted(map(keys.trial_run_name, numbers)) == [
        keys.trial_run_name(number) for number in numbers
    ]


@given(st.frozensets(st.integers(0, 3000)), st.integers(1, 8000))
def test_numbers_come_back_and_a_text_that_is_cut_names_none_that_was_not_there(numbers, length):
    text = format_numbers(numbers, length)
    assert len(text) <= length
    assert parse_numbers(text) <= numbers
    assert parse_numbers(format_numbers(numbers, 20_000)) == numbers


@pytest.mark.parametrize("text", ["x", "1-", "-3", "1,2,three", "1-2-3"])
def test_numbers_that_somebody_changed_are_none_or_whole(text):
    assert parse_numbers(text) in (frozenset(), frozenset({1}))
