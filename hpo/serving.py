"""MLflow's ``pyfunc`` interface to a logged model: raw rows in, the prediction asked for out.

MLflow's own loader of scikit-learn models gives ``predict`` alone, and ignores ``params``. Every
model ships with this module and names it, so it imports pandas and MLflow alone, and it does not
move.
"""

from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException

PREDICT_METHOD = "predict_method"
PREDICT_METHODS = ("predict", "predict_proba", "predict_log_proba")


class ServedModel:
    """A fitted pipeline behind MLflow's ``pyfunc`` interface."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def get_raw_model(self) -> Any:
        """The scikit-learn pipeline, as MLflow's interface names it."""
        return self._pipeline

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """Predict rows.

        Args:
            data: DataFrame, or what makes one.
            params: ``predict_method`` is one of :data:`PREDICT_METHODS`.
        """
        method = (params or {}).get(PREDICT_METHOD, PREDICT_METHODS[0])
        if method not in PREDICT_METHODS:
            known = ", ".join(PREDICT_METHODS)
            raise _refusal(f"{PREDICT_METHOD} should be one of {known}, but got '{method}'")
        if not hasattr(self._pipeline, method):
            raise _refusal(f"{PREDICT_METHOD} '{method}' is not what this model gives: 'predict'")
        rows = data if isinstance(data, pd.DataFrame) else pd.DataFrame(data)
        try:
            return getattr(self._pipeline, method)(rows)
        except ValueError as error:
            # MLflow's server shows the text of its own errors alone.
            raise _refusal(str(error)) from error


def _refusal(line: str) -> Exception:
    refusal: Exception = MlflowException.invalid_parameter_value(line)
    return refusal


def _load_pyfunc(path: str) -> ServedModel:
    """Load a model: MLflow calls this by its name."""
    return ServedModel(mlflow.sklearn.load_model(path))
