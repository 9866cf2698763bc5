"""The page's own paths: it, its updates, its files, and the form that takes the token.

They are for browsers, and no part of the OpenAPI document.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from hpo.errors import HpoError
from hpo.service.http.context import Context, InContext
from hpo.service.http.guard import COOKIE, is_known, is_same, session_of
from hpo.service.http.page import Page, render_login, render_page
from hpo.service.http.problems import RETRY_SECONDS, explain

router = APIRouter(include_in_schema=False)


async def _draw(context: Context) -> Page:
    studies = await context.watch.studies()
    return await asyncio.to_thread(context.drawer.draw, studies)


@router.get("/")
async def show_page(request: Request, context: InContext) -> HTMLResponse:
    """Show all studies, or ask for the token."""
    if not is_known(request.headers, context.http.token):
        return HTMLResponse(render_login(was_wrong=False), 401)
    page = await _draw(context)
    return HTMLResponse(render_page(page, has_token=context.http.token is not None))


@router.post("/session")
async def sign_in(
    request: Request, context: InContext, token: Annotated[str, Form(max_length=4096)] = ""
) -> Response:
    """Take the token from the page's form, or sign out where it is empty."""
    expected = context.http.token
    if token and (expected is None or not is_same(token.strip(), expected)):
        return HTMLResponse(render_login(was_wrong=True), 401)
    answer = RedirectResponse("/", 303)
    if not token or expected is None:
        answer.delete_cookie(COOKIE)
    else:
        answer.set_cookie(
            COOKIE,
            session_of(expected),
            httponly=True,
            samesite="strict",
            secure=request.headers.get("origin", "").startswith("https:"),
        )
    return answer


@router.get("/page/update")
async def show_update(context: InContext) -> dict[str, Any]:
    """Give all rows, for a page that cannot listen to events."""
    page = await _draw(context)
    return page.changes_from({})


@router.get("/page/events", response_class=EventSourceResponse)
async def follow_page(context: InContext, known: str = "") -> AsyncIterator[ServerSentEvent]:
    """Send rows as they change.

    Args:
        context: The app's.
        known: The version of the page that listens.
    """
    async for event in _follow(context, known):
        yield event


async def _follow(context: Context, known: str) -> AsyncIterator[ServerSentEvent]:
    versions: dict[str, str] | None = None
    while not context.watch.is_over():
        try:
            async for studies in context.watch.changes():
                page = await asyncio.to_thread(context.drawer.draw, studies)
                if versions is None:
                    versions = page.versions if page.version == known else {}
                yield ServerSentEvent(event="update", data=page.changes_from(versions))
                versions = page.versions
        except HpoError as error:
            yield ServerSentEvent(event="problem", data=explain(error).model_dump())
            await asyncio.sleep(RETRY_SECONDS)
