"""Runs the command as a process that is a fork of one with all imports done: a tenth of the time.

Signals, groups, pipes, exit codes and the tracking process are as ever. What is about start-up
itself, and what the soaks do, is tested with ``commands``.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO

from .commands import (
    COMMAND_SECONDS,
    NO_PLOTS,
    START_SECONDS,
    WITHOUT_WORKERS,
    environment,
    kill_group,
)


class ForkedProcess:
    """What of ``subprocess.Popen`` the tests use."""

    def __init__(self, pid: int, stdout: IO[str], stderr: IO[str], status: int) -> None:
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr
        self.returncode: int | None = None
        self._status = status

    def poll(self) -> int | None:
        return self._wait(0.0)

    def wait(self, timeout: float = COMMAND_SECONDS) -> int:
        code = self._wait(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"fork {self.pid}", timeout)
        return code

    def _wait(self, timeout: float) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            self.returncode = int(os.read(self._status, 100))
            os.close(self._status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = COMMAND_SECONDS) -> tuple[str, str]:
        """Wait for the end of both streams and of the process; the rest of what it printed."""
        until = time.monotonic() + timeout
        printed: dict[IO[str], str] = {}

        def read(stream: IO[str]) -> None:
            printed[stream] = "" if stream.closed else stream.read()

        streams = (self.stdout, self.stderr)
        readers = [threading.Thread(target=read, args=(each,), daemon=True) for each in streams]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(max(0.0, until - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(f"fork {self.pid}", timeout)
        self.wait(max(0.0, until - time.monotonic()))
        for stream in streams:
            stream.close()
        return printed[self.stdout], printed[self.stderr]


class _Image:
    """The process that is forked."""

    def __init__(self) -> None:
        self._asking, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.image", str(theirs.fileno())],
                cwd=Path(__file__).parents[2],
                env=environment(),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        atexit.register(self.close)
        self._asking.settimeout(START_SECONDS)
        assert self._asking.recv(100) == b"ready", "it ended early"

    def close(self) -> None:
        self._asking.close()
        self._process.wait()

    def fork(
        self, directory: Path, arguments: list[str], variables: dict[str, str]
    ) -> ForkedProcess:
        pipes = [os.pipe() for _ in range(3)]
        request = json.dumps((arguments, str(directory), variables)).encode()
        with self._lock:
            socket.send_fds(self._asking, [request], [theirs for _, theirs in pipes])
            pid = int(self._asking.recv(100))
        for _, theirs in pipes:
            os.close(theirs)
        stdout, stderr, status = (ours for ours, _ in pipes)
        return ForkedProcess(
            pid, os.fdopen(stdout, encoding="utf-8"), os.fdopen(stderr, encoding="utf-8"), status
        )


_making = threading.Lock()


@cache
def _made() -> _Image:
    return _Image()


def _image() -> _Image:
    with _making:
        return _made()


def fork_hpo(directory: Path, *flags: str, plots: bool = False, **variables: str) -> ForkedProcess:
    """``start_hpo``, but forked."""
    more = () if plots else (NO_PLOTS,)
    environment_ = environment(**WITHOUT_WORKERS | variables)
    return _image().fork(directory, ["run", *flags, *more], environment_)


@contextmanager
def forked(directory: Path, *flags: str, **variables: str) -> Iterator[ForkedProcess]:
    """``running``, but forked."""
    process = fork_hpo(directory, *flags, **variables)
    try:
        yield process
    finally:
        kill_group(process)
