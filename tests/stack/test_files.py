"""The compose files and the Dockerfile as they are written: valid, hardened, pinned, without a
secret.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .composing import BASE, DOCKERFILE, LOGINS, ROOT, VARIABLES, read_compose

COMPOSE = read_compose(VARIABLES, BASE, LOGINS)
SERVICES = sorted(COMPOSE["services"])


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("file", [BASE, LOGINS])
def test_compose_file_is_valid(file: str) -> None:
    checker = str(Path(sys.executable).with_name("check-jsonschema"))
    done = run(checker, "--builtin-schema", "vendor.compose-spec", file)
    assert done.returncode == 0, done.stdout


def test_compose_itself_reads_the_files() -> None:
    if shutil.which("docker") is None or run("docker", "compose", "version").returncode:
        pytest.skip("docker has no compose plug-in on this machine")
    done = run("docker", "compose", "-f", BASE, "-f", LOGINS, "config", "--quiet", **VARIABLES)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["configs", "secrets"])
def test_read_only_service_is_given_nothing_but_files(kind: str) -> None:
    """Compose copies all else into the container, which it then refuses (docker/compose#12531)."""
    for service in COMPOSE["services"].values():
        for used in service.get(kind, []):
            content = COMPOSE[kind][used if isinstance(used, str) else used["source"]]
            assert content.keys() == {"file"}
            assert (ROOT / content["file"]).is_file()


def test_our_image_is_built_once_and_by_a_service_that_always_runs() -> None:
    ours = {
        name: service
        for name, service in COMPOSE["services"].items()
        if service["image"].startswith("hpo:")
    }
    assert {name for name, service in ours.items() if "build" in service} == {"mlflow"}
    assert "profiles" not in ours["mlflow"]
    version = re.search(
        r'^__version__ = "(.+)"$',
        (ROOT / "hpo" / "__init__.py").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert version is not None
    assert {service["image"] for service in ours.values()} == {f"hpo:{version[1]}"}


@pytest.mark.parametrize("name", SERVICES)
def test_service_waits_for_what_can_come(name: str) -> None:
    service = COMPOSE["services"][name]
    for dependency, needs in service.get("depends_on", {}).items():
        other = COMPOSE["services"][dependency]
        assert set(other.get("profiles", [])) <= set(service.get("profiles", []))
        assert needs["condition"] != "service_healthy" or "healthcheck" in other
        # What ends is not started again; what goes on never completes.
        assert (needs["condition"] == "service_completed_successfully") == (
            other["restart"] == "no"
        )


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_hardened(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] not in ("root", "0", "0:0")
    assert "/tmp" in service["tmpfs"]
    assert service["environment"]["TZ"] == "UTC"
    assert re.fullmatch(r"[a-z]+:\d[\w.-]*", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert "restart" in service


def test_only_pages_are_published() -> None:
    assert {name for name in SERVICES if "ports" in COMPOSE["services"][name]} == {
        "mlflow",
        "server",
        "dashboard",
        "model",
    }


def test_database_and_job_end_in_their_own_time() -> None:
    for name in ("postgres", "hpo"):
        assert int(COMPOSE["services"][name]["stop_grace_period"].removesuffix("s")) >= 60


def test_dashboard_and_model_are_asked_for() -> None:
    assert {name for name in SERVICES if "profiles" not in COMPOSE["services"][name]} == {
        "postgres",
        "databases",
        "mlflow",
        "scheduler",
        "worker",
        "server",
    }


def test_there_is_no_password_that_works_by_default() -> None:
    for missing in VARIABLES:
        with pytest.raises(KeyError, match=r"set it in \.env"):
            read_compose(
                {name: value for name, value in VARIABLES.items() if name != missing}, BASE, LOGINS
            )
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    for name in ("POSTGRES_PASSWORD", "HPO_TOKEN"):
        assert re.search(rf"^{name}=$", example, re.MULTILINE)
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert ".env" not in tracked
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_dockerfile_has_no_fault_that_hadolint_knows() -> None:
    done = run(str(Path(sys.executable).with_name("hadolint")), "--no-color", "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_what_builds_the_package_is_pinned_as_the_package_wants_it() -> None:
    (wanted,) = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
        "build-system"
    ]["requires"]
    pinned = re.search(
        r"^setuptools==(\d+)\S* \\\n    --hash=sha256:",
        (ROOT / "requirements-build.txt").read_text(),
        re.MULTILINE,
    )
    assert pinned is not None
    assert int(pinned[1]) >= int(wanted.removeprefix("setuptools>="))


def test_dockerfile_is_pinned_hashed_and_not_root() -> None:
    lines = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if line.startswith("FROM")] == [
        "FROM python:3.11.13-slim-bookworm"
    ]
    # Every install checks hashes or fetches nothing.
    for install in re.findall(r"pip install (.*)", DOCKERFILE):
        assert "--require-hashes" in install or {"--no-deps", "--no-build-isolation"} <= set(
            install.split()
        )
    assert "latest" not in DOCKERFILE
    assert "ADD " not in DOCKERFILE
    assert lines.index("USER 10001:10001") > max(
        index for index, line in enumerate(lines) if line.startswith("RUN")
    )
    assert lines[-1].startswith('ENTRYPOINT ["')
    # What is least often changed comes first: a change of our code installs nothing anew.
    assert (
        DOCKERFILE.index("COPY requirements.txt")
        < DOCKERFILE.index("--require-hashes")
        < DOCKERFILE.index("COPY hpo")
    )


def test_context_holds_only_what_is_copied() -> None:
    kept = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line[:1] == "!"
    }
    copied = {
        word
        for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE)
        for word in line.split()
    }
    assert kept == copied
