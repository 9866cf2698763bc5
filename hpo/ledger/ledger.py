"""The ledger: opens or resumes the Optuna study, hands out slots, takes their results, says when to stop.

Sole owner of the study in the storage. A trial enters it whole, RUNNING with its params, in one transaction; what a dead driver
left RUNNING is adopted: the same slot, with the same params, is scored again. Results are told in slot order.
"""

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.definition import StudyDefinition
from hpo.errors import IdentityError, LedgerError, StudyLockedError
from hpo.estimators.cross_validation import FoldResult
from hpo.estimators.space import baseline, replay, suggest
from hpo.ledger.identity import open_study
from hpo.ledger.mirror import MIN_TRIALS_TO_JUDGE_FAILURES, Mirror
from hpo.ledger.storage import never, open_driven, quiet_optuna, repeat
from hpo.ledger.transactions import LedgerStorage
from hpo.results.selection import CONVERGED, DERIVED, FAILURE, SCORES, TRACEBACK

Derive = Callable[[Mapping[str, Any]], dict[str, Any]]
T = TypeVar("T")


@dataclass(frozen=True)
class Slot:
    """A trial that is open: in the ledger, RUNNING.

    Attributes:
        number: The trial's number.
        trial_id: The storage's own id of it.
        params: Complete params, ready for a fit.
        failure: Why it cannot be fitted, or None: a person may queue params that are not in the space.
    """

    number: int
    trial_id: int
    params: dict[str, Any]
    failure: str | None = None


