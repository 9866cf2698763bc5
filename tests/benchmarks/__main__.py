"""Time ``hpo`` against the usual script: ``python -m tests.benchmarks --rounds 5``.

Both do the whole job as a person starts it, from the shell to exit, in a fresh directory: imports,
both schemas, the search,
every trial in MLflow, refit, logged model. They take turns, and who begins alternates, so that a
busy machine or a warming disk
hits both. One unmeasured round comes first: both then find compiled bytecode and a warm page cache,
as on a user's second day.

Two numbers come out of two lengths, 50 and 250 trials: the whole process at 50, which is what a
person waits for, and the cost of
one more trial, (T250 - T50) / 200, in which start-up and the final model cancel. A run that ends
well but did not do the work
(so many trials COMPLETE, so many runs FINISHED, one model READY) counts as failed: what is fast by
leaving out work shows nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

FEW, MANY = 50, 250

UNSTEADY = 1.3
"""Runs of one kind that differ by more than this factor: something else was using the machine."""

MODEL_READY = 2
"""``LoggedModelStatus.READY`` as MLflow's table keeps it (``LoggedModelStatus.to_int``)."""

COMMANDS: dict[str, tuple[str, ...]] = {
    "usual": (sys.executable, str(Path(__file__).resolve().with_name("usual_script.py"))),
    # The usual script draws nothing; --figures lets hpo do so.
    "hpo": (sys.executable, "-m", "hpo.run", "--no-plots"),
}

Times = dict[str, dict[int, list[float]]]


class RunFailedError(Exception):
    """A side failed, or did not do the work; the message ends with its standard error."""


@dataclass(frozen=True)
class Summary:
    """What one side took, medians.

    Attributes:
        few_seconds: The whole process with few trials.
        many_seconds: The whole process with many.
    """

    few_seconds: float
    many_seconds: float

    @property
    def trial_seconds(self) -> float:
        """What one more trial costs."""
        return (self.many_seconds - self.few_seconds) / (MANY - FEW)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where a side fails."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default: 5)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--figures", action="store_true", help="let hpo draw its figures")
    options = parser.parse_args(argv)
    if options.rounds < 1:
        parser.error(f"--rounds should be 1 or more, but got {options.rounds}")
    if options.figures:
        COMMANDS["hpo"] = tuple(part for part in COMMANDS["hpo"] if part != "--no-plots")
    try:
        times = measure(options.rounds)
    except RunFailedError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    summaries = {
        side: Summary(median(of_side[FEW]), median(of_side[MANY]))
        for side, of_side in times.items()
    }
    print(json.dumps(to_json(times, summaries)) if options.json else to_text(times, summaries))
    return 0


def measure(n_rounds: int) -> Times:
    """Seconds of every measured run, by side and number of trials.

    Raises:
        RunFailedError: A side failed.
    """
    times: Times = {side: {FEW: [], MANY: []} for side in COMMANDS}
    for side in COMMANDS:
        note(f"warm-up {side}: {run_once(side, FEW):.2f} s")
    for index in range(n_rounds):
        order = list(COMMANDS) if index % 2 == 0 else list(reversed(COMMANDS))
        for n_trials in (FEW, MANY):
            for side in order:
                seconds = run_once(side, n_trials)
                times[side][n_trials].append(seconds)
                note(
                    f"round {index + 1}/{n_rounds} {side} {n_trials} trials: {seconds:.2f} s, load {os.getloadavg()[0]:.1f}"
                )
    if any(
        max(runs) > UNSTEADY * min(runs) for of_side in times.values() for runs in of_side.values()
    ):
        note(
            "the same run took very different times: the machine was busy with something else, measure again when it is not"
        )
    return times


