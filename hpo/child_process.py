"""Makes a child process leave signals to its driver, and end when the driver does.

As a program (``python -m hpo.child_process PID NAME ARGUMENT ...``) it runs another package's
command, which then ends with the driver too.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points

POLL_SECONDS = 0.5

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def starting_children() -> Iterator[None]:
    """Block signals while children start that call :func:`serve_driver`.

    They inherit that, so Ctrl-C cannot reach an interpreter that is still loading: it would print
    its traceback. This process gets what came meanwhile at the end of the block.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve_driver(driver_pid: int) -> None:
    """Make this process a child that never outlives its driver.

    Ctrl-C reaches the whole process group, and SIGTERM may. The driver decides when to end, after
    keeping what is finished.

    Args:
        driver_pid: The process that started this one.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    end_with(driver_pid, lambda: os._exit(1))


def end_with(driver_pid: int, end: Callable[[], object]) -> None:
    """Do something once the driver is gone; whatever this process does, in a thread."""

    def watch() -> None:
        while os.getppid() == driver_pid:
            time.sleep(POLL_SECONDS)
        end()

    threading.Thread(target=watch, daemon=True).start()


def run_command(driver_pid: int, name: str, arguments: Sequence[str]) -> object:
    """Run an installed package's command in this process, which leads a process group.

    The whole group is killed when the driver ends.

    Args:
        driver_pid: The process that started this one.
        name: The command's name.
        arguments: The command's arguments; ``$NAME`` stands for a variable of the environment, so
            that ``ps`` shows no password.
    """
    end_with(driver_pid, lambda: os.killpg(0, signal.SIGKILL))
    sys.argv = [name, *map(os.path.expandvars, arguments)]
    # Several packages may install one command, as mlflow and mlflow-skinny do.
    return next(iter(entry_points(group="console_scripts", name=name))).load()()


if __name__ == "__main__":
    result = run_command(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
    sys.exit(result)  # type: ignore[arg-type] # as console scripts do
