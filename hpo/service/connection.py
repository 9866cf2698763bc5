"""Connection: one request after another to a service, and its problems as errors of ours."""

from collections.abc import Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from pydantic import TypeAdapter, ValidationError

import hpo.errors
from hpo.errors import HpoError, InputError, SettingsError
from hpo.escaping import hide_password

ANSWER_SECONDS = 60.0
"""How long the service may say nothing; checking a large table takes its time."""

T = TypeVar("T")


class Connection:
    """Sends requests to one service.

    Args:
        url: Its address, such as ``https://hpo.example``.
        token: What it asks for, or None.

    Raises:
        SettingsError: The address is none.
    """

    def __init__(self, url: str, token: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(
                "server: this should be an http:// or https:// address,"
                f" but got '{hide_password(url)}'"
            )
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.auth = _Bearer(token)

    def ask(self, method: str, path: str, **how: Any) -> requests.Response:
        """Send a request; arguments and answer are those of requests.

        Raises:
            InputError: The service refuses it.
            HpoError: It does not answer, or what it needs is away.
        """
        url = self._url + path
        try:
            answer = self._session.request(
                method, url, timeout=ANSWER_SECONDS, allow_redirects=False, **how
            )
        except requests.RequestException as error:
            raise HpoError(
                f"{hide_password(self._url)} does not answer: {_reason_of(error)}",
                hint="start it with hpo serve --http, or mend the address",
            ) from error
        if answer.status_code >= 300:
            raise _read_error(answer, self._url)
        return answer


class _Bearer(requests.auth.AuthBase):
    """Sends the token; without one, nothing that a ``.netrc`` holds either."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def read(kind: TypeAdapter[T], answer: requests.Response) -> T:
    """Read an answer; keys of a later version are left out.

    Raises:
        HpoError: It is none of hpo's.
    """
    try:
        return kind.validate_json(answer.content)
    except ValidationError as error:
        line = f"{hide_password(answer.url)} does not answer as hpo does"
        raise HpoError(line, hint="check the address and the version of the service") from error


def iter_events(answer: requests.Response) -> Iterator[tuple[str, str]]:
    """Give the events of a stream of server-sent events: name and data."""
    event, data = "message", list[str]()
    for line in answer.iter_lines():
        field, _, value = line.decode().partition(":")
        if field == "event":
            event = value.strip()
        elif field == "data":
            data.append(value.removeprefix(" "))
        elif not line:
            if data:
                yield event, "\n".join(data)
            event, data = "message", []


def _read_error(answer: requests.Response, url: str) -> HpoError:
    try:
        problem = answer.json()
        line, hint, kind = str(problem["detail"]), problem["hint"], problem["kind"]
    except (ValueError, KeyError, TypeError):
        return HpoError(f"{hide_password(url)} answers {answer.status_code}, and not as hpo does")
    finally:
        answer.close()
    raised = getattr(hpo.errors, str(kind), None)
    if not (isinstance(raised, type) and issubclass(raised, HpoError)):
        raised = InputError if answer.status_code < 500 else HpoError
    return raised(line, hint=hint)


def _reason_of(error: requests.RequestException) -> str:
    cause: BaseException = error
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
    return getattr(cause, "strerror", None) or type(cause).__name__
