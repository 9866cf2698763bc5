"""Studies in and out over HTTP, as JSON and as events; health and metrics.

The OpenAPI document comes from these types: :class:`StudyStatus` and the models here.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

from hpo.errors import HpoError
from hpo.ledger.inspection import OPTUNA, read_database
from hpo.service.behind import seconds_behind
from hpo.service.http.context import Context, InContext
from hpo.service.http.metrics import MEDIA_TYPE, render_metrics
from hpo.service.http.problems import RETRY_SECONDS, RefusedError, documented, explain
from hpo.service.http.submissions import (
    MAX_DEFINITION_BYTES,
    SubmissionForm,
    accept,
    read_submission,
)
from hpo.service.status import FINAL, StudyStatus, read_status
from hpo.service.submitting import cancel_study

UPLOAD_SECONDS = 3600.0
"""How long a client may take to send a form."""

router = APIRouter(responses=documented(401, 403))

Name = Annotated[str, Path(description="The study's name.")]


class Studies(BaseModel):
    """All submitted studies."""

    studies: list[StudyStatus] = Field(description="In the order in which they are driven.")


class Health(BaseModel):
    """That the service answers and reaches its storage."""

    status: Literal["ok"] = "ok"


def _find(name: Name, context: InContext) -> StudyStatus:
    (study,) = read_status(context.settings, name)
    return study


Found = Annotated[StudyStatus, Depends(_find)]
"""The study that the path names, by ``_find``."""

_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"multipart/form-data": {"schema": SubmissionForm.model_json_schema()}},
    }
}


@router.post(
    "/studies",
    status_code=202,
    responses={
        202: {"headers": {"Location": {"schema": {"type": "string"}}}},
        **documented(400, 409, 413, 415, 422, 429, 503),
    },
    openapi_extra=_FORM,
)
async def submit_study(request: Request, response: Response, context: InContext) -> StudyStatus:
    """Submit a study. The same again changes nothing; more trials raise its total."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        hint = "curl -F definition=@study.toml -F table=@customers.csv"
        raise RefusedError(415, "a study is submitted as multipart/form-data", hint=hint)
    sent = request.form(max_files=2, max_fields=5, max_part_size=MAX_DEFINITION_BYTES)
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(UPLOAD_SECONDS):
            form = await stack.enter_async_context(sent)
        submission = await read_submission(form)
        async with context.submitting:
            study = await asyncio.to_thread(accept, submission, context.settings, context.folder)
    response.headers["Location"] = f"/studies/{study.name}"
    return study


@router.get("/studies", responses=documented(503))
async def list_studies(context: InContext) -> Studies:
    """List all submitted studies."""
    return Studies(studies=[*await asyncio.to_thread(read_status, context.settings)])


@router.get("/studies/{name}", responses=documented(404, 422, 503))
def show_study(study: Found) -> StudyStatus:
    """Show one study."""
    return study


@router.delete("/studies/{name}", responses=documented(404, 422, 503))
def cancel(name: Name, context: InContext) -> StudyStatus:
    """Cancel a study, wherever it runs: it stops within seconds, and what is done stays."""
    return cancel_study(context.settings, name)


@router.get(
    "/studies/{name}/events",
    response_class=EventSourceResponse,
    responses=documented(404, 422, 503),
)
async def follow_study(study: Found, context: InContext) -> AsyncIterator[ServerSentEvent]:
    """Follow one study: a `status` event now and at every change; ends when the study has ended."""
    async for event in _follow(study.name, context):
        yield event


async def _follow(name: str, context: Context) -> AsyncIterator[ServerSentEvent]:
    known = None
    while not context.watch.is_over():
        try:
            async for studies in context.watch.changes():
                found = [study for study in studies if study.name == name]
                if found and found[0] != known:
                    known = found[0]
                    yield ServerSentEvent(event="status", data=known.to_json())
                if not found or found[0].state in FINAL:
                    return
        except HpoError as error:
            yield ServerSentEvent(event="problem", data=explain(error).model_dump())
            await asyncio.sleep(RETRY_SECONDS)


@router.get(
    "/studies/{name}/model",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"application/zip": {}}, "description": "The model's files."},
        **documented(404, 422, 503),
    },
)
def download_model(study: Found, context: InContext) -> StreamingResponse:
    """Download the final model as MLflow keeps it: a zip of its files."""
    from hpo.tracking.model_archive import open_archive  # noqa: PLC0415 - it loads MLflow

    if study.model_uri is None:
        line = f"study '{study.name}' has no model yet: it is {study.state}"
        raise RefusedError(404, line, hint=study.reason)
    archive: Iterator[bytes] = open_archive(study.model_uri, context.settings.tracking_uri)
    name = {"Content-Disposition": f'attachment; filename="{study.name}.zip"'}
    return StreamingResponse(archive, media_type="application/zip", headers=name)


@router.get("/health", responses=documented(503))
def health(context: InContext) -> Health:
    """Say whether the service reaches its storage; needs no token."""
    try:
        with read_database(context.settings.storage, OPTUNA):
            return Health()
    except HpoError:
        raise RefusedError(503, "the storage does not answer") from None


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **documented(503)},
)
def metrics(context: InContext) -> Response:
    """Give the metrics of the storage to Prometheus."""
    studies = read_status(context.settings)
    behind = seconds_behind(context.settings, studies)
    return Response(render_metrics(studies, behind), media_type=MEDIA_TYPE)
