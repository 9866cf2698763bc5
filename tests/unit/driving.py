"""A small driver for tests of the ledger: real slots, and scores that are a plain function of the params."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from optuna.trial import FrozenTrial

from hpo.definition import StudyDefinition
from hpo.estimators.cross_validation import FoldResult
from hpo.estimators.estimator import TrainingShape, derive_params
from hpo.ledger.ledger import Ledger, Slot, open_ledger
from hpo.search.executor import FoldExecutor
from hpo.study_file import load_definition

Executor = TypeVar("Executor", bound=FoldExecutor)

DATA_DIGEST = "0123456789abcdef" * 2
N_FOLDS = 3
IRIS_SHAPE = TrainingShape(n_samples=120, n_features=4, n_classes=3, n_values=480, is_sparse=False)


def define(**overrides: Any) -> StudyDefinition:
    """The Iris study; ``study__n_trials=3`` stands for the key ``study.n_trials``."""
    return load_definition(
        overrides={key.replace("__", "."): value for key, value in overrides.items()}
    )


def derive(params: Any) -> dict[str, Any]:
    return derive_params(params, IRIS_SHAPE, seed=0)


def open_study(
    storage_url: str, definition: StudyDefinition | None = None, data_digest: str = DATA_DIGEST
) -> AbstractContextManager[Ledger]:
    return open_ledger(
        storage_url, definition or define(), data_digest, {"optuna": "5.0.0"}, derive
    )


def holding(executor: Executor, folds: Sequence[Any], metrics: Sequence[str]) -> Executor:
    """The executor, with folds to score."""
    executor.hold(folds, metrics)
    return executor


def score(params: Any) -> list[FoldResult]:
    """Best near C = 10 with an elastic net; every fold a little off the others."""
    value = (
        -abs(math.log10(params.get("C", 1.0)) - 1)
        + 0.3 * (params["penalty"] == "elasticnet")
        + params.get("l1_ratio", 0.0)
    )
    return results_of(*(value + fold / 100 for fold in range(N_FOLDS)))


def results_of(*values: float, converged: bool = True) -> list[FoldResult]:
    """One result a fold, with so much accuracy."""
    return [
        FoldResult({"accuracy": value, "neg_log_loss": value - 1}, converged=converged)
        for value in values
    ]


def failure(reason: str, traceback: str | None = None) -> list[FoldResult]:
    return [*results_of(0.5), FoldResult(failure=reason, traceback=traceback)]


def finish(ledger: Ledger, slot: Slot, results: list[FoldResult]) -> None:
    """Tell a slot fold by fold, as far as the pruner lets it go."""
    for n_done in range(1, len(results)):
        if results[n_done - 1].failure is None and ledger.should_prune(slot, results[:n_done]):
            ledger.tell(slot, results[:n_done], is_pruned=True)
            return
    ledger.tell(slot, results)


def drive(
    ledger: Ledger, n_trials: int, concurrency: int = 1, *, stop_after: int | None = None
) -> None:
    """Search as the job does, every fifth trial failing.

    Args:
        ledger: The study.
        n_trials: Its total.
        concurrency: How many slots are open at once.
        stop_after: Leave, as a killed driver would, after so many trials were told here.
    """
    open_slots: deque[Any] = deque()
    n_told = 0
    while True:
        while len(open_slots) < concurrency and (slot := ledger.next_slot(n_trials)) is not None:
            open_slots.append(slot)
        if not open_slots or n_told == stop_after:
            return
        slot = open_slots.popleft()
        finish(
            ledger,
            slot,
            failure("ValueError: every fifth") if slot.number % 5 == 4 else score(slot.params),
        )
        n_told += 1


def facts(trials: list[FrozenTrial]) -> list[tuple[Any, ...]]:
    """What is to be the same in two studies: everything but times and storage ids."""
    return [
        (
            t.number,
            t.state,
            t.values,
            t.params,
            t.distributions,
            t.user_attrs,
            t.intermediate_values,
        )
        for t in sorted(trials, key=lambda t: t.number)
    ]
