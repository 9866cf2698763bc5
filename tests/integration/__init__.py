"""Real parts only: SQLite files, subprocesses, an MLflow server, HTTP, signals."""

import pytest

# Their assertions are to say what they saw, as those of a test module do.
pytest.register_assert_rewrite(f"{__name__}.checker", f"{__name__}.driving")
