"""The command in a copy of this process, which is really killed or stopped at a point, without the
imports of a new one.
"""

import importlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.support.here import call_main
from tests.support.stores import close_stores

LIFE_SECONDS = 600


class Copy:
    """A forked run of the command.

    Args:
        directory: The working directory.
        arguments: Of ``hpo``.
        point: A function as ``points`` names it: before its n-th call the copy gets the signal.
        nth: From 1.
        number: SIGKILL or SIGSTOP.
        output: What it printed, once it has ended by itself.
    """

    def __init__(
        self,
        directory: Path,
        arguments: tuple[str, ...],
        point: str,
        nth: int,
        number: signal.Signals,
        output: Path,
    ) -> None:
        close_stores()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                signal.alarm(LIFE_SECONDS)
                _strike_at(point, nth, number)
                ended = call_main(directory, *arguments)
                output.write_text(ended.stderr, encoding="utf-8")
                os._exit(ended.returncode)
            finally:
                os._exit(99)  # no exception may reach the tests' own frames
        _, self._status = os.waitpid(self.pid, os.WUNTRACED)

    @property
    def is_stopped(self) -> bool:
        return os.WIFSTOPPED(self._status)

    def go_on(self) -> int:
        """Wait for the end of a copy that may be stopped; its exit code, negative for a signal."""
        if self.is_stopped:
            os.kill(self.pid, signal.SIGCONT)
            _, self._status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(self._status)


def _strike_at(point: str, nth: int, number: signal.Signals) -> None:
    module, _, path = point.partition(":")
    owner = importlib.import_module(module)
    *classes, name = path.split(".")
    for part in classes:
        owner = getattr(owner, part)
    plain: Callable[..., object] = getattr(owner, name)
    n_reached = 0

    def struck(*args: object, **kwargs: object) -> object:
        nonlocal n_reached
        n_reached += 1
        if n_reached == nth:
            os.kill(os.getpid(), number)
        return plain(*args, **kwargs)

    setattr(owner, name, struck)
