"""The compose file and the Dockerfile as they are written: valid, hardened, pinned, without a secret."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .composing import ROOT, VARIABLES, read_compose

COMPOSE = read_compose(VARIABLES)
SERVICES = sorted(COMPOSE["services"])
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_compose_file_is_valid() -> None:
    checker = str(Path(sys.executable).with_name("check-jsonschema"))
    command = [checker, "--builtin-schema", "vendor.compose-spec", str(ROOT / "docker-compose.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_hardened(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] not in ("root", "0", "0:0")
    assert "/tmp" in service["tmpfs"]
    assert service["environment"]["TZ"] == "UTC" if "environment" in service else name in {"scheduler", "worker"}
    assert re.fullmatch(r"[a-z]+:\d[\w.-]*", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert "restart" in service


def test_database_is_published_to_nobody_and_ends_in_its_own_time() -> None:
    assert "ports" not in COMPOSE["services"]["postgres"]
    for name in ("postgres", "hpo"):
        assert int(COMPOSE["services"][name]["stop_grace_period"].removesuffix("s")) >= 60


def test_dashboard_and_model_are_asked_for() -> None:
    assert {name for name in SERVICES if "profiles" not in COMPOSE["services"][name]} == {
        "postgres",
        "mlflow",
        "scheduler",
        "worker",
    }


def test_there_is_no_password_that_works_by_default() -> None:
    with pytest.raises(KeyError, match=r"set it in \.env"):
        read_compose({})
    assert re.search(r"^POSTGRES_PASSWORD=$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert ".env" not in tracked
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_dockerfile_is_pinned_hashed_and_not_root() -> None:
    lines = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if line.startswith("FROM")] == ["FROM python:3.11.13-slim-bookworm"]
    assert "--require-hashes" in DOCKERFILE
    assert "latest" not in DOCKERFILE
    assert "ADD " not in DOCKERFILE
    assert lines.index("USER 10001:10001") > max(index for index, line in enumerate(lines) if line.startswith("RUN"))
    assert lines[-1].startswith('ENTRYPOINT ["')
    # What is least often changed comes first: a change of our code installs nothing anew.
    assert DOCKERFILE.index("COPY requirements.txt") < DOCKERFILE.index("--require-hashes") < DOCKERFILE.index("COPY hpo")


def test_context_holds_only_what_is_copied() -> None:
    kept = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"}
    copied = {word for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE) for word in line.split()}
    assert kept == copied
