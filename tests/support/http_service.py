"""The service over HTTP in this process: a real server on a real socket, without drivers."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from hpo.ledger.storage import open_storage
from hpo.ledger.submitting import change_wish
from hpo.ledger.wishes import Wish
from hpo.service.client import Client
from hpo.service.http.server import serving_http
from hpo.service.http.settings import HttpSettings
from hpo.settings import ServiceSettings

from .stores import close_stores, stores_of

SECONDS = 60.0
TOKEN = "a-token-of-the-tests"


@dataclass(frozen=True)
class Service:
    """A server that answers.

    Attributes:
        url: Its address.
        settings: Where its ledger and its MLflow are.
        notes: The lines that it had for a person.
    """

    url: str
    settings: ServiceSettings
    notes: list[str]

    def ask(self, method: str, path: str, **how: Any) -> requests.Response:
        return requests.request(
            method, self.url + path, timeout=SECONDS, allow_redirects=False, **how
        )

    def get(self, path: str, **headers: str) -> requests.Response:
        return self.ask("GET", path, headers=headers)

    def post(
        self,
        definition: str | bytes = "",
        table: tuple[str, Any] | None = None,
        *,
        headers: dict[str, str] | None = None,
        **fields: str,
    ) -> requests.Response:
        parts: list[tuple[str, Any]] = [("definition", (None, definition))]
        parts += [(name, (None, text)) for name, text in fields.items()]
        parts += [] if table is None else [("table", table)]
        return self.ask("POST", "/studies", files=parts, headers=headers)

    @property
    def client(self) -> Client:
        return Client(self.url)

    def client_with(self, token: str) -> Client:
        return Client(self.url, token=token)

    def end(self, name: str, **outcome: Any) -> None:
        """Say of a study what a server says that has done all of it."""
        self._change(name, lambda wish: wish.done(wish, outcome))

    def fail(self, name: str, reason: str) -> None:
        """Say of a study what a server says that gives it up."""
        self._change(name, lambda wish: wish.failed(reason, 0, is_final=True))

    def _change(self, name: str, change: Callable[[Wish], Wish]) -> None:
        storage = open_storage(self.settings.storage)
        change_wish(storage, name, change)
        storage.engine.dispose()


@contextmanager
def serving(
    directory: Path,
    *,
    http: HttpSettings | None = None,
    folder: Path | None = None,
    **settings: Any,
) -> Iterator[Service]:
    """Serve the stores of a directory, which is the working directory meanwhile: MLflow's files
    lie there.
    """
    before = Path.cwd()
    os.chdir(directory)
    found = ServiceSettings(**{**stores_of(directory), **settings})
    notes = list[str]()
    try:
        with serving_http(found, http or HttpSettings(), folder=folder, note=notes.append) as url:
            yield Service(url, found, notes)
    finally:
        os.chdir(before)
        close_stores()


def copy_study(directory: Path, name: str, n_copies: int) -> None:
    """Copy a submitted study with its trials under other names, which are its own and a number."""
    path = directory / "optuna.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        (study,) = connection.execute(
            "SELECT study_id FROM studies WHERE study_name = ?", (name,)
        ).fetchone()
        for number in range(n_copies):
            copy = connection.execute(
                "INSERT INTO studies (study_name) VALUES (?) RETURNING study_id",
                (f"{name}-{number}",),
            ).fetchone()[0]
            for table in ("study_directions", "study_user_attributes", "study_system_attributes"):
                _copy_rows(connection, table, "study_id", study, copy)
            trials = connection.execute(
                "SELECT trial_id FROM trials WHERE study_id = ? ORDER BY number", (study,)
            ).fetchall()
            for (trial,) in trials:
                _copy_rows(connection, "trials", "study_id", study, copy, f"trial_id = {trial}")
                new = connection.execute("SELECT max(trial_id) FROM trials").fetchone()[0]
                _copy_rows(connection, "trial_values", "trial_id", trial, new)


def _copy_rows(
    connection: sqlite3.Connection, table: str, key: str, of: int, to: int, where: str = "true"
) -> None:
    columns = [
        name
        for _, name, _, _, _, is_key in connection.execute(f"PRAGMA table_info({table})")
        if not is_key
    ]
    chosen = [str(to) if name == key else name for name in columns]
    connection.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(chosen)} FROM {table}"
        f" WHERE {key} = {of} AND {where}"
    )
