"""ServiceSettings: *where* ledger and tracking are, from flags, environment or defaults.

The defaults are files in the working directory, which a bare ``mlflow ui`` opens too. Nothing is
opened here: a URL is checked only as far as that needs no connection, and printed without its
password.
"""

import hashlib
import math
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hpo.errors import SettingsError
from hpo.escaping import hide_password, is_utf8

DEFAULT_STORAGE = "sqlite:///optuna.db"
DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
STORAGE_VARIABLE = "HPO_STORAGE"
TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
WORKERS_VARIABLE = "HPO_WORKERS"
TOKEN_VARIABLE = "HPO_TOKEN"  # noqa: S105 - the variable's name
QUEUE_VARIABLE = "HPO_MAX_QUEUED"
TABLE_VARIABLE = "HPO_MAX_TABLE_BYTES"
_VARIABLES = {
    "storage": STORAGE_VARIABLE,
    "tracking_uri": TRACKING_VARIABLE,
    "workers": WORKERS_VARIABLE,
    "max_queued": QUEUE_VARIABLE,
    "max_table_bytes": TABLE_VARIABLE,
}

MAX_WORKERS = 256

_DATABASES = ("sqlite", "postgresql")


@dataclass(frozen=True)
class ServiceSettings:
    """Where ledger, tracking and workers are, and what is done beside the search.

    Attributes:
        storage: SQLAlchemy URL of Optuna's storage: ``sqlite:///PATH`` or ``postgresql://...``.
        tracking_uri: MLflow's store: the same kinds of URL, or a server's ``http(s)://`` address.
        register: Name of the registered model that the final model becomes a version of, or None.
        workers: Number of processes that score folds, 1 meaning this process; "auto" for one a
            core where that saves time; or the address of a Dask cluster.
        tracking_wait_seconds: How long a finished run waits for a tracking store that is behind.
        wait: Whether to wait while another driver has the study.
        plots: Whether figures of study and model are drawn.
        new_uid: Whether a study whose ledger was copied goes on as one of its own; once is enough.
        max_queued: How many studies may be submitted and not done.
        max_table_bytes: How large a table that is submitted may be.
    """

    storage: str = field(default=DEFAULT_STORAGE, repr=False)
    tracking_uri: str = field(default=DEFAULT_TRACKING_URI, repr=False)
    register: str | None = None
    workers: int | str = "auto"
    tracking_wait_seconds: float = 30.0
    wait: bool = False
    plots: bool = True
    new_uid: bool = False
    max_queued: int = 1000
    max_table_bytes: int = 2_000_000_000

    def __post_init__(self) -> None:
        for name in ("storage", "tracking_uri"):
            # SQLAlchemy's default driver for PostgreSQL is one that is not installed here.
            url = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", getattr(self, name))
            object.__setattr__(self, name, url)
        object.__setattr__(self, "workers", _read_workers(str(self.workers)))
        if not 0 <= self.tracking_wait_seconds < math.inf:
            raise SettingsError(
                "--tracking-wait: this should be 0 or more seconds,"
                f" but got {self.tracking_wait_seconds:g}"
            )
        for name, variable in (("max_queued", QUEUE_VARIABLE), ("max_table_bytes", TABLE_VARIABLE)):
            object.__setattr__(self, name, _read_count(variable, str(getattr(self, name))))
        _check_url("storage", self.storage, _DATABASES, DEFAULT_STORAGE)
        _check_url(
            "tracking URI", self.tracking_uri, (*_DATABASES, "http", "https"), DEFAULT_TRACKING_URI
        )
        if not self.tracking_uri.startswith("http") and _place(self.storage) == _place(
            self.tracking_uri
        ):
            raise SettingsError(
                "storage and tracking URI should be two databases,"
                f" but got {hide_password(self.storage)} for both",
                hint="Optuna and MLflow each own a table of one name;"
                " give two files, or createdb a second database",
            )
        if self.register is not None and re.search(r"""^\s*$|\.\.|[/:'"`]""", self.register):
            raise SettingsError(
                "--register: a model name should have no slash, colon, quote or '..',"
                f" but got '{self.register}'"
            )

    def sqlite_files(self) -> list[Path | None]:
        """Give the absolute path of each store; None for one that is no SQLite file."""
        return [sqlite_path(url) for url in (self.storage, self.tracking_uri)]


