"""How good a study's choice is and how sure that is: the numbers of a result, one value each.

Measured elsewhere (``holdout``, ``selection``, the nested search); here they are held together.
"""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.results.intervals import Estimate, half_width_over_folds
from hpo.results.over_time import OverTime

if TYPE_CHECKING:  # they need the models of the hold-out, which need this
    from hpo.results.calibration import ProbabilityScores
    from hpo.results.decisions import JudgedDecision


@dataclass(frozen=True)
class BestTrial:
    """The chosen trial.

    Attributes:
        number: Its number.
        value: Its mean CV score by the judged metric.
        std: The standard deviation of that score over the folds.
        params: Its complete params, derived ones included.
        rule: How it was chosen: ``best`` or ``one_standard_error``.
        chosen: Those of its params that were searched.
        converged: Whether its fits reached the solver's tolerance, the final model's too.
    """

    number: int
    value: float
    std: float
    params: dict[str, Any]
    rule: str
    chosen: dict[str, Any] = field(default_factory=dict)
    converged: bool = True

    def to_json(self) -> dict[str, Any]:
        """All of it, by name."""
        names = ("number", "value", "std", "params", "chosen", "converged", "rule")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class NestedScore:
    """The judged metric on the test rows of outer folds, each after its own search and refit.

    Attributes:
        scores: One score for each outer fold that is done.
        n_folds: The number of outer folds.
        greatest: The upper bound of the metric.
    """

    scores: tuple[float, ...]
    n_folds: int
    greatest: float = 1.0

    @property
    def estimate(self) -> Estimate | None:
        """Their mean with its 95 % interval; None until all are done."""
        if len(self.scores) < self.n_folds:
            return None
        mean = float(np.mean(self.scores))
        half = float(half_width_over_folds(np.array(self.scores), self.n_folds))
        return Estimate(mean, mean - half, min(mean + half, self.greatest))

    def to_json(self) -> dict[str, Any]:
        """The scores, and the estimate once there is one."""
        estimate = self.estimate
        return {
            "n_folds": self.n_folds,
            "scores": list(self.scores),
            **({} if estimate is None else estimate.to_json()),
        }


@dataclass(frozen=True)
class ConstantModel:
    """The model that ignores the columns: what any other has to be better than.

    Attributes:
        answer: What it does, in words.
        scores: Scorer name to its score on the hold-out.
        gain: The final model's gain over it on the same rows, by the judged metric.
    """

    answer: str
    scores: dict[str, float]
    gain: Estimate

    def to_json(self) -> dict[str, Any]:
        """Its values by name."""
        return {"answer": self.answer, "scores": self.scores, "gain": self.gain.to_json()}

    @property
    def is_beaten(self) -> bool:
        """Whether the final model's score is the higher one."""
        return self.gain.value > 0

    @property
    def is_surely_beaten(self) -> bool:
        """Whether the whole interval of the gain says so."""
        return self.gain.low > 0


@dataclass(frozen=True)
class EstimatorScore:
    """The best trial of one of a study's estimators.

    Attributes:
        name: The estimator's.
        n_trials: Its trials, whatever their state.
        number: The number of its highest trial, or None where none is complete.
        value: That trial's mean CV score by the judged metric.
    """

    name: str
    n_trials: int
    number: int | None = None
    value: float | None = None


@dataclass(frozen=True)
class Contest:
    """How the estimators of a study compare.

    Attributes:
        scores: One an estimator, the highest first.
        lead: The mean difference of the fold scores of the first two's best trials; None where
            only one has a complete trial.
    """

    scores: tuple[EstimatorScore, ...]
    lead: Estimate | None

    def to_json(self) -> dict[str, Any]:
        """The scores and the lead."""
        return {
            "scores": [asdict(score) for score in self.scores],
            "lead": self.lead and self.lead.to_json(),
        }


@dataclass(frozen=True)
class Estimates:
    """How far the best trial can be trusted.

    Attributes:
        n_ties: Completed trials that the folds cannot tell from the highest, that one included.
        baseline_value: Mean CV score of scikit-learn's defaults, or None where they failed.
        n_holdout_rows: The size of the hold-out.
        holdout_score: The final model's score on the hold-out by the judged metric.
        gain: That score minus the defaults' on the same rows; None where the defaults failed.
        constant: The model that ignores the columns, and the gain over it.
        n_unconverged: Completed trials with a fit that did not converge.
        nested: The score of "search and refit", or None where it was not asked for.
        baseline_trial: The number of the trial that has the defaults, or None where none has.
        contest: How the estimators compare, or None where the study has one.
        defaults_title: What a sentence calls the baseline.
        over_time: The score part by part, or None where rows are in no order.
        probabilities: How good the probabilities that ship are, or None where there are none.
        decision: How the model answers and what that brings, or None where nothing is decided.
    """

    n_ties: int
    baseline_value: float | None
    n_holdout_rows: int
    holdout_score: Estimate
    gain: Estimate | None
    constant: ConstantModel
    n_unconverged: int = 0
    nested: NestedScore | None = None
    baseline_trial: int | None = None
    contest: Contest | None = None
    defaults_title: str = "scikit-learn's defaults"
    over_time: OverTime | None = None
    probabilities: "ProbabilityScores | None" = None
    decision: "JudgedDecision | None" = None

    def more_to_json(self) -> dict[str, Any]:
        """Estimates over time, of probabilities and of the decision, those that there are."""
        judged = {
            "over_time": self.over_time,
            "calibration": self.probabilities,
            "decision": self.decision,
        }
        return {name: each.to_json() for name, each in judged.items() if each is not None}
