"""Fits reach scikit-learn's optimum, and ship as scikit-learn's class."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import skops.io
from scipy.linalg import LinAlgWarning
from scipy.sparse import csr_matrix, issparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hpo.estimators.exact_logistic import ExactLogisticRegression

SOLVERS = {"proximal-newton": 1e-9, "lbfgs-b": 1e-10}


def table(name: str):
    load = {"iris": load_iris, "breast_cancer": load_breast_cancer}[name]
    X, y = load(return_X_y=True)
    return StandardScaler().fit_transform(X)[::2, :6], y[::2]


def rare_categories():
    """Three classes and two categories whose columns sum to one, one of them of few rows."""
    rng = np.random.default_rng(3)
    codes = rng.choice(6, 600, p=[0.4, 0.3, 0.2, 0.07, 0.02, 0.01])
    X = np.hstack([np.eye(6)[codes], rng.normal(size=(600, 2))])
    y = (X[:, 0] + X[:, 6] + rng.logistic(size=600) > 1).astype(int) + (rng.random(600) < 0.05)
    return csr_matrix(X), np.array(["a", "b", "c"])[y]


TABLES = {
    "iris": lambda: table("iris"),
    "breast_cancer": lambda: table("breast_cancer"),
    "sparse": rare_categories,
}


def objective(model, X, y) -> float:
    """scikit-learn's objective, written down apart from the solvers."""
    scores = model.decision_function(X)
    scores = np.column_stack([0 * scores, scores]) if scores.ndim == 1 else scores
    position = np.searchsorted(model.classes_, y)
    top = scores.max(axis=1)
    losses = (
        np.log(np.exp(scores - top[:, None]).sum(axis=1)) + top - scores[range(len(y)), position]
    )
    count = np.bincount(position)
    weights = len(y) / (len(count) * count) if model.class_weight == "balanced" else 0 * count + 1.0
    penalty = (1 - model.l1_ratio) / 2 * (model.coef_**2).sum()
    penalty += model.l1_ratio * np.abs(model.coef_).sum()
    return float(model.C * (weights[position] @ losses) + penalty)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(("C", "l1_ratio"), [(0.003, 1.0), (0.5, 0.4), (1e3, 0.1)])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_no_point_is_lower(name, C, l1_ratio, class_weight):
    """Two solvers that have nothing in common end at the same value, and no step from it is down."""
    X, y = TABLES[name]()
    values = {}
    for solver, tol in SOLVERS.items():
        model = ExactLogisticRegression(
            C=C, l1_ratio=l1_ratio, class_weight=class_weight, solver=solver, tol=tol, max_iter=5000
        ).fit(X, y)
        values[solver] = objective(model, X, y)
    least = values["proximal-newton"]
    assert values["lbfgs-b"] == pytest.approx(least, rel=1e-6)
    rng = np.random.default_rng(0)
    model = clone(model).set_params(solver="proximal-newton", tol=1e-9).fit(X, y)
    coefficients, intercept = model.coef_, model.intercept_
    for size in (1e-1, 1e-3, 1e-5):
        model.coef_ = coefficients + size * rng.normal(size=coefficients.shape)
        model.intercept_ = intercept + size * rng.normal(size=intercept.shape)
        assert objective(model, X, y) > least * (1 - 1e-7)


def near_copies(n_samples: int, n_features: int, n_copies: int, n_classes: int, noise: float):
    """Columns that are copies of each other but for some noise, and classes that are clear."""
    rng = np.random.default_rng(0)
    X = np.hstack([rng.normal(size=(n_samples, n_features))] * n_copies)
    X = StandardScaler().fit_transform(X + noise * rng.normal(size=X.shape))
    scores = 3 * X @ rng.normal(size=(X.shape[1], n_classes)) + rng.gumbel(size=(n_samples, 1))
    return X, np.argmax(scores + rng.gumbel(size=scores.shape), axis=1)


@pytest.mark.parametrize(
    ("shape", "l1_ratio"),
    [((200, 1, 2, 3, 1e-3), 1), ((300, 1, 40, 3, 1e-2), 1), ((150, 90, 4, 2, 1e-3), 0.5),
     ((150, 90, 4, 2, 1e-3), 1)],
)  # fmt: skip
def test_near_copies_of_a_column_are_no_hindrance(shape, l1_ratio):
    """L-BFGS-B alone stopped a percent above the optimum without a word; and coordinate descent,
    which solved the model of each Newton step, was cut short after two hundred of them.
    """
    X, y = near_copies(*shape)
    values = {}
    for solver, tol in SOLVERS.items():
        model = ExactLogisticRegression(
            C=1e4, l1_ratio=l1_ratio, solver=solver, tol=tol, max_iter=5000
        )
        with warnings.catch_warnings(action="error"):
            values[solver] = objective(model.fit(X, y), X, y)
        if solver == "proximal-newton":
            assert model.n_iter_[0] <= 40
    assert values["lbfgs-b"] == pytest.approx(values["proximal-newton"], rel=1e-6)


