"""Slots: trials asked in the order of their numbers, and told in that order.

What a slot is asked depends on the definition, the data and its number alone: the mirror shows the
sampler, the pruner and the stop rules what they may see. Slots that are in the ledger already come
first: those that a dead driver left RUNNING, with the same params, and those that a person queued,
also while the search goes on. A trial that another client asked or ended keeps its slot; sampler,
pruner and rules see it as one that failed.
"""

import time
import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.definition import StudyDefinition
from hpo.estimators.objective import StepResult
from hpo.estimators.several import StudySpace
from hpo.estimators.space import derived_params
from hpo.ledger.ledger import Ledger
from hpo.ledger.mirror import MIN_TRIALS_TO_JUDGE_FAILURES, Mirror
from hpo.ledger.trials import CONVERGED, DERIVED, FAILURE, SCORES, TRACEBACK, is_foreign, local_time
from hpo.search.queued import UNUSABLE, as_stored, check_names, describe_unusable
from hpo.search.verification import verify_last


@dataclass(frozen=True)
class Slot:
    """A trial that is open: in the ledger, RUNNING.

    Attributes:
        number: The trial's number.
        trial_id: The storage's own id of it.
        params: Complete params, ready for a fit.
        failure: Why it cannot be fitted, or None: a person may queue params that are not in the
            space.
        result: What it came to already, or None: another client may have asked or ended it.
    """

    number: int
    trial_id: int
    params: dict[str, Any] = field(default_factory=dict)
    failure: str | None = None
    result: FrozenTrial | None = None