def read_settings(*, environment: Mapping[str, str] = os.environ, **flags: Any) -> ServiceSettings:
    """Make settings from flags, else the environment, else the defaults.

    Args:
        environment: The variables; an empty one counts as absent.
        flags: The settings' attributes, None where a flag is not given; ``workers`` as text.

    Raises:
        SettingsError: A URL is of an unsupported kind, or its directory does not exist.
    """
    given: dict[str, Any] = {
        name: environment[variable]
        for name, variable in _VARIABLES.items()
        if environment.get(variable)
    }
    given |= {name: value for name, value in flags.items() if value is not None}
    return ServiceSettings(**given)


def read_token(file: Path | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Read a token from a file, else the environment; None where there is none.

    Raises:
        SettingsError: The file cannot be read.
    """
    if file is None:
        return environment.get(TOKEN_VARIABLE) or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise SettingsError(f"--token-file: {file} cannot be read ({reason})") from error


def _read_workers(text: str) -> int | str:
    if text == "auto" or re.fullmatch(r"(tcp|tls)://[^/]+:\d+", text):
        return text
    if text.isdecimal() and 1 <= int(text) <= MAX_WORKERS:
        return int(text)
    raise SettingsError(
        f"--workers: this should be 'auto', a number from 1 to {MAX_WORKERS} or a tcp://host:port,"
        f" but got '{text}'",
        hint="tcp://host:port is the address of a Dask scheduler",
    )


def _read_count(variable: str, text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise SettingsError(f"{variable}: this should be a whole number above 0, but got '{text}'")


def sqlite_path(url: str) -> Path | None:
    """Give the absolute path of an SQLite URL's file, or None for any other URL."""
    prefix = "sqlite:///"
    if not url.startswith(prefix):
        return None
    try:
        return Path(url.removeprefix(prefix)).resolve()
    except FileNotFoundError as error:
        raise SettingsError(
            "the working directory is gone", hint="cd to a directory that exists"
        ) from error


@contextmanager
def needing_driver(url: str) -> Iterator[None]:
    """Say which database's driver cannot be imported, and how to install it."""
    try:
        yield
    except ImportError as error:
        message = (
            f"{hide_password(url)} needs a driver that is not installed ({error.name or error})"
        )
        raise SettingsError(message, hint="pip install 'psycopg[binary]'") from error


def _check_url(subject: str, url: str, kinds: tuple[str, ...], example: str) -> None:
    scheme = url.partition("://")[0]
    path = sqlite_path(url)
    is_file = scheme.startswith("sqlite")
    hint = f"for example {example}"
    if example == DEFAULT_TRACKING_URI and ("://" not in url or scheme == "file"):
        hint += (
            "; runs in an old file store are kept by:"
            " mlflow migrate-filestore --source DIRECTORY --target sqlite:///mlflow.db"
        )
    is_known = scheme.partition("+")[0] in kinds and "://" in url
    names_file = (
        path is not None
        and path.name not in ("", ":memory:")
        and not os.path.isdir(path)
        and "?" not in url
    )
    rules = (
        (is_utf8(url), "be UTF-8 text", hint),
        (is_known, f"start with {' or '.join(f'{kind}://' for kind in kinds)}", hint),
        (not any(mark in url for mark in "{}"), "have no brace", "Optuna reads braces as its own"),
        (not is_file or names_file, "name a file after 'sqlite:///'", hint),
        (
            path is None or os.path.isdir(path.parent),
            "lie in a directory that exists",
            f"make {path and path.parent} first",
        ),
        (is_file or _has_host(url), "name a host and a port", hint),
    )
    for is_kept, rule, mend in rules:
        if not is_kept:
            raise SettingsError(
                f"{subject} should {rule}, but got '{hide_password(url)}'", hint=mend
            )


def _has_host(url: str) -> bool:
    try:
        return bool(urlsplit(url).netloc) and urlsplit(url).port != 0
    except ValueError:
        return False


def digest_of_place(url: str) -> str:
    """Give a hexadecimal digest that stands for a database; of a file, on this machine."""
    host = socket.gethostname() if url.startswith("sqlite") else ""
    return hashlib.sha256(repr((host, *map(str, _place(url)))).encode()).hexdigest()[:32]


def _place(url: str) -> tuple[object, ...]:
    """Give the same value for any two URLs of one database."""
    if url.startswith("sqlite"):
        return (sqlite_path(url),)
    parts = urlsplit(url)
    return (parts.hostname, parts.port or 5432, parts.path)
