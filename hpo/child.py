"""What every process that a driver starts does first: it leaves signals to the driver, and ends with it."""

import os
import signal
import threading
import time

POLL_SECONDS = 0.5


def serve_driver(driver_pid: int) -> None:
    """Make this process a child that never outlives its driver.

    A Ctrl-C reaches the whole process group, and a SIGTERM may: the driver decides when to end, and what was finished is to be
    kept first.

    Args:
        driver_pid: The process that started this one.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(driver_pid,), daemon=True).start()


def _end_with(driver_pid: int) -> None:
    while os.getppid() == driver_pid:
        time.sleep(POLL_SECONDS)
    os._exit(1)
