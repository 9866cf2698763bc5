"""The sampler's own view of the study: same seed, same trials, whatever happened in between.

Slot k is asked on an in-memory copy of the study, by a sampler seeded from (seed, k), that sees exactly this: slots up to k - B
with their results, later ones as running (B is the concurrency). So neither timing, nor a kill, nor a resume or a top-up can
change what is suggested: it is a function of the definition, the data and k.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from hpo.definition import SamplerSection


class Mirror:
    """An in-memory study that lags behind the ledger by the concurrency.

    Args:
        section: Which sampler.
        seed: The study's seed.
        concurrency: B: how many trials are open at once.
    """

    def __init__(self, section: SamplerSection, *, seed: int, concurrency: int) -> None:
        self._section = section
        self._seed = seed
        self._concurrency = concurrency
        self._study = optuna.create_study(direction="maximize", storage=optuna.storages.InMemoryStorage())
        self._results: list[tuple[TrialState, float | None]] = []
        self._n_shown = 0

    def ask(self, number: int, fixed: Mapping[str, Any] | None = None) -> optuna.Trial:
        """A new trial for a slot; slots are asked in order.

        Args:
            number: The slot; all lower ones were asked or added.
            fixed: Params that the trial is to have, whatever the sampler would say.
        """
        self._show_results(up_to=number - self._concurrency)
        self._study.sampler = self._sampler(number)
        if fixed is not None:
            self._study.enqueue_trial(dict(fixed))
        return self._study.ask()

    def add(self, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> None:
        """Take the next slot from the ledger: a trial that an earlier run asked."""
        self._study.add_trial(create_trial(state=TrialState.RUNNING, params=dict(params), distributions=dict(distributions)))

    def tell(self, state: TrialState, value: float | None) -> None:
        """The result of the next slot in order; it is shown to the sampler when its turn comes."""
        self._results.append((state, value))

    def _show_results(self, up_to: int) -> None:
        while self._n_shown <= up_to:
            state, value = self._results[self._n_shown]
            self._study.tell(self._n_shown, value, state=state)
            self._n_shown += 1

    def _sampler(self, number: int) -> BaseSampler:
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        if self._section.kind == "random":
            return RandomSampler(seed=seed)
        return TPESampler(seed=seed, n_startup_trials=self._section.n_startup_trials, n_ei_candidates=self._section.n_ei_candidates)
