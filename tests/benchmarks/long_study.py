"""What a trial costs in a long study, outside its fits: ``python -m tests.benchmarks.long_study``.

The sampler's work grows with the history. At 100, 500 and 1,000 trials the median cost of one more
is measured, without fits: ``hpo``'s ledger (ask a slot, tell it with its five fold scores) and bare
Optuna (ask with the same three suggestions, tell a value; the same sampler, the same kind of SQLite
file in WAL mode, no fold scores). ``--whole`` also runs the usual script and ``hpo`` for 1,000
trials on Iris, which takes some minutes, and prints the ratio of their times.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.benchmarks.__main__ import note, run_once

HISTORIES = (100, 500, 1000)
N_MEASURED = 40


def ledger_milliseconds(directory: Path, n_history: int) -> float:
    """Median cost of a slot of ``hpo``'s ledger after so many trials."""
    from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION
    from hpo.estimators.objective import StepResult
    from hpo.estimators.recipe import TrainingShape
    from hpo.estimators.space import SearchedSpace
    from hpo.ledger.identity import StudyIdentity
    from hpo.ledger.ledger import open_ledger
    from hpo.search.slots import Slots
    from hpo.study_file import load_definition

    definition = load_definition()
    shape = TrainingShape(n_samples=96, n_features=4, n_classes=3, n_values=384, is_sparse=False)
    space = SearchedSpace(LOGISTIC_REGRESSION, definition.search_space, shape, seed=0)
    study = StudyIdentity(
        name=definition.name,
        metric=definition.study.metric,
        definition=definition.identity(),
        data_digest="digest",
        versions={},
    )
    times = []
    with open_ledger(f"sqlite:///{directory}/ledger-{n_history}.db", study) as ledger:
        slots = Slots(ledger, definition, space)
        for number in range(n_history + N_MEASURED):
            started = time.perf_counter()
            slot = slots.next_slot(n_history + N_MEASURED)
            assert slot is not None
            score = 0.5 + (number * 7919 % 1000) / 2500
            slots.tell(slot, [StepResult({"accuracy": score, "neg_log_loss": -score})] * 5)
            times.append(time.perf_counter() - started)
    return 1000 * median(times[n_history:])


def optuna_milliseconds(directory: Path, n_history: int) -> float:
    """Median cost of ask and tell of bare Optuna after so many trials."""
    import optuna

    from hpo.ledger.storage import open_storage

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = open_storage(f"sqlite:///{directory}/optuna-{n_history}.db")
    study = optuna.create_study(
        storage=storage, direction="maximize", sampler=optuna.samplers.TPESampler(seed=0)
    )
    times = []
    for number in range(n_history + N_MEASURED):
        started = time.perf_counter()
        trial = study.ask()
        trial.suggest_categorical("penalty", ["l2", "l1", "elasticnet"])
        trial.suggest_float("C", 1e-4, 1e4, log=True)
        trial.suggest_categorical("class_weight", ["none", "balanced"])
        study.tell(trial, 0.5 + (number * 7919 % 1000) / 2500)
        times.append(time.perf_counter() - started)
    return 1000 * median(times[n_history:])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    description = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.long_study", description=description
    )
    parser.add_argument(
        "--whole", action="store_true", help="also 1,000 trials of both sides, whole processes"
    )
    options = parser.parse_args(argv)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    print(f"{'history':8}{'hpo, ms':>12}{'optuna, ms':>12}{'hpo/optuna':>12}")
    with tempfile.TemporaryDirectory(prefix="hpo-long-") as home:
        for n_history in HISTORIES:
            ours, bare = (
                ledger_milliseconds(Path(home), n_history),
                optuna_milliseconds(Path(home), n_history),
            )
            print(f"{n_history:<8}{ours:12.1f}{bare:12.1f}{ours / bare:12.2f}", flush=True)
    if options.whole:
        seconds = {side: run_once(side, HISTORIES[-1]) for side in ("usual", "hpo")}
        note(f"load {os.getloadavg()[0]:.1f}")
        usual, ours = seconds["usual"], seconds["hpo"]
        print(f"1,000 trials: usual {usual:.1f} s, hpo {ours:.1f} s, ratio {usual / ours:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
