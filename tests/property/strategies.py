"""What the property tests draw from: TOML values, definitions, and the text of a study file."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

from hypothesis import strategies as st

from hpo.definition import StudyDefinition
from hpo.estimators.logistic_regression import SOLVERS_FOR

# A file has no lone surrogates.
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = (
    st.none().map(lambda _: "")
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | text
    | st.dates()
    | st.datetimes()
    | st.sampled_from(["iris", "l2", "elasticnet", "balanced", "saga", "tpe", 0, 1, 0.5, 1e-4])
)
known_keys = st.sampled_from(
    [
        *(
            "study",
            "data",
            "cv",
            "search_space",
            "sampler",
            "name",
            "metric",
            "metrics",
            "n_trials",
            "timeout_seconds",
            "patience",
        ),
        *(
            "seed",
            "concurrency",
            "max_failed",
            "source",
            "target",
            "test_size",
            "drop",
            "n_splits",
            "n_repeats",
            "C",
            "penalty",
        ),
        *(
            "range",
            "choices",
            "fixed",
            "preprocessing",
            "pruner",
            "numeric",
            "categorical",
            "group",
            "max_features",
        ),
        *("l1_ratio", "class_weight", "solver", "max_iter", "tol", "low", "high", "log", "kind"),
    ]
)
keys = known_keys | text
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)
junk = st.dictionaries(keys, values, max_size=4) | st.dictionaries(
    st.sampled_from(["study", "data", "preprocessing", "cv", "search_space", "sampler", "pruner"]),
    st.dictionaries(keys, values, max_size=4),
    max_size=5,
)


def to_toml(content: dict[str, Any]) -> str:
    """A TOML file with this content: one inline value a top-level key."""
    return "".join(f"{_text(key)} = {_value(value)}\n" for key, value in content.items())


def _text(value: str) -> str:
    # JSON and TOML quote alike, but for DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{_text(key)} = {_value(inner)}" for key, inner in value.items()) + "}"
        )
    return "[" + ", ".join(map(_value, value)) + "]"


def ranges(smallest: float, largest: float) -> st.SearchStrategy[dict[str, Any]]:
    """A table with ``low`` below ``high``, perhaps logarithmic."""
    ends = st.lists(st.floats(smallest, largest), min_size=2, max_size=2, unique=True).map(sorted)
    return st.builds(
        lambda ends, log: {"low": ends[0], "high": ends[1], "log": log}, ends, st.booleans()
    )


def whole_ranges(smallest: int, largest: int) -> st.SearchStrategy[dict[str, Any]]:
    ends = st.lists(st.integers(smallest, largest), min_size=2, max_size=2, unique=True).map(sorted)
    return st.builds(
        lambda ends, log: {"low": ends[0], "high": ends[1], "log": log}, ends, st.booleans()
    )


def choices(single: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One value, or a list of distinct ones."""
    return single | st.lists(single, min_size=1, max_size=4, unique=True)


@st.composite
def search_spaces(draw: st.DrawFn) -> dict[str, Any]:
    """The content of a valid ``[search_space]``; any of its keys may be absent."""
    penalty = draw(choices(st.sampled_from(sorted(SOLVERS_FOR))))
    able = frozenset.intersection(
        *(SOLVERS_FOR[name] for name in ([penalty] if isinstance(penalty, str) else penalty))
    )
    entries = {
        "C": ranges(1e-10, 2.0**31 - 1) | choices(st.floats(1e-10, 2.0**31 - 1)),
        "l1_ratio": ranges(0.001, 0.999) | choices(st.floats(0.001, 0.999)),
        "class_weight": choices(st.sampled_from(["none", "balanced"])),
        "max_iter": whole_ranges(1, 10**6) | choices(st.integers(1, 10**6)),
        "tol": ranges(1e-12, 1.0) | choices(st.floats(1e-12, 1.0)),
    }
    if able:
        entries["solver"] = choices(st.sampled_from(sorted(able)))
    space = draw(st.fixed_dictionaries({}, optional=entries))
    return {**space, "penalty": penalty}


# A file that is named relative to the study file is found from there: those are tested in
# tests/unit/test_definition.py.
sources = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True).flatmap(
    lambda name: st.sampled_from([name, f"/{name}.csv"])
)
study_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True)


def has_folds_to_race(content: dict[str, Any]) -> bool:
    """Whether a race, if it is one, has a third fold."""
    cv = content.get("cv", {})
    n_folds = cv.get("n_splits", 5) * cv.get("n_repeats", 1)
    return n_folds > 2 or content.get("pruner", {}).get("kind") != "race"


sections = st.fixed_dictionaries(
    {},
    optional={
        "study": st.fixed_dictionaries(
            {},
            optional={
                "name": study_names,
                "metric": text,
                "metrics": st.lists(text, max_size=3),
                "n_trials": st.integers(1, 10**6),
                "timeout_seconds": st.floats(1e-3, 1e9),
                "patience": st.integers(1, 1000),
                "seed": st.integers(0, 2**32 - 1),
                "concurrency": st.integers(1, 1024),
                "max_failed": st.floats(0, 1),
            },
        ),
        "data": st.fixed_dictionaries(
            {},
            optional={
                "source": sources,
                "target": text,
                "test_size": st.floats(0, 1, exclude_min=True, exclude_max=True),
                "drop": st.lists(text, max_size=3),
                "numeric": st.lists(text, max_size=3),
                "categorical": st.lists(text, max_size=3),
                "group": text,
            },
        ),
        "cv": st.fixed_dictionaries(
            {}, optional={"n_splits": st.integers(2, 100), "n_repeats": st.integers(1, 100)}
        ),
        "preprocessing": st.fixed_dictionaries(
            {},
            optional={
                "min_frequency": st.integers(1, 1000),
                "max_categories": st.integers(2, 1000),
                "max_features": st.integers(1, 10**6),
            },
        ),
        "pruner": st.fixed_dictionaries(
            {},
            optional={
                "kind": st.sampled_from(["none", "median", "race"]),
                "n_startup_trials": st.integers(0, 100),
                "n_warmup_steps": st.integers(0, 100),
            },
        ),
        "limits": st.fixed_dictionaries(
            {},
            optional={
                "fit_seconds": st.floats(1e-3, 1e9),
                "fit_memory": st.integers(1, 2**63) | st.sampled_from(["2 GB", "512MiB", "1.5 GB"]),
            },
        ),
        "search_space": search_spaces(),
        "sampler": st.fixed_dictionaries(
            {},
            optional={
                "kind": st.sampled_from(["tpe", "random"]),
                "n_startup_trials": st.integers(0, 100),
                "n_ei_candidates": st.integers(1, 100),
            },
        ),
    },
).filter(has_folds_to_race)


def without_absent(definition: StudyDefinition) -> dict[str, Any]:
    """A definition's content as a study file can say it: TOML has no null."""
    content = definition.model_dump(mode="json")
    return {
        section: {key: value for key, value in inner.items() if value is not None}
        for section, inner in content.items()
    }
