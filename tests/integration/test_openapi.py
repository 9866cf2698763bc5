"""The OpenAPI document against a live server: schemathesis sends what it allows, and more."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from hpo.service.http.settings import HttpSettings
from tests.support.http_service import TOKEN, Service, serving

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "ignored_auth",
)


@contextmanager
def ending(service: Service, study: str) -> Iterator[None]:
    """End a study again and again: who asks for the events of one that goes on is never done."""
    is_over = threading.Event()

    def end() -> None:
        while not is_over.wait(0.5):
            service.end(study)

    thread = threading.Thread(target=end)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_nothing_that_the_document_allows_breaks_the_service(directory: Path) -> None:
    if find_spec("schemathesis") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no schemathesis here")
    with serving(directory, http=HttpSettings(token=TOKEN)) as service:
        service.client_with(TOKEN).submit({"study": {"n_trials": 3}})
        with ending(service, "iris"):
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "schemathesis.cli",
                    "run",
                    f"{service.url}/openapi.json",
                    f"--header=Authorization: Bearer {TOKEN}",
                    f"--checks={','.join(CHECKS)}",
                    "--max-examples=3",
                    "--phases=coverage,fuzzing",
                    "--seed=0",
                    "--generation-database=none",
                    "--request-timeout=20",
                    "--no-color",
                ],
                cwd=directory,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        assert done.returncode == 0, done.stdout + done.stderr
        assert service.notes == []
        assert service.get("/health").status_code == 200
