"""Time ``hpo`` on tables with gaps: ``python -m tests.benchmarks.tables --rounds 3``.

Whole processes take turns with the usual script's, as in ``python -m tests.benchmarks``, with L2
only on both sides, 20 trials each: 300,000 rows of 3 numbers and 4 categories, 327,346 of 4 and 3
judged by the area under the curve, where most categories are rare, and 2,000 rows of 24 numbers and
6 categories; and with histogram gradient boosting on 50,000 rows. Two more numbers: by how much the
scores of the default params differ between the two sides (trial 0 of both), and how much of
``hpo``'s time is the bare cost of its fits: the processor time of fitting and scoring all its trials
on prepared folds, over the processors used.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from tests.benchmarks.__main__ import RunFailedError, make_environment, note

N_TRIALS = 20
SHAPES = {
    "large": (300_000, 3, (5, 12, 30, 55)),
    "ranked": (327_346, 4, (18, 50, 51)),
    "small": (2_000, 24, (3, 4, 5, 8, 12, 20)),
    "boosting": (50_000, 4, (5, 12, 30, 55)),
}

STUDY = """
[study]
name = "table"
n_trials = {n_trials}
metric = "{metric}"
[data]
source = "table.csv"
target = "target"
"""
METRICS = {"ranked": "roc_auc"}
"""Accuracy of the others."""

SPACE = """
[search_space]
penalty = "l2"
"""

BOOSTING = """
[estimator]
name = "HistGradientBoostingClassifier"
[search_space]
learning_rate = { low = 0.01, high = 0.5, log = true }
max_leaf_nodes = { low = 4, high = 64, log = true }
min_samples_leaf = { low = 2, high = 100, log = true }
l2_regularization = false
max_features = false
max_iter = false
"""


def make_table(
    n_rows: int, n_numbers: int, category_counts: Sequence[int], *, has_tail: bool = False
) -> pd.DataFrame:
    """A table whose target depends on numbers and categories; 2 to 3 % of two columns are missing.

    Args:
        n_rows: Rows.
        n_numbers: Columns of numbers.
        category_counts: Categories of each other column.
        has_tail: Whether most categories are rare, as airports are: the k-th has a share of 1 / k.
    """
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        rng.normal(size=(n_rows, n_numbers)), columns=[f"number_{i}" for i in range(n_numbers)]
    )
    signal = table["number_0"] - 0.5 * table["number_1"]
    for i, count in enumerate(category_counts):
        codes = rng.integers(0, count, size=n_rows)
        if has_tail:
            shares = 1 / np.arange(1, count + 1)
            codes = rng.choice(count, size=n_rows, p=shares / shares.sum())
        table[f"category_{i}"] = np.array([f"value {code}" for code in range(count)])[codes]
        signal = signal + rng.normal(scale=0.5, size=count)[codes]
    table["target"] = np.where(rng.random(n_rows) < 1 / (1 + np.exp(-signal)), "yes", "no")
    table.loc[rng.random(n_rows) < 0.02, "number_0"] = np.nan
    table.loc[rng.random(n_rows) < 0.03, "category_1"] = None
    return table


def run_once(side: str, shape: str, directory: Path, table: Path) -> tuple[float, float]:
    """Wall seconds of a whole process, and the mean score of the default params that it found."""
    Path(directory, "table.csv").symlink_to(table)
    kind = "boosting" if shape == "boosting" else "linear"
    metric = METRICS.get(shape, "accuracy")
    study = STUDY.format(n_trials=N_TRIALS, metric=metric) + (
        BOOSTING if kind == "boosting" else SPACE
    )
    Path(directory, "study.toml").write_text(study, encoding="utf-8")
    script = str(Path(__file__).resolve().with_name("usual_table_script.py"))
    commands = {
        "usual": [
            *(sys.executable, script, "--data", "table.csv"),
            *("--trials", str(N_TRIALS), "--kind", kind, "--metric", metric),
        ],
        "hpo": [sys.executable, "-m", "hpo.run", "--no-plots", "--study", "study.toml"],
    }
    started = time.perf_counter()
    process = subprocess.run(
        commands[side],
        cwd=directory,
        env=make_environment(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if process.returncode != 0:
        raise RunFailedError(f"{side} ended with exit code {process.returncode}\n{process.stderr}")
    query = "SELECT value FROM trial_values JOIN trials USING (trial_id) WHERE state = 'COMPLETE' ORDER BY number"
    with closing(sqlite3.connect(directory / "optuna.db")) as connection:
        values = [row[0] for row in connection.execute(query)]
    if len(values) != N_TRIALS:
        raise RunFailedError(f"{side} should complete {N_TRIALS} trials, but got {len(values)}")
    return seconds, values[0]


def bare_seconds(directory: Path) -> float:
    """Processor time of fitting and scoring every trial of ``hpo``'s study on prepared folds, over
    the processors.
    """
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    from optuna import load_study

    from hpo.search.plan import make_plan
    from hpo.study_file import load_definition

    plan = make_plan(load_definition(directory / "study.toml"))
    trials = load_study(study_name="table", storage=f"sqlite:///{directory}/optuna.db").trials
    started = time.process_time()
    for trial in trials:
        params = plan.space.replay(trial.params)
        for step in range(plan.objective.n_steps):
            plan.objective.evaluate(params, step)
    return (time.process_time() - started) / (os.cpu_count() or 1)


def measure(shape: str, n_rounds: int) -> str:
    """One line of the table."""
    seconds: dict[str, list[float]] = {"usual": [], "hpo": []}
    values = {}
    with tempfile.TemporaryDirectory(prefix="hpo-table-") as home:
        table = Path(home, "table.csv")
        make_table(*SHAPES[shape], has_tail=shape == "ranked").to_csv(table, index=False)
        for index in range(n_rounds):
            for side in ("usual", "hpo") if index % 2 == 0 else ("hpo", "usual"):
                directory = Path(home, f"{side}-{index}")
                directory.mkdir()
                taken, values[side] = run_once(side, shape, directory, table)
                seconds[side].append(taken)
                note(
                    f"{shape} round {index + 1}/{n_rounds} {side}: {taken:.2f} s, load {os.getloadavg()[0]:.1f}"
                )
        bare = bare_seconds(Path(home, "hpo-0"))
    usual, ours = median(seconds["usual"]), median(seconds["hpo"])
    difference = abs(values["usual"] - values["hpo"])
    return f"{shape:10}{usual:10.2f}{ours:10.2f}{usual / ours:8.2f}{bare:12.2f}{bare / ours:12.2f}{difference:14.1e}"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where a side fails."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.tables", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds (default: 3)")
    parser.add_argument("--only", choices=list(SHAPES), help="one of the tables")
    options = parser.parse_args(argv)
    print(
        f"{'table':10}{'usual, s':>10}{'hpo, s':>10}{'ratio':>8}{'fits, s':>12}{'fits/hpo':>12}{'score diff':>14}"
    )
    try:
        for shape in [options.only] if options.only else SHAPES:
            print(measure(shape, options.rounds), flush=True)
    except RunFailedError as error:
        note(f"benchmark: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
