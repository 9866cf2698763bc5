"""An objective whose fits hang, grow, or end their process, for some params.

Real sleep, real memory, a real SIGKILL: what a system that runs out of memory sends.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hpo.estimators.objective import Objective, StepResult

TROUBLED_STEP = 1
BLOCK_BYTES = 64 * 10**6
N_BLOCKS = 8


@dataclass(frozen=True)
class Troublesome:
    """Scores as another objective does, but for trouble on one fold of some params.

    Attributes:
        objective: The other one.
        trouble: A value of C to what its fit does: raise, sleep, grow or die.
        marks: A directory that has a file for each fit that was begun, or None.
    """

    objective: Objective
    trouble: Mapping[float, str]
    marks: Path | None = None

    @property
    def n_steps(self) -> int:
        return self.objective.n_steps

    def evaluate(self, params: Mapping[str, Any], step: int) -> StepResult:
        if self.marks is not None:
            tempfile.mkstemp(prefix=f"{params['C']}-{step}-", dir=self.marks)
        what = self.trouble.get(params["C"]) if step == TROUBLED_STEP else None
        if what == "raise":
            return StepResult(failure="raised")
        if what == "sleep":
            time.sleep(600)
        if what == "grow":
            _grow()
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return self.objective.evaluate(params, step)

    def part(self, step: int) -> Troublesome:
        return replace(self, objective=self.objective.part(step))


def _grow() -> None:
    blocks = [np.ones(BLOCK_BYTES // 8) for _ in range(N_BLOCKS)]
    time.sleep(600)
    del blocks