@pytest.mark.parametrize("name", TABLES)
def test_scikit_learns_own_solver_ends_there_given_the_time(name):
    X, y = TABLES[name]()
    arguments = {"C": 0.1, "l1_ratio": 0.5, "class_weight": "balanced"}
    theirs = LogisticRegression(**arguments, solver="saga", tol=1e-9, max_iter=20_000)
    theirs.fit(X.toarray() if issparse(X) else X, y)
    ours = ExactLogisticRegression(
        **arguments, solver="proximal-newton", tol=1e-9, max_iter=1000
    ).fit(X, y)
    assert objective(ours, X, y) == pytest.approx(objective(theirs, X, y), rel=1e-8)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-4)
    np.testing.assert_array_equal(ours.coef_ == 0, np.abs(theirs.coef_) < 1e-8)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("C", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_without_l1_it_ends_where_scikit_learn_does(name, C, class_weight):
    X, y = TABLES[name]()
    arguments = {"C": C, "class_weight": class_weight}
    theirs = LogisticRegression(**arguments, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    theirs.fit(X, y)
    ours = ExactLogisticRegression(
        **arguments, l1_ratio=0, solver="proximal-newton", tol=1e-9, max_iter=200
    ).fit(X, y)
    assert objective(ours, X, y) == pytest.approx(objective(theirs, X, y), rel=1e-8)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_fit_that_is_cut_short_says_so(solver):
    X, y = table("iris")
    model = ExactLogisticRegression(C=1e3, l1_ratio=1, solver=solver, tol=1e-10, max_iter=2)
    n_steps = {"proximal-newton": 2, "lbfgs-b": 4}[solver]  # its last steps are Newton's
    with pytest.warns(
        ConvergenceWarning, match=f"{solver} did not reach tol=1e-10 in {n_steps} iter"
    ):
        model.fit(X, y)


def separable():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(10_000, 2))
    return X, (X[:, 0] > 0).astype(int), 1e5


def unscaled():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5))
    y = (X[:, 0] + rng.logistic(size=300) > 0).astype(int)
    return X * [1e-6, 1, 1e6, 1e3, 1e-3], y, 1e4


@pytest.mark.parametrize("draw", [separable, unscaled])
def test_fit_that_scikit_learns_newton_gives_up_is_ended(draw):
    """It goes on as L-BFGS then: with a warning, and in the second case no further down."""
    X, y, C = draw()
    arguments = {"C": C, "solver": "newton-cholesky", "tol": 1e-9}
    with pytest.warns((ConvergenceWarning, LinAlgWarning)):
        theirs = LogisticRegression(**arguments, max_iter=5000).fit(X, y)
    with warnings.catch_warnings(action="error"):
        ours = ExactLogisticRegression(**arguments, max_iter=5000).fit(X, y)
    assert objective(ours, X, y) <= objective(theirs, X, y)
    assert ours.n_iter_ >= theirs.n_iter_
    # The optimum: once more, from elsewhere.
    again = ExactLogisticRegression(C=C, solver="proximal-newton", tol=1e-12, max_iter=1000)
    with warnings.catch_warnings(action="ignore"):
        again.fit(X, y)
    assert objective(ours, X, y) <= (1 + 1e-6) * objective(again, X, y)
    with pytest.warns(ConvergenceWarning, match="did not .* 2 iterations"):
        ExactLogisticRegression(**arguments, max_iter=2).fit(X, y)
    assert type(ours.to_plain()) is LogisticRegression
    assert ours.to_plain().solver == "newton-cholesky"


@pytest.mark.parametrize("seed", [43, 80])
def test_rows_that_are_certain_of_their_class_leave_no_negative_curvature(seed):
    """One row lies a million times as far as the others; rounding does the rest."""
    rng = np.random.default_rng(seed)
    n, p, k = (int(rng.integers(*between)) for between in ((20, 100), (3, 30), (3, 6)))
    X = rng.normal(size=(n, p))
    X[0] *= 1e6
    X /= X.std(axis=0)
    scores = X @ rng.normal(size=(p, k))
    y = np.argmax(scores + rng.gumbel(size=scores.shape), axis=1)
    model = ExactLogisticRegression(
        C=4000, l1_ratio=1, class_weight="balanced", solver="proximal-newton", tol=1e-9
    )
    assert np.isfinite(model.fit(X, y).coef_).all()


def test_one_class_is_refused_by_name():
    model = ExactLogisticRegression(solver="proximal-newton", l1_ratio=1)
    with pytest.raises(ValueError, match="2 classes or more, but are all 'a'"):
        model.fit(np.eye(3), np.array(["a"] * 3))


@pytest.mark.parametrize("name", TABLES)
def test_what_ships_is_scikit_learns_class_and_predicts_the_same(name):
    X, y = TABLES[name]()
    fitted = make_pipeline(
        StandardScaler(with_mean=not issparse(X)),
        ExactLogisticRegression(C=0.5, l1_ratio=1, solver="proximal-newton", tol=1e-9),
    ).fit(X, y)
    plain = make_pipeline(fitted[0], fitted[-1].to_plain())
    assert type(plain[-1]) is LogisticRegression
    loaded = skops.io.loads(skops.io.dumps(plain), trusted=[])
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    assert set(vars(loaded[-1])) >= {"classes_", "coef_", "intercept_", "n_iter_"}
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        clone(plain).fit(X, y)
