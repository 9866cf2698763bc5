"""Prepares the process that a command runs in: signals, threads, MLflow's variables."""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from hpo.commands.output import say


def use_one_thread() -> None:
    """Limit BLAS to one thread; call it before numpy is loaded.

    Threads that spin beside another busy process make small fits twice as slow, and one thread
    everywhere makes scores equal to the last bit.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def use_mlflow_here(*, has_log: bool = False) -> None:
    """Prepare this process for MLflow; call it before MLflow is imported.

    MLflow then sends no telemetry, does not retry for minutes, and logs nothing to standard error.

    Args:
        has_log: Whether the process has a log of its own, which is not silenced with MLflow's.
    """
    from hpo.tracking.process import ENVIRONMENT

    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if not has_log:
        logging.disable(logging.WARNING)
        return
    os.environ["MLFLOW_LOGGING_LEVEL"] = "ERROR"
    logging.root.addHandler(logging.NullHandler())  # warnings that nobody handles are printed


@contextmanager
def catching_signals(answer: str) -> Iterator[Callable[[], int | None]]:
    """Catch SIGINT and SIGTERM, answering with a line; a second Ctrl-C ends the process at once.

    Yields:
        A function that returns the number of the last signal received, or None.
    """
    received: list[int] = []

    def receive(number: int, _: object) -> None:
        if received and number == signal.SIGINT:
            os._exit(128 + number)
        received.append(number)
        say(answer)

    with ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            # Explicit, since a shell starts background processes with SIGINT ignored.
            stack.callback(signal.signal, number, signal.signal(number, receive))
        yield lambda: received[-1] if received else None
