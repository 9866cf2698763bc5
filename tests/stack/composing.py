"""Runs the services of ``docker-compose.yml`` without an engine: their own commands, environment,
order and health checks.

Host names become loopback, ports free ones and volumes directories; PostgreSQL is a private
cluster. Nothing else is translated:
what the image sets is read from the Dockerfile, and every service starts in one empty directory, as
the image's is for all of them.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.support.commands import START_SECONDS
from tests.support.postgres import PASSWORD, Cluster, running_cluster
from tests.support.servers import free_port

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
BASE, LOGINS = "docker-compose.yml", "docker-compose.logins.yml"
VARIABLES = {
    "POSTGRES_PASSWORD": PASSWORD,
    "HPO_TOKEN": "no-real-token-of-the-service",
    "MLFLOW_ADMIN_PASSWORD": "no-real-secret-either",
    "MLFLOW_SECRET_KEY": "nor-this-key",
}
HEALTH_SECONDS = 3 * START_SECONDS


def read_compose(variables: dict[str, str], *files: str) -> dict[str, Any]:
    """Files, the later over the earlier, with their variables put in: ``:-`` is a default, ``:?``
    an error.
    """
    merged: dict[str, Any] = {}
    for file in files or (BASE,):
        merged = merge(merged, read_file(file, variables))
    return merged


def merge(below: Any, above: Any) -> Any:
    """As the specification says for the keys that are used here: mappings are united, all else is
    replaced.
    """
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {
        **below,
        **{
            key: merge(below[key], value) if key in below else value for key, value in above.items()
        },
    }


def read_file(file: str, variables: dict[str, str]) -> dict[str, Any]:

    def value(match: re.Match[str]) -> str:
        name, kind, other = match.groups()
        if variables.get(name):
            return variables[name]
        if kind == ":?":
            raise KeyError(other)
        return other or ""

    text = (ROOT / file).read_text(encoding="utf-8")
    return yaml.safe_load(re.sub(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}", value, text))


def image_environment() -> dict[str, str]:
    """What the image sets for every service of ours."""
    (block,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)
    return dict(word.split("=", 1) for word in block.replace("\\\n", " ").split())


class Stack:
    """Services that run, by name; a scaled one has several processes."""

    def __init__(self, directory: Path, cluster: Cluster) -> None:
        self.directory = directory
        self.cluster = cluster
        self.compose = read_compose(VARIABLES)
        self.ports: dict[str, int] = {"5432": cluster.port}
        self.processes: dict[str, list[subprocess.Popen[str]]] = {}
        self.working_directory = directory / "work"
        for path in (directory / "artifacts", directory / "tmp", self.working_directory):
            path.mkdir()

    def translate(self, text: str) -> str:
        """A command's word or a variable's value, as it is on this machine."""
        text = re.sub(r"=/(artifacts|tmp)\b", lambda m: f"={self.directory}/{m[1]}", text)
        text = re.sub(r"^/tmp\b", f"{self.directory}/tmp", text)
        text = text.replace("--http=0.0.0.0:", "--http=127.0.0.1:")
        text = re.sub(
            r"\b(?:postgres|mlflow|scheduler|localhost|127\.0\.0\.1):(\d+)",
            lambda m: f"127.0.0.1:{self.port(m[1])}",
            text,
        )
        text = re.sub(
            r"\('127\.0\.0\.1', (\d+)\)", lambda m: f"('127.0.0.1', {self.port(m[1])})", text
        )
        return re.sub(r"--port=(\d+)", lambda m: f"--port={self.port(m[1])}", text).replace(
            "--host=0.0.0.0", "--host=127.0.0.1"
        )

    def port(self, number: str) -> int:
        return self.ports.setdefault(number, free_port()) if number != "0" else 0

    def url(self, number: str) -> str:
        return f"http://127.0.0.1:{self.port(number)}"

    def environment(self, service: str) -> dict[str, str]:
        """The service's own variables and what the image sets, nothing of this shell."""
        content = self.compose["services"][service]
        own = {
            name: self.translate(str(value))
            for name, value in content.get("environment", {}).items()
        }
        mounted = {
            config["target"]: str(self._mount(config["source"]))
            for config in content.get("configs", [])
        }
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        # /tmp is the one place that a container may write to beside its volumes.
        temporary = {"HOME": str(self.directory / "tmp"), "TMPDIR": str(self.directory / "tmp")}
        # A container has this machine's processor: what BLAS is told of it holds there too.
        kernel = {
            name: value for name, value in os.environ.items() if name.startswith("OPENBLAS_CORE")
        }
        return {
            **image_environment(),
            **kernel,
            **temporary,
            "PATH": path,
            **{name: mounted.get(value, value) for name, value in own.items()},
        }

    def _mount(self, config: str) -> Path:
        """A config's file, with its addresses translated; written once, since servers read it."""
        source = ROOT / self.compose["configs"][config]["file"]
        target = self.directory / source.name
        if not target.exists():
            target.write_text(self.translate(source.read_text(encoding="utf-8")), encoding="utf-8")
        return target

    def command(self, words: list[str]) -> list[str]:
        program = (
            sys.executable
            if words[0] == "python"
            else shutil.which(words[0], path=str(Path(sys.executable).parent))
        )
        return [program or words[0], *(self.translate(word) for word in words[1:])]

    def up(self, service: str, *arguments: str, scale: int = 1) -> subprocess.Popen[str]:
        """Start a service after those that it depends on, in the state that it waits for; arguments
        replace its command.
        """
        content = self.compose["services"][service]
        for dependency, needs in content.get("depends_on", {}).items():
            if dependency not in self.processes:
                self.up(dependency)
            if needs["condition"] == "service_healthy":
                self.wait_healthy(dependency)
            elif needs["condition"] == "service_completed_successfully":
                assert self.processes[dependency][0].wait(HEALTH_SECONDS) == 0, self.log(
                    dependency
                ).read_text()
        if service == "postgres":
            # What the image's entry point does on an empty volume.
            self.cluster.make_database(content["environment"]["POSTGRES_DB"])
            self.processes[service] = []
            return None  # type: ignore[return-value]
        words = self.command([*content["entrypoint"], *(arguments or content["command"])])
        if service == "worker":
            words.append("--host=127.0.0.1")  # a container's own address, which there is found out
        for _ in range(scale):
            with self.log(service).open("a") as log:
                process = subprocess.Popen(
                    words,
                    cwd=self.working_directory,
                    env=self.environment(service),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    text=True,
                    start_new_session=True,
                )
            self.processes.setdefault(service, []).append(process)
        return process

    def wait_healthy(self, service: str) -> None:
        """Run the service's own health check until it succeeds."""
        kind, *words = self.compose["services"][service]["healthcheck"]["test"]
        assert kind == "CMD"
        if service == "postgres":
            words = [*words, "-p", str(self.cluster.port)]
        deadline = time.monotonic() + HEALTH_SECONDS
        while subprocess.run(
            self.command(words), env=self.environment(service), capture_output=True, check=False
        ).returncode:
            assert time.monotonic() < deadline, self.log(service).read_text()
            assert all(process.poll() is None for process in self.processes[service]), self.log(
                service
            ).read_text()
            time.sleep(0.5)

    def log(self, service: str) -> Path:
        return self.directory / f"{service}.log"

    def down(self, service: str) -> None:
        """Kill a service's processes and their children."""
        for process in self.processes.pop(service, []):
            end(process)

    def everything(self) -> Iterator[psutil.Process]:
        """Each process of the stack, children included."""
        for processes in self.processes.values():
            for process in processes:
                if process.poll() is None:
                    parent = psutil.Process(process.pid)
                    yield from (parent, *parent.children(recursive=True))


def end(process: subprocess.Popen[str]) -> None:
    try:
        parent = psutil.Process(process.pid)
        for one in (*parent.children(recursive=True), parent):
            one.kill()
    except psutil.NoSuchProcess:
        pass
    process.wait()


@contextmanager
def composed(directory: Path) -> Iterator[Stack]:
    """A stack of which nothing runs yet but PostgreSQL's server; all of it ends with the block."""
    with running_cluster() as cluster:
        stack = Stack(directory, cluster)
        try:
            yield stack
        finally:
            for service in list(stack.processes):
                stack.down(service)
