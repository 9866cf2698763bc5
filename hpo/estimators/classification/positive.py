"""The positive one of two classes: which it is, and which scores are of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hpo.errors import DataError, did_you_mean
from hpo.escaping import quote

POSITIVE_METRICS = frozenset(
    {
        "average_precision",
        "d2_brier_score",
        "f1",
        "jaccard",
        "neg_brier_score",
        "precision",
        "recall",
    }
)
"""scikit-learn's scorers with a ``pos_label``; the others treat two classes alike."""

YES = frozenset({"1", "true", "t", "yes", "y", "positive", "pos"})

RARE_SHARE = 0.2
"""Share of the rows below which a class is rare; of many classes, half of an equal share."""


def find_positive(y: np.ndarray, named: str | None) -> Any:
    """Find the positive class: the named one, else 1, yes or true, else the rarer one.

    Of two whole numbers it is the greater, as scikit-learn has it.

    Raises:
        DataError: The named one is not there, or there are not two classes.
    """
    classes, counts = np.unique(y, return_counts=True)
    if named is not None:
        return _find_named(classes, named)
    if len(classes) != 2:
        return None
    try:
        return max(classes, key=int)
    except ValueError:  # these are words
        said = [label for label in classes if _says_yes(label)]
        return said[0] if len(said) == 1 else classes[1 if counts[1] <= counts[0] else 0]


def advise(metrics: Sequence[str], y: np.ndarray, positive: Any, *, is_named: bool) -> list[str]:
    """Say which class was taken for the positive one, and which metric sees a rare class.

    Args:
        metrics: Scorer names, the judged one first.
        y: Labels, array of shape (n_samples,).
        positive: The positive class, or None.
        is_named: Whether a person named it.
    """
    notes = []
    judged = [name for name in metrics if name in POSITIVE_METRICS]
    if positive is not None and judged and not is_named and not _says_yes(positive):
        notes.append(
            f"the positive class of {', '.join(judged)} is {quote(positive)}:"
            " data.positive (--positive) names the other"
        )
    classes, counts = np.unique(y, return_counts=True)
    rarest, share = classes[counts.argmin()], counts.min() / len(y)
    if metrics[0] == "accuracy" and share < min(RARE_SHARE, 0.5 / len(classes)):
        better = "average_precision" if rarest == positive else "f1_macro"
        notes.append(
            f"class {quote(rarest)} has {100 * share:.1f}% of the rows, so accuracy hardly sees it:"
            f" --metric balanced_accuracy or {better} does"
        )
    return notes


def _find_named(classes: np.ndarray, named: str) -> Any:
    texts = [str(label) for label in classes]
    if len(classes) != 2:
        raise DataError(
            f"data.positive: one of two classes is positive, but the target has {len(classes)}",
            hint="leave data.positive out; f1_macro and balanced_accuracy judge all classes",
        )
    if named not in texts:
        listed = f"its classes are {' and '.join(map(repr, texts))}"
        raise DataError(
            f"data.positive: the target has no class '{named}'",
            hint=did_you_mean(named, texts, listed),
        )
    return classes[texts.index(named)]


def _says_yes(label: object) -> bool:
    return str(label).casefold() in YES
