"""Errors as RFC 9457 problems: the command's line, its hint, and a status that fits."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from hpo.errors import (
    HpoError,
    IdentityError,
    InputError,
    LedgerError,
    MissingStudyError,
    QueueFullError,
    StudyLockedError,
    TrackingError,
)
from hpo.escaping import hide_passwords

MEDIA_TYPE = "application/problem+json"

RETRY_SECONDS = 5

TITLES = {
    400: "Bad request",
    401: "Token needed",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported format",
    422: "Refused",
    429: "Queue full",
    500: "Internal error",
    503: "Not available",
}


class Problem(BaseModel):
    """An error: what is wrong, where, and what to do next."""

    type: str = Field("about:blank", description="Always about:blank: the status says the kind.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="One line: what is wrong and where.")
    hint: str | None = Field(None, description="What to do next.")
    kind: str | None = Field(None, description="The error's class in hpo.errors.")
    exit_code: int | None = Field(None, description="What the command would end with.")


class RefusedError(HpoError):
    """A request that is refused before it is looked into.

    Args:
        status: The HTTP status.
        message: One line.
        hint: What to do next.
    """

    exit_code = 2

    def __init__(self, status: int, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


_STATUS_OF: Mapping[type[HpoError], int] = {
    MissingStudyError: 404,
    IdentityError: 409,
    StudyLockedError: 409,
    QueueFullError: 429,
    InputError: 422,
    LedgerError: 503,
    TrackingError: 503,
}
"""The first that an error is one of."""


def status_of(error: HpoError) -> int:
    """Choose the status for an error of ours."""
    if isinstance(error, RefusedError):
        return error.status
    return next((status for kind, status in _STATUS_OF.items() if isinstance(error, kind)), 500)


def explain(error: HpoError) -> Problem:
    """Make the problem of an error of ours."""
    return Problem(
        title=TITLES[status_of(error)],
        status=status_of(error),
        detail=hide_passwords(str(error)),
        hint=None if error.hint is None else hide_passwords(error.hint),
        kind=None if isinstance(error, RefusedError) else type(error).__name__,
        exit_code=error.exit_code,
    )


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Make the answer for a problem."""
    more = {"Retry-After": str(RETRY_SECONDS)} if problem.status in (429, 503) else {}
    more |= {"WWW-Authenticate": "Bearer"} if problem.status == 401 else {}
    return JSONResponse(
        problem.model_dump(),
        problem.status,
        headers={**more, **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare problems for the OpenAPI document."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": TITLES[status], "content": {MEDIA_TYPE: schema}}
        for status in statuses
    }
