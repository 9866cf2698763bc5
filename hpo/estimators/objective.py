"""The interface of what a search drives: an objective in steps. The folds of a recipe are one."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class StepResult:
    """The outcome of one step: of one fit, where the steps are folds.

    Attributes:
        scores: Scorer name to score; greater is better. Empty where the fit failed.
        converged: Whether the solver reached its tolerance.
        failure: One line, or None where all went well.
        traceback: The whole traceback of a failure.
        started: When it began, seconds since 1970, UTC, on the machine that ran it.
        ended: When it was over.
        predictions: Method of the model to what it gave for the test rows, where that is kept.
    """

    scores: dict[str, float] = field(default_factory=dict)
    converged: bool = True
    failure: str | None = None
    traceback: str | None = None
    started: float = field(default_factory=time.time, compare=False)
    ended: float = field(default_factory=time.time, compare=False)
    predictions: dict[str, Any] = field(default_factory=dict, compare=False)


class Evaluator(Protocol):
    """Scores params step by step; what is known after each step may stop the rest."""

    @property
    def n_steps(self) -> int:
        """Steps of a trial."""
        ...

    def evaluate(self, params: Mapping[str, Any], step: int) -> StepResult:
        """Score complete params on one step; whatever a fit raises is the result's failure."""
        ...


class Objective(Evaluator, Protocol):
    """An evaluator that travels to workers: it can be pickled, and scores the same anywhere."""

    def part(self, step: int) -> "Objective":
        """The objective of one step alone, as it travels to another machine."""
        ...