def run_once(side: str, n_trials: int) -> float:
    """Wall seconds of one whole process in a fresh directory.

    Raises:
        RunFailedError: It ended with another exit code than 0, or left less than the whole work.
    """
    with tempfile.TemporaryDirectory(prefix="hpo-benchmark-") as directory:
        started = time.perf_counter()
        process = subprocess.run(
            [*COMMANDS[side], "--trials", str(n_trials)],
            cwd=directory,
            env=make_environment(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - started
        if process.returncode != 0:
            raise RunFailedError(
                f"{side} ended with exit code {process.returncode}\n{process.stderr}"
            )
        check_work(side, Path(directory), n_trials, process.stderr)
    return seconds


def make_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """The environment of both sides: this one, less what would change where or how one of them
    works.

    Telemetry is off for both: it would make the usual script's time depend on the network.
    """
    dropped = ("PYTHONDONTWRITEBYTECODE", "MLFLOW_", "OPTUNA_", "HPO_")
    environment = {name: value for name, value in ours.items() if not name.startswith(dropped)}
    return {**environment, "MLFLOW_DISABLE_TELEMETRY": "true"}


def check_work(side: str, directory: Path, n_trials: int, stderr: str) -> None:
    """See that what was asked for is in both databases.

    Raises:
        RunFailedError: Something is missing, or too much.
    """
    expected = {"trials": n_trials, "runs": n_trials + 1, "models": 1}
    try:
        found = {
            "trials": count(
                directory / "optuna.db", "SELECT count(*) FROM trials WHERE state = 'COMPLETE'"
            ),
            "runs": count(
                directory / "mlflow.db", "SELECT count(*) FROM runs WHERE status = 'FINISHED'"
            ),
            "models": count(
                directory / "mlflow.db",
                f"SELECT count(*) FROM logged_models WHERE status = {MODEL_READY}",
            ),
        }
    except sqlite3.Error as error:
        raise RunFailedError(
            f"{side} left a database that cannot be read: {error}\n{stderr}"
        ) from error
    if found != expected:
        raise RunFailedError(f"{side} should leave {expected}, but got {found}\n{stderr}")


def count(database: Path, query: str) -> int:
    """The one number that a query gives."""
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute(query).fetchone()[0])


def to_text(times: Times, summaries: Mapping[str, Summary]) -> str:
    """The table: medians, with the fastest and the slowest run behind them."""
    lines = [f"{'':8}{f'{FEW} trials, s':>26}{f'{MANY} trials, s':>26}{'one more trial, ms':>22}"]
    for side, summary in summaries.items():
        few, many = spread(times[side][FEW]), spread(times[side][MANY])
        lines.append(f"{side:8}{few:>26}{many:>26}{1000 * summary.trial_seconds:>22.1f}")
    whole, a_trial = ratios(summaries)
    lines.append(f"{'ratio':8}{f'{whole:.2f}':>26}{'':26}{f'{a_trial:.2f}':>22}")
    n_rounds = len(times["hpo"][FEW])
    lines.append(
        f"medians of {n_rounds} rounds (fastest - slowest), {os.cpu_count()} processors; ratio is usual / hpo"
    )
    return "\n".join(lines)


def spread(seconds: Sequence[float]) -> str:
    """Median, fastest and slowest."""
    return f"{median(seconds):.2f} ({min(seconds):.2f} - {max(seconds):.2f})"


def ratios(summaries: Mapping[str, Summary]) -> tuple[float, float]:
    """Usual over hpo: of the whole process with few trials, and of one more trial."""
    usual, ours = summaries["usual"], summaries["hpo"]
    return usual.few_seconds / ours.few_seconds, usual.trial_seconds / ours.trial_seconds


def to_json(times: Times, summaries: Mapping[str, Summary]) -> dict[str, object]:
    """The same values, and every single run."""
    whole, a_trial = ratios(summaries)
    return {
        "seconds": times,
        "medians": {
            side: {**asdict(summary), "trial_seconds": summary.trial_seconds}
            for side, summary in summaries.items()
        },
        "ratio_whole": whole,
        "ratio_trial": a_trial,
        "n_cpus": os.cpu_count(),
    }


def note(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
