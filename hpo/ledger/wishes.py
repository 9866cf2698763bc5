"""A wish: how many trials somebody wants of a study, kept with the study in the ledger.

The storage is the queue: a wish that is above what was done makes a study one that a server drives.
A wish changes by the functions here, each of which gives the next one; ``ledger.submitting`` writes
it.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

WISH = "hpo.wish"
"""Study attribute of the system: the wish, one JSON object."""

MAX_ATTEMPTS = 5
"""Failures in a row, without a new trial between them, after which a study has failed."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""Before a study that failed is tried again; it doubles with each failure."""


_WISHED = ("definition", "table", "register", "plots")
"""Fields of a wish that say what is done beside the total."""


@dataclass(frozen=True)
class Wish:
    """Somebody's wish, and what came of it so far.

    Attributes:
        n_trials: The total that is wanted.
        definition: Section to key to plain value of the keys that were given, but for the total.
        submitted_at: Seconds since 1970, UTC; as all times here.
        priority: Studies with a higher one are driven first.
        table: Where servers find the table: ``digest``, ``name`` and ``uri`` in MLflow, or a
            ``path``; None for a bundled one.
        register: The registered model that the final model becomes a version of, or None.
        plots: Whether figures are drawn.
        n_done: The total for which all was done, the model included; 0 until then.
        outcome: What came of it, as far as a status says it.
        n_attempts: Failures in a row.
        n_trials_then: Finished trials at the last failure: a study that gets on is not given up.
        reason: Why it failed, or why it waits; or None.
        next_attempt_at: Not driven before.
        is_failed: Whether it is given up, until it is submitted again.
        cancelled_at: When it was cancelled, or None.
    """

    n_trials: int
    definition: Mapping[str, Any]
    submitted_at: float
    priority: int = 0
    table: Mapping[str, str] | None = None
    register: str | None = None
    plots: bool = True
    n_done: int = 0
    outcome: Mapping[str, Any] | None = None
    n_attempts: int = 0
    n_trials_then: int = 0
    reason: str | None = None
    next_attempt_at: float = 0.0
    is_failed: bool = False
    cancelled_at: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Give the object that the ledger keeps."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what the ledger keeps; keys of a later version are left out."""
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in content.items() if key in known})

    def is_open(self, n_waiting: int) -> bool:
        """Whether there is something to drive, now or after a pause.

        Args:
            n_waiting: Trials that a person queued.
        """
        is_ended = self.is_failed or self.cancelled_at is not None
        return not is_ended and (self.n_trials > self.n_done or n_waiting > 0)

    def submitted_again(self, again: "Wish") -> "Wish":
        """Take a second submission: the same changes nothing, more trials raise the total."""
        is_same = all(getattr(self, name) == getattr(again, name) for name in _WISHED)
        was_ended = self.is_failed or self.cancelled_at is not None
        before = again if was_ended else self
        return replace(
            before,
            **{name: getattr(again, name) for name in _WISHED},
            n_trials=max(self.n_trials, again.n_trials),
            priority=again.priority,
            n_done=self.n_done if is_same else 0,
            outcome=self.outcome,
        )

    def cancelled(self) -> "Wish":
        """Take that nobody wants it any more."""
        return self if self.cancelled_at is not None else replace(self, cancelled_at=time.time())

    def done(self, driven: "Wish", outcome: Mapping[str, Any]) -> "Wish":
        """Take that all was done for a wish, unless another has come since."""
        is_same = all(getattr(self, name) == getattr(driven, name) for name in _WISHED)
        return replace(
            self,
            n_done=driven.n_trials if is_same else 0,
            outcome=dict(outcome),
            n_attempts=0,
            n_trials_then=0,
            reason=None,
            next_attempt_at=0.0,
        )

    def failed(self, reason: str, n_finished: int, *, is_final: bool = False) -> "Wish":
        """Take a failure: there is another attempt after a pause, unless there were enough.

        Args:
            reason: One line.
            n_finished: Finished trials of the study.
            is_final: Whether another attempt would end the same way.
        """
        gets_on = n_finished > self.n_trials_then
        n_attempts = 1 if gets_on else self.n_attempts + 1
        pause = min(FIRST_PAUSE_SECONDS * 2 ** (n_attempts - 1), LONGEST_PAUSE_SECONDS)
        return replace(
            self,
            n_attempts=n_attempts,
            n_trials_then=n_finished,
            reason=reason,
            next_attempt_at=time.time() + pause,
            is_failed=is_final or n_attempts >= MAX_ATTEMPTS,
        )

    def postponed(self, reason: str, seconds: float) -> "Wish":
        """Take that something is away that the study needs: that is no failure of its own."""
        return replace(self, reason=reason, next_attempt_at=time.time() + seconds)
