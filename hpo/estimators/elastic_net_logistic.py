"""A ``LogisticRegression`` whose L1 and elastic net fits reach the optimum.

scikit-learn has only saga for them, which takes thousands of passes where columns are correlated or
classes rare, and stops silently once its coefficients hardly move. liblinear penalises the
intercept, which is another optimum. What ships is the plain class with these coefficients.
"""

import warnings
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import validate_data

from hpo.estimators.logistic_problem import make_problem
from hpo.estimators.proximal_newton import solve_by_proximal_newton
from hpo.estimators.split_lbfgsb import solve_by_lbfgsb

SOLVERS = {"proximal-newton": solve_by_proximal_newton, "lbfgs-b": solve_by_lbfgsb}


class ElasticNetLogisticRegression(LogisticRegression):
    """scikit-learn's, with two more solvers and one more way to ship.

    Args:
        solver: ``proximal-newton`` or ``lbfgs-b``.
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
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64)
        self.classes_, positions = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"the training rows should have 2 classes or more, but are all '{self.classes_[0]}'"
            )
        weights = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
        problem = make_problem(X, positions, self.C * weights[positions], self.l1_ratio)
        solution = SOLVERS[self.solver](problem, self.tol, self.max_iter)
        if not solution.converged:
            warnings.warn(
                f"{self.solver} did not reach tol={self.tol:g} in {solution.n_iter} iterations",
                ConvergenceWarning,
                stacklevel=2,
            )
        intercept = solution.W[:, -1]
        self.coef_ = np.ascontiguousarray(solution.W[:, :-1])
        # Of three classes and more only differences count; scikit-learn's sum to zero.
        self.intercept_ = intercept - intercept.mean() if len(intercept) > 1 else intercept.copy()
        self.n_iter_ = np.array([solution.n_iter], dtype=np.int32)
        return self

    def to_plain(self) -> LogisticRegression:
        """The same fitted model as scikit-learn's own class, which skops trusts."""
        plain = LogisticRegression(**{**self.get_params(), "solver": "saga"})
        fitted: dict[str, Any] = {
            name: value for name, value in vars(self).items() if name.endswith("_")
        }
        vars(plain).update(fitted)
        return plain
