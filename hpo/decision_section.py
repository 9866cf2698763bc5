"""``[decision]``: how a model's probabilities become an answer. Nothing here knows scikit-learn."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, WithJsonSchema

from hpo.search_space import Section

COST = "neg_cost"
"""The scorer of ``decision.cost``: minus the mean cost of a row, so that greater is better."""

Metric: TypeAlias = Annotated[str, AfterValidator(lambda name: COST if name == "cost" else name)]
"""A scorer's name; ``cost`` is short for :data:`COST`."""

OF_TWO = ("false_positive", "false_negative")
"""The keys of ``decision.cost`` where one class of two is positive."""

Calibration: TypeAlias = Literal["none", "sigmoid", "isotonic", "auto"]


def _check_amount(key: str, amount: Any) -> None:
    is_number = isinstance(amount, int | float) and not isinstance(amount, bool)
    if not is_number or not math.isfinite(amount) or amount < 0:
        raise ValueError(f"{key} should be a number from 0 up, but got {amount!r:.80}")


def _check_cost(cost: dict[str, Any]) -> dict[str, Any]:
    """Refuse what is neither both mistakes of two classes nor a table a class."""
    if not cost:
        raise ValueError("should say what a mistake costs, but got an empty table")
    if not cost.keys() & set(OF_TWO):
        for label, row in cost.items():
            if not isinstance(row, Mapping):
                raise ValueError(  # noqa: TRY004 - what Pydantic takes for a finding
                    f"should have {' and '.join(OF_TWO)}, or a table a class,"
                    f" but got {label} = {row!r:.80}"
                )
            for called, amount in row.items():
                _check_amount(f"{label}.{called}", amount)
        return cost
    if cost.keys() != set(OF_TWO):
        raise ValueError(f"should have {' and '.join(OF_TWO)}, but got {', '.join(cost)}")
    for key, amount in cost.items():
        if not isinstance(amount, str):  # else the column that has each row's own
            _check_amount(key, amount)
    return cost


_AMOUNT = {"type": "number", "minimum": 0}

Cost: TypeAlias = Annotated[
    dict[str, Any],
    AfterValidator(_check_cost),
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "anyOf": [
                    _AMOUNT,
                    {"type": "string"},
                    {"type": "object", "additionalProperties": _AMOUNT},
                ]
            },
        }
    ),
]


class DecisionSection(Section):
    """``[decision]``: what a mistake costs, and how probabilities become an answer.

    ``cost`` is that of each mistake of two classes, a number or the column with each row's own
    amount, or, of more classes, a table a true class with the cost of each other answer; what it
    does not name costs 1. ``maximize`` names a scorer to choose the threshold by in the place of
    the cost, ``subject_to`` scorers with the least that each may be. ``calibration`` mends
    probabilities: ``auto`` only where that is better by more than noise. All may change between
    runs of a study, but for the cost where it is the study's metric: the trials are the same, and
    another model ships.
    """

    cost: Cost | None = None
    maximize: str | None = None
    subject_to: dict[str, Annotated[float, Field(ge=-1, le=1)]] = Field(default_factory=dict)
    calibration: Calibration = "none"

    @property
    def chooses(self) -> bool:
        """Whether it says how to answer, and not only what becomes of the probabilities."""
        return self.cost is not None or self.maximize is not None

    @property
    def is_set(self) -> bool:
        """Whether the model that ships is more than the pipeline."""
        return self.chooses or self.calibration != "none"
