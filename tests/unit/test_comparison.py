"""Two models on the same rows: p values against scipy's own tests, and what each rule makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import log_loss

from hpo.comparison import Answers, compare

CLASSES = np.array(["a", "b", "c"])


def answers(rng: np.random.Generator, y: np.ndarray, skill: float) -> Answers:
    """A model that finds the true class the more often the more skill it has."""
    weights = rng.random((len(y), 3)) + skill * (y[:, None] == CLASSES)
    return Answers(CLASSES[weights.argmax(axis=1)], weights / weights.sum(axis=1, keepdims=True), CLASSES)


@pytest.fixture
def y() -> np.ndarray:
    return np.random.default_rng(1).choice(CLASSES, 200)


@pytest.mark.parametrize("skills", [(0.5, 0.5), (0.5, 0.3), (0.3, 0.5)])
def test_accuracy_is_mcnemars_exact_test(y, skills):
    rng = np.random.default_rng(2)
    ours, theirs = (answers(rng, y, skill) for skill in skills)
    found = compare("accuracy", y, ours, theirs)
    won = int(((ours.labels == y) & (theirs.labels != y)).sum())
    lost = int(((ours.labels != y) & (theirs.labels == y)).sum())
    assert found.p_worse == pytest.approx(stats.binomtest(won, won + lost, 0.5, "less").pvalue)
    assert found.p_better == pytest.approx(stats.binomtest(won, won + lost, 0.5, "greater").pvalue)
    assert (found.challenger, found.champion, found.n_rows) == ((ours.labels == y).mean(), (theirs.labels == y).mean(), 200)


@pytest.mark.parametrize("metric", ["neg_log_loss", "roc_auc_ovr", "f1_macro"])
@pytest.mark.parametrize("skills", [(0.5, 0.5), (0.5, 0.3), (0.3, 0.5)])
def test_other_metrics_are_a_paired_t_test_of_log_losses(y, metric, skills):
    rng = np.random.default_rng(2)
    ours, theirs = (answers(rng, y, skill) for skill in skills)
    found = compare(metric, y, ours, theirs)
    losses = [-np.log(each.probabilities[y[:, None] == CLASSES]) for each in (ours, theirs)]
    assert found.p_worse == pytest.approx(stats.ttest_rel(*losses, alternative="greater").pvalue)
    assert found.p_better == pytest.approx(stats.ttest_rel(*losses, alternative="less").pvalue)
    assert found.challenger == pytest.approx(log_loss(y, ours.probabilities))


@pytest.mark.parametrize("metric", ["accuracy", "neg_log_loss"])
@pytest.mark.parametrize(
    ("skills", "rules"),
    [((0.8, 0.1), {"not_worse": True, "better": True}), ((0.1, 0.8), {"not_worse": False, "better": False}),
     ((0.4, 0.4), {"not_worse": True, "better": False})],
)  # fmt: skip
def test_rules(y, metric, skills, rules):
    rng = np.random.default_rng(0)
    first, second = (answers(rng, y, skill) for skill in skills)
    found = compare(metric, y, first, first if len(set(skills)) == 1 else second)
    assert {rule: found.satisfies(rule) for rule in rules} == rules
    assert not found.satisfies("never")


@pytest.mark.parametrize("metric", ["accuracy", "neg_log_loss"])
@pytest.mark.parametrize("n_rows", [1, 2, 200])
def test_same_model_is_not_worse_and_not_better(y, metric, n_rows):
    ours = answers(np.random.default_rng(0), y[:n_rows], 0.4)
    found = compare(metric, y[:n_rows], ours, ours)
    assert found.satisfies("not_worse")
    assert not found.satisfies("better")


def test_class_thought_impossible_or_unknown_costs_much_and_not_everything(y):
    certain = Answers(np.full(200, "a"), np.tile([1.0, 0.0, 0.0], (200, 1)), CLASSES)
    without_c = Answers(np.full(200, "a"), np.tile([0.5, 0.5], (200, 1)), CLASSES[:2])
    found = compare("neg_log_loss", y, certain, without_c)
    assert 10 < found.challenger < 36
    assert 5 < found.champion < 36
    assert found.to_text().startswith(f"log loss {found.challenger:.4f} against {found.champion:.4f} on the same 200 held-out rows")


@pytest.mark.parametrize(("lost", "is_worse"), [(0, False), (1, False), (2, False), (3, True), (4, True)])
def test_three_rows_lost_and_none_won_are_more_than_noise(lost, is_worse):
    y = np.array(["a"] * 30)
    theirs = Answers(y, np.ones((30, 3)) / 3, CLASSES)
    labels = np.where(np.arange(30) < lost, "b", "a")
    found = compare("accuracy", y, Answers(labels, np.ones((30, 3)) / 3, CLASSES), theirs)
    assert found.satisfies("not_worse") is not is_worse
