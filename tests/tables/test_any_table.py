"""Any table at all either gives folds that can be scored or is refused in one line: never another
exception, never a warning.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from hpo.definition import StudyDefinition
from hpo.errors import DataError, DefinitionError
from hpo.search.plan import Plan, make_plan
from hpo.study_file import load_definition

N_EXAMPLES = 80
PATIENT = settings(
    deadline=None,
    max_examples=N_EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

characters = st.characters(exclude_categories=["Cs"])  # a file has no lone surrogates
odd_names = st.sampled_from(
    [
        "a",
        "B",
        "",
        " ",
        "a b",
        "x,y",
        "x;y",
        'say "hi"',
        "two\nlines",
        "Unnamed: 0",
        "0",
        "nan",
        "é",
        "日本",
        "=cmd()",
        "__x__",
        "index",
        "\ufeffx",
    ]
)
names = odd_names | st.text(characters, max_size=8)
words = st.text(characters, max_size=6) | st.sampled_from(
    ["NA", "None", "null", "true", "FALSE", "1", "1.5", "1,5", "1,234", "2020-01-31", "inf", "-"]
)
dates = st.datetimes(pd.Timestamp(1678, 1, 1), pd.Timestamp(2261, 1, 1))
values: dict[str, st.SearchStrategy[Any]] = {
    "floats": st.floats(-1e6, 1e6),
    "any floats": st.floats(),
    "integers": st.integers(-100, 100),
    "any integers": st.integers(-(2**63), 2**63 - 1),
    "huge integers": st.integers(-(10**30), 10**30),
    "booleans": st.booleans(),
    "words": words,
    "numbers as text": st.integers(0, 10**7).map(lambda number: f"{number:,}")
    | st.floats(-9, 9).map(lambda x: f"{x:.2f}".replace(".", ",")),
    "dates": st.dates(dt.date(1700, 1, 1), dt.date(2200, 1, 1)),
    "old dates": st.dates(),
    "times": dates,
    "times in a zone": st.datetimes(
        pd.Timestamp(1700, 1, 1), pd.Timestamp(2200, 1, 1), timezones=st.just(dt.UTC)
    ),
    "times of day": st.times(),
    "durations": st.timedeltas(dt.timedelta(-1000), dt.timedelta(1000)),
    "decimals": st.decimals(-1000, 1000, places=2),
    "bytes": st.binary(max_size=4),
    "lists": st.lists(st.integers(0, 3), max_size=3),
    "missing": st.none(),
    "mixed": st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | words | dates,
}
labels: dict[str, st.SearchStrategy[Any]] = {
    "words": words,
    "integers": st.integers(-3, 3),
    "booleans": st.booleans(),
    "floats": st.sampled_from([0.0, 1.0, 2.0, 0.5]),
    "dates": st.dates(dt.date(2020, 1, 1), dt.date(2020, 1, 5)),
    "mixed": st.sampled_from([1, "1", 2.0, "b", True]),
}


@dataclass(frozen=True)
class Table:
    """A table, as a file of which kind, and what a definition says of it."""

    frame: pd.DataFrame
    kind: str
    overrides: dict[str, Any]

    def write(self, directory: Path) -> StudyDefinition:
        """Write it; a table that Parquet cannot hold (mixed types in a column) becomes CSV."""
        path = directory / f"t.{self.kind}"
        try:
            if self.kind == "csv":
                self.frame.to_csv(path, index=False)
            else:
                self.frame.to_parquet(path, index=False)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            path = directory / "t.csv"
            self.frame.to_csv(path, index=False)
        return load_definition(overrides={"data.source": str(path), **self.overrides})


def column_of(
    pool: list[Any], n_rows: int, gaps: float, generator: np.random.Generator
) -> pd.Series:
    """Values of a pool in any order, with gaps; as the dtype that pandas finds for them."""
    chosen = generator.integers(0, len(pool), n_rows)
    is_gap = generator.random(n_rows) < gaps
    return pd.Series(
        [None if gap else pool[place] for place, gap in zip(chosen, is_gap, strict=True)]
    )


@st.composite
def tables(draw: st.DrawFn, kinds: Sequence[str] = tuple(sorted(values))) -> Table:
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_rows = draw(st.integers(30, 200))
    target, *features = draw(st.lists(names, min_size=2, max_size=6, unique=True))
    columns: dict[str, pd.Series] = {}
    for name in features:
        pool = draw(st.lists(values[draw(st.sampled_from(kinds))], min_size=1, max_size=8))
        columns[name] = column_of(
            pool, n_rows, draw(st.sampled_from([0.0, 0.0, 0.1, 0.9])), generator
        )
    if draw(st.booleans()):
        columns[f"{target}-normal"] = pd.Series(generator.normal(size=n_rows))
    if draw(st.booleans()):
        columns[f"{target}-key"] = pd.Series(generator.permutation(n_rows)).map(
            draw(st.sampled_from([int, str, "key {}".format]))
        )
    sound = [st.just(["cat", "dog", "emu"]), st.just([0, 1]), st.just([True, False])]
    unsound = [
        st.lists(strategy, min_size=1, max_size=4, unique_by=repr) for strategy in labels.values()
    ]
    pool = draw(draw(st.sampled_from([*sound, *unsound])))
    columns[target] = column_of(
        pool, n_rows, draw(st.sampled_from([0.0, 0.0, 0.0, 0.2])), generator
    )
    some = st.lists(st.sampled_from(sorted(columns)), max_size=1)
    overrides: dict[str, Any] = {
        "data.target": target,
        "cv.n_splits": draw(st.integers(2, 4)),
        "preprocessing.min_frequency": 2,
    }
    for key in draw(st.sampled_from([(), (), ("drop",), ("numeric",), ("categorical",)])):
        overrides[f"data.{key}"] = draw(some)
    if draw(st.sampled_from([False, False, False, True])):
        overrides["data.group"] = draw(st.sampled_from(sorted(columns)))
    return Table(pd.DataFrame(columns), draw(st.sampled_from(["csv", "parquet"])), overrides)


@pytest.fixture(scope="module", autouse=True)
def _directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hypothesis runs many examples in one test: each gets its own directory in here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("tables")))
        yield


def prepare(table: Table) -> Plan | DataError | DefinitionError:
    with tempfile.TemporaryDirectory() as directory:
        definition = table.write(Path(directory))
        try:
            return make_plan(definition)
        except (DataError, DefinitionError) as refusal:
            return refusal


def score(plan: Plan) -> list[Any]:
    params = plan.space.default_params()
    return [plan.objective.evaluate(params, step) for step in range(plan.objective.n_steps)]


def is_searched_with(kind: str) -> Any:
    def condition(table: Table) -> bool:
        plan = prepare(table)
        return isinstance(plan, Plan) and kind in plan.dataset.columns.kinds()

    return condition


@PATIENT
@given(table=tables())
def test_any_table_is_scored_or_refused_in_one_line(table: Table) -> None:
    plan = prepare(table)
    if not isinstance(plan, Plan):
        message = f"{plan} {plan.hint or ''}"
        assert str(plan)
        assert message.isprintable(), ascii(message)
        return
    for fold in plan.objective.folds:
        for rows in (fold.X_train, fold.X_test):
            assert np.isfinite(getattr(rows, "data", rows)).all()
    for result in score(plan):
        if result.failure is not None:
            assert result.failure.isprintable()
        else:
            assert result.scores.keys() == set(plan.objective.metrics)
            assert np.isfinite(list(result.scores.values())).all()


@pytest.mark.parametrize(
    ("kind", "values_of"),
    [
        ("numeric", "floats"),
        ("boolean", "booleans"),
        ("categorical", "words"),
        ("datetime", "times"),
    ],
)
def test_some_generated_tables_are_searched(kind: str, values_of: str) -> None:
    table = find(
        tables([values_of]),
        is_searched_with(kind),
        settings=settings(PATIENT, phases=[Phase.generate], database=None),
    )
    assert all(result.failure is None for result in score(prepare(table)))


def test_some_generated_tables_are_refused() -> None:
    table = find(
        tables(),
        lambda table: isinstance(prepare(table), DataError),
        settings=settings(PATIENT, phases=[Phase.generate], database=None),
    )
    assert str(prepare(table)).startswith("data")


N = 60
SOUND = {"x": np.linspace(-1, 1, N), "y": ["cat", "dog"] * (N // 2)}
FOUND: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a group is missing": (
        {"g": [None, *(f"g{number % 20}" for number in range(1, N))]},
        {"data.group": "g"},
    ),
    "a cell is blank": ({"z": [" ", "red", "blue"] * (N // 3)}, {}),
    "all cells are blank": ({"z": [" ", "  "] * (N // 2)}, {}),
    "numbers with a blank, forced": (
        {"z": [" ", "1,234", "5"] * (N // 3)},
        {"data.numeric": ["z"]},
    ),
    "a date": ({"z": pd.date_range("2020-01-01", periods=N)}, {}),
    "numbers whose square is infinite": ({"z": [1e200, -1e200, 1.0] * (N // 3)}, {}),
    "large numbers as categories": (
        {"z": [1e155, None, 1.0] * (N // 3)},
        {"data.categorical": ["z"]},
    ),
    "a category that a fold has not": (
        {"z": [*["red"] * 2, *[None] * (N - 2)]},
        {"preprocessing.min_frequency": 1},
    ),
    "a carriage return in a name": ({"a\rb": np.arange(N) / 7}, {}),
    "bytes that are no text": ({"z": [b"\xea", b"a", b"b"] * (N // 3)}, {}),
    "bytes that are no text, forced": (
        {"z": [b"\xdc", b"1", b"2"] * (N // 3)},
        {"data.numeric": ["z"]},
    ),
    "numbers that no tree takes": ({"z": [-2.4e124, 3.9e16, 1.0] * (N // 3)}, {}),
    "lists": ({"z": [[1], [1, 2], []] * (N // 3)}, {}),
}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("name", FOUND)
def test_tables_that_once_ended_in_a_traceback_or_a_warning(name: str, kind: str) -> None:
    columns, overrides = FOUND[name]
    plan = prepare(
        Table(pd.DataFrame({**SOUND, **columns}), kind, {"data.target": "y", **overrides})
    )
    assert not isinstance(plan, Plan) or all(result.failure is None for result in score(plan))
