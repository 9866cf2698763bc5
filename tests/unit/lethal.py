"""An objective that ends every process which loads it but the driver.

As running out of memory would: a real file, a real death.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Lethal:
    """Can be written by the driver; whoever else reads it ends."""

    driver_pid: int
    n_steps: int = 1

    def __reduce__(self) -> tuple[Any, ...]:
        return _end_unless, (self.driver_pid,)


def _end_unless(driver_pid: int) -> Lethal:
    if os.getpid() != driver_pid:
        os._exit(9)
    return Lethal(driver_pid)
