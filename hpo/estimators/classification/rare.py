"""Classes with too few rows for the hold-out and the folds: dropped, or pooled into one.

What is too few is not computed: the smallest classes go, one by one, until every split holds what
is left.
"""

import numpy as np

from hpo.data.target import Folds
from hpo.data_section import DataSection
from hpo.errors import DataError, name_some
from hpo.escaping import quote
from hpo.estimators.classification import target

POOLED = "(rare)"
"""The class that rare ones are pooled into."""

MAX_NAMED = 5


def treat_rare(
    labels: np.ndarray,
    groups: np.ndarray | None,
    section: DataSection,
    folds: Folds,
    notes: list[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Drop or pool rare classes, as ``data.rare`` says.

    Where even the largest classes cannot be split, all stay: the checks of the splits say why.

    Returns:
        The labels of the rows that are kept, and whether each row is, array of shape (n_samples,).

    Raises:
        DataError: The pooled class has too few rows still.
    """
    everything = np.ones(len(labels), dtype=bool)
    classes, codes = np.unique(labels, return_inverse=True)
    rare = [] if section.rare == "refuse" else _find_rare(codes, groups, section, folds)
    if not rare:
        return labels, everything
    is_rare = np.isin(codes, rare)
    counts = [f"{quote(classes[code])} ({(codes == code).sum()})" for code in rare]
    named = name_some(counts, MAX_NAMED)
    if section.rare == "drop":
        n_rows = f"{is_rare.sum()} of {len(labels)} rows"
        notes.append(f"{n_rows} dropped: classes with too few rows: {named} (data.rare)")
        return labels[~is_rare], ~is_rare
    if not _can_be_split(np.where(is_rare, -1, codes), groups, section, folds):
        raise DataError(
            f"data: the pooled class of {named} has {is_rare.sum()} rows, still too few",
            hint="set data.rare to drop, or lower cv.n_splits",
        )
    notes.append(f"classes with too few rows are one class '{POOLED}': {named} (data.rare)")
    texts = labels.astype(np.str_).astype(object)
    texts[is_rare] = POOLED
    return texts.astype(np.str_), everything


def _find_rare(
    codes: np.ndarray, groups: np.ndarray | None, section: DataSection, folds: Folds
) -> list[int]:
    """The fewest of the smallest classes without which the rest can be split; perhaps none.

    A class that has too few rows only once the pooled one takes its share is pooled too.
    """
    if groups is not None:
        groups = np.unique(groups, return_inverse=True)[1]
    sizes = {
        code: (0 if groups is None else len(np.unique(groups[codes == code])), n_rows)
        for code, n_rows in enumerate(np.bincount(codes).tolist())
    }
    smallest_first = sorted(sizes, key=sizes.__getitem__)
    is_pooling = section.rare == "pool"
    # Two classes at least are left, the pooled one included.
    for n_rare in range(len(smallest_first) - (0 if is_pooling else 1)):
        rare, others = smallest_first[:n_rare], smallest_first[n_rare:]
        if sizes[others[0]][1] <= folds.cv.n_splits:  # a row a fold, and one held out
            continue
        is_rare = np.isin(codes, rare)
        left = None if groups is None else groups[~is_rare]
        if not _can_be_split(codes[~is_rare], left, section, folds.of_rows(~is_rare)):
            continue
        is_pool_smallest = is_rare.sum() < sizes[others[0]][1]
        if (
            not (is_pooling and rare)
            or is_pool_smallest
            or _can_be_split(np.where(is_rare, -1, codes), groups, section, folds)
        ):
            return rare
    return []


def _can_be_split(
    codes: np.ndarray, groups: np.ndarray | None, section: DataSection, folds: Folds
) -> bool:
    """Whether hold-out, folds and outer folds hold every class."""
    try:
        train, _ = target.hold_out(codes, groups, section, folds.seed, folds.order)
        y, groups = codes[train], None if groups is None else groups[train]
        order = folds.of_rows(train).order
        target.check_classes(y, folds.cv.n_splits)
        target.make_splits(y, groups, folds.cv, folds.seed, order)
        if folds.nested is not None:
            target.check_outer_folds(y, groups, folds.nested, folds.cv, folds.seed, order)
    except (DataError, ValueError):  # scikit-learn's, of fewer groups than folds
        return False
    return True
