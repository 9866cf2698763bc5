"""The standard error of any scorer, by scoring resamples: for those whose influence is not known.

Rows are drawn as they were held out: within each class, of which the totals are those of a table
drawn anew, n x Multinomial(n_table, shares) / n_table; or whole groups (Davison and Hinkley 1997,
*Bootstrap Methods and their Application*, sections 3.2 and 3.8). In the order of time, blocks of n
to the power of 1/3 rows are drawn, in a circle (Politis and Romano 1992, in *Exploring the Limits
of Bootstrap*, 263-270; the length of Hall, Horowitz and Jing 1995, Biometrika 82, 561-574).
"""

from collections.abc import Sequence

import numpy as np

from hpo.estimators.task import Predictions
from hpo.results.sampling import Sampling

N_RESAMPLES = 200
MAX_RESAMPLED = 2_000
"""Rows of a resample. Fewer than there are widen the spread by the root of the ratio (Bickel, Götze
and van Zwet 1997, Statistica Sinica 7, 1-31: "m out of n")."""

N_OF_LARGE = 25
"""Resamples where only some rows are drawn: a score of 2,000 rows takes about 2 ms."""

ROWS_OF_CLASS = 20
"""The least of a class's rows in a resample, where it has as many."""


def score_resamples(
    models: Sequence[Predictions],
    y: np.ndarray,
    metric: str,
    sampling: Sampling,
    rng: np.random.Generator,
) -> tuple[np.ndarray, float]:
    """Score all models on the same resamples.

    Args:
        models: Predictions of the same rows.
        y: Their target.
        metric: A scorer's name.
        sampling: How the rows were held out.
        rng: Draws the resamples.

    Returns:
        Scores, array of shape (n_models, n_resamples), without those that are not defined, and the
        factor by which their standard deviation is that of the scores of all rows.
    """
    n = len(y)
    n_drawn = n
    if sampling.groups is None and n > MAX_RESAMPLED:
        n_drawn = min(n, max(MAX_RESAMPLED, ROWS_OF_CLASS * n // sampling.n_rarest))
    scores = []
    for _ in range(N_RESAMPLES if n_drawn == n else N_OF_LARGE):
        rows = _draw(sampling, n_drawn, rng)
        scores.append([model.take(rows).score(metric, y[rows]) for model in models])
    resampled = np.array(scores).T
    return resampled[:, np.isfinite(resampled).all(axis=0)], float(np.sqrt(n_drawn / n))


def _draw(sampling: Sampling, n_drawn: int, rng: np.random.Generator) -> np.ndarray:
    """The rows of one resample."""
    if sampling.groups is not None:
        order = np.argsort(sampling.groups, kind="stable")
        members = np.split(order, np.bincount(sampling.groups).cumsum()[:-1])
        drawn = rng.integers(sampling.n_groups, size=sampling.n_groups)
        return np.concatenate([members[group] for group in drawn])
    n = len(sampling.strata)
    if sampling.is_ordered:
        length = round(n ** (1 / 3))
        starts = rng.integers(n, size=-(-n_drawn // length))
        return np.asarray((starts[:, None] + np.arange(length)).ravel()[:n_drawn] % n)
    shares = np.bincount(sampling.strata) / n
    totals = rng.multinomial(sampling.n_table, shares) * n_drawn / sampling.n_table
    counts = np.maximum(np.rint(totals).astype(int), shares > 0)
    order = np.argsort(sampling.strata, kind="stable")
    members = np.split(order, np.bincount(sampling.strata).cumsum()[:-1])
    return np.concatenate(
        [rng.choice(rows, count) for rows, count in zip(members, counts, strict=True) if count]
    )
