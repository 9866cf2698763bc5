"""Guard: who may ask, and from which page.

Without a token only this machine can connect, and a browser on it is held to this page: another
site reaches the service neither by a name that it had resolved to loopback (the Host is checked)
nor by a form or script of its own (the Origin is). With a token, any Host will do: a foreign page
has no token, and the cookie of this one is sent to this host alone.
"""

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hpo.escaping import quote
from hpo.service.http.problems import RefusedError, answer, explain
from hpo.service.http.settings import HttpSettings, is_loopback
from hpo.settings import TOKEN_VARIABLE

COOKIE = "hpo_session"

OPEN = ("/", "/health", "/session")
"""Paths that need no token: they show nothing, or ask for it."""

OPEN_FOLDER = "/static/"

LARGE_HINT = "raise --max-upload of hpo serve, or send Parquet, which is smaller"

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self';"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Refuses requests before the app sees them; adds the headers that browsers obey.

    Args:
        app: What is guarded.
        settings: The token and the largest body.
    """

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            self._check(scope["method"], scope["path"], Headers(scope=scope))
        except RefusedError as refusal:
            await answer(explain(refusal))(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _check(self, method: str, path: str, headers: Headers) -> None:
        host = headers.get("host", "")
        if self._settings.token is None and not is_loopback(_name_of(host)):
            line = f"this service is for its own machine, but was asked for {quote(host)}"
            raise RefusedError(403, line, hint="ask for 127.0.0.1 or localhost")
        if method not in _SAFE_METHODS and not _is_own_page(headers, host):
            raise RefusedError(403, "another site's page may change nothing here")
        is_open = path in OPEN or path.startswith(OPEN_FOLDER)
        if not (is_open or is_known(headers, self._settings.token)):
            hint = f"Authorization: Bearer TOKEN; the command reads it from {TOKEN_VARIABLE}"
            raise RefusedError(401, "a token is needed, or the one given is wrong", hint=hint)
        most = self._settings.max_upload_bytes
        if (length := headers.get("content-length", "")).isdecimal() and int(length) > most:
            line = f"a request may have {most} bytes, but this has {length}"
            raise RefusedError(413, line, hint=LARGE_HINT)


def is_known(headers: Headers, token: str | None) -> bool:
    """Whether a request carries the token, or a cookie that was given for it; or none is needed."""
    if token is None:
        return True
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and is_same(given.strip(), token):
        return True
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return False
    return cookie is not None and is_same(cookie.value, session_of(token))


def is_same(given: str, secret: str) -> bool:
    """Compare with a secret in a time that tells nothing."""
    return hmac.compare_digest(given.encode(), secret.encode())


def session_of(token: str) -> str:
    """Give the cookie that stands for the token; the same on every server, and not the token."""
    return hmac.new(token.encode(), b"hpo page", hashlib.sha256).hexdigest()


def _is_own_page(headers: Headers, host: str) -> bool:
    """Whether a request is from a page of this host, or from no browser."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    try:
        return urlsplit(origin).netloc.lower() == host.lower() != ""
    except ValueError:
        return False


def _name_of(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
