"""Regression: all that the project knows about a target of numbers, as one task value."""

from hpo.estimators.classification import Classification


class Regression(Classification):
    """Not written yet."""

    name = "regression"
    step_name = "regressor"


REGRESSION = Regression()
