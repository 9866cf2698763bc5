"""The tracking process's own end of the connection: one study after another is followed.

Nothing heavy is imported before the process has set its signals; the driver's end is in
``tracking.process``.
"""

import gc
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, cast

from hpo.child_process import serve_driver
from hpo.tracking.interface import POLL_SECONDS
from hpo.tracking.run_records import FinalRecord

if TYPE_CHECKING:
    from hpo.tracking.drawings import Drawn

DRAW = ("draw",)
"""Asks the driver for the figures of the model."""


def main(descriptor: int, driver_pid: int) -> None:
    """Follow one study after another, until the driver hangs up or dies."""
    serve_driver(driver_pid)
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    # Imports and MLflow's tables leave nothing to collect, and looking took a third of their time.
    gc.disable()
    # Before MLflow: skops looks for each function of scipy.special in one module after another, in
    # the order of their import, which behind MLflow's thousands took a second and a half.
    import_module("scipy.special")
    from hpo.tracking.follower import warm_up

    # In a thread, since what follows mostly waits: for the driver, then for MLflow.
    warming = threading.Thread(target=warm_up, daemon=True)
    warming.start()
    connection = Connection(descriptor)
    with suppress(EOFError, ConnectionError):
        while True:
            _follow_study(connection, warming)
            # What the study held open is closed before the next one comes.
            gc.collect()
    os._exit(0)


def _follow_study(connection: Connection, warming: threading.Thread) -> None:
    """Follow one study from its first message to its final state."""
    from hpo.ledger.storage import open_for_reading
    from hpo.tracking.follower import Follower

    storage_url, tracking_uri, study, paths = connection.recv()
    sys.path += [path for path in paths if path not in sys.path]
    follower = Follower(
        partial(open_for_reading, storage_url, study.name),
        tracking_uri,
        study,
        connection.send,
        begin_drawing=partial(_begin_drawing, connection),
    )
    follower.follow()
    while not connection.poll(POLL_SECONDS):
        follower.follow()
    final, status, wait_seconds = connection.recv()
    if final is not None:  # a run that is stopped does not wait for it
        warming.join()
    connection.send(follower.finish(final, status, wait_seconds))


def _begin_drawing(connection: Connection, _: FinalRecord) -> "Callable[[], Drawn]":
    """Have the driver draw the figures of the model, while this process writes."""
    connection.send(DRAW)

    def wait() -> "Drawn":
        (drawn,) = connection.recv()
        return cast("Drawn", drawn)

    return wait
