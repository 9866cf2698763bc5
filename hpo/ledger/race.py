"""Racing: a trial that falls behind the best one on the same folds is stopped.

Folds are hard or easy for every trial alike, so what is compared is fold by fold. (Early-stopped
cross-validation: Bergman, Purucker and Hutter 2024, arXiv 2405.03389.)
"""

from typing import cast

import numpy as np
from optuna import Study
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from hpo.ledger.trials import has_converged, mean_and_std, rounded

MIN_FOLDS = 2
"""One fold alone stops no trial."""


class RacePruner(BasePruner):
    """Stops a trial whose folds are more than a standard deviation below the incumbent's.

    The incumbent is the highest complete trial of the study, the first of equal ones; one whose
    fits converged comes before any that has others. From the second fold on a trial is stopped
    where the mean of its differences to the incumbent on the same folds is below minus one standard
    deviation (the population's, as it is reported) of all the incumbent's folds, those of repeats
    too. Without an incumbent nothing is stopped. Greater is better.

    Args:
        n_deviations: How many standard deviations, where not one.
    """

    def __init__(self, n_deviations: float = 1.0) -> None:
        self._n_deviations = n_deviations

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether a trial with these intermediate values is stopped."""
        scores = trial.intermediate_values
        whole = [
            other
            for other in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if scores.keys() <= other.intermediate_values.keys()
        ]
        if len(scores) < MIN_FOLDS or not whole:
            return False
        folds = max(whole, key=_rank).intermediate_values
        difference = float(np.mean([score - folds[step] for step, score in scores.items()]))
        _, deviation = mean_and_std([*folds.values()])
        return rounded(difference + self._n_deviations * deviation) < 0


def _rank(trial: FrozenTrial) -> tuple[bool, float]:
    return has_converged(trial), rounded(cast("float", trial.value))
