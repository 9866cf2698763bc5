"""Where one driver stops scaling: ``python -m tests.benchmarks.scaling``.

A real ledger and a real Dask cluster whose fits only sleep: for fits of 0, 0.1 and 1 s on 1 to 64
threads, the trials a second of a whole search, beside what the threads could do at best. Trials
have five folds, and so many are open at once as feed the threads.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

N_FOLDS = 5


def score_asleep(params: Mapping[str, Any], index: int, seconds: float) -> Any:
    """What a fit of known length gives: scores that are a plain function of the params."""
    from hpo.estimators.objective import StepResult

    time.sleep(seconds)
    value = 1 / (1 + abs(params.get("C", 1.0) - 10)) + index / 1000
    return StepResult({"accuracy": value, "neg_log_loss": value - 1})


def measure(address: str, fit_seconds: float, n_threads: int, n_trials: int) -> float:
    """Trials a second of a whole search."""
    from hpo.ledger.ledger import open_ledger
    from hpo.search.dask_executor import DaskExecutor
    from hpo.search.driver import Driver
    from hpo.search.loop import Search
    from hpo.search.plan import make_plan
    from hpo.settings import ServiceSettings
    from hpo.study_file import load_definition

    class Asleep(DaskExecutor):
        def submit(self, params: Mapping[str, Any], index: int) -> Any:
            return self._client.submit(score_asleep, params, index, fit_seconds, pure=False)

    concurrency = max(1, -(-2 * n_threads // N_FOLDS))
    plan = make_plan(
        load_definition(overrides={"study.n_trials": n_trials, "study.concurrency": concurrency})
    )
    with (
        tempfile.TemporaryDirectory() as directory,
        open_ledger(f"sqlite:///{directory}/optuna.db", plan.identity({})) as ledger,
        closing(Asleep(address)) as executor,
    ):
        search = Search(Driver(ServiceSettings(workers=address), {}, executor), plan, ledger)
        started = time.perf_counter()
        search.run()
        return n_trials / (time.perf_counter() - started)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    from distributed import LocalCluster

    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.scaling", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=10.0,
        help="about how long each search takes at its best (default: 10)",
    )
    options = parser.parse_args(argv)
    print(
        f"{'threads':>8}{'concurrency':>12}{'fit, s':>8}{'trials/s':>10}{'at best':>10}{'share':>8}"
    )
    for n_threads in (1, 4, 16, 64):
        with LocalCluster(
            n_workers=1, threads_per_worker=n_threads, processes=True, dashboard_address=None
        ) as cluster:
            for fit_seconds in (0.0, 0.1, 1.0):
                best = n_threads / (N_FOLDS * fit_seconds) if fit_seconds else float("inf")
                n_trials = max(10, min(200, int(best * options.seconds) if fit_seconds else 200))
                rate = measure(cluster.scheduler_address, fit_seconds, n_threads, n_trials)
                share = f"{rate / best:8.0%}" if fit_seconds else f"{'':>8}"
                concurrency = max(1, -(-2 * n_threads // N_FOLDS))
                print(
                    f"{n_threads:8}{concurrency:12}{fit_seconds:8.1f}{rate:10.2f}{best:10.2f}{share}",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
