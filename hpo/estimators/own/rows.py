"""A fold of a table that the estimator takes as it was read."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False)
class RowsFold:
    """One split of such a table; its rows are taken for each fit.

    So no fit sees what another did to its rows, and one table serves all folds.

    Attributes:
        X: DataFrame of shape (n_samples, n_features).
        y: Its target as it was read, array of shape (n_samples,).
        train: Positions of the rows to fit on.
        test: Positions of those to score.
    """

    X: pd.DataFrame
    y: np.ndarray
    train: np.ndarray
    test: np.ndarray

    @property
    def X_train(self) -> pd.DataFrame:  # noqa: N802 - as a fold names it
        """Rows of shape (n_train, n_features)."""
        return self.X.iloc[self.train]

    @property
    def y_train(self) -> np.ndarray:
        """Array of shape (n_train,)."""
        return np.asarray(self.y[self.train])

    @property
    def X_test(self) -> pd.DataFrame:  # noqa: N802 - as a fold names it
        """Rows of shape (n_test, n_features)."""
        return self.X.iloc[self.test]

    @property
    def y_test(self) -> np.ndarray:
        """Array of shape (n_test,)."""
        return np.asarray(self.y[self.test])
