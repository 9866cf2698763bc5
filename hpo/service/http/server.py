"""The HTTP server: uvicorn in a thread, on a socket that is bound before anything else is begun."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from hpo.errors import SettingsError
from hpo.service.http.app import make_app
from hpo.service.http.settings import HttpSettings
from hpo.service.http.uploads import PREFIX
from hpo.service.study_child import sweep
from hpo.settings import ServiceSettings

MAX_CONNECTIONS = 1000
CLOSING_SECONDS = 2
"""How long requests that are being answered may take when the server stops."""


@contextmanager
def serving_http(
    settings: ServiceSettings,
    http: HttpSettings,
    *,
    folder: Path | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Iterator[str]:
    """Serve HTTP beside the block; gives the address.

    Args:
        settings: Where ledger and tracking are, and the bounds.
        http: Where and for whom to serve.
        folder: Where clients may name tables that stay in place, or None.
        note: Takes a line for a person, of an error that nobody expected.

    Raises:
        SettingsError: The port cannot be had.
    """
    is_over = threading.Event()
    app = make_app(settings, http, folder=folder, is_over=is_over.is_set, note=note)
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",  # what is wrong with a request is told to its client
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=CLOSING_SECONDS,
    )
    server = uvicorn.Server(config)
    sweep(PREFIX)
    with _bound(http) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="http")
        thread.start()
        try:
            yield f"http://{f'[{http.host}]' if ':' in http.host else http.host}:{port}"
        finally:
            is_over.set()
            server.should_exit = True
            thread.join()


@contextmanager
def _bound(http: HttpSettings) -> Iterator[socket.socket]:
    try:
        family = socket.getaddrinfo(http.host, http.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((http.host, http.port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            f"--http: {http.host}:{http.port} cannot be listened on: {reason}",
            hint="give another port, or 0 for a free one",
        ) from error
    with listener:
        yield listener
