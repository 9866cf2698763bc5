"""Slots: trials asked in the order of their numbers, and told in that order.

What a slot is asked depends on the definition, the data and its number alone: the mirror shows the
sampler, the pruner and the stop rules what they may see. Slots that are in the ledger already come
first: those that a dead driver left RUNNING, with the same params, and those that a person queued.
"""

import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.definition import StudyDefinition
from hpo.estimators.objective import StepResult
from hpo.estimators.space import SearchedSpace, derived_params
from hpo.ledger.ledger import Ledger
from hpo.ledger.mirror import MIN_TRIALS_TO_JUDGE_FAILURES, Mirror
from hpo.ledger.trials import CONVERGED, FAILURE, SCORES, TRACEBACK


@dataclass(frozen=True)
class Slot:
    """A trial that is open: in the ledger, RUNNING.

    Attributes:
        number: The trial's number.
        trial_id: The storage's own id of it.
        params: Complete params, ready for a fit.
        failure: Why it cannot be fitted, or None: a person may queue params that are not in the
            space.
    """

    number: int
    trial_id: int
    params: dict[str, Any]
    failure: str | None = None


class Slots:
    """The slots of one study.

    Args:
        ledger: Where slots are kept.
        definition: Sampler, pruner, stop rules and the judged metric.
        space: What a slot is asked.
    """

    def __init__(self, ledger: Ledger, definition: StudyDefinition, space: SearchedSpace) -> None:
        self._ledger = ledger
        self._study = definition.study
        self._space = space
        self._mirror = Mirror(
            definition.sampler,
            definition.pruner,
            seed=self._study.seed,
            concurrency=self._study.concurrency,
        )
        finished, unfinished = ledger.read()
        self._unfinished = deque(unfinished)
        for trial in finished:
            self._mirror.add(trial.params, trial.distributions)
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
        if self._unfinished:
            return self._take_up(self._unfinished.popleft())
        number = self._mirror.n_asked
        patience = self._study.patience
        if number >= n_trials:
            return None
        if patience is not None and self._mirror.patience_is_over(patience):
            return None
        trial = self._mirror.ask(number, fixed=self._space.baseline() if number == 0 else None)
        params = self._space.complete(self._space.suggest(trial))
        derived = derived_params(params, trial.params)
        trial_id = self._ledger.add(number, trial.params, trial.distributions, derived)
        return Slot(number, trial_id, params)

    def can_look_ahead(self) -> bool:
        """Whether the next slot would be the same whatever comes of those that are open."""
        number = self._mirror.n_asked
        is_judged = number >= MIN_TRIALS_TO_JUDGE_FAILURES or self._study.patience is not None
        return not self._unfinished and not is_judged and self._mirror.draws_at_random(number)

    def should_prune(self, slot: Slot, results: Sequence[StepResult]) -> bool:
        """Whether a slot is stopped after these steps, by what was known when it was asked."""
        return self._mirror.should_prune(slot.number, self._judged_scores(results))

    def tell(
        self, slot: Slot, results: Sequence[StepResult], *, is_pruned: bool = False
    ) -> tuple[TrialState, float | None]:
        """Finish a slot with the results of its steps; slots are told in order.

        Args:
            slot: The oldest that is open.
            results: In the order of the steps; one that failed is the last: the trial is FAIL.
            is_pruned: Whether it was stopped before its last step.

        Returns:
            The trial's state and value.

        Raises:
            TooManyFailuresError: With this one, more trials failed than ``max_failed`` allows.
        """
        result = self._judge(results, is_pruned=is_pruned)
        self._ledger.tell(slot.number, slot.trial_id, result)
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

    def _take_up(self, trial: FrozenTrial) -> Slot:
        """Score again what a dead driver left RUNNING; start what a person queued."""
        trial_id = self._ledger.find(trial.number)
        if trial.state == TrialState.WAITING:
            try:
                params = self._start_queued(trial, trial_id)
            except (ValueError, TypeError, UserWarning) as error:
                reason = f"queued with params that are not in the search space: {error}"
                return Slot(trial.number, trial_id, {}, reason)
        else:
            self._mirror.add(trial.params, trial.distributions)
            params = self._space.replay(trial.params)
        return Slot(trial.number, trial_id, params)

    def _start_queued(self, trial: FrozenTrial, trial_id: int) -> dict[str, Any]:
        asked = self._mirror.ask(trial.number, fixed=trial.system_attrs.get("fixed_params", {}))
        with warnings.catch_warnings():
            # Optuna warns of a number outside its range, takes it, and refuses to read it back.
            warnings.filterwarnings("error", message="Fixed parameter")
            params = self._space.complete(self._space.suggest(asked))
        derived = derived_params(params, asked.params)
        self._ledger.start_queued(trial_id, asked.params, asked.distributions, derived)
        return params


def _result_of(trial: FrozenTrial) -> FrozenTrial:
    return create_trial(
        state=trial.state,
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        user_attrs=trial.user_attrs,
        intermediate_values=trial.intermediate_values,
    )
