"""An artifact store over HTTP, as MLflow's server is one, that may answer with other files."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

ROOT = "/api/2.0/mlflow-artifacts/artifacts"
CHUNK = b"\0" * 2**20


class ArtifactStore:
    """Keeps what is put; ``answers`` says what it gives in the place of a file, by its end.

    Attributes:
        address: An artifact location for an experiment.
        files: What was put, by path.
        answers: End of a path to the content that is given, the status, or None for zeros without
            an end.
        names: Further names that it lists in every folder.
        sizes: Name to the size that it lists.
        asked: The paths of the files that were asked for.
        n_zeros: How many bytes of what has no end were sent.
    """

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}{ROOT}/store"
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, bytes | int | None] = {}
        self.names: tuple[str, ...] = ()
        self.sizes: dict[str, int] = {}
        self.asked: list[str] = []
        self.n_zeros = 0

    def content(self, path: str) -> bytes | int | None:
        self.asked.append(path)
        for end, answer in self.answers.items():
            if path.endswith(end):
                return answer
        return self.files.get(path, 404)

    def listing(self, folder: str) -> list[dict[str, Any]]:
        """What MLflow's server says of a folder; what ``answers`` has is there."""
        found: dict[str, dict[str, Any]] = {}
        root = f"{folder.partition('/artifacts')[0]}/artifacts"
        more = [f"{root}/{end.strip('/')}" for end in self.answers]
        for path in (*self.files, *more):
            if not path.startswith(f"{folder}/"):
                continue
            name, _, rest = path.removeprefix(f"{folder}/").partition("/")
            size = self.sizes.get(name, len(self.files.get(path, b"")))
            found[name] = {"path": name, "is_dir": bool(rest), "file_size": size}
        for name in self.names:
            found[name] = {"path": name, "is_dir": name.endswith("/"), "file_size": 1}
        return list(found.values())


class _Server(ThreadingHTTPServer):
    store: ArtifactStore


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.store.files[self._file()] = content
        self._answer(200, b"{}")

    def do_GET(self) -> None:
        if urlsplit(self.path).path == ROOT:
            folder = parse_qs(urlsplit(self.path).query)["path"][0]
            listing = {"files": self.server.store.listing(folder)}
            self._answer(200, json.dumps(listing).encode())
            return
        content = self.server.store.content(self._file())
        if content is None:
            self._answer_without_end()
        elif isinstance(content, int):
            self._answer(content, b"{}")
        else:
            self._answer(200, content)

    def _file(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix(f"{ROOT}/")

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _answer_without_end(self) -> None:
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):
            while True:
                self.server.store.n_zeros += self.wfile.write(CHUNK)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing: a test's output is its own."""


@contextmanager
def artifact_store() -> Iterator[ArtifactStore]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.store = ArtifactStore(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
