"""The decision of a study: chosen out of fold, judged on the hold-out, against answering otherwise.

It is compared with the same model answering the likelier class, with scikit-learn's defaults
answering so, and with one answer for every row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpo.data.dataset import Dataset
from hpo.decision_section import COST, DecisionSection
from hpo.estimators.classification.costs import Costs
from hpo.estimators.classification.scores import Answered
from hpo.estimators.classification.thresholds import ThresholdCurve, trace
from hpo.estimators.decision import Decision
from hpo.estimators.out_of_fold import OutOfFold
from hpo.estimators.task import Predictions, Task
from hpo.results.calibration import CalibrationChoice, choose_calibration
from hpo.results.holdout import judge_on_holdout
from hpo.results.intervals import Estimate
from hpo.results.thresholds import ThresholdChoice, choose_threshold


@dataclass(frozen=True, eq=False)
class DecisionChoice:
    """A decision as it was chosen out of fold.

    Attributes:
        decision: What ships.
        calibration: Whether probabilities are mended.
        threshold: How it was chosen, or None where there is none.
    """

    decision: Decision
    calibration: CalibrationChoice
    threshold: ThresholdChoice | None = None


@dataclass(frozen=True, eq=False)
class JudgedDecision:
    """A decision on the hold-out; a gain is what it is better by, in cost what it saves a row.

    Attributes:
        choice: What was chosen.
        objective: The scorer that it is judged by.
        n_rows: Held-out rows.
        score: By that scorer.
        over_likelier: The gain over the same model answering the likelier class, at 0.5.
        over_defaults: The gain over the defaults answering so; None where those failed.
        answer: One answer for every row: the cheapest on the training rows, or the commonest class.
        over_answer: The gain over that.
        conditions: Scorers of ``subject_to``, on the hold-out.
        conditions_asked: The least that each should be.
        curve: Scores by threshold on the hold-out, or None where there is no threshold.
    """

    choice: DecisionChoice
    objective: str
    n_rows: int
    score: Estimate
    over_likelier: Estimate
    over_defaults: Estimate | None
    answer: str
    over_answer: Estimate
    conditions: Mapping[str, Estimate] = field(default_factory=dict)
    conditions_asked: Mapping[str, float] = field(default_factory=dict)
    curve: ThresholdCurve | None = None

    @property
    def threshold(self) -> float | None:
        """The threshold that ships, or None."""
        return self.choice.decision.threshold

    def to_json(self) -> dict[str, Any]:
        """The rule that ships, with its scores and gains by name."""
        chosen = self.choice.threshold
        return {
            "threshold": self.threshold,
            "reason": chosen and chosen.reason,
            "positive": None if self.threshold is None else str(self.choice.decision.positive),
            "objective": self.objective,
            "holdout": self.score.to_json(),
            "over_likelier": self.over_likelier.to_json(),
            "over_defaults": self.over_defaults and self.over_defaults.to_json(),
            "answer": self.answer,
            "over_answer": self.over_answer.to_json(),
            "conditions": {name: each.to_json() for name, each in self.conditions.items()},
        }


def choose_decision(
    task: Task, section: DecisionSection, seen: OutOfFold, positive: Any
) -> DecisionChoice:
    """Choose calibration, then the rule, on out-of-fold predictions.

    Args:
        task: Classification.
        section: What is asked for.
        seen: The out-of-fold predictions.
        positive: The positive one of two classes, or None.
    """
    calibration = choose_calibration(section.calibration, seen)
    calibrator = calibration.calibrator
    if not section.chooses:
        return DecisionChoice(Decision(calibrator), calibration)
    if len(seen.classes) != 2:
        return DecisionChoice(Decision(calibrator, cost=seen.costs.matrix), calibration)
    position = int(np.searchsorted(seen.classes, positive))
    probabilities = calibration.probabilities[:, position]
    chosen = choose_threshold(task, section, seen, probabilities, position)
    decision = Decision(calibrator, chosen.threshold, positive)
    return DecisionChoice(decision, calibration, chosen)


def judge_decision(
    task: Task,
    choice: DecisionChoice,
    section: DecisionSection,
    models: Sequence[Predictions | None],
    dataset: Dataset,
    costs: Costs | None,
    *,
    seed: int,
) -> JudgedDecision:
    """Judge a decision on the hold-out.

    Args:
        task: Classification.
        choice: What was chosen.
        section: What was asked for.
        models: The model that decides, the same without a decision, and the defaults or None, each
            with the held-out rows.
        dataset: The rows.
        costs: What answers cost in the training rows, or None.
        seed: Of the resamples of a metric that has no closed form.
    """
    y, positive = dataset.y_test, dataset.positive
    classes = np.unique(dataset.y_train)
    of_test = costs and costs.of_table(dataset.X_test)
    objective = section.maximize or COST
    one_answer = _find_answer(objective, dataset.y_train, costs)
    labels = [None if model is None else model.predict() for model in models]
    labels.append(np.full(len(y), one_answer))
    answered = [Answered(each, classes, positive, of_test) for each in labels if each is not None]

    score, (over_likelier, *over_defaults, over_answer) = judge_on_holdout(
        task, answered, dataset, objective, seed=seed
    )
    chosen = choice.threshold
    return JudgedDecision(
        choice,
        objective,
        len(y),
        score,
        over_likelier,
        over_defaults[0] if over_defaults else None,
        str(one_answer),
        over_answer,
        {
            name: judge_on_holdout(task, answered[:1], dataset, name, seed=seed)[0]
            for name in section.subject_to
        },
        section.subject_to,
        None if chosen is None else _trace_holdout(chosen, models[0], dataset, of_test),
    )


def _find_answer(objective: str, y: np.ndarray, costs: Costs | None) -> Any:
    """The cheapest answer for every training row, or the commonest class."""
    classes, truth, counts = np.unique(y, return_inverse=True, return_counts=True)
    if objective != COST or costs is None:
        return classes[counts.argmax()]
    totals = [costs.of_rows(truth, np.full(len(y), each)).sum() for each in range(len(classes))]
    return classes[int(np.argmin(totals))]


def _trace_holdout(
    chosen: ThresholdChoice, model: Predictions | None, dataset: Dataset, costs: Costs | None
) -> ThresholdCurve:
    if model is None:
        raise ValueError("the model that decides is judged first")
    classes = np.unique(dataset.y_train)
    position = int(np.searchsorted(classes, dataset.positive))
    probabilities = model.responses()["predict_proba"][:, position]
    truth = np.searchsorted(classes, dataset.y_test)
    return trace(probabilities, truth, [chosen.objective], positive=position, costs=costs)
