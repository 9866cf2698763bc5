"""What is made once a test session, whichever of its processes needs it first."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest


@dataclass(frozen=True)
class FinishedRun:
    """What a run did in its directory."""

    directory: Path
    returncode: int
    stdout: str
    stderr: str

    @classmethod
    def of(cls, directory: Path, process: "CompletedProcess[str]") -> "FinishedRun":
        return cls(directory, process.returncode, process.stdout, process.stderr)


class Shared:
    """Directories of a session; under xdist its workers are several processes.

    Args:
        root: Where they lie.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @classmethod
    def of(cls, factory: pytest.TempPathFactory) -> "Shared":
        base = factory.getbasetemp()
        root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
        root.mkdir(exist_ok=True)
        return cls(root)

    def directory(self, name: str, make: Callable[[Path], object]) -> Path:
        """The directory of a name, filled by the first who asks for it; the others wait."""
        directory, made = self._root / name, self._root / f".{name}.made"
        with (self._root / f".{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                shutil.rmtree(directory, ignore_errors=True)
                directory.mkdir()
                make(directory)
                made.touch()
        return directory

    def run(self, name: str, start: Callable[[Path], "CompletedProcess[str]"]) -> FinishedRun:
        """A finished run in the directory of a name; for tests that only read."""
        report = self._root / f".{name}.json"

        def make(directory: Path) -> None:
            fields = asdict(FinishedRun.of(directory, start(directory)))
            report.write_text(json.dumps({**fields, "directory": None}), encoding="utf-8")

        directory = self.directory(name, make)
        fields = json.loads(report.read_text(encoding="utf-8"))
        return FinishedRun(**{**fields, "directory": directory})
