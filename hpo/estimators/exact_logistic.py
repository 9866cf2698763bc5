"""A ``LogisticRegression`` whose fits reach the optimum.

For L1 and elastic nets scikit-learn has only saga, which takes thousands of passes where columns
are correlated or classes rare, and stops silently once its coefficients hardly move. liblinear
penalises the intercept, which is another optimum. Its Newton solver for L2 goes on as L-BFGS where
rows are certain of their class, which stops short of its tolerance or does not say that it reached
it. What ships is the plain class with these coefficients.
"""

import warnings
from typing import Any, Self

import numpy as np
from scipy.linalg import LinAlgWarning
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import validate_data

from hpo.estimators.logistic_problem import LogisticProblem, Solution, make_problem
from hpo.estimators.logistic_regression_rules import TOLERANCES
from hpo.estimators.proximal_newton import solve_by_proximal_newton
from hpo.estimators.split_lbfgsb import solve_by_lbfgsb

SOLVERS = {"proximal-newton": solve_by_proximal_newton, "lbfgs-b": solve_by_lbfgsb}

GIVING_UP = (ConvergenceWarning, LinAlgWarning)
"""How scikit-learn's Newton solver says that it goes on as L-BFGS."""


class ExactLogisticRegression(LogisticRegression):
    """scikit-learn's, with two more solvers and one more way to ship.

    Args:
        solver: ``proximal-newton``, ``lbfgs-b``, or ``newton-cholesky`` with L2, which is
            scikit-learn's own unless that gives up.
        tol: Of the objective, or of the mean objective's derivatives.
        arguments: Those of ``LogisticRegression``.
    """

    def fit(self, X: np.ndarray | csr_matrix, y: np.ndarray, sample_weight: None = None) -> Self:
        """Minimise scikit-learn's objective.

        Args:
            X: Rows of shape (n_samples, n_features).
            y: Labels, array of shape (n_samples,).
            sample_weight: None; scikit-learn's interface has it.
        """
        assert sample_weight is None
        if self.solver not in SOLVERS:
            return self._fit_by_theirs(X, y)
        problem = self._pose(X, y)
        self._take(SOLVERS[self.solver](problem, self.tol, self.max_iter))
        return self

    def _fit_by_theirs(self, X: np.ndarray | csr_matrix, y: np.ndarray) -> Self:
        """Fit by scikit-learn's solver; where it gave up before its last step, go on from there."""
        with warnings.catch_warnings(record=True, action="always") as caught:
            super().fit(X, y)
        n_before = int(self.n_iter_[0])
        gave_up = any(issubclass(each.category, GIVING_UP) for each in caught)
        if gave_up and n_before < self.max_iter:
            W, n_left = np.hstack([self.coef_, self.intercept_[:, None]]), self.max_iter - n_before
            tol = TOLERANCES["proximal-newton"]
            self._take(solve_by_proximal_newton(self._pose(X, y), tol, n_left, W), n_before)
            return self
        for each in caught:
            warnings.warn(each.message, stacklevel=2)
        return self

    def _pose(self, X: np.ndarray | csr_matrix, y: np.ndarray) -> LogisticProblem:
        """Pose the problem of some rows."""
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64)
        self.classes_, positions = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"the training rows should have 2 classes or more, but are all '{self.classes_[0]}'"
            )
        weights = np.full(len(y), float(self.C))
        if self.class_weight == "balanced":
            # As compute_class_weight has it, which looks for the classes once more.
            counts = np.bincount(positions)
            weights *= (len(y) / (len(counts) * counts))[positions]
        return make_problem(X, positions, weights, self.l1_ratio)

    def _take(self, solution: Solution, n_before: int = 0) -> None:
        """Be fitted, after so many steps before."""
        n_iter = n_before + solution.n_iter
        if not solution.converged:
            warnings.warn(
                f"{self.solver} did not reach tol={self.tol:g} in {n_iter} iterations",
                ConvergenceWarning,
                stacklevel=3,
            )
        intercept = solution.W[:, -1]
        self.coef_ = np.ascontiguousarray(solution.W[:, :-1])
        # Of three classes and more only differences count; scikit-learn's sum to zero.
        self.intercept_ = intercept - intercept.mean() if len(intercept) > 1 else intercept.copy()
        self.n_iter_ = np.array([n_iter], dtype=np.int32)

    def to_plain(self) -> LogisticRegression:
        """The same fitted model as scikit-learn's own class, which skops trusts."""
        solver = "saga" if self.solver in SOLVERS else self.solver
        plain = LogisticRegression(**{**self.get_params(), "solver": solver})
        fitted: dict[str, Any] = {
            name: value for name, value in vars(self).items() if name.endswith("_")
        }
        vars(plain).update(fitted)
        return plain
