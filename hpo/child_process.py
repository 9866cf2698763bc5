"""A process that a driver starts: it leaves signals to the driver, and ends with it.

As a program (``python -m hpo.child_process PID NAME ARGUMENT ...``) this module runs another
package's command as such a process.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points

POLL_SECONDS = 0.5


def serve_driver(driver_pid: int) -> None:
    """Make this process a child that never outlives its driver.

    A Ctrl-C reaches the whole process group, and a SIGTERM may: the driver decides when to end, so
    that what was finished is kept.

    Args:
        driver_pid: The process that started this one.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _end_with(driver_pid, lambda: os._exit(1))


def _end_with(driver_pid: int, end: Callable[[], object]) -> None:
    def watch() -> None:
        while os.getppid() == driver_pid:
            time.sleep(POLL_SECONDS)
        end()

    threading.Thread(target=watch, daemon=True).start()


def run_command(driver_pid: int, name: str, arguments: Sequence[str]) -> object:
    """Run an installed package's command in a process group that ends with the driver.

    Args:
        driver_pid: The process that started this one.
        name: The command's.
        arguments: Its own; ``$NAME`` stands for a variable of the environment, so that ``ps``
            shows no password.
    """
    _end_with(driver_pid, lambda: os.killpg(0, signal.SIGKILL))
    sys.argv = [name, *map(os.path.expandvars, arguments)]
    # More than one package may give the same: mlflow and mlflow-skinny do.
    return next(iter(entry_points(group="console_scripts", name=name))).load()()


if __name__ == "__main__":
    # As console scripts do: whatever the command returns is the exit code.
    sys.exit(run_command(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))  # type: ignore[arg-type]
