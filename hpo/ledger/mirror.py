"""The mirror: a slot's own view of the study, for sampler, pruner and stop rules.

Slot k is asked on an in-memory copy of the study, by a sampler seeded from (seed, k), that sees
exactly this: slots up to k - B with their results, later ones as running (B is the concurrency). So
neither timing, nor a kill, nor a resume or a top-up can change what is suggested: it is a function
of the definition, the data and k.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, MedianPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.definition import PrunerSection, SamplerSection
from hpo.errors import TooManyFailuresError
from hpo.ledger.race import RacePruner
from hpo.ledger.trials import FAILURE, rounded

MIN_TRIALS_TO_JUDGE_FAILURES = 10


class Mirror:
    """An in-memory study that lags behind the ledger by the concurrency.

    Args:
        sampler: Which sampler.
        pruner: Which pruner.
        seed: The study's seed.
        concurrency: B: how many trials are open at once.

    Attributes:
        results: The trials that are told, in order: state, value, intermediate values and the
            reason of a failure.
        n_asked: How many slots were asked or added.
        best: Number and value of the highest one that is told, or None.
    """

    def __init__(
        self, sampler: SamplerSection, pruner: PrunerSection, *, seed: int, concurrency: int
    ) -> None:
        self._section = sampler
        self._seed = seed
        self._concurrency = concurrency
        self._storage = optuna.storages.InMemoryStorage()
        self._study = optuna.create_study(direction="maximize", storage=self._storage)
        self.results: list[FrozenTrial] = []
        self.n_asked = 0
        self.best: tuple[int, float] | None = None
        self._n_shown = 0
        self._pruner = _make_pruner(pruner)
        self._judged = optuna.create_study(
            direction="maximize", storage=optuna.storages.InMemoryStorage()
        )

    def draws_at_random(self, number: int) -> bool:
        """Whether a slot is drawn, not modelled: it is the same whatever came of those before."""
        return self._section.kind == "random" or number < self._section.n_startup_trials

    def ask(self, number: int, fixed: Mapping[str, Any] | None = None) -> optuna.Trial:
        """A new trial for a slot; slots are asked in order.

        Args:
            number: The slot; all lower ones were asked or added.
            fixed: Params that the trial is to have, whatever the sampler would say.
        """
        self.n_asked += 1
        # A slot that is drawn at random may be asked before those results are there.
        self._show_results(up_to=min(number - self._concurrency, len(self.results) - 1))
        self._study.sampler = self._sampler(number)
        if fixed is not None:
            self._study.enqueue_trial(dict(fixed))
        return self._study.ask()

    def add(self, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> None:
        """Take the next slot from the ledger: a trial that an earlier run asked."""
        self.n_asked += 1
        self._study.add_trial(
            create_trial(
                state=TrialState.RUNNING, params=dict(params), distributions=dict(distributions)
            )
        )

    def tell(self, result: FrozenTrial) -> None:
        """Take the next slot's result; sampler and pruner see it when its turn comes."""
        if result.value is not None and (self.best is None or result.value > self.best[1]):
            self.best = (len(self.results), result.value)
        self.results.append(result)

    def patience_is_over(self, patience: int) -> bool:
        """Whether the last ``patience`` trials that the next slot sees brought nothing better."""
        seen = self.results[: max(0, self.n_asked - self._concurrency + 1)]
        values = [
            rounded(result.value) if result.value is not None else float("-inf") for result in seen
        ]
        return len(values) > patience and max(values[-patience:]) <= max(values[:-patience])

    def check_failures(self, max_failed: float) -> None:
        """Go on while no more than this share of the trials failed, or too few are told to say.

        Raises:
            TooManyFailuresError: More did; the commonest reason is named.
        """
        n_told = len(self.results)
        # Not those that another client ended.
        reasons = [
            trial.user_attrs[FAILURE] for trial in self.results if FAILURE in trial.user_attrs
        ]
        if n_told < MIN_TRIALS_TO_JUDGE_FAILURES or len(reasons) <= max_failed * n_told:
            return
        commonest = max(set(reasons), key=reasons.count)
        raise TooManyFailuresError(
            f"{len(reasons)} of {n_told} trials failed,"
            f" more than max_failed = {max_failed:g} allows;"
            f" the commonest reason: {commonest}",
            hint="mend what makes the fits fail and start again under another --name",
        )

    def should_prune(self, number: int, scores: Sequence[float]) -> bool:
        """Whether a slot with these scores of its first folds is stopped.

        It is judged by the results it was asked with, so the pruner sees a study of its own: the
        sampler's has moved on where other slots were asked since.
        """
        if self._pruner is None:
            return False
        n_judged = len(self._judged.get_trials(deepcopy=False))
        self._judged.add_trials(self.results[n_judged : max(0, number - self._concurrency + 1)])
        trial = create_trial(state=TrialState.RUNNING, intermediate_values=dict(enumerate(scores)))
        return self._pruner.prune(self._judged, trial)

    def _show_results(self, up_to: int) -> None:
        study_id = self._storage.get_study_id_from_name(self._study.study_name)
        while self._n_shown <= up_to:
            result = self.results[self._n_shown]
            if result.state == TrialState.PRUNED:
                trial_id = self._storage.get_trial_id_from_study_id_trial_number(
                    study_id, self._n_shown
                )
                for step, score in result.intermediate_values.items():
                    self._storage.set_trial_intermediate_value(trial_id, step, score)
            self._study.tell(self._n_shown, result.value, state=result.state)
            self._n_shown += 1

    def _sampler(self, number: int) -> BaseSampler:
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        if self._section.kind == "random":
            return RandomSampler(seed=seed)
        return TPESampler(
            seed=seed,
            n_startup_trials=self._section.n_startup_trials,
            n_ei_candidates=self._section.n_ei_candidates,
        )


def _make_pruner(section: PrunerSection) -> BasePruner | None:
    if section.kind == "race":
        return RacePruner()
    if section.kind == "median":
        return MedianPruner(section.n_startup_trials, section.n_warmup_steps)
    return None
