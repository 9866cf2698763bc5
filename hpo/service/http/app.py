"""The app: the guard around the endpoints, every error as a problem, and the OpenAPI document."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

import hpo
from hpo.errors import HpoError, first_line
from hpo.service.http import pages, studies
from hpo.service.http.context import Context
from hpo.service.http.guard import LARGE_HINT, Guard
from hpo.service.http.page import FOLDER, Drawer
from hpo.service.http.problems import TITLES, Problem, answer, explain
from hpo.service.http.settings import HttpSettings
from hpo.service.http.watch import Watch
from hpo.service.status import read_status
from hpo.settings import ServiceSettings


def make_app(
    settings: ServiceSettings,
    http: HttpSettings,
    *,
    folder: Path | None = None,
    is_over: Callable[[], bool] = lambda: False,
    note: Callable[[str], None] = lambda _: None,
) -> ASGIApp:
    """Make the app.

    Args:
        settings: Where ledger and tracking are, and the bounds.
        http: For whom it is served.
        folder: Where clients may name tables that stay in place, or None.
        is_over: Whether the server stops: then every stream ends.
        note: Takes a line for a person, of an error that nobody expected.
    """
    app = FastAPI(
        title="hpo",
        version=hpo.__version__,
        description="Submit studies, follow them, download their models.",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        max_body_size=http.max_upload_bytes,
        telemetry={"tracing": False},
    )
    watch = Watch(partial(read_status, settings), is_over)
    app.state.context = Context(settings, http, folder, watch, Drawer(http))
    app.include_router(studies.router)
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=FOLDER / "static"))
    _answer_errors(app, note)
    _complete_document(app, needs_token=http.token is not None)
    return Guard(app, http)


def _answer_errors(app: FastAPI, note: Callable[[str], None]) -> None:
    @app.exception_handler(HpoError)
    def answer_ours(_: Request, error: HpoError) -> JSONResponse:
        return answer(explain(error))

    @app.exception_handler(RequestValidationError)
    def answer_invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return _answer(422, f"{place}: {first['msg'].removeprefix('Input ')}")

    @app.exception_handler(HTTPException)
    def answer_http(_: Request, error: HTTPException) -> JSONResponse:
        hint = LARGE_HINT if error.status_code == 413 else None
        return _answer(error.status_code, error.detail, hint, error.headers)

    @app.exception_handler(TimeoutError)
    def answer_slow(_: Request, __: TimeoutError) -> JSONResponse:
        return _answer(400, "the request took too long to arrive")

    @app.exception_handler(Exception)
    def answer_unexpected(request: Request, error: Exception) -> JSONResponse:
        line = f"{request.method} {request.url.path}: {type(error).__name__}: {first_line(error)}"
        note(line)
        return _answer(500, "the service met an error of its own", "its log says which")


def _answer(status: int, detail: str, hint: str | None = None, headers: Any = None) -> JSONResponse:
    title = TITLES.get(status, "Error")
    return answer(Problem(title=title, status=status, detail=detail, hint=hint), headers)


def _complete_document(app: FastAPI, *, needs_token: bool) -> None:
    """Add what no endpoint's types say: the problems' model, and the token."""
    make = app.openapi

    def complete() -> dict[str, Any]:
        document = make()
        parts = document.setdefault("components", {})
        parts.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        if needs_token:
            parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"token": []}]
            document["paths"]["/health"]["get"]["security"] = []
        return document

    app.openapi = complete  # type: ignore[method-assign] # as FastAPI's documentation has it
