"""How a study process ended with a study: what a server makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hpo.errors import (
    HpoError,
    InputError,
    InterruptedBySignal,
    LedgerError,
    NoCompletedTrialError,
    StudyLockedError,
    TooManyFailuresError,
    TrackingError,
)

Kind = Literal["done", "left", "away", "failed", "hopeless"]

_HOPELESS = (InputError, NoCompletedTrialError, TooManyFailuresError)
"""Another attempt with the same study ends the same way."""


@dataclass(frozen=True)
class Ending:
    """The end of an attempt at a study.

    Attributes:
        kind: ``done``; ``left`` to whoever drives it or will; something is ``away`` that comes
            back; ``failed``, or ``hopeless`` where another attempt would fail too.
        reason: Why it is not done, one line.
        outcome: What a status says of a study that is done.
    """

    kind: Kind
    reason: str = ""
    outcome: Mapping[str, Any] = field(default_factory=dict)


def ending_of(error: HpoError) -> Ending:
    """Say what an error of a run means for its study."""
    if isinstance(error, InterruptedBySignal | StudyLockedError):
        return Ending("left", str(error))  # its hint is for who runs a command
    reason = f"{error} ({error.hint})" if error.hint else str(error)
    if isinstance(error, TrackingError) or (isinstance(error, LedgerError) and error.may_pass):
        return Ending("away", reason)
    return Ending("hopeless" if isinstance(error, _HOPELESS) else "failed", reason)
