"""Influence values of the scores of classes: how much each row moves a score."""

from collections.abc import Sequence

import numpy as np

from hpo.decision_section import COST
from hpo.estimators.classification.label_scores import (
    influence_on_labels,
    made_up_rows,
    score_of_shares,
)
from hpo.estimators.classification.rankings import (
    influence_on_auc,
    influence_on_auc_of_each,
    influence_on_auc_of_pairs,
    influence_on_average_precision,
)
from hpo.estimators.classification.scores import NO_COSTS, Predicted
from hpo.estimators.influence import Smoothed, influence_on_mean, influence_on_ratio
from hpo.estimators.mistakes import Mistakes

MIN_ROWS = 10
"""Rows of a class, and rows that are called so, from which scores of it have an interval."""


def influence(metric: str, y: np.ndarray, model: Predicted) -> np.ndarray | None:
    """How much each row moves a score.

    Args:
        metric: A scorer's name.
        y: True labels, array of shape (n_samples,).
        model: The predictions of the same rows.

    Returns:
        Array of shape (n_samples,), or None for a scorer that is not known here, and for precision
        where next to no row is called positive.
    """
    truth = model.positions(y)
    if score := score_of_shares(metric, model.positive_position):
        predicted = model.positions(model.predict())
        n_called = int((predicted == model.positive_position).sum())
        is_defined = metric != "precision" or n_called >= MIN_ROWS
        moved = influence_on_labels(score, truth, predicted, len(model.classes_))[1]
        return moved if is_defined else None
    if metric == COST or metric in _OF_PROBABILITIES:
        return _influence_on_loss(metric, y, model)
    if metric in ("roc_auc", "average_precision"):
        return _influence_on_ranking(metric, truth, model)
    name, weighted, _ = metric.partition("_weighted")
    if name not in ("roc_auc_ovr", "roc_auc_ovo"):
        return None
    probabilities = model.predict_proba()
    if len(model.classes_) == 2:
        return influence_on_auc(probabilities[:, 1], truth == 1)
    of_classes = influence_on_auc_of_each if name.endswith("r") else influence_on_auc_of_pairs
    return of_classes(probabilities, truth, is_weighted=bool(weighted))


def smoothed_influence(metric: str, y: np.ndarray, models: Sequence[Predicted]) -> Smoothed | None:
    """How much each row moves scores of answers, beside one made-up row of each class.

    Args:
        metric: A scorer's name.
        y: True labels, array of shape (n_samples,).
        models: One, or two that are compared.

    Returns:
        None for a scorer that does not judge answers.
    """
    score = score_of_shares(metric, models[0].positive_position)
    if score is None and metric != COST:
        return None
    n_classes = len(models[0].classes_)
    predicted = [
        model.positions(model.predict()) if score or not model.costs else model.answers(model.costs)
        for model in models
    ]
    truth, made_up, weights = made_up_rows(predicted, n_classes)
    if score is None:
        return _smoothed_cost(y, models, truth, made_up, weights)
    truth = np.concatenate([models[0].positions(y), truth])
    weights = np.concatenate([np.ones(len(y)), weights])
    scores, moved = zip(
        *(
            influence_on_labels(score, truth, np.concatenate(labels), n_classes, weights)
            for labels in zip(predicted, made_up, strict=True)
        ),
        strict=True,
    )
    return Smoothed(scores, np.array(moved), truth, weights)


def _smoothed_cost(
    y: np.ndarray,
    models: Sequence[Predicted],
    truth: np.ndarray,
    made_up: Sequence[np.ndarray],
    weights: np.ndarray,
) -> Smoothed:
    """The same of a cost: made-up rows cost what a row does on average."""
    weights = np.concatenate([np.ones(len(y)), weights])
    scores, moved = [], []
    for model, answers in zip(models, made_up, strict=True):
        if model.costs is None:
            raise TypeError(NO_COSTS)
        of_made_up = model.costs.mean().of_rows(truth, answers)
        values = -np.concatenate([model.costs_of_rows(y), of_made_up])
        scores.append(float(np.average(values, weights=weights)))
        moved.append(values - scores[-1])
    truth = np.concatenate([models[0].positions(y), truth])
    return Smoothed(tuple(scores), np.array(moved), truth, weights)


def find_mistakes(metric: str, y: np.ndarray, models: Sequence[Predicted]) -> Mistakes | None:
    """Find the answers of models that are scored by what mistakes about two classes cost.

    Args:
        metric: A scorer's name.
        y: True labels, array of shape (n_samples,).
        models: Those that are compared.

    Returns:
        None for any other scorer, and where rows have costs of their own.
    """
    costs = models[0].costs
    if metric != COST or costs is None or costs.columns or len(costs.matrix) != 2:
        return None
    answers = np.array([model.answers(costs) for model in models])
    return Mistakes(models[0].positions(y), answers, costs.matrix.sum(axis=1))


def has_enough_rows(metric: str, y: np.ndarray, model: Predicted) -> bool:
    """Whether every class that a score is of has enough rows, true ones and predicted ones."""
    if metric == "accuracy" or metric.endswith("_micro") or metric in _OF_PROBABILITIES:
        return True
    n_classes = len(model.classes_)
    rows = [model.positions(y)]
    if score_of_shares(metric, model.positive_position):
        rows.append(model.positions(model.predict()))
    return all(np.bincount(classes, minlength=n_classes).min() >= MIN_ROWS for classes in rows)


def _influence_on_loss(metric: str, y: np.ndarray, model: Predicted) -> np.ndarray:
    """Of the mean of a loss a row, or of that as a share of the loss that the shares alone have."""
    if metric == COST:
        return -influence_on_mean(model.costs_of_rows(y))
    truth, probabilities = model.positions(y), model.predict_proba()
    is_true = np.eye(probabilities.shape[1])[truth]
    losses = []
    for given in (probabilities, np.broadcast_to(is_true.mean(axis=0), is_true.shape)):
        if "log_loss" in metric:
            epsilon = np.finfo(given.dtype).eps
            of_true = given[np.arange(len(truth)), truth]
            losses.append(-np.log(np.clip(of_true, epsilon, 1 - epsilon)))
        else:
            # scikit-learn halves the sum of two classes.
            losses.append(((given - is_true) ** 2).sum(axis=1) / (2 if given.shape[1] == 2 else 1))
    loss, of_shares = losses
    if metric.startswith("d2"):
        return -influence_on_ratio(loss, of_shares)
    return -influence_on_mean(loss)


def _influence_on_ranking(metric: str, truth: np.ndarray, model: Predicted) -> np.ndarray:
    """Of an area under one curve, or the mean of those of each class against the others."""
    ranks = (
        model.decision_function() if hasattr(model, "decision_function") else model.predict_proba()
    )
    if ranks.ndim == 2 and ranks.shape[1] > 2:
        of_class = [
            influence_on_average_precision(of_label, truth == label)
            for label, of_label in enumerate(ranks.T)
        ]
        return np.asarray(np.mean(of_class, axis=0))
    of_second = ranks if ranks.ndim == 1 else ranks[:, 1]
    if metric == "roc_auc":
        return influence_on_auc(of_second, truth == 1)
    of_positive = of_second if model.positive_position == 1 else -of_second
    return influence_on_average_precision(of_positive, truth == model.positive_position)


_OF_PROBABILITIES = frozenset(
    {"neg_log_loss", "neg_brier_score", "d2_log_loss_score", "d2_brier_score"}
)
