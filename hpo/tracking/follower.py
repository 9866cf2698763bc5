"""Follows a ledger and keeps MLflow equal to it: the tracking side of a run.

It reads what there is to write from the ledger itself, so there is no queue and nothing to lose: it
may end at any moment, and the next one finds out what is missing. After an error it tries again,
with a growing pause; no error ever reaches the search.
"""

import gc
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from importlib import import_module

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from hpo.errors import HpoError, LedgerError
from hpo.ledger.damage import reading
from hpo.ledger.failures import never, translated
from hpo.ledger.journal import export_journal
from hpo.results.tracking_state import RegistryState, TrackingState
from hpo.tracking import keys
from hpo.tracking.drawings import Drawn, draw_later, draw_study_page
from hpo.tracking.interface import POLL_SECONDS, ignore
from hpo.tracking.models import rehearse
from hpo.tracking.projection import Projection, end_time_ms
from hpo.tracking.run_records import (
    Drawings,
    FinalRecord,
    Notify,
    RunStatus,
    StudyRecord,
)
from hpo.tracking.writer import MlflowWriter

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 8.0
"""Between attempts while MLflow does not answer at all."""

LONGEST_PAUSE_WHILE_THERE_SECONDS = 1.0
"""Between attempts where it does, but not all gets through."""


