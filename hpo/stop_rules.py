"""When a search ends before its total: nothing better comes, or too much fails. Read from results alone, never from a clock."""

from collections.abc import Sequence

from optuna.trial import TrialState

from hpo.errors import TooManyFailuresError
from hpo.mirror import SlotResult
from hpo.selection import rounded

MIN_TRIALS_TO_JUDGE_FAILURES = 10


def patience_is_over(seen: Sequence[SlotResult], patience: int) -> bool:
    """Whether the last ``patience`` of these trials brought no better value than those before."""
    values = [rounded(result.value) if result.value is not None else float("-inf") for result in seen]
    return len(values) > patience and max(values[-patience:]) <= max(values[:-patience])


def check_failures(results: Sequence[SlotResult], max_failed: float) -> None:
    """Go on while no more than this share of the trials failed, or too few are done to say.

    Raises:
        TooManyFailuresError: More did; the commonest reason is named.
    """
    reasons = [result.failure or "no reason kept" for result in results if result.state == TrialState.FAIL]
    if len(results) < MIN_TRIALS_TO_JUDGE_FAILURES or len(reasons) <= max_failed * len(results):
        return
    commonest = max(set(reasons), key=reasons.count)
    raise TooManyFailuresError(
        f"{len(reasons)} of {len(results)} trials failed, more than max_failed = {max_failed:g} allows;"
        f" the commonest reason: {commonest}",
        hint="mend what makes the fits fail and start again under another --name",
    )
