"""What every test needs before the first numerical import."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

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
settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile("repeatable")

TESTS = Path(__file__).parent
FAST = (
    "unit",
    "property",
    "faults/test_projection.py",
    "integration/test_bad_input.py",
    "integration/test_callback_migration.py",
    "integration/test_dry_run.py",
    "integration/test_failures.py",
    "integration/test_places.py",
    "integration/test_registry.py",
    "integration/test_studies.py",
    "project/test_imports.py",
    "project/test_rooms.py",
    "tables/test_bad_input.py",
    "tables/test_no_leak.py",
    "tables/test_registry.py",
    "tables/test_targets.py",
)
"""Folders and files whose tests run in this process, but those that are marked slow."""

MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4e9
"""Where the tests' directories are if there is so much room: nothing waits for a disk to sync."""

SLOW_FIXTURES = {"cluster", "finished", "server", "served"}
"""A real run or a server."""


def pytest_configure(config: pytest.Config) -> None:
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
    if hasattr(config.option, "loadscopereorder"):
        # The folders of long tests come first by their names; xdist would begin with the files of
        # many short ones, and wait at the end for one of few long ones.
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        path = item.path.relative_to(TESTS)
        is_fast = path.parts[0] in FAST or path.as_posix() in FAST
        fixtures = set(getattr(item, "fixturenames", ()))
        if is_fast and not item.get_closest_marker("slow") and not fixtures & SLOW_FIXTURES:
            item.add_marker("fast")
