"""Study files that tests of several folders use."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .commands import running, wait_until
from .processes import processor_seconds, workers_of
from .stores import n_running

LONG_FIT = """
[study]
n_trials = 50
[data]
source = "t.csv"
target = "y"
[search_space]
penalty = "elasticnet"
solver = "saga"
C = { low = 1e2, high = 1e4, log = true }
tol = 1e-12
max_iter = 1000000
"""

FIT_SECONDS = 3.5
"""Processor time of a worker that is in a fit: its imports take less."""

ALL_RAISE = """
[study]
name = "failing"
[search_space]
penalty = "l2"
solver = "sag"
C = { low = 1e-30, high = 1e-25, log = true }
"""

SOME_RAISE = """
[study]
name = "failing"
n_trials = 12
max_failed = 1.0
[search_space]
penalty = "l2"
solver = "sag"
C = [1e-30, 1.0]
"""


def write_table(directory: Path) -> Path:
    generator = np.random.default_rng(4)
    y = generator.integers(0, 3, 300)
    table = pd.DataFrame(
        {f"x{number}": generator.normal(y * (number < 3), 2.0) for number in range(6)}
    )
    table["x0"] = table["x0"].mask(generator.random(300) < 0.1)
    table["colour"] = np.where(
        generator.random(300) < 0.3, "red", np.array(["green", "blue", "grey"])[y]
    )
    path = directory / "t.csv"
    table.assign(y=np.array(["low", "mid", "top"])[y]).to_csv(path, index=False)
    return path


@contextmanager
def running_long_fits(
    directory: Path,
    *flags: str,
    start: Callable[..., AbstractContextManager[Any]] = running,
    **variables: str,
) -> Iterator[Any]:
    """The command in the middle of fits that take a minute each, on two workers; started as a
    process, or with ``forked``.
    """
    write_table(directory)
    (directory / "study.toml").write_text(LONG_FIT, encoding="utf-8")
    with start(
        directory, "--study", "study.toml", "--workers", "2", *flags, **variables
    ) as process:
        # A second trial feeds the workers while trials are drawn at random.
        wait_until(lambda: n_running(directory) == 2 and len(workers_of(process.pid)) == 2, process)
        wait_until(
            lambda: max(map(processor_seconds, workers_of(process.pid)), default=0.0) > FIT_SECONDS,
            process,
        )
        yield process
