"""What MLflow raises, as one line of ours."""

from __future__ import annotations

import pytest
from mlflow.exceptions import MlflowException

from hpo.errors import TrackingError
from hpo.tracking.connection import translated

REQUEST = "API request to http://me:s3cr3t@127.0.0.1:5000/api/2.0/mlflow/runs/create failed"


@pytest.mark.parametrize(
    "text",
    [
        REQUEST,
        f"{REQUEST} with exception HTTPConnectionPool()",
        f"{REQUEST} with timeout exception HTTPConnectionPool()",
    ],
)
def test_request_that_failed_is_said_without_its_password(text):
    with (
        pytest.raises(
            TrackingError,
            match=r"^MLflow: API request to http://me:\*\*\*@127\.0\.0\.1:5000/\S+/create failed$",
        ),
        translated(),
    ):
        raise MlflowException(text)


@pytest.mark.parametrize("error", [MlflowException("no such run"), OSError("no such run")])
def test_other_errors_say_what_they_say(error):
    with pytest.raises(TrackingError, match=r"^MLflow: no such run$"), translated():
        raise error
