"""A process that has imported all that a run needs, and is forked for each run: see ``forked``.

Alone it does nothing and has one thread. A run in a fork is in a session of its own and has the
working directory, environment, streams and ``sitecustomize`` that it was asked for. Its tracking
process is a fork too, of the run, with nothing open but the connection between the two.
"""

import importlib.util
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

from hpo.commands.main import main
from hpo.tracking import process, process_loop
from hpo.tracking.process import ENVIRONMENT
from tests.support.commands import set_environment

Request = tuple[list[str], str, dict[str, str]]
"""Arguments of ``hpo``, working directory, environment."""


def serve(asking: socket.socket) -> Callable[[], NoReturn]:
    """Fork for each request; returns in the forks alone, with what a fork is to do.

    A request comes with the ends of three pipes: both streams, and where to write how it ended. The
    answer is the process id.
    """
    statuses: dict[int, tuple[int, int]] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(asking, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not asking:
                    selector.unregister(key.fileobj)
                    _tell_end(*statuses.pop(key.fd), key.fd)
                    continue
                text, descriptors, *_ = socket.recv_fds(asking, 1_000_000, 3)
                if not text:
                    os._exit(0)
                *streams, status = descriptors
                pid = os.fork()
                if pid == 0:
                    return lambda: _run(json.loads(text), streams)
                for descriptor in streams:
                    os.close(descriptor)
                ended = os.pidfd_open(pid)
                statuses[ended] = (pid, status)
                selector.register(ended, selectors.EVENT_READ)
                asking.send(str(pid).encode())


def _tell_end(pid: int, status: int, ended: int) -> None:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(ended)
    with suppress(BrokenPipeError):  # nobody wants to know any more
        os.write(status, str(code).encode())
    os.close(status)


def _run(request: Request, streams: Sequence[int]) -> NoReturn:
    """Be a new process that runs the command."""
    arguments, directory, variables = request
    os.setsid()
    for number, descriptor in enumerate(streams, start=1):
        os.dup2(descriptor, number)
    _close_others(())
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    os.chdir(directory)
    set_environment(variables)
    sys.path[0] = directory
    sys.argv = ["hpo", *arguments]
    _customize()
    process.subprocess = SimpleNamespace(
        Popen=Fork, DEVNULL=subprocess.DEVNULL, TimeoutExpired=subprocess.TimeoutExpired
    )
    sys.exit(main(arguments))


def _close_others(kept: Sequence[int]) -> None:
    """What a new process does not inherit leads nowhere: whoever holds it may still close it."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    for number in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        if number > 2 and number not in (*kept, nowhere):
            with suppress(OSError):  # of the listing itself, which is closed
                os.fstat(number)
                os.dup2(nowhere, number)


def _customize() -> None:
    """Load the first ``sitecustomize`` of ``PYTHONPATH``, as a new interpreter does."""
    for directory in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        path = Path(directory, "sitecustomize.py")
        if directory and path.exists():
            spec = importlib.util.spec_from_file_location("sitecustomize", path)
            assert spec is not None
            assert spec.loader is not None
            module = sys.modules["sitecustomize"] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return


class Fork:
    """What a run takes for the ``Popen`` of its tracking process.

    Args:
        command: Ends with the descriptor of the connection, and the run's process id.
        pass_fds: What it inherits.
        env: Its environment.
    """

    def __init__(
        self, command: Sequence[str], pass_fds: Sequence[int], env: dict[str, str], **_: object
    ) -> None:
        self._code: int | None = None
        self._pid = os.fork()
        if self._pid:
            return
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            _close_others(pass_fds)
            os.dup2(0, 1)
            set_environment(env)
            sys.argv = list(command)
            process_loop.main(int(command[-2]), int(command[-1]))
        except BaseException:  # noqa: BLE001 - as an interpreter ends; the run's frames are above
            traceback.print_exc()
        finally:
            os._exit(1)

    def kill(self) -> None:
        if self._code is None:
            os.kill(self._pid, signal.SIGKILL)

    def wait(self, timeout: float = float("inf")) -> int:
        until = time.monotonic() + timeout
        while self._code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > until:
                raise subprocess.TimeoutExpired("hpo.tracking.process", timeout)
            else:
                time.sleep(0.005)
        return self._code


def _warm_up() -> None:
    """Run a study of one trial: much is imported only where it is first used."""
    from tests.support.here import run_here_well  # noqa: PLC0415 - the environment comes first

    with tempfile.TemporaryDirectory() as directory:
        run_here_well(Path(directory), "--trials", "1", "--name", "warm")


if __name__ == "__main__":
    os.environ.update(ENVIRONMENT)
    _warm_up()
    assert threading.active_count() == 1, "a fork would miss the other threads"
    with socket.socket(fileno=int(sys.argv[1])) as _asking:
        _asking.send(b"ready")
        _be = serve(_asking)
    _be()
