"""Time ``hpo`` against the usual script on shared servers: ``python -m tests.benchmarks.servers
--rounds 3``.

A private PostgreSQL and an ``mlflow server`` on it, both on this machine; whole processes in turn
on Iris, each with a study,
an experiment and a database of its own. The usual script has ``n_jobs=2`` for its folds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from mlflow import MlflowClient

from tests.benchmarks.__main__ import COMMANDS, RunFailedError, note
from tests.support.commands import environment
from tests.support.postgres import Cluster, running_cluster
from tests.support.servers import free_port, serving

N_TRIALS = 50


def run_once(side: str, index: int, cluster: Cluster, server: str, directory: Path) -> float:
    """Wall seconds of a whole process; MLflow must have all its runs."""
    name = f"{side}-{index}"
    flags = [
        "--name",
        name,
        "--trials",
        str(N_TRIALS),
        "--storage",
        cluster.make_database(name),
        "--tracking-uri",
        server,
    ]
    jobs = ["--jobs", "2"] if side == "usual" else []
    started = time.perf_counter()
    process = subprocess.run(
        [*COMMANDS[side], *flags, *jobs],
        cwd=directory,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name(name)
    n_runs = (
        len(client.search_runs([experiment.experiment_id], "attributes.status = 'FINISHED'"))
        if experiment
        else 0
    )
    if process.returncode != 0 or n_runs != N_TRIALS + 1:
        raise RunFailedError(
            f"{side} ended with exit code {process.returncode} and {n_runs} runs\n{process.stderr}"
        )
    return seconds


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.servers", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds (default: 3)")
    options = parser.parse_args(argv)
    seconds: dict[str, list[float]] = {side: [] for side in COMMANDS}
    with tempfile.TemporaryDirectory(prefix="hpo-servers-") as home, running_cluster() as cluster:
        directory, store = Path(home), cluster.make_database("mlflow")
        arguments = (
            "--backend-store-uri",
            store,
            "--artifacts-destination",
            f"{home}/artifacts",
            "--workers",
            "1",
        )
        with serving(directory, free_port(), "server", *arguments) as server:
            for index in range(options.rounds + 1):
                for side in COMMANDS if index % 2 == 0 else reversed(COMMANDS):
                    taken = run_once(side, index, cluster, server, directory)
                    note(
                        f"round {index}/{options.rounds} {side}: {taken:.2f} s{'' if index else ' (warm-up)'}"
                    )
                    if index:
                        seconds[side].append(taken)
    usual, ours = (median(seconds[side]) for side in ("usual", "hpo"))
    print(
        f"PostgreSQL and mlflow server, Iris, {N_TRIALS} trials: usual {usual:.2f} s, hpo {ours:.2f} s, ratio {usual / ours:.2f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
