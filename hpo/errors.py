"""One small tree of errors; each class has the exit code of the command.

::

    HpoError                       1  no subclass fits: the workers, or a bug of ours
    ├── InputError                 2  the user's input cannot work; nothing was written
    │   ├── DefinitionError           the study file or one of its flags
    │   ├── SettingsError             where ledger and tracking are
    │   ├── DataError                 the table
    │   ├── MissingStudyError         there is no study of that name
    │   ├── QueueFullError            too many studies wait
    │   ├── ModelError                the logged model to use
    │   │   └── UntrustedTypesError   it holds types that its user did not name
    │   └── IdentityError             the study exists with another definition or other data
    ├── TrackingError              3  MLflow does not have everything
    ├── LedgerError                4  the Optuna storage failed
    │   └── LedgerGoneError           its file or its study was removed during the run
    ├── NoCompletedTrialError      5  no trial to choose from
    ├── TooManyFailuresError       6  most trials fail: stopped early
    ├── StudyLockedError           7  another driver has the study
    └── InterruptedBySignal  128 + n  SIGINT or SIGTERM; the next run goes on

Every error has a message of one line (subject, constraint, "but got" value) and a hint: the flag or
command to use next.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from hpo.escaping import on_one_line

MAX_COMPARED = 500
"""Characters of a name and a known one together."""


class HpoError(Exception):
    """Base of all errors that ``hpo`` raises on purpose.

    Args:
        message: One line: what is wrong and where.
        hint: What to do next, or None if the message already says it.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(on_one_line(message))
        self.hint = None if hint is None else on_one_line(hint)

    def to_json(self) -> dict[str, Any]:
        """Give the object that ``--json`` prints when a run ends in this error."""
        return {
            "error": {"kind": type(self).__name__, "message": str(self), "hint": self.hint},
            "exit_code": self.exit_code,
        }


class InputError(HpoError):
    """The user's input cannot work; raised before anything is written."""

    exit_code = 2


class DefinitionError(InputError):
    """A study file is wrong, or a flag that overrides one of its keys."""


class SettingsError(InputError):
    """A storage or tracking URL is wrong."""


class DataError(InputError):
    """The table cannot be used."""


class MissingStudyError(InputError):
    """There is no study of that name."""


class QueueFullError(InputError):
    """As many studies wait as may."""


class ModelError(InputError):
    """A logged model does not exist, or is not safe to load."""


class UntrustedTypesError(ModelError):
    """A model of an estimator of one's own holds types that its user did not name.

    Args:
        untrusted: Their names.
    """

    def __init__(self, untrusted: Sequence[str]) -> None:
        flags = " ".join(f"--trust {name}" for name in untrusted)
        super().__init__(
            f"model: it holds types that are not trusted: {list(untrusted)}",
            hint=f"nothing of it was run; if you know who made it: {flags}",
        )
        self.untrusted = tuple(untrusted)


class IdentityError(InputError):
    """The study in the ledger has another definition or other data."""


class TrackingError(HpoError):
    """MLflow does not have everything; the ledger does."""

    exit_code = 3


class LedgerError(HpoError):
    """The Optuna storage could not be read or written.

    Args:
        message: One line.
        hint: What to do next.
        may_pass: Whether it may soon pass: the database is locked, restarting or cut off.
    """

    exit_code = 4

    def __init__(self, message: str, *, hint: str | None = None, may_pass: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.may_pass = may_pass


class LedgerGoneError(LedgerError):
    """The file or the study was removed, or replaced, while the run went on."""


class NoCompletedTrialError(HpoError):
    """The study has no completed trial, and so no best one."""

    exit_code = 5


class TooManyFailuresError(HpoError):
    """More trials failed than ``max_failed`` allows."""

    exit_code = 6


class StudyLockedError(HpoError):
    """Another process is driving this study."""

    exit_code = 7


class InterruptedBySignal(HpoError):  # noqa: N818 - it is an end, not an error
    """The process was told to stop; the ledger is consistent and the next run goes on.

    Args:
        signal_number: SIGINT or SIGTERM.
        message: One line.
        hint: How to go on.
    """

    def __init__(
        self, signal_number: int, message: str, *, hint: str = "run the same command again to go on"
    ) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = 128 + signal_number


def first_line(error: BaseException) -> str:
    """Give the first line of another library's error, or its type if it has no text."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def name_some(names: Sequence[str], most: int) -> str:
    """List names for a sentence, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def nearest(name: str, known: Iterable[str], *, n: int = 1) -> list[str]:
    """Give the known names most like this one, in any case; the nearest first."""
    # Comparing takes the product of the lengths; nobody mistypes a text.
    lower = {other.lower(): other for other in known if len(name) + len(other) < MAX_COMPARED}
    return [lower[match] for match in get_close_matches(name.lower(), lower, n=n, cutoff=0.5)]


def did_you_mean(
    name: str, known: Iterable[str], otherwise: str | None = None, *, n: int = 1
) -> str | None:
    """Give a hint that guesses the name meant, or another hint where no known name is near."""
    near = nearest(name, known, n=n)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else otherwise
