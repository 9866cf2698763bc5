"""A real ``mlflow server`` that can be stopped, frozen and started again on its port."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

from tests.support.processes import command_line, processes
from tests.support.servers import free_port, serving_tracking


class Server:
    """One server; ``stop`` ends it, whatever it is doing.

    Args:
        directory: Where its database, artifacts and log are.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._running = ExitStack()
        self.is_running = False
        self.is_frozen = False

    @property
    def is_answering(self) -> bool:
        return self.is_running and not self.is_frozen

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        if not self.is_running:
            self._running.enter_context(serving_tracking(self.directory, self.port))
            self.is_running = True

    def stop(self) -> None:
        """As a crash would: SIGKILL."""
        self._running.close()
        self.is_running = self.is_frozen = False

    def freeze(self) -> None:
        self._send(signal.SIGSTOP)
        self.is_frozen = True

    def thaw(self) -> None:
        self._send(signal.SIGCONT)
        self.is_frozen = False

    def _send(self, number: signal.Signals) -> None:
        mark = f"\0--port\0{self.port}\0".encode()
        pids = [pid for pid, _, _ in processes() if mark in command_line(pid)]
        assert pids
        os.killpg(os.getpgid(pids[0]), number)
