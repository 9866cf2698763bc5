"""How often the intervals of a hold-out hold the truth, for every kind of metric.

A part of ``tests.benchmarks.honesty``. The search has no part in a hold-out's interval, so each study
here fits two models only, one with a drawn ``C`` or ``alpha`` and the defaults, and judges them as the
command does, by many metrics; so many more studies take as long. The truth is each model's score on
20,000 fresh rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, cross_val_score

from hpo.definition import DataSection
from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.regression import REGRESSION
from hpo.estimators.task import Task
from hpo.results.holdout import judge_models
from hpo.results.intervals import Estimate
from hpo.results.sampling import FoldScores

N_FRESH = 20_000
N_COLUMNS = 10
N_FOLDS = 5
ROWS_OF_GROUP = 25

RANKED = ("accuracy", "neg_log_loss", "neg_brier_score", "roc_auc", "average_precision")
LABELLED = ("f1", "recall", "precision", "f1_macro", "balanced_accuracy", "matthews_corrcoef")
OF_CLASSES = (
    "accuracy", "neg_log_loss", "neg_brier_score", "roc_auc_ovr", "roc_auc_ovo", "f1_macro",
    "f1_weighted", "balanced_accuracy", "matthews_corrcoef",
)  # fmt: skip
OF_NUMBERS = (
    "r2", "neg_root_mean_squared_error", "neg_mean_squared_error", "neg_mean_absolute_error",
    "neg_median_absolute_error",
)  # fmt: skip

Rows = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""Columns, target and groups."""


@dataclass(frozen=True)
class HeldOutCase:
    """A known source of rows and the metrics that are judged on them.

    Attributes:
        name: As printed.
        task: What is predicted.
        n_rows: Of a table, of which a fifth is held out.
        metrics: Scorer names.
        draw: Draws so many rows.
        weights: ``class_weight`` of both models, in turn.
    """

    name: str
    task: Task
    n_rows: int
    metrics: tuple[str, ...]
    draw: Callable[[int, np.random.Generator], Rows]
    weights: tuple[str | None, ...] = (None,)


def two_classes(
    intercept: float, strength: float = 1.0
) -> Callable[[int, np.random.Generator], Rows]:
    """Rows of a logistic model."""

    def draw(n: int, rng: np.random.Generator) -> Rows:
        X = rng.normal(size=(n, N_COLUMNS))
        shift = strength * X[:, :4] @ [1, -1, 0.7, 0.5] + intercept
        return X, (rng.logistic(size=n) < shift).astype(int), None

    return draw


def five_classes(n: int, rng: np.random.Generator) -> Rows:
    """Rows of a multinomial model, 50 to 3 % of a class."""
    coefficients = np.random.default_rng(99).normal(size=(N_COLUMNS, 5)) / 2
    X = rng.normal(size=(n, N_COLUMNS))
    P = softmax(X @ coefficients + np.log([0.5, 0.25, 0.15, 0.07, 0.03]), axis=1)
    return X, (P.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1), None


def grouped(n: int, rng: np.random.Generator) -> Rows:
    """Rows whose group moves both columns and target."""
    groups = np.arange(n) // ROWS_OF_GROUP
    n_groups = groups.max() + 1
    X = rng.normal(size=(n, N_COLUMNS)) + 0.7 * rng.normal(size=(n_groups, N_COLUMNS))[groups]
    shift = X[:, :4] @ [0.6, -0.6, 0.4, 0.3] + rng.normal(size=n_groups)[groups]
    return X, (rng.logistic(size=n) < shift).astype(int), groups


def numbers(n: int, rng: np.random.Generator) -> Rows:
    """Rows of a linear model with noise of heavy tails."""
    X = rng.normal(size=(n, N_COLUMNS))
    return X, X[:, :4] @ [1, -1, 0.7, 0.5] + 1.5 * rng.standard_t(4, size=n), None


def numbers_with_giants(n: int, rng: np.random.Generator) -> Rows:
    """Numbers, and one row of a hundred far off that the line does not fit: it makes most of the
    squared error, and many a hold-out has none of them.
    """
    X, y, _ = numbers(n, rng)
    is_giant = rng.random(n) < 0.01
    X[is_giant, :2] += 4
    return X, y + 20 * is_giant * rng.choice([-1, 1], size=n), None


def _of_groups(n: int) -> HeldOutCase:
    metrics = ("accuracy", "neg_log_loss", "roc_auc", "average_precision", "f1_macro")
    return HeldOutCase(
        f"{n} held-out groups", CLASSIFICATION, 5 * n * ROWS_OF_GROUP, metrics, grouped
    )


