"""A small driver for tests of ledger and slots: scores are a plain function of the params."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.definition import StudyDefinition
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION
from hpo.estimators.objective import StepResult
from hpo.estimators.recipe import TrainingShape
from hpo.estimators.space import SearchedSpace
from hpo.ledger.identity import StudyIdentity
from hpo.ledger.ledger import Ledger, open_ledger
from hpo.ledger.storage import open_storage
from hpo.search.executor import Executor
from hpo.search.pool_executor import PoolExecutor
from hpo.search.slots import Slot, Slots
from hpo.study_file import load_definition

AnyExecutor = TypeVar("AnyExecutor", bound=Executor)

DATA_DIGEST = "0123456789abcdef" * 2
N_FOLDS = 3
IRIS_SHAPE = TrainingShape(n_samples=120, n_features=4, n_classes=3, n_values=480, is_sparse=False)


def define(**overrides: Any) -> StudyDefinition:
    """The Iris study; ``study__n_trials=3`` stands for the key ``study.n_trials``."""
    return load_definition(
        overrides={key.replace("__", "."): value for key, value in overrides.items()}
    )


def derive(params: Any) -> dict[str, Any]:
    return LOGISTIC_REGRESSION.derive(params, IRIS_SHAPE, 0)


def space_of(definition: StudyDefinition) -> SearchedSpace:
    return SearchedSpace(LOGISTIC_REGRESSION, definition.search_space, IRIS_SHAPE, seed=0)


def identity_of(
    definition: StudyDefinition,
    data_digest: str = DATA_DIGEST,
    versions: Mapping[str, str] | None = None,
) -> StudyIdentity:
    return StudyIdentity(
        name=definition.name,
        metric=definition.study.metric,
        definition=definition.identity(),
        data_digest=data_digest,
        versions={"optuna": "5.0.0"} if versions is None else versions,
    )


class OpenStudy(Slots):
    """The slots of a study, with the ledger that they are kept in."""

    def __init__(self, ledger: Ledger, definition: StudyDefinition) -> None:
        super().__init__(ledger, definition, space_of(definition))
        self.uid = ledger.uid
        self.notes = ledger.notes
        self.study_id = ledger.study_id
        self.trials = ledger.trials
        self.annotate = ledger.annotate


@contextmanager
def open_study(
    storage_url: str,
    definition: StudyDefinition | None = None,
    data_digest: str = DATA_DIGEST,
    versions: Mapping[str, str] | None = None,
    **options: Any,
) -> Iterator[OpenStudy]:
    definition = definition or define()
    identity = identity_of(definition, data_digest, versions)
    with open_ledger(storage_url, identity, **options) as ledger:
        yield OpenStudy(ledger, definition)


def begin(storage_url: str, data_digest: str = DATA_DIGEST, **overrides: Any) -> str:
    """Make a study, or open it again; gives its uid."""
    with open_study(storage_url, define(**overrides), data_digest) as study:
        return study.uid


def read_study(storage_url: str, name: str = "iris") -> optuna.Study:
    """The study as a second client sees it."""
    return optuna.load_study(study_name=name, storage=storage_url)


def read_trials(storage_url: str, name: str = "iris") -> list[FrozenTrial]:
    return read_study(storage_url, name).get_trials()


def numbers_of_trials_asked_at_once(url: str, n_trials: int) -> list[int]:
    """Ask trials in four threads, each with a connection of its own; gives what they got."""
    storage = open_storage(url)
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], "iris")
    asked = create_trial(state=TrialState.RUNNING)
    with ThreadPoolExecutor(4) as threads:
        numbers = list(
            threads.map(lambda _: storage.start_trial(study_id, asked)[1], range(n_trials))
        )
    storage.engine.dispose()
    return sorted(numbers)


def holding(executor: AnyExecutor, objective: Any) -> AnyExecutor:
    """The executor, with an objective to score."""
    executor.hold(objective)
    return executor


def worker_pids(executor: PoolExecutor) -> list[int]:
    """The processes of the workers, which loky keeps by id once they are started."""
    return [pid for worker in executor._workers for pid in worker._pool._processes]


def score(params: Any) -> list[StepResult]:
    """Best near C = 10 with an elastic net; every fold a little off the others."""
    value = (
        -abs(math.log10(params.get("C", 1.0)) - 1)
        + 0.3 * (params["penalty"] == "elasticnet")
        + params.get("l1_ratio", 0.0)
    )
    return results_of(*(value + fold / 100 for fold in range(N_FOLDS)))


def results_of(*values: float, converged: bool = True) -> list[StepResult]:
    """One result a fold, with so much accuracy."""
    return [
        StepResult({"accuracy": value, "neg_log_loss": value - 1}, converged=converged)
        for value in values
    ]


def failure(reason: str, traceback: str | None = None) -> list[StepResult]:
    return [*results_of(0.5), StepResult(failure=reason, traceback=traceback)]


def finish(slots: Slots, slot: Slot, results: list[StepResult]) -> None:
    """Tell a slot fold by fold, as far as the pruner lets it go."""
    for n_done in range(1, len(results)):
        if results[n_done - 1].failure is None and slots.should_prune(slot, results[:n_done]):
            slots.tell(slot, results[:n_done], is_pruned=True)
            return
    slots.tell(slot, results)


def drive(
    slots: Slots, n_trials: int, concurrency: int = 1, *, stop_after: int | None = None
) -> None:
    """Search as the job does, every fifth trial failing.

    Args:
        slots: The slots of the study.
        n_trials: Its total.
        concurrency: How many slots are open at once.
        stop_after: Leave, as a killed driver would, after so many trials were told here.
    """
    open_slots: deque[Any] = deque()
    n_told = 0
    while True:
        while len(open_slots) < concurrency and (slot := slots.next_slot(n_trials)) is not None:
            open_slots.append(slot)
        if not open_slots or n_told == stop_after:
            return
        slot = open_slots.popleft()
        if slot.failure is not None:
            slots.tell(slot, [StepResult(failure=slot.failure)])
        elif slot.number % 5 == 4:
            finish(slots, slot, failure("ValueError: every fifth"))
        else:
            finish(slots, slot, score(slot.params))
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
