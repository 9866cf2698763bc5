"""What every test needs before the first numerical import."""

from __future__ import annotations

import os

# As the command does: one BLAS thread, before numpy is loaded, here and in every process that a
# test starts.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
from hypothesis import settings

# Their assertions are to say what they saw, as those of a test module do.
pytest.register_assert_rewrite("tests.support")
pytest_plugins = ["tests.support.fixtures"]

# The suite gives the same answer every time; `--hypothesis-profile=explore` looks further.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile("repeatable")
