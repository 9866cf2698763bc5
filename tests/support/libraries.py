"""Libraries that a recipe needs and a machine may lack."""

import os

import pytest

from hpo.estimators.class_arguments import why_missing


def need_library(package: str) -> None:
    """Skip the test where a library is absent; in CI it fails."""
    if package and (problem := why_missing(package)):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(problem)
