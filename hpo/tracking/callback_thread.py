"""The thread in which the callback writes, and how long a search waits for it.

A trial's run is there when the callback returns, as people expect who read MLflow right after
``study.optimize``. The wait has a bound, and while MLflow is away there is none: the search goes
on, and the thread catches up when MLflow is back. What is missing is read from the study, so that
nothing is lost with the thread.
"""

import logging
import os
import threading
from collections.abc import Callable
from typing import NamedTuple

from hpo.errors import LedgerError
from hpo.results.tracking_state import TrackingState
from hpo.tracking.callback_projection import CallbackProjection
from hpo.tracking.callback_study import Target
from hpo.tracking.follower import Follower
from hpo.tracking.objective_run import Place
from hpo.tracking.run_records import Notify

ANSWER_SECONDS = 10.0
"""How long a search waits for a run to be written; then no more until MLflow has caught up."""

POLL_SECONDS = 1.0
"""How often the study is looked at where no trial ends: Optuna shows some trials to no callback."""

_logger = logging.getLogger(__name__)


class Request(NamedTuple):
    """One study to look at, and the trial that has just ended in it, if it is about one."""

    target: Target
    number: int | None


class Following(NamedTuple):
    """One study that is followed."""

    target: Target
    follower: Follower
    projection: CallbackProjection


Open = Callable[[Target, Notify], Following]


class CallbackThread:
    """Follows one study at a time; used by any number of threads.

    Args:
        open_study: Begins to follow a study; gets what takes lines for a person.
        wait_seconds: How long :meth:`end` waits while MLflow is away.
    """

    def __init__(self, open_study: Open, wait_seconds: float) -> None:
        self._open_study = open_study
        self._wait_seconds = wait_seconds
        self._changed = threading.Condition()
        self._requests: list[Request] = []
        self._n_asked = 0
        self._n_served = 0
        self._is_behind = False
        self._is_ending = False
        self._has_ended = False
        self._following: Following | None = None
        self._left: list[Target] = []
        self._states: list[TrackingState] = []
        self._process_id = os.getpid()
        self._thread = threading.Thread(target=self._run, name="hpo-mlflow", daemon=True)
        self._thread.start()

    @property
    def is_here(self) -> bool:
        """Whether the thread is in this process: one that is forked has no threads of the other."""
        return self._process_id == os.getpid()

    def ask(self, target: Target, number: int | None = None) -> None:
        """Have what is missing of a study written, and wait for it unless MLflow is behind.

        Args:
            target: The study.
            number: The trial that has just ended.
        """
        with self._changed:
            self._requests.append(Request(target, number))
            self._n_asked += 1
            ticket = self._n_asked
            self._changed.notify_all()
            is_served = self._changed.wait_for(
                lambda: self._n_served >= ticket or self._is_behind or self._has_ended,
                ANSWER_SECONDS,
            )
            self._is_behind = self._is_behind or not is_served

    def expect_run(self, target: Target, number: int) -> Place | None:
        """Give the place for the run of a trial that is about to be evaluated.

        Returns:
            None while MLflow is behind.
        """
        self.ask(target)
        following = self._following
        if self._is_behind or following is None or following.target != target:
            return None
        return following.projection.expect_run(number)

    def note_run(self, target: Target, number: int, run_id: str) -> None:
        """Note the run that the objective of a trial logs to; without that it is looked for."""
        following = self._following
        if following is not None and following.target == target:
            following.projection.note_run(number, run_id)

    def end(self) -> list[TrackingState]:
        """Write what is missing and end the thread.

        Returns:
            What MLflow holds of each study that was followed, the last one last.
        """
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
        self._thread.join()
        return self._states

    def _run(self) -> None:
        try:
            while self._serve():
                pass
            self._finish(self._wait_seconds)
            newest, self._states = self._states, []
            for target in self._left:
                self._turn_to(target)
                self._finish(self._wait_seconds)
            self._states += newest
        finally:
            with self._changed:
                self._has_ended = True
                if not self._states:
                    problem = "the thread that writes has ended with an error of its own"
                    self._states.append(TrackingState(tracking_problem=problem))
                self._changed.notify_all()

    def _serve(self) -> bool:
        """Do what was asked for, and give whether there may be more."""
        with self._changed:
            self._changed.wait_for(lambda: self._requests or self._is_ending, POLL_SECONDS)
            requests, self._requests = self._requests, []
            is_ending = self._is_ending
        is_done = True
        for target in dict.fromkeys(request.target for request in requests):
            self._turn_to(target)
            if self._following is not None:
                self._following.projection.told.update(
                    request.number
                    for request in requests
                    if request.target == target and request.number is not None
                )
            is_done &= self._follow()
        if not requests:
            is_done = self._follow()
        with self._changed:
            self._n_served += len(requests)
            self._is_behind = not is_done
            self._changed.notify_all()
        return bool(requests) or not is_ending

    def _follow(self) -> bool:
        return self._following.follower.follow() if self._following is not None else not self._left

    def _turn_to(self, target: Target) -> None:
        """Follow this study from now on, and leave the one before it."""
        if self._following is not None:
            if self._following.target == target:
                return
            # The next follower of the same study writes the rest, perhaps to another place.
            is_last = self._following.target.study.study_name != target.study.study_name
            self._finish(0.0, is_last=is_last)
        try:
            self._following = self._open_study(target, _say)
        except LedgerError as error:
            self._leave(target, TrackingState(tracking_problem=str(error)))
        else:
            self._left = [other for other in self._left if other != target]

    def _finish(self, wait_seconds: float, *, is_last: bool = True) -> None:
        following, self._following = self._following, None
        if following is not None:
            following.projection.is_ending = is_last
            state = following.follower.finish(None, "FINISHED", wait_seconds)
            self._leave(following.target, state)

    def _leave(self, target: Target, state: TrackingState) -> None:
        """Keep the state of a study; before the end, only that another attempt is due."""
        if self._is_ending:
            self._states.append(state)
        elif state.tracking_problem is not None and target not in self._left:
            self._left.append(target)


def _say(message: str | int) -> None:
    if isinstance(message, str):
        _logger.warning(message)
