"""A driver: what all searches of one run share, and where their folds are scored."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import loky

from hpo.definition import LimitsSection
from hpo.errors import DefinitionError, InterruptedBySignal, StudyLockedError
from hpo.ledger.failures import never
from hpo.ledger.ledger import Ledger, open_ledger
from hpo.progress import Progress
from hpo.search.dask_executor import DaskExecutor
from hpo.search.executor import Executor
from hpo.search.plan import Plan
from hpo.search.pool_executor import NO_LIMITS, PoolExecutor, make_single_executor
from hpo.settings import ServiceSettings

LARGE_CELLS = 1_000_000
"""Above so many values in the training rows workers are worth starting before the first fit."""


def make_executor(
    workers: int | str,
    n_cells: int,
    stop_signal: Callable[[], int | None] = never,
    limits: LimitsSection = NO_LIMITS,
) -> Executor:
    """Make the executor that a run starts with.

    Args:
        workers: Processes, 1 for this one, "auto" for one a core where the table is large, or a
            Dask scheduler's address.
        n_cells: Values in the training rows.
        stop_signal: Gives the number of a signal that asked to stop, or None.
        limits: Of one fit; with one, fits never run in this process.

    Raises:
        SettingsError: The Dask cluster cannot be used.
        DefinitionError: There are limits, which a cluster cannot keep.
    """
    check_limits(workers, limits)
    if isinstance(workers, str) and workers != "auto":
        return DaskExecutor(workers, stop_signal)
    n_processes = count_processes(workers, n_cells, limits)
    return PoolExecutor(n_processes, limits) if n_processes > 1 else make_single_executor(limits)


def check_limits(workers: int | str, limits: LimitsSection) -> None:
    """Refuse limits that nobody would keep.

    Raises:
        DefinitionError: They are of fits on a cluster.
    """
    if limits.are_set and isinstance(workers, str) and workers != "auto":
        raise DefinitionError(
            "limits: a Dask worker cannot end one fit, so there are none on a cluster",
            hint="leave [limits] out and bound memory with dask worker --memory-limit,"
            " or use --workers N",
        )


def count_processes(workers: int | str, n_cells: int, limits: LimitsSection = NO_LIMITS) -> int:
    """Count the processes of this machine that score folds when a run starts.

    Args:
        workers: As :func:`make_executor` takes them.
        n_cells: The same.
        limits: The same. With one, processes are started anyhow: "auto" takes them all at once.
    """
    if isinstance(workers, int):
        return workers
    is_worth = n_cells > LARGE_CELLS or limits.are_set
    return loky.cpu_count() if workers == "auto" and is_worth else 1


@dataclass(frozen=True)
class Driver:
    """Drives one study, or with ``nested`` several, each a study of its own.

    Attributes:
        settings: Where the ledger is, whether to wait while another driver has a study, and whether
            workers may be started.
        versions: Package name to version, kept with each study.
        executor: Where folds are scored; closed by the caller.
        progress: Is told of folds and trials.
        stop_signal: Gives the number of a signal that asked to stop, or None; asked between fits.
    """

    settings: ServiceSettings
    versions: Mapping[str, str]
    executor: Executor
    progress: Progress = field(default_factory=Progress)
    stop_signal: Callable[[], int | None] = never

    def open(self, plan: Plan) -> AbstractContextManager[Ledger]:
        """Open the plan's study, made or resumed, locked for the length of the ``with`` block.

        Raises:
            StudyLockedError: Another driver has it.
            IdentityError: It was begun with another definition or other data.
            LedgerError: The storage cannot be opened.
        """
        said: set[str] = set()

        def wait(error: StudyLockedError) -> bool:
            if self.settings.wait and str(error) not in said:
                said.add(str(error))
                self.progress.note(f"waiting: {error}")
            if (number := self.stop_signal()) is not None:
                raise InterruptedBySignal(number, "stopped before the search began")
            return self.settings.wait

        return open_ledger(
            self.settings.storage,
            plan.identity(self.versions),
            stop_signal=self.stop_signal,
            wait=wait,
            note=self.progress.note,
        )
