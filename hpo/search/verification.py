"""Verifies on resume that the last slots are those that the search asks.

A slot's params are a function of the definition, the data and its number, so asking again shows
whether a second driver, or a person, wrote in between. Nothing is said of trials that other clients
asked or queued, nor of the slots that were asked while one was open.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hpo.definition import StudyDefinition
from hpo.errors import IdentityError
from hpo.estimators.several import StudySpace
from hpo.ledger.mirror import Mirror
from hpo.ledger.trials import DERIVED, is_foreign
from hpo.versions import describe_changes

N_VERIFIED = 5
"""Slots that are asked again, 10 ms each."""


def verify_last(
    definition: StudyDefinition,
    trials: Sequence[FrozenTrial],
    mirror: Mirror,
    space: StudySpace,
    result_of: Callable[[FrozenTrial], FrozenTrial],
) -> None:
    """Ask the last slots again and compare their params with those in the ledger.

    Args:
        definition: Of the study.
        trials: Those of the ledger, by number.
        mirror: A new one, only for this.
        space: What slots are asked.
        result_of: What the search sees of a finished trial.

    Raises:
        IdentityError: One differs.
    """
    name = definition.name
    known = [trial for trial in trials if trial.state.is_finished() or is_foreign(trial)]
    if known != list(trials[: len(known)]) or [t.number for t in known] != [*range(len(known))]:
        return
    own = [_is_own(trial) for trial in known]
    able = [
        n for n in range(len(known)) if all(own[max(0, n - definition.study.concurrency) : n + 1])
    ]
    last = set(able[-N_VERIFIED:])
    for number, trial in enumerate(known):
        if number in last:
            trial_asked = mirror.ask(number, fixed=space.given(number))
            space.suggest(trial_asked)
            if not _are_compatible(trial_asked.distributions, trial.distributions):
                return
            if not _are_equal(trial_asked.params, trial.params):
                changes = ", ".join(describe_changes(trial_asked.params, trial.params))
                raise IdentityError(
                    f"trial {number} of study '{name}' is not the one that its search asks"
                    f" ({changes}): a second driver wrote it, or it was changed",
                    hint="start another study with --name,"
                    f" or this one anew after: python -m hpo delete {name}",
                )
        else:
            params = (
                (trial.params, trial.distributions) if DERIVED in trial.user_attrs else ({}, {})
            )
            mirror.add(*params)
        mirror.tell(result_of(trial))


def _is_own(trial: FrozenTrial) -> bool:
    is_queued = trial.state == TrialState.WAITING or "fixed_params" in trial.system_attrs
    return DERIVED in trial.user_attrs and not is_queued and not is_foreign(trial)


def _are_compatible(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether both were asked of the same space: an earlier version may have had another."""
    return all(one[name] == other[name] for name in one.keys() & other.keys())


def _are_equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether params are the same but for the last bits, which another processor may round."""
    return one.keys() == other.keys() and all(
        math.isclose(one[name], other[name], rel_tol=1e-9)
        if isinstance(one[name], float) and isinstance(other[name], float)
        else one[name] == other[name]
        for name in one
    )
