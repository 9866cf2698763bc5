"""A study process: drives one study after another for a server, each as ``hpo run`` would.

Everything is imported and the tracking process started before the first study comes. It ends, with
all that it started, when its server does.
"""

import gc
import os
import signal
import sys
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from hpo.child_process import end_with
from hpo.errors import HpoError
from hpo.ledger.wishes import Wish
from hpo.service.ending import Ending, ending_of
from hpo.service.logs import log_to_stderr
from hpo.settings import ServiceSettings

if TYPE_CHECKING:
    from hpo.results.result import StudyResult
    from hpo.tracking.process import TrackingProcess

MOST_STUDIES = 100
"""After so many a fresh process takes its place."""

READY = "ready"
"""Sent to the server once everything is imported."""

BEHIND = "MLflow is behind"


class Stopping:
    """Whether the server asked to leave the study in hand."""

    def __init__(self) -> None:
        self._number: int | None = None
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's
        signal.signal(signal.SIGTERM, self._receive)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))

    def __call__(self) -> int | None:
        """Give the number of the signal, or None."""
        return self._number

    def forget(self) -> None:
        """Begin with another study."""
        self._number = None

    def _receive(self, number: int, _: object) -> None:
        self._number = number


def main(descriptor: int, server_pid: int) -> None:
    """Drive studies until the server hangs up or dies."""
    end_with(server_pid, lambda: os.killpg(0, signal.SIGKILL))
    stopping = Stopping()
    log_to_stderr()
    gc.disable()
    from hpo.tracking.process import TrackingProcess

    # Before the imports below, so that its own imports overlap with them.
    tracking = TrackingProcess(is_kept=True)
    _rehearse()
    gc.freeze()
    gc.enable()
    connection = Connection(descriptor)
    connection.send(READY)
    for n_left in reversed(range(MOST_STUDIES)):
        try:
            name, wish, settings = connection.recv()
        except EOFError:
            break
        stopping.forget()
        ending = _do(name, wish, settings, stopping, tracking)
        goes_on = tracking.is_open and n_left > 0
        connection.send((ending, goes_on))
        if not goes_on:
            break
    tracking.close()


def _rehearse() -> None:
    """Import everything, and load what is loaded only when it is first used."""
    import hpo.service.submitting
    import hpo.study_run  # noqa: F401 - a study that comes finds it imported
    from hpo.search.baseline import score_baseline
    from hpo.search.plan import make_plan
    from hpo.study_file import load_definition

    score_baseline(make_plan(load_definition()), [], {})


def _do(
    name: str,
    wish: Wish | None,
    settings: ServiceSettings,
    stopping: Stopping,
    tracking: "TrackingProcess",
) -> Ending:
    try:
        if wish is None:
            _close(name, settings)
            return Ending("left")
        return _drive(wish, settings, stopping, tracking)
    except HpoError as error:
        return ending_of(error)


def _drive(
    wish: Wish, settings: ServiceSettings, stopping: Stopping, tracking: "TrackingProcess"
) -> Ending:
    from hpo.service.submitting import read_definition
    from hpo.service.tables import fetch
    from hpo.study_run import run_study

    definition = read_definition(wish)
    if wish.table is not None:
        data = definition.data.model_copy(update={"source": fetch(wish.table, settings)})
        definition = definition.model_copy(update={"data": data})
    settings = replace(settings, register=wish.register, plots=wish.plots, wait=False)
    result = run_study(definition, settings, stop_signal=stopping, tracking=tracking)
    if result.is_tracking_complete:
        return Ending("done", outcome=_outcome(result))
    return Ending("away", f"{BEHIND}: {result.tracking_problem}")


def _outcome(result: "StudyResult") -> dict[str, Any]:
    score = result.estimates.holdout_score
    interval = (score.low, score.high) if score.is_known else (None, None)
    return {
        "model_uri": result.model_uri,
        "comparison": result.tracking.comparison,
        "holdout": [score.value, *interval],
    }


def _close(name: str, settings: ServiceSettings) -> None:
    """Close the parent run of a study whose process had to be killed."""
    from hpo.ledger.inspection import OPTUNA, read_database, read_identity
    from hpo.tracking.closing import close_parent

    with read_database(settings.storage, OPTUNA) as connection:
        identity = read_identity(connection, name)
    if identity is not None:
        close_parent(settings.tracking_uri, str(identity["uid"]))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
