"""A private PostgreSQL cluster: made in a directory, on a free loopback port, with a password,
ended by its own command.

PostgreSQL refuses to run as root; there, its cluster belongs to the user that Debian's package
makes.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from .servers import free_port

PASSWORD = "not-a-real-secret"
_DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class Cluster:
    """A running server; every method waits until it is done."""

    directory: Path
    port: int

    def make_database(self, name: str) -> str:
        """A new, empty database; gives its URL."""
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://hpo:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def address(self, name: str) -> str:
        return self.url(name).replace("+psycopg", "")

    def stop(self) -> None:
        """As an administrator would in a hurry: connections are cut, nothing that was committed is
        lost.
        """
        _run("pg_ctl", "-D", str(self.directory / "data"), "-m", "fast", "-w", "stop")

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self.directory} -c fsync=off"
        _run(
            "pg_ctl",
            "-D",
            str(self.directory / "data"),
            "-l",
            str(self.directory / "log"),
            "-w",
            "-o",
            options,
            "start",
        )


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster for the length of a ``with`` block; a machine without PostgreSQL skips the test, or
    fails it in CI.
    """
    if _find("initdb") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            "PostgreSQL's initdb is not on this machine"
        )
    with tempfile.TemporaryDirectory(prefix="hpo-pg-") as name:
        directory = Path(name)
        password = directory / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (directory, password):
                shutil.chown(path, "postgres", "postgres")
        _run(
            "initdb",
            "-D",
            str(directory / "data"),
            "-U",
            "hpo",
            "-A",
            "scram-sha-256",
            f"--pwfile={password}",
            "--no-sync",
        )
        cluster = Cluster(directory, free_port())
        cluster.start()
        try:
            yield cluster
        finally:
            subprocess.run(
                _command("pg_ctl", "-D", str(directory / "data"), "-m", "immediate", "-w", "stop"),
                check=False,
            )


def _find(program: str) -> str | None:
    """A program of the newest version that Debian keeps out of the path, or of the path."""
    versions = (
        sorted(_DEBIAN.glob(f"*/bin/{program}"), key=lambda path: int(path.parts[-3]))
        if _DEBIAN.is_dir()
        else []
    )
    return str(versions[-1]) if versions else shutil.which(program)


def _command(program: str, *arguments: str) -> list[str]:
    found = _find(program)
    assert found is not None
    return [
        *(
            ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            if os.geteuid() == 0
            else []
        ),
        found,
        *arguments,
    ]


def _run(program: str, *arguments: str) -> None:
    # pg_ctl leaves its server behind with its output open: a pipe would never end.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            _command(program, *arguments),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=60,
            check=False,
        )
        output.seek(0)
        assert done.returncode == 0, output.read()
