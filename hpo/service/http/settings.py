"""HttpSettings: where the service listens, who may ask, and how much may be sent.

Loopback unless told otherwise. Beyond it a token is a must, and it never comes from an argument,
which ``ps`` shows.
"""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from hpo.errors import SettingsError
from hpo.settings import TOKEN_VARIABLE, read_token

HOST = "127.0.0.1"
MIN_TOKEN = 16
MAX_UPLOAD_BYTES = 512_000_000

_TOKEN_HINT = f"set {TOKEN_VARIABLE}, or name a file with --token-file: openssl rand -hex 24"


@dataclass(frozen=True)
class HttpSettings:
    """Where and for whom HTTP is served.

    Attributes:
        host: The address to listen on; a name is looked up.
        port: The port; 0 takes a free one.
        token: What a client must know, or None on loopback.
        max_upload_bytes: The largest body of a request.
        mlflow_page: Where a browser finds MLflow, if not where the servers do.
        dashboard_page: Where a browser finds optuna-dashboard, if not on this machine.
    """

    host: str = HOST
    port: int = 0
    token: str | None = field(default=None, repr=False)
    max_upload_bytes: int = MAX_UPLOAD_BYTES
    mlflow_page: str | None = None
    dashboard_page: str | None = None

    def __post_init__(self) -> None:
        if self.token is None and not self.is_local:
            raise SettingsError(
                f"--http: beyond this machine a token is a must, but {self.host} has none",
                hint=_TOKEN_HINT,
            )
        if self.token is not None and not _is_token(self.token):
            raise SettingsError(
                f"token: this should be {MIN_TOKEN} or more letters, digits and signs, no blanks",
                hint=_TOKEN_HINT,
            )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)


def read_http_settings(
    address: str,
    *,
    token_file: Path | None = None,
    max_upload_bytes: int = MAX_UPLOAD_BYTES,
    mlflow_page: str | None = None,
    dashboard_page: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> HttpSettings:
    """Make settings from flags and the environment.

    Args:
        address: ``HOST:PORT``, or a port on loopback.
        token_file: A file that holds the token, before the environment's.
        max_upload_bytes: The largest body of a request.
        mlflow_page: MLflow's address for browsers.
        dashboard_page: optuna-dashboard's.
        environment: The variables; an empty one counts as absent.

    Raises:
        SettingsError: The address is none, or a token is missing or cannot be read.
    """
    host, port = _split(address)
    return HttpSettings(
        host,
        port,
        read_token(token_file, environment),
        max_upload_bytes,
        mlflow_page,
        dashboard_page,
    )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, without looking it up."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_token(token: str) -> bool:
    return len(token) >= MIN_TOKEN and token.isascii() and token.isprintable() and " " not in token


def _split(address: str) -> tuple[str, int]:
    text = f"{HOST}:{address}" if address.isdecimal() else address
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or port is None or parts.netloc != text or "@" in text:
        raise SettingsError(
            f"--http: this should be HOST:PORT or a port, but got '{address}'",
            hint=f"for example {HOST}:8070, or 8070 for the same",
        )
    return host, port
