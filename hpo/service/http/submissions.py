"""Submissions over HTTP: a form becomes a submitted study, or a refusal.

The definition is JSON or TOML and nothing else, and names no file of this machine, unless it lies
in the one folder that the service allows.
"""

import json
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData, UploadFile

from hpo.data.sources import BUNDLED
from hpo.errors import DefinitionError
from hpo.escaping import quote
from hpo.estimators.metrics import check_metric_names
from hpo.service.http.problems import RefusedError
from hpo.service.http.uploads import keeping
from hpo.service.status import StudyStatus
from hpo.service.submitting import MOST_PRIORITY, submit_study
from hpo.settings import ServiceSettings
from hpo.study_file import load_definition

MAX_DEFINITION_BYTES = 256_000


class SubmissionForm(BaseModel):
    """The form that submits a study; its model is what the OpenAPI document shows."""

    model_config = ConfigDict(title="Submission", extra="forbid")

    definition: str = Field(
        "", description="The study: JSON, or TOML as in a study file; without it, the Iris study."
    )
    table: bytes | None = Field(
        None,
        description="A CSV (also .gz, .bz2), Parquet or Feather file, by the end of its name.",
        json_schema_extra={"format": "binary"},
    )
    priority: int = Field(
        0, ge=-MOST_PRIORITY, le=MOST_PRIORITY, description="Higher ones are driven first."
    )
    registered: str | None = Field(
        None,
        alias="register",
        description="The registered model that the final model becomes a version of.",
    )
    plots: bool = Field(True, description="Whether figures of study and model are drawn.")


_FIELDS = tuple(field.alias or name for name, field in SubmissionForm.model_fields.items())


@dataclass(frozen=True)
class Submission:
    """A form as it was sent; the table is open until the form is closed.

    Attributes:
        content: The definition, section to key to value.
        table: The upload, or None.
        how: The other fields.
    """

    content: dict[str, Any]
    table: UploadFile | None
    how: SubmissionForm


async def read_submission(form: FormData) -> Submission:
    """Read the fields of a form.

    Raises:
        RefusedError: A field is unknown, there twice, or not what it should be.
    """
    names = [name for name, _ in form.multi_items()]
    if unknown := sorted(set(names).difference(_FIELDS)):
        hint = f"send {', '.join(_FIELDS)}"
        raise RefusedError(422, f"form: unknown field {quote(unknown[0])}", hint=hint)
    if twice := [name for name in names if names.count(name) > 1]:
        raise RefusedError(422, f"form: the field {quote(twice[0])} is there twice")
    table = form.get("table")
    if isinstance(table, str):
        hint = "curl -F table=@customers.csv"
        raise RefusedError(422, "table: this should be a file with a name", hint=hint)
    others = {name: form[name] for name in names if name not in ("definition", "table")}
    try:
        how = SubmissionForm.model_validate(others)
    except ValidationError as error:
        first = error.errors()[0]
        line = f"{first['loc'][0]}: {first['msg'].removeprefix('Input ')}"
        raise RefusedError(422, f"{line}, but got {quote(first['input'])}") from None
    return Submission(parse_definition(await _read_text(form.get("definition"))), table, how)


async def _read_text(field: UploadFile | str | None) -> str:
    content = await field.read(MAX_DEFINITION_BYTES + 1) if isinstance(field, UploadFile) else field
    if content is not None and len(content) > MAX_DEFINITION_BYTES:
        raise RefusedError(
            413, f"definition: this may have {MAX_DEFINITION_BYTES} bytes, but has more"
        )
    try:
        return content.decode("utf-8-sig") if isinstance(content, bytes) else content or ""
    except UnicodeDecodeError as error:
        line = f"definition: this should be UTF-8 text, but got other bytes at {error.start}"
        raise DefinitionError(line) from error


def parse_definition(text: str) -> dict[str, Any]:
    """Read JSON, which begins with a brace, else TOML.

    Raises:
        DefinitionError: It is neither.
    """
    is_json = text.lstrip()[:1] == "{"
    try:
        content = json.loads(text) if is_json else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "JSON" if is_json else "TOML"
        raise DefinitionError(f"definition: this is not {kind}: {error}") from error
    assert isinstance(content, dict)
    return content


def accept(submission: Submission, settings: ServiceSettings, folder: Path | None) -> StudyStatus:
    """Submit a study.

    Args:
        submission: What was sent.
        settings: Where ledger and tracking are, and the bounds.
        folder: Where tables may be named and stay in place, or None.

    Raises:
        HpoError: It cannot be submitted; nothing was written.
    """
    content = submission.content
    data = content.setdefault("data", {})
    if not isinstance(data, dict):
        return _submit(content, settings, submission.how)
    if submission.table is None:
        source = data.get("source", BUNDLED[0])
        in_place = source not in BUNDLED
        if in_place:
            data["source"] = _find_in(folder, source)
        return _submit(content, settings, submission.how, in_place=in_place)
    if "source" in data:
        line = "definition: data.source names a table, but one was sent"
        raise RefusedError(422, line, hint="leave data.source out")
    with keeping(submission.table, settings.max_table_bytes) as path:
        data["source"] = str(path)
        return _submit(content, settings, submission.how)


def _submit(
    content: dict[str, Any],
    settings: ServiceSettings,
    how: SubmissionForm,
    *,
    in_place: bool = False,
) -> StudyStatus:
    definition = load_definition(content)
    check_metric_names((definition.study.metric, *definition.study.metrics))
    settings = replace(settings, register=how.registered, plots=how.plots)
    return submit_study(definition, settings, priority=how.priority, data_in_place=in_place)


def _find_in(folder: Path | None, source: object) -> str:
    """Give the path of a table in the folder that is allowed, links followed."""
    if folder is None or not isinstance(source, str):
        line = f"definition: data.source should be one of {', '.join(BUNDLED)}"
        hint = "send the table itself: curl -F table=@customers.csv"
        raise RefusedError(422, f"{line}, but got {quote(source)}", hint=hint)
    try:
        path = Path(folder, source).resolve()
        is_inside = path.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        is_inside = False
    if not is_inside:
        line = f"definition: data.source should lie in {folder}, but got {quote(source)}"
        raise RefusedError(422, line, hint="send the table itself")
    return str(path)