class Follower:
    """One study, from its ledger to its tracking store.

    Args:
        open_ledger: Opens the study for reading; called again while it fails.
        tracking_uri: MLflow's.
        study: What the parent run says.
        notify: Takes how many trials MLflow has, whenever something got through; one line the first
            time that nothing does, and one when everything is written again.
        make_projection: Makes what turns trials into runs.
        begin_drawing: Begins to draw the figures of a model; what it gives waits for them.
    """

    def __init__(
        self,
        open_ledger: Callable[[], optuna.Study],
        tracking_uri: str,
        study: StudyRecord,
        notify: Notify = ignore,
        make_projection: Callable[[MlflowWriter, StudyRecord], Projection] = Projection,
        begin_drawing: Callable[[FinalRecord], Callable[[], Drawn]] = draw_later,
    ) -> None:
        self._study = cache(open_ledger)
        self._writer = MlflowWriter(tracking_uri, study)
        self._projection = make_projection(self._writer, study)
        self._writer.on_step = lambda: notify(len(self._projection.run_ids))
        self._writer.on_loss = self._note_loss
        self._writer.notify = notify
        self._notify = notify
        self._name = study.name
        self._lost: list[str] = []
        self._has_failed = False
        self._has_warned = False
        self._has_recovered = False
        self._is_open = False
        self._is_there = False
        self._problem: str | None = None
        self._begin_drawing = begin_drawing
        self._take_drawn: Callable[[], Drawn] | None = None
        self._drawings: Drawings | None = None
        self._model_uri: str | None = None
        self._registry: RegistryState | None = None
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._next_attempt = 0.0

    def follow(self) -> bool:
        """Write what is missing now, unless the last attempt failed a moment ago.

        Returns:
            Whether nothing is missing any more.
        """
        return time.monotonic() >= self._next_attempt and self._attempt(self._catch_up)

    def finish(
        self,
        final: FinalRecord | None,
        status: RunStatus,
        wait_seconds: float,
        stop_signal: Callable[[], int | None] = never,
    ) -> TrackingState:
        """Write everything, then the final model, close the parent run, and register the model.

        Args:
            final: What the end of the search brought, or None where no model is to be logged.
            status: How the parent run ends.
            wait_seconds: How long to go on while nothing gets through.
            stop_signal: Gives the number of a signal that asked to stop, or None.
        """
        self._last_progress = time.monotonic()
        while not self._attempt(partial(self._write_rest, final, status)) and stop_signal() is None:
            end = min(self._last_progress + wait_seconds, time.monotonic() + self._pause_seconds)
            if time.monotonic() >= end:
                break
            while stop_signal() is None and (seconds := end - time.monotonic()) > 0:
                time.sleep(min(seconds, POLL_SECONDS))
        n_behind = None
        with suppress(LedgerError):
            n_behind = len(self._projection.missing(self._trials()))
        return TrackingState(
            experiment_id=self._writer.experiment_id or None,
            parent_run_id=self._writer.parent_run_id or None,
            comparison=self._writer.trials_path or None,
            run_ids=dict(self._projection.run_ids),
            n_behind=n_behind,
            model_uri=self._model_uri,
            registry=self._registry,
            has_restored=bool(self._lost),
            tracking_problem=self._problem,
        )

    def _write_rest(self, final: FinalRecord | None, status: RunStatus) -> None:
        if final is not None and self._is_open:
            self._begin_missing(final)
        self._catch_up()
        if self._has_failed or self._projection.has_written:
            # A lost answer, or another process of the study, may have created runs twice. One look
            # at the end is enough, and whoever looks last sees all.
            self._projection.learn()
            self._catch_up()
        if final is not None:
            self._writer.forget_lost(final)
        if self._writer.parent_is_open:
            self._writer.write_text(keys.JOURNAL_FILE, export_journal(self._study()))
        if final is not None:
            best_run_id = self._projection.run_ids.get(final.model.trial_number)
            self._model_uri = self._writer.write_model(final, best_run_id)
            self._write_drawings(final)
        self._writer.close(status, end_time_ms(self._trials()), self._projection.written)
        if final is not None:
            self._registry = self._writer.register(final)

    def _note_loss(self, line: str) -> None:
        if line not in self._lost:
            self._lost.append(line)
            self._notify(f"{line}: written again")

    def _begin_missing(self, final: FinalRecord) -> bool:
        """Begin to draw what is wanted and not there yet; says whether something is."""
        key = f"{final.model.key} {final.n_finished}"
        if not final.is_drawn or final.held_out is None or self._writer.has_drawn(key):
            return False
        self._take_drawn = self._take_drawn or self._begin_drawing(final)
        return True

    def _write_drawings(self, final: FinalRecord) -> None:
        """Write missing figures; the next run tries again what cannot be drawn."""
        if not self._begin_missing(final):
            return
        if self._drawings is None:
            self._drawings = self._draw()
        if self._drawings.of_study:
            key = f"{final.model.key} {final.n_finished}"
            self._writer.write_drawings(self._drawings, key, final.n_finished)

    def _draw(self) -> Drawings:
        """Draw the study's page, and take the figures of the model; none where either fails."""
        page = draw_study_page(self._study())
        self._writer.on_step()
        of_model = self._take_drawn() if self._take_drawn is not None else Drawings()
        self._writer.on_step()
        if not isinstance(page, str) and not isinstance(of_model, str):
            return replace(of_model, of_study=page)
        reason = page if isinstance(page, str) else of_model
        self._notify(
            f"figures were not drawn ({reason}); all else is logged, --no-plots leaves them out"
        )
        return Drawings()

    @translated("of the study")
    def _trials(self) -> list[FrozenTrial]:
        with reading(self._name):
            return self._study().get_trials(deepcopy=False)

    def _catch_up(self) -> None:
        trials = self._trials()
        if self._is_open and not self._projection.has_work(trials):
            return
        self._is_there = False
        self._writer.check_reachable()
        self._is_there = True
        if not self._is_open:
            self._projection.reconcile(trials)
            self._is_open = True
            self._notify(len(self._projection.run_ids))
        self._projection.catch_up(trials)

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Whether an action went through; if not, the pause before the next attempt doubles."""
        n_before = self._writer.n_steps
        try:
            action()
        except HpoError as error:
            self._has_failed = True
            self._problem = f"{error}; {error.hint}" if error.hint else str(error)
            longest = LONGEST_PAUSE_WHILE_THERE_SECONDS if self._is_there else LONGEST_PAUSE_SECONDS
            self._pause_seconds = min(2 * self._pause_seconds, longest)
            if self._writer.n_steps > n_before:
                self._pause_seconds = FIRST_PAUSE_SECONDS
                self._last_progress = time.monotonic()
            elif not self._has_warned:
                self._has_warned = True
                self._notify(
                    f"MLflow does not take what is written ({self._problem});"
                    " the search goes on, nothing is lost"
                )
            self._next_attempt = time.monotonic() + self._pause_seconds
            return False
        if self._has_warned and not self._has_recovered:
            self._has_recovered = True
            n_trials = len(self._projection.run_ids)
            self._notify(f"MLflow has caught up: it has all {n_trials} trials that are finished")
        self._problem = None
        self._pause_seconds = FIRST_PAUSE_SECONDS
        return True


def warm_up() -> None:
    """Warm imports with a throwaway storage and model: much is loaded only when first used."""
    RDBStorage("sqlite://")
    import_module("mlflow.store.tracking.sqlalchemy_store")
    rehearse(import_module("sklearn.linear_model").LogisticRegression())
    gc.freeze()
    gc.enable()
