"""Divides a machine among the slots of its server: memory and workers."""

from dataclasses import replace
from pathlib import Path

import loky
import psutil

from hpo.settings import ServiceSettings

_MEMORY_SHARE = 0.8
"""Of this machine's memory, for all studies together."""

_CONTAINER_MEMORY = Path("/sys/fs/cgroup/memory.max")
"""Where Linux says what this container may use: a number of bytes, or ``max``."""


def memory_of_slot(n_slots: int, container_memory: Path = _CONTAINER_MEMORY) -> int:
    """Give the bytes that one study's processes may hold, unless a person says otherwise.

    Args:
        n_slots: Among how many the machine's memory, or its container's, is divided.
        container_memory: A file of Linux's control groups; there is none on other systems.
    """
    n_bytes: int = psutil.virtual_memory().total
    try:
        limit = container_memory.read_text(encoding="ascii").strip()
    except OSError:
        limit = "max"
    if limit.isdecimal():
        n_bytes = min(n_bytes, int(limit))
    return int(n_bytes * _MEMORY_SHARE / n_slots)


def share_workers(
    settings: ServiceSettings, n_slots: int
) -> tuple[ServiceSettings, dict[str, str]]:
    """Divide this machine's workers among the slots; a cluster's are shared by it.

    Returns:
        Settings of one study, and the variables of its process.
    """
    if isinstance(settings.workers, str) and settings.workers != "auto":
        return settings, {}
    n_workers = loky.cpu_count() if settings.workers == "auto" else int(settings.workers)
    # Workers are started only where they save time, and never more than these.
    most = {"LOKY_MAX_CPU_COUNT": str(max(1, n_workers // n_slots))}
    return replace(settings, workers="auto"), most
