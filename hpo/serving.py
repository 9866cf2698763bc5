"""MLflow's generic door to a logged model: the rows as they come, the prediction that is asked for.

MLflow's own loader of scikit-learn models gives ``predict`` alone, and what it is told with
``params`` is ignored. Every model ships with this module and names it, so it imports pandas and
MLflow alone, and it does not move.
"""

from typing import Any

import pandas as pd

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
            raise ValueError(
                f"{PREDICT_METHOD} should be one of {', '.join(PREDICT_METHODS)},"
                f" but got '{method}'"
            )
        rows = data if isinstance(data, pd.DataFrame) else pd.DataFrame(data)
        return getattr(self._pipeline, method)(rows)


def _load_pyfunc(path: str) -> ServedModel:
    """Load a model: MLflow calls this by its name."""
    from mlflow.sklearn import load_model  # noqa: PLC0415 - nothing else of hpo.serving needs it

    return ServedModel(load_model(path))