class Slots:
    """The slots of one study.

    Args:
        ledger: Where slots are kept.
        definition: Sampler, pruner, stop rules and the judged metric.
        space: What a slot is asked.
    """

    def __init__(self, ledger: Ledger, definition: StudyDefinition, space: StudySpace) -> None:
        self._ledger = ledger
        self._study = definition.study
        self._space = space
        make_mirror = partial(
            Mirror,
            definition.sampler,
            definition.pruner,
            seed=self._study.seed,
            concurrency=self._study.concurrency,
        )
        self._mirror = make_mirror()
        self._ahead = deque(ledger.trials())
        if ledger.has_same_versions:
            verify_last(definition, [*self._ahead], make_mirror(), space, _result_of)
        while self._ahead and _is_over(self._ahead[0]):
            trial = self._ahead.popleft()
            self._show(trial)
            self._mirror.tell(_result_of(trial))

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

    def next_slot(self, n_trials: int) -> Slot | None:
        """Take the next slot to score: one of the ledger, else a new one, unless a rule says stop.

        Args:
            n_trials: The study's total.

        Raises:
            TooManyFailuresError: More trials failed before than ``max_failed`` allows.
        """
        self._mirror.check_failures(self._study.max_failed)
        self._look_for_others()
        if self._ahead:
            return self._take_up(self._ahead.popleft())
        number = self._mirror.n_asked
        patience = self._study.patience
        if number >= n_trials:
            return None
        if patience is not None and self._mirror.patience_is_over(patience):
            return None
        trial = self._mirror.ask(number, fixed=self._space.given(number))
        params = self._space.complete(self._space.suggest(trial))
        derived = derived_params(params, trial.params)
        trial_id = self._ledger.add(number, trial.params, trial.distributions, derived)
        return Slot(number, trial_id, params)

    def can_look_ahead(self) -> bool:
        """Whether the next slot would be the same whatever comes of those that are open."""
        number = self._mirror.n_asked
        is_judged = number >= MIN_TRIALS_TO_JUDGE_FAILURES or self._study.patience is not None
        return not self._ahead and not is_judged and self._mirror.draws_at_random(number)

    def should_prune(self, slot: Slot, results: Sequence[StepResult]) -> bool:
        """Whether a slot is stopped after these steps, by what was known when it was asked."""
        return self._mirror.should_prune(slot.number, self._judged_scores(results))

    def tell(
        self, slot: Slot, results: Sequence[StepResult], *, is_pruned: bool = False
    ) -> tuple[TrialState, float | None]:
        """Finish a slot with the results of its steps; slots are told in order.

        Args:
            slot: The oldest that is open.
            results: In the order of the steps; one that failed is the last: the trial is FAIL. Of a
                slot that has its result there are none.
            is_pruned: Whether it was stopped before its last step.

        Returns:
            The trial's state and value; FAIL without a reason where another client ended it.

        Raises:
            TooManyFailuresError: With this one, more trials failed than ``max_failed`` allows.
        """
        result = slot.result
        if result is None:
            result = self._judge(results, is_pruned=is_pruned)
            _date(result, results)
            if not self._ledger.tell(slot.number, slot.trial_id, result):
                result = FOREIGN
        self._mirror.tell(result)
        self._mirror.check_failures(self._study.max_failed)
        return result.state, result.value

    def _judge(self, results: Sequence[StepResult], *, is_pruned: bool) -> FrozenTrial:
        failure = results[-1].failure
        if failure is not None:
            attributes: dict[str, Any] = {FAILURE: failure}
            if results[-1].traceback:
                attributes[TRACEBACK] = results[-1].traceback
            return create_trial(state=TrialState.FAIL, user_attrs=attributes)
        scores = self._judged_scores(results)
        names = results[0].scores
        attributes = {SCORES: {name: [step.scores[name] for step in results] for name in names}}
        if not all(step.converged for step in results):
            attributes[CONVERGED] = False
        return create_trial(
            state=TrialState.PRUNED if is_pruned else TrialState.COMPLETE,
            value=None if is_pruned else float(np.mean(scores)),
            user_attrs=attributes,
            intermediate_values=dict(enumerate(scores)),
        )

    def _judged_scores(self, results: Sequence[StepResult]) -> tuple[float, ...]:
        return tuple(result.scores[self._study.metric] for result in results)

    def _look_for_others(self) -> None:
        """Find what other clients added since the trials were last read."""
        n_known = self._mirror.n_asked + len(self._ahead)
        if self._ledger.count() > n_known:
            self._ahead.extend(self._ledger.trials()[n_known:])

    def _show(self, trial: FrozenTrial) -> None:
        """Show the mirror a trial of the ledger; of one that was asked elsewhere, nothing."""
        is_asked_here = DERIVED in trial.user_attrs
        params = (trial.params, trial.distributions) if is_asked_here else ({}, {})
        self._mirror.add(*params)

    def _take_up(self, trial: FrozenTrial) -> Slot:
        """Score again what a dead driver left RUNNING; start what a person queued."""
        trial_id = self._ledger.find(trial.number)
        if _is_over(trial):
            self._show(trial)
            return Slot(trial.number, trial_id, result=_result_of(trial))
        if trial.state == TrialState.WAITING:
            try:
                params = self._start_queued(trial, trial_id)
            except UNUSABLE as error:
                return Slot(trial.number, trial_id, failure=describe_unusable(error))
        else:
            self._show(trial)
            params = self._space.replay(trial.params)
        return Slot(trial.number, trial_id, params)

    def _start_queued(self, trial: FrozenTrial, trial_id: int) -> dict[str, Any]:
        fixed = trial.system_attrs.get("fixed_params", {})
        asked = self._mirror.ask(trial.number, fixed=fixed)
        check_names(fixed, self._space.names)
        with warnings.catch_warnings():
            # Optuna warns of a number outside its range, takes it, and refuses to read it back.
            warnings.filterwarnings("error", message="Fixed parameter")
            self._space.suggest(asked)
        chosen = as_stored(asked)
        params = self._space.replay(chosen)
        derived = derived_params(params, chosen)
        self._ledger.start_queued(trial_id, chosen, asked.distributions, derived)
        return params


FOREIGN = create_trial(state=TrialState.FAIL)
"""A foreign trial's result, as sampler, pruner and rules see it."""


def _date(trial: FrozenTrial, results: Sequence[StepResult]) -> None:
    """Give a trial the times of its steps: slots that are open together are told later."""
    # The clock of a worker's machine may be ahead of this one's.
    ended = min(time.time(), max(step.ended for step in results))
    started = min(ended, *(step.started for step in results))
    trial.datetime_start, trial.datetime_complete = map(local_time, (started, ended))


def _is_over(trial: FrozenTrial) -> bool:
    return trial.state.is_finished() or is_foreign(trial)


def _result_of(trial: FrozenTrial) -> FrozenTrial:
    if is_foreign(trial):
        return FOREIGN
    return create_trial(
        state=trial.state,
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        user_attrs=trial.user_attrs,
        intermediate_values=trial.intermediate_values,
    )
