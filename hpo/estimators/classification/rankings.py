"""Influence values of scores that judge how rows are ranked: areas under curves."""

from itertools import permutations

import numpy as np


def influence_on_auc(ranks: np.ndarray, is_positive: np.ndarray) -> np.ndarray:
    """Of the area under the ROC curve: DeLong's components, by one sort.

    Summed by group they give the variance for clustered rows (Obuchowski 1997, Biometrics 53,
    567-578).

    Args:
        ranks: What rows are ranked by, array of shape (n_samples,).
        is_positive: Whether each is positive.
    """
    return _influence_and_auc(ranks, is_positive)[0]


def _influence_and_auc(ranks: np.ndarray, is_positive: np.ndarray) -> tuple[np.ndarray, float]:
    """The influence on the area, and the area.

    Each positive row's component is the share of the negative ones that it is ranked above, ties
    counted half, and the other way round (DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44,
    837-845; by sorting, Sun and Xu 2014, IEEE Signal Processing Letters 21, 1389-1393).
    """
    order = np.argsort(ranks)
    is_higher = np.diff(ranks[order]) > 0
    place = np.empty(len(ranks), dtype=np.int64)
    place[order] = np.append(0, is_higher.cumsum())
    n_positive, n_negative = np.bincount(place, is_positive), np.bincount(place, ~is_positive)
    positive_below, negative_below = (
        (counts.cumsum() - counts / 2) / counts.sum() for counts in (n_positive, n_negative)
    )
    beaten = np.where(is_positive, negative_below[place], 1 - positive_below[place])
    area = beaten[is_positive].mean()
    share = is_positive.mean()
    return (beaten - area) / np.where(is_positive, share, 1 - share), float(area)


def influence_on_average_precision(ranks: np.ndarray, is_positive: np.ndarray) -> np.ndarray:
    """Of average precision, by one sort.

    Average precision is the mean, over positive rows, of the precision among the rows ranked as
    high or higher. A row moves it by its own precision, by those of all positive rows that it is
    ranked above, and by the share of positive rows.

    Args:
        ranks: What rows are ranked by, array of shape (n_samples,).
        is_positive: Whether each is positive.
    """
    _, place = np.unique(-ranks, return_inverse=True)
    n_positive, n_negative = np.bincount(place, is_positive), np.bincount(place, ~is_positive)
    share = is_positive.mean()
    found, fallen_for = (
        counts.cumsum() / counts.sum() for counts in (n_positive, n_negative)
    )  # the true and the false positive rate of each threshold
    called = share * found + (1 - share) * fallen_for
    precision = share * found / called
    weight = n_positive / n_positive.sum()
    # How much the precisions change with each of the two rates and with the share.
    by_found = share * (1 - share) * fallen_for / called**2 * weight
    by_fallen_for = -share * (1 - share) * found / called**2 * weight
    by_share = (found * fallen_for / called**2 * weight).sum()
    of_positive = precision - (weight * precision).sum() + _sum_from(by_found)
    of_positive -= (by_found * found).sum()
    of_negative = _sum_from(by_fallen_for) - (by_fallen_for * fallen_for).sum()
    moved = np.where(is_positive, of_positive[place] / share, of_negative[place] / (1 - share))
    return np.asarray(moved + by_share * (is_positive - share))


def _sum_from(values: np.ndarray) -> np.ndarray:
    """The sum of each value and all after it."""
    return np.asarray(values[::-1].cumsum()[::-1])


def auc(ranks: np.ndarray, is_positive: np.ndarray) -> float:
    """The area under the ROC curve."""
    return _influence_and_auc(ranks, is_positive)[1]


def influence_on_auc_of_each(
    ranks: np.ndarray, truth: np.ndarray, *, is_weighted: bool
) -> np.ndarray:
    """Of the mean area of each class against the others.

    Args:
        ranks: A column a class, array of shape (n_samples, n_classes).
        truth: True classes as positions, array of shape (n_samples,).
        is_weighted: Whether a class counts by its share of the rows.
    """
    moved = np.zeros(len(truth))
    n_classes = ranks.shape[1]
    for label in range(n_classes):
        is_positive = truth == label
        weight = is_positive.mean() if is_weighted else 1 / n_classes
        influence, area = _influence_and_auc(ranks[:, label], is_positive)
        moved += weight * influence
        if is_weighted:
            moved += area * (is_positive - weight)
    return moved


def influence_on_auc_of_pairs(
    ranks: np.ndarray, truth: np.ndarray, *, is_weighted: bool
) -> np.ndarray:
    """Of the mean area of each class against each other one (Hand and Till 2001).

    Args:
        ranks: A column a class, array of shape (n_samples, n_classes).
        truth: True classes as positions, array of shape (n_samples,).
        is_weighted: Whether a pair counts by its share of the rows.
    """
    n, n_classes = ranks.shape
    members = [np.flatnonzero(truth == label) for label in range(n_classes)]
    shares = np.array([len(rows) / n for rows in members])
    pairs = list(permutations(range(n_classes), 2))
    total = sum(shares[a] + shares[b] for a, b in pairs)
    moved, mean, by_share = np.zeros(n), 0.0, np.zeros(n_classes)
    for a, b in pairs:
        rows = np.concatenate([members[a], members[b]])
        is_positive = truth[rows] == a
        share = shares[a] + shares[b]
        weight = share / total if is_weighted else 1 / len(pairs)
        influence, area = _influence_and_auc(ranks[rows, a], is_positive)
        # Shares are of the pair's rows; all rows are 1 / share as many.
        moved[rows] += weight / share * influence
        mean += weight * area
        by_share[[a, b]] += area / total
    return moved + (by_share[truth] - by_share @ shares) if is_weighted else moved
