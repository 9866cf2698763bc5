"""Times fits of params that were drawn from a space, some of each kind, within a bound.

Two params are of one kind where their words are equal (penalty, solver, class weights): numbers
change how long a fit takes less than words do, and are averaged over.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo.estimators.objective import Evaluator
from hpo.estimators.recipe import Params

MAX_SECONDS = 15.0
"""No fit is begun after this; each may take as long as it takes."""

FITS_OF_A_KIND = 8

Words = tuple[tuple[str, str], ...]


@dataclass
class Kind:
    """A kind of fit.

    Attributes:
        words: The params that make it, by name.
        share: The part of the drawn params that are of it.
        drawn: Those params.
        seconds: What the fits took, one number a fit; empty where there was no time for one.
    """

    words: Words
    share: float
    drawn: Sequence[Params]
    seconds: list[float] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Its words, its share of the trials, and the mean of its fits."""
        mean = sum(self.seconds) / len(self.seconds) if self.seconds else None
        return {
            "params": dict(self.words),
            "share": self.share,
            "n_timed": len(self.seconds),
            "fold_seconds": mean and round(mean, 6),
        }


def time_kinds(
    evaluator: Evaluator, drawn: Sequence[Mapping[str, Any]], max_seconds: float = MAX_SECONDS
) -> list[Kind]:
    """Time one step for some of the params of each kind, the commonest kind first.

    Args:
        evaluator: What is timed.
        drawn: Complete params.
        max_seconds: No step is begun after it.
    """
    found: dict[Words, list[Mapping[str, Any]]] = {}
    for params in drawn:
        words = tuple((name, value) for name, value in params.items() if isinstance(value, str))
        found.setdefault(words, []).append(params)
    kinds = [Kind(words, len(of_it) / len(drawn), of_it) for words, of_it in found.items()]
    kinds.sort(key=lambda kind: -kind.share)
    end = time.perf_counter() + max_seconds
    for index in range(FITS_OF_A_KIND):
        for kind in kinds:
            if index < len(kind.drawn) and (now := time.perf_counter()) < end:
                evaluator.evaluate(kind.drawn[index], index % evaluator.n_steps)
                kind.seconds.append(time.perf_counter() - now)
    return kinds


def mean_seconds(kinds: Sequence[Kind]) -> float:
    """The mean time of a fit, each kind weighted by its share.

    A kind that was not timed counts as the timed ones that it shares most words with.
    """
    timed = [kind for kind in kinds if kind.seconds]
    total = 0.0
    for kind in kinds:
        closest = max(_n_shared(kind, other) for other in timed)
        near = [other for other in timed if _n_shared(kind, other) == closest]
        seconds = [each for other in near for each in other.seconds]
        total += kind.share * sum(seconds) / len(seconds)
    return total


def _n_shared(kind: Kind, other: Kind) -> int:
    return len(set(kind.words) & set(other.words))