HELD_OUT_CASES = (
    HeldOutCase(
        "3 % positives, 400 held-out rows", CLASSIFICATION, 2000, RANKED + LABELLED,
        two_classes(-4.3), (None, "balanced"),
    ),
    HeldOutCase(
        "30 % positives, 400 held-out rows", CLASSIFICATION, 2000, RANKED + LABELLED,
        two_classes(-1.1),
    ),
    HeldOutCase(
        "five uneven classes, 400 held-out rows", CLASSIFICATION, 2000, OF_CLASSES, five_classes,
        (None, "balanced"),
    ),
    HeldOutCase(
        "80 noisy held-out rows", CLASSIFICATION, 400, RANKED + LABELLED, two_classes(0, 0.35)
    ),
    HeldOutCase(
        "80 noisy rows, 16 held out", CLASSIFICATION, 80, RANKED + LABELLED, two_classes(0, 0.35)
    ),
    _of_groups(2),
    _of_groups(6),
    _of_groups(20),
    HeldOutCase("80 held-out numbers", REGRESSION, 400, OF_NUMBERS, numbers),
    HeldOutCase(
        "80 held-out numbers, giants make most of the error", REGRESSION, 400, OF_NUMBERS,
        numbers_with_giants,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """What a study says of one metric, and the truth."""

    score: Estimate
    gain: Estimate
    true_score: float
    true_gain: float


def judge_case(case: HeldOutCase, n_studies: int) -> Iterator[dict[str, Judged]]:
    """Judge so many studies, each on a table of its own: metric to what was found."""
    X_fresh, y_fresh, _ = case.draw(N_FRESH, np.random.default_rng(10**6))
    for seed in range(n_studies):
        rng = np.random.default_rng(seed)
        X, y, groups = case.draw(case.n_rows, rng)
        train, test = case.task.hold_out(y, groups, DataSection(test_size=0.2), seed)
        strength = 10 ** rng.uniform(-3, 1)
        weight = case.weights[seed % len(case.weights)]
        models = (
            (
                LogisticRegression(C=strength, class_weight=weight),
                LogisticRegression(class_weight=weight),
            )
            if case.task is CLASSIFICATION
            else (Ridge(alpha=10 / strength), Ridge())
        )
        positive = 1 if len(np.unique(y)) == 2 else None
        for model in models:
            model.fit(X[train], y[train])
        held_out = [case.task.predictions(model, X[test], positive) for model in models]
        fresh = [case.task.predictions(model, X_fresh, positive) for model in models]
        found = {}
        for metric in case.metrics:
            score, (gain,) = judge_models(
                case.task,
                held_out,
                y[test],
                None if groups is None else groups[test],
                metric,
                seed=seed,
                n_table=case.n_rows,
                folds=_score_folds(case.task, models, X[train], y[train], metric, len(test)),
            )
            ours, theirs = (model.score(metric, y_fresh) for model in fresh)
            found[metric] = Judged(score, gain, ours, ours - theirs)
        yield found


def _score_folds(
    task: Task, models: Sequence[Any], X: np.ndarray, y: np.ndarray, metric: str, n_held_out: int
) -> FoldScores | None:
    """As the search has scored their params; only losses without a bound ask for it."""
    if task is not REGRESSION:
        return None
    folds = KFold(N_FOLDS, shuffle=True, random_state=0)
    scores = [cross_val_score(model, X, y, scoring=metric, cv=folds) for model in models]
    return FoldScores(np.array(scores), N_FOLDS, len(y) / N_FOLDS / n_held_out)


def describe_case(case: HeldOutCase, n_studies: int) -> str:
    """A line a metric: how often an interval was given, and how often that held the truth."""
    of_metric = defaultdict(list)
    for found in judge_case(case, n_studies):
        for metric, judged in found.items():
            of_metric[metric].append(judged)
    lines = [f"{case.name}: {n_studies} studies"]
    for metric, studies in of_metric.items():
        scores = _describe([(judged.score, judged.true_score) for judged in studies])
        gains = _describe([(judged.gain, judged.true_gain) for judged in studies])
        claims = [judged.gain.low > 0 for judged in studies if judged.true_gain <= 0]
        false = f"{np.mean(claims):.1%} of {len(claims)}" if claims else "none"
        lines.append(
            f"  {metric}: score {scores}; gain {gains}; claimed where there is none {false}"
        )
    return "\n".join(lines)


def _describe(intervals: list[tuple[Estimate, float]]) -> str:
    said = [(estimate, truth) for estimate, truth in intervals if estimate.is_known]
    if not said:
        return "too few to say"
    held = np.mean([estimate.low <= truth <= estimate.high for estimate, truth in said])
    return f"held {held:.1%} of the {len(said) / len(intervals):.0%} said"
