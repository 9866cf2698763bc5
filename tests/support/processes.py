"""Processes of this machine: who is whose child, in which session, and how busy."""

import os
from collections.abc import Iterator
from pathlib import Path


def processes() -> Iterator[tuple[int, int, int]]:
    """Process id, parent and session of everything that runs and is no zombie."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, _, session = (
                path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:4]
            )
        except OSError:
            continue
        if state != "Z":
            yield int(path.parent.name), int(parent), int(session)


def command_line(pid: int) -> bytes:
    """The words of a process, each with a zero byte after it; none where it has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def children_running(module: str, parent: int) -> list[int]:
    """The children of a process that run a module; packages start others as they are imported."""
    return [
        pid
        for pid, its_parent, _ in processes()
        if its_parent == parent and module.encode() in command_line(pid)
    ]


def workers_of(driver: int) -> list[int]:
    """The loky workers among a process's children."""
    return children_running("loky.backend.popen_loky", driver)


def session_of(driver: int) -> list[int]:
    return [pid for pid, _, session in processes() if session == driver]


def processor_seconds(pid: int) -> float:
    """User time of a process: what its imports do not take is a fit."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")
