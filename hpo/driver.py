"""What all searches of one run share: the ledger's storage, the executor, who is told, who may stop it.

A run has one search, or with ``nested`` several, each a study of its own; this is what they are opened and searched with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from hpo.errors import InterruptedBySignal, StudyLockedError
from hpo.executor import FoldExecutor
from hpo.problem import Problem
from hpo.search import Progress, Search, SilentProgress
from hpo.storage import never
from hpo.study import Ledger, open_ledger


@dataclass(frozen=True)
class Driver:
    """Opens ledgers and searches them.

    Attributes:
        storage: The ledger's URL.
        versions: Package name to version, kept with each study.
        executor: Where folds are scored.
        progress: Is told of folds and trials.
        stop_signal: The number of a signal that asked to stop, or None.
        read_notes: Gives what tracking has to say since it was last asked.
        waits: Whether to wait while another driver has a study.
        may_start_workers: Whether workers take over where a search turns out to be long.
    """

    storage: str
    versions: Mapping[str, str]
    executor: FoldExecutor
    progress: Progress = field(default_factory=SilentProgress)
    stop_signal: Callable[[], int | None] = never
    read_notes: Callable[[], Sequence[str]] = tuple
    waits: bool = False
    may_start_workers: bool = False

    def open(self, problem: Problem) -> AbstractContextManager[Ledger]:
        """The problem's study, made or resumed, locked for the length of the ``with`` block.

        Raises:
            StudyLockedError: Another driver has it.
            IdentityError: It was begun with another definition or other data.
            LedgerError: The storage cannot be opened.
        """
        said: set[str] = set()

        def wait(error: StudyLockedError) -> bool:
            if self.waits and str(error) not in said:
                said.add(str(error))
                self.progress.note(f"waiting: {error}")
            number = self.stop_signal()
            if number is not None:
                raise InterruptedBySignal(number, "stopped before the search began", hint="run the same command again to go on")
            return self.waits

        return open_ledger(
            self.storage,
            problem.definition,
            problem.dataset.digest,
            self.versions,
            problem.derive,
            stop_signal=self.stop_signal,
            wait=wait,
        )

    def search(self, problem: Problem, ledger: Ledger) -> bool:
        """Fill a study up to its total; whether it came to its end, which a timeout may come before.

        Raises:
            InterruptedBySignal: ``stop_signal`` gave a number.
            TooManyFailuresError: More failed than ``max_failed`` allows.
        """
        return Search(
            problem,
            ledger,
            progress=self.progress,
            stop_signal=self.stop_signal,
            read_notes=self.read_notes,
            executor=self.executor,
            may_start_workers=self.may_start_workers,
        ).run()