class Ledger:
    """An open study; made by :func:`open_ledger`.

    Attributes:
        uid: 32 hexadecimal digits, the study's own for ever.
        study_id: The storage's own id of it.
        notes: What a person should know of a study that is resumed, one line each.
    """

    def __init__(
        self,
        storage: LedgerStorage,
        identity: Mapping[str, Any],
        definition: StudyDefinition,
        derive: Derive,
        stop_signal: Callable[[], int | None] = never,
    ) -> None:
        self.uid = str(identity["uid"])
        self.notes = tuple(identity.get("notes", ()))
        self._storage = storage
        self._stop_signal = stop_signal
        self.study_id = self._repeat(lambda _: storage.get_study_id_from_name(definition.name))
        self._definition = definition
        self._derive = derive
        study = definition.study
        self._mirror = Mirror(
            definition.sampler, definition.pruner, seed=study.seed, concurrency=study.concurrency
        )
        self._unfinished: deque[FrozenTrial] = deque()
        self._last_trial_id: int | None = None
        self._load()

    @property
    def n_told(self) -> int:
        """How many trials are finished, whatever their state."""
        return len(self._mirror.results)

    @property
    def best(self) -> tuple[int, float] | None:
        """Number and value of the highest trial so far, the first of equal ones."""
        return self._mirror.best

    def told(self) -> list[tuple[str, float | None]]:
        """State and value of each finished trial, by number."""
        return [(result.state.name, result.value) for result in self._mirror.results]

    def trials(self) -> list[FrozenTrial]:
        """All trials as the storage has them, by number."""
        return self._repeat(lambda _: self._storage.get_all_trials(self.study_id, deepcopy=False))

    def annotate(self, notes: Mapping[int | None, str]) -> None:
        """Write what optuna-dashboard shows beside trials, by number, and beside the study, under None; all at once."""
        self._repeat(lambda _: self._storage.write_notes(self.study_id, notes))

    def next_slot(self, n_trials: int) -> Slot | None:
        """The next slot to score: one that is in the ledger already, else a new one, else None when a stop rule holds.

        Args:
            n_trials: The study's total.

        Raises:
            TooManyFailuresError: More trials failed before than ``max_failed`` allows.
        """
        self._mirror.check_failures(self._definition.study.max_failed)
        if self._unfinished:
            return self._take_up(self._unfinished.popleft())
        space, study, number = (
            self._definition.search_space,
            self._definition.study,
            self._mirror.n_asked,
        )
        if number >= n_trials or (
            study.patience is not None and self._mirror.patience_is_over(study.patience)
        ):
            return None
        trial = self._mirror.ask(number, fixed=baseline(space) if number == 0 else None)
        chosen = suggest(space, trial)
        return Slot(number, self._create(number, trial, chosen), self._derive(chosen))

    def can_look_ahead(self) -> bool:
        """Whether the next slot would be there, and be the same, whatever comes of those that are open."""
        is_judged = (
            self._mirror.n_asked >= MIN_TRIALS_TO_JUDGE_FAILURES
            or self._definition.study.patience is not None
        )
        return (
            not self._unfinished
            and not is_judged
            and self._mirror.draws_at_random(self._mirror.n_asked)
        )

    def should_prune(self, slot: Slot, results: Sequence[FoldResult]) -> bool:
        """Whether a slot is stopped after the folds that are done, by what was known when it was asked."""
        return self._mirror.should_prune(slot.number, self._judged_scores(results))

    def tell(
        self, slot: Slot, results: Sequence[FoldResult], *, is_pruned: bool = False
    ) -> tuple[TrialState, float | None]:
        """Finish a slot with the results of its folds; slots are told in order.

        Args:
            slot: The oldest that is open.
            results: In the order of the folds; one that failed is the last, and makes the trial FAIL.
            is_pruned: Whether it was stopped before its last fold.

        Returns:
            The trial's state and value.

        Raises:
            TooManyFailuresError: With this one, more trials failed than ``max_failed`` allows.
        """
        failure, traceback = results[-1].failure, results[-1].traceback
        if failure is not None:
            attributes: dict[str, Any] = {
                FAILURE: failure,
                **({TRACEBACK: traceback} if traceback else {}),
            }
            result = create_trial(state=TrialState.FAIL, user_attrs=attributes)
        else:
            scores = self._judged_scores(results)
            state, value = (
                (TrialState.PRUNED, None)
                if is_pruned
                else (TrialState.COMPLETE, float(np.mean(scores)))
            )
            attributes = {
                SCORES: {
                    name: [fold.scores[name] for fold in results] for name in results[0].scores
                }
            }
            if not all(fold.converged for fold in results):
                attributes[CONVERGED] = False
            result = create_trial(
                state=state,
                value=value,
                user_attrs=attributes,
                intermediate_values=dict(enumerate(scores)),
            )
        self._repeat(lambda is_repeated: self._store(slot, result, is_repeated=is_repeated))
        self._mirror.tell(result)
        self._mirror.check_failures(self._definition.study.max_failed)
        return result.state, result.value

    def _judged_scores(self, results: Sequence[FoldResult]) -> tuple[float, ...]:
        return tuple(result.scores[self._definition.study.metric] for result in results)

    def _repeat(self, action: Callable[[bool], T]) -> T:
        return repeat(action, self._stop_signal)

    def _store(self, slot: Slot, result: FrozenTrial, *, is_repeated: bool) -> None:
        """Everything that is known of a trial, at once: until then it is RUNNING and would be adopted."""
        scores = list(result.intermediate_values.values())
        is_stored = self._storage.finish_trial(
            slot.trial_id, result.state, result.value, scores, result.user_attrs
        )
        # An attempt whose answer was lost may have stored it.
        if not is_stored and not is_repeated:
            raise LedgerError(
                f"trial {slot.number} was ended by another process",
                hint="let one driver own the study",
            )

    def _load(self) -> None:
        """Learn what is there: finished trials, then those that a driver left or a person queued."""
        for trial in self.trials():
            is_ours = (
                DERIVED in trial.user_attrs
                or trial.state == TrialState.WAITING
                or FAILURE in trial.user_attrs
            )
            if not is_ours or (trial.state.is_finished() and self._unfinished):
                raise IdentityError(
                    f"trial {trial.number} of study '{self._definition.name}' is {trial.state.name} and was not asked by hpo",
                    hint="let one driver own the study: start another one with --name",
                )
            if not trial.state.is_finished():
                self._unfinished.append(trial)
            else:
                self._mirror.add(trial.params, trial.distributions)
                value = trial.value if trial.state == TrialState.COMPLETE else None
                attributes, steps = trial.user_attrs, trial.intermediate_values
                self._mirror.tell(
                    create_trial(
                        state=trial.state,
                        value=value,
                        user_attrs=attributes,
                        intermediate_values=steps,
                    )
                )

    def _take_up(self, trial: FrozenTrial) -> Slot:
        """A trial that a dead driver left RUNNING is scored again, one that a person queued is started with its params."""
        trial_id = self._find(trial.number)
        if trial.state == TrialState.WAITING:
            try:
                chosen = self._start_queued(trial, trial_id)
            except (ValueError, TypeError, UserWarning) as error:
                return Slot(
                    trial.number,
                    trial_id,
                    {},
                    f"queued with params that are not in the search space: {error}",
                )
        else:
            self._mirror.add(trial.params, trial.distributions)
            chosen = replay(self._definition.search_space, trial.params)
        return Slot(trial.number, trial_id, self._derive(chosen))

    def _start_queued(self, trial: FrozenTrial, trial_id: int) -> dict[str, Any]:
        """Give a queued trial all its params, then let it run: killed in between it is still queued, for the same params."""
        asked = self._mirror.ask(trial.number, fixed=trial.system_attrs.get("fixed_params", {}))
        with warnings.catch_warnings():
            # Optuna warns of a number outside its range, takes it, and refuses to read the trial back.
            warnings.filterwarnings("error", message="Fixed parameter")
            chosen = suggest(self._definition.search_space, asked)

        def store(_: bool) -> None:
            for name, distribution in asked.distributions.items():
                internal = distribution.to_internal_repr(asked.params[name])
                self._storage.set_trial_param(trial_id, name, internal, distribution)
            self._storage.set_trial_user_attr(
                trial_id, DERIVED, self._derived(chosen, asked.params)
            )
            self._storage.set_trial_state_values(trial_id, TrialState.RUNNING)

        self._repeat(store)
        return chosen

    def _derived(self, chosen: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in self._derive(chosen).items() if name not in asked}

    def _create(self, number: int, trial: optuna.Trial, chosen: Mapping[str, Any]) -> int:
        template = create_trial(
            state=TrialState.RUNNING,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={DERIVED: self._derived(chosen, trial.params)},
        )

        def create(is_repeated: bool) -> tuple[int, int]:
            if is_repeated and self._storage.get_n_trials(self.study_id) > number:
                found = self._find_made(number, template)
                if found is not None:
                    return found
            trial_id = self._storage.create_new_trial(self.study_id, template)
            # Ids count up in a database: the next one is the next number, unless somebody else writes there too.
            is_next = self._last_trial_id is not None and trial_id == self._last_trial_id + 1
            return trial_id, number if is_next else self._storage.get_trial_number_from_id(trial_id)

        self._last_trial_id, found = self._repeat(create)
        if found != number:
            raise LedgerError(
                f"trial {number} was stored as number {found}: trials were added to this study meanwhile",
                hint="run the same command again: it takes up what was added",
            )
        return self._last_trial_id

    def _find_made(self, number: int, template: FrozenTrial) -> tuple[int, int] | None:
        """The trial of an attempt whose answer was lost, and its number; others may have added theirs meanwhile."""
        for trial in self._storage.get_all_trials(self.study_id, deepcopy=False)[number:]:
            if (trial.state, trial.params, trial.user_attrs) == (
                template.state,
                template.params,
                template.user_attrs,
            ):
                return self._find(trial.number), trial.number
        return None

    def _find(self, number: int) -> int:
        return self._repeat(
            lambda _: self._storage.get_trial_id_from_study_id_trial_number(self.study_id, number)
        )


@contextmanager
def open_ledger(
    storage_url: str,
    definition: StudyDefinition,
    data_digest: str,
    versions: Mapping[str, str],
    derive: Derive,
    *,
    stop_signal: Callable[[], int | None] = never,
    wait: Callable[[StudyLockedError], bool] = lambda _: False,
) -> Iterator[Ledger]:
    """Lock, create or resume the study; the lock is held for the length of the ``with`` block.

    Args:
        storage_url: SQLAlchemy URL.
        definition: What is searched.
        data_digest: Stands for the data in the study's identity.
        versions: Package name to version, kept with the study.
        derive: Completes chosen params.
        stop_signal: The number of a signal that asked to stop, or None; looked at while the storage is away.
        wait: Asked with the reason while another driver has the study; false gives up.

    Raises:
        StudyLockedError: Another driver has the study.
        IdentityError: The study was begun with another definition or other data.
        LedgerError: The storage cannot be opened.
    """
    with (
        quiet_optuna(),
        open_driven(storage_url, definition.name, wait=wait, stop_signal=stop_signal) as storage,
    ):
        identity = repeat(
            lambda _: open_study(storage, definition, data_digest, versions), stop_signal
        )
        yield Ledger(storage, identity, definition, derive, stop_signal)
