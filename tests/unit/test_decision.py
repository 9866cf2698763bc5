"""Decisions: what costs are read, which threshold is chosen, and that what is put around a pipeline
is scikit-learn's own and loads safely.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import FixedThresholdClassifier, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from hpo.decision_section import COST, DecisionSection
from hpo.errors import DefinitionError
from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.classification.costs import read_costs
from hpo.estimators.classification.scores import Answered, Predicted
from hpo.estimators.classification.thresholds import (
    JUDGED_BY_LABELS,
    check_thresholds,
    trace,
)
from hpo.estimators.decision import (
    Calibrator,
    Decision,
    replace_pipeline,
    without_decision,
    without_rule,
)
from hpo.estimators.out_of_fold import OutOfFold
from hpo.estimators.skops_file import read_skops
from hpo.expected_cost import ExpectedCostClassifier
from hpo.results.calibration import choose_calibration, estimate_calibration_error
from hpo.results.thresholds import choose_threshold

COSTS = {"false_positive": 5, "false_negative": 100}
TWO = np.array(["no", "yes"])


def rows(n: int, n_classes: int = 2, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "amount"])
    X["amount"] = rng.gamma(2, 10, n)
    shift = X["a"] - X["b"] + rng.logistic(size=n)
    edges = [1.0] if n_classes == 2 else [-0.5, 1.0]
    return X, np.array(["no", "yes", "zz"])[np.digitize(shift, edges)]


def pipeline(estimator=None):
    through = ColumnTransformer([("numeric", "passthrough", ["a", "b"])])
    return make_pipeline(through, LogisticRegression() if estimator is None else estimator)


def seen_of(n: int = 600, n_classes: int = 2, estimator=None, costs=None, seed: int = 0):
    """Out-of-fold predictions as scikit-learn makes them."""
    X, y = rows(n, n_classes, seed)
    cv = StratifiedKFold(5, shuffle=True, random_state=0)
    model = pipeline(estimator)
    is_linear = estimator is None
    folds = np.empty(n, dtype=int)
    for number, (_, test) in enumerate(cv.split(X, y)):
        folds[test] = number
    probabilities = cross_val_predict(model, X, y, cv=cv, method="predict_proba")
    said = (
        cross_val_predict(model, X, y, cv=cv, method="decision_function")
        if is_linear
        else probabilities
    )
    said = said[:, None] if said.ndim == 1 else said[:, 1:] if said.shape[1] == 2 else said
    read = read_costs(DecisionSection(cost=costs), np.unique(y), "yes", X) if costs else None
    return X, OutOfFold(y, probabilities, said, folds, costs=read)


def test_costs_of_two_classes_have_the_threshold_of_theory():
    X, y = rows(50)
    costs = read_costs(DecisionSection(cost=COSTS), TWO, "yes", X)
    assert costs.threshold(1) == pytest.approx(5 / 105)
    truth = (y == "yes").astype(int)
    answers = np.arange(50) % 2
    expected = np.where(truth == answers, 0, np.where(truth == 1, 100, 5))
    assert costs.of_rows(truth, answers).tolist() == expected.tolist()
    other = read_costs(DecisionSection(cost=COSTS), TWO, "no", X)
    assert other.threshold(0) == pytest.approx(5 / 105)


def test_a_row_has_its_own_amount():
    X, _ = rows(50)
    cost = {"false_positive": 5, "false_negative": "amount"}
    costs = read_costs(DecisionSection(cost=cost), TWO, "yes", X)
    mean = X["amount"].mean()
    assert costs.threshold(1) == pytest.approx(5 / (5 + mean))
    ones = np.ones(50, dtype=int)
    assert costs.of_rows(ones, 0 * ones) == pytest.approx(X["amount"])
    assert costs.take(np.arange(10, 20)).of_rows(ones[:10], 0 * ones[:10]) == pytest.approx(
        X["amount"].iloc[10:20]
    )
    assert costs.of_rows(0 * ones, ones).tolist() == [5] * 50


def test_more_classes_have_a_matrix_in_which_an_unnamed_mistake_costs_one():
    X, _ = rows(20, 3)
    classes = np.array(["no", "yes", "zz"])
    costs = read_costs(DecisionSection(cost={"yes": {"no": 50, "zz": 2}}), classes, None, X)
    assert costs.matrix.tolist() == [[0, 1, 1], [50, 0, 2], [1, 1, 0]]
    probabilities = np.array([[0.9, 0.1, 0.0], [0.99, 0.01, 0.0]])
    assert costs.answer(probabilities).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("cost", "classes", "line"),
    [
        (COSTS, ["a", "b", "c"], "are of two classes, but the target has 3"),
        ({"no": {"maybe": 5}}, ["no", "yes"], "the target has no class 'maybe'"),
        ({"no": {"no": 5}}, ["no", "yes"], "'no' called 'no' is no mistake"),
        ({**COSTS, "false_negative": "amonut"}, ["no", "yes"], "the model has no column 'amonut'"),
        ({**COSTS, "false_negative": "b"}, ["no", "yes"], "'b' should be a number from 0 up"),
        ({"false_positive": 0, "false_negative": 0}, ["no", "yes"], "neither mistake costs"),
    ],
)  # fmt: skip
def test_costs_that_do_not_fit_are_refused(cost, classes, line):
    X, _ = rows(20)
    with pytest.raises(DefinitionError, match=line):
        read_costs(DecisionSection(cost=cost), np.array(classes), classes[-1], X)


@pytest.mark.parametrize(
    ("section", "n_classes", "line"),
    [
        ({"maximize": "recall"}, 3, "a threshold is of two classes"),
        ({"maximize": "roc_auc"}, 2, "'roc_auc' is no scorer that a threshold changes"),
        ({"maximize": "recall", "subject_to": {"precison": 0.8}}, 2, "'precison' is no scorer"),
        ({"subject_to": {"precision": 0.8}, "calibration": "auto"}, 2, "nothing to choose"),
    ],
)
def test_decisions_that_do_not_fit_are_refused(section, n_classes, line):
    with pytest.raises(DefinitionError, match=line):
        check_thresholds(DecisionSection(**section), n_classes, has_probabilities=True)


def test_an_estimator_without_probabilities_decides_nothing():
    with pytest.raises(DefinitionError, match="which this estimator does not give"):
        check_thresholds(DecisionSection(cost=COSTS), 2, has_probabilities=False)
    check_thresholds(DecisionSection(), 2, has_probabilities=False)


@pytest.mark.parametrize("name", JUDGED_BY_LABELS)
@pytest.mark.parametrize("positive", [0, 1])
def test_every_threshold_has_the_score_that_scikit_learn_gives(name, positive):
    _, seen = seen_of(120)
    probabilities = seen.probabilities[:, positive].round(2)  # with ties
    curve = trace(probabilities, seen.truth, [name], positive=positive)
    is_true = (seen.truth == positive).astype(int)
    for threshold, score in zip(curve.thresholds, curve.scores[name], strict=True):
        answered = Answered((probabilities >= threshold).astype(int), np.array([0, 1]), 1)
        with warnings.catch_warnings(action="ignore"):  # where none is called positive
            assert score == pytest.approx(answered.score(name, is_true)), threshold


def test_every_threshold_has_its_cost():
    _, seen = seen_of(120, costs={"false_positive": 5, "false_negative": "amount"})
    p = seen.probabilities[:, 1]
    curve = trace(p, seen.truth, [COST], positive=1, costs=seen.costs)
    for threshold, score in zip(curve.thresholds, curve.scores[COST], strict=True):
        costs = seen.costs.of_rows(seen.truth, (p >= threshold).astype(int))
        assert score == pytest.approx(-costs.mean())
    assert curve.at(0.5, COST) == pytest.approx(
        -seen.costs.of_rows(seen.truth, (p >= 0.5).astype(int)).mean()
    )


def choose(seen: OutOfFold, p: np.ndarray | None = None, **section):
    given = DecisionSection(**section)
    p = seen.probabilities[:, 1] if p is None else p
    return choose_threshold(CLASSIFICATION, given, seen, p, 1)


def test_good_probabilities_keep_the_threshold_of_the_cost():
    _, seen = seen_of(costs=COSTS)
    choice = choose(seen, cost=COSTS)
    assert (choice.threshold, choice.reason) == (pytest.approx(5 / 105), "start")
    assert choice.best != choice.threshold


def test_bad_probabilities_leave_it():
    _, seen = seen_of(3000, costs=COSTS)
    p = seen.probabilities[:, 1]
    choice = choose(seen, p / 6, cost=COSTS)
    assert choice.reason == "best"
    assert choice.threshold == pytest.approx(5 / 105 / 6, abs=0.005)
    assert choice.curve.at(choice.threshold, COST) > 0.8 * choice.curve.at(5 / 105, COST)


def test_a_scorer_is_maximized_within_conditions():
    _, seen = seen_of(1000)
    choice = choose(seen, maximize="recall", subject_to={"precision": 0.8})
    curve = choice.curve
    is_allowed = curve.scores["precision"] >= 0.8
    assert choice.reason == "within"
    assert curve.at(choice.threshold, "precision") >= 0.8
    assert curve.at(choice.threshold, "recall") == curve.scores["recall"][is_allowed].max()


def test_conditions_that_nothing_fulfils_take_the_nearest():
    _, seen = seen_of(300)
    choice = choose(seen, maximize="recall", subject_to={"f1": 0.99})
    assert choice.reason == "nearest"
    assert choice.curve.at(choice.threshold, "f1") == choice.curve.scores["f1"].max()


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("estimator", [None, RandomForestClassifier(20, random_state=0)])
def test_calibration_is_that_of_scikit_learn(n_classes, method, estimator):
    X, seen = seen_of(300, n_classes, estimator)
    theirs = CalibratedClassifierCV(
        pipeline(estimator),
        method=method,
        cv=StratifiedKFold(5, shuffle=True, random_state=0),
        ensemble=False,
    ).fit(X, seen.y)
    fitted = pipeline(estimator).fit(X, seen.y)
    ours = Calibrator.fit(method, seen.said, seen.y).wrap(fitted)
    assert type(ours) is CalibratedClassifierCV
    assert ours.predict_proba(X) == pytest.approx(theirs.predict_proba(X), abs=1e-12)
    assert without_decision(ours) is fitted


def test_auto_leaves_good_probabilities_and_mends_bad_ones():
    _, good = seen_of(600)
    choice = choose_calibration("auto", good)
    assert choice.calibrator is None
    assert choice.probabilities is good.probabilities
    X, y = rows(1500)
    p = good_p(X)
    bad = OutOfFold(y, np.column_stack([1 - p**3, p**3]), p[:, None] ** 3, np.arange(1500) % 5)
    choice = choose_calibration("auto", bad)
    assert choice.calibrator is not None
    assert choice.gain.low > 0
    assert choose_calibration("none", bad).calibrator is None


def good_p(X: pd.DataFrame) -> np.ndarray:
    return 1 / (1 + np.exp(-(X["a"] - X["b"] - 1).to_numpy()))


def test_calibration_error_is_none_of_probabilities_that_hold():
    rng = np.random.default_rng(0)
    p = rng.uniform(size=4000)
    right = estimate_calibration_error(p, rng.uniform(size=4000) < p)
    assert right.low == 0
    assert right.high < 0.05
    wrong = estimate_calibration_error(p, rng.uniform(size=4000) < p / 2)
    assert wrong.low < 0.5 * np.sqrt(1 / 3) < wrong.high
    assert not estimate_calibration_error(p[:30], p[:30] > 0.5).is_known


def test_calibration_error_knows_of_groups():
    rng = np.random.default_rng(0)
    p = rng.uniform(size=400)
    held = rng.uniform(size=400) < p
    tenfold = np.repeat(np.arange(400), 10)
    single = estimate_calibration_error(p, held)
    naive = estimate_calibration_error(p[tenfold], held[tenfold])
    grouped = estimate_calibration_error(p[tenfold], held[tenfold], tenfold)
    assert naive.high < grouped.high
    assert grouped.high == pytest.approx(single.high, rel=0.05)


def decided(n_classes: int, calibration: str | None):
    X, seen = seen_of(300, n_classes)
    fitted = pipeline().fit(X, seen.y)
    calibrator = calibration and Calibrator.fit(calibration, seen.said, seen.y)
    rule = (
        {"threshold": 0.2, "positive": seen.classes[1]}
        if n_classes == 2
        else {"cost": np.array([[0, 1, 1], [50, 0, 2], [1, 1, 0.0]])}
    )
    return X, fitted, Decision(calibrator, **rule).wrap(fitted)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("calibration", [None, "sigmoid", "isotonic"])
def test_what_decides_loads_safely_and_is_the_same(n_classes, calibration):
    X, fitted, model = decided(n_classes, calibration)
    loaded = read_skops(skops.io.dumps(model))
    assert type(loaded) is (FixedThresholdClassifier if n_classes == 2 else ExpectedCostClassifier)
    assert (loaded.predict(X) == model.predict(X)).all()
    assert (loaded.predict_proba(X) == model.predict_proba(X)).all()
    assert type(without_decision(loaded)) is type(fitted)
    p = model.predict_proba(X)
    expected = (
        TWO[(p[:, 1] >= 0.2).astype(int)]
        if n_classes == 2
        else model.classes_[(p @ model.cost).argmin(axis=1)]
    )
    assert (model.predict(X) == expected).all()
    assert (model.predict(X) != fitted.predict(X)).any()
    again = replace_pipeline(loaded, fitted)
    assert (again.predict_proba(X) == p).all()
    assert without_decision(again) is fitted
    assert without_rule(again).predict_proba(X).tolist() == p.tolist()


def test_a_decision_has_a_digest_and_none_has_none():
    assert Decision().digest == ""
    one, other = Decision(threshold=0.1, positive="a"), Decision(threshold=0.2, positive="a")
    assert len({one.digest, other.digest}) == 2
    model = object()
    assert Decision().wrap(model) is model


def test_cost_is_a_scorer_of_the_answers_that_are_expected_to_cost_least():
    X, y = rows(200)
    model = LogisticRegression().fit(X, y)
    costs = read_costs(DecisionSection(cost=COSTS), TWO, "yes", X)
    predicted = Predicted(model, X, positive="yes", costs=costs)
    called = model.predict_proba(X)[:, 1] >= 5 / 105
    counts = confusion_matrix(y == "yes", called)
    assert predicted.score(COST, y) == pytest.approx(-(5 * counts[0, 1] + 100 * counts[1, 0]) / 200)
    answered = Answered(model.predict(X), TWO, "yes", costs)
    counts = confusion_matrix(y == "yes", model.predict(X) == "yes")
    assert answered.score(COST, y) == pytest.approx(-(5 * counts[0, 1] + 100 * counts[1, 0]) / 200)
    influence = CLASSIFICATION.influence(COST, y, answered)
    assert influence.mean() == pytest.approx(0, abs=1e-12)
    assert np.ptp(influence) == 100
