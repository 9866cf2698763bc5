"""Client: a service of another machine, from Python; ``hpo submit --server`` uses it too.

Errors are those of the commands: what the service refuses is raised here with its line, its hint
and its exit code.
"""

import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pandas as pd
import requests
from pydantic import TypeAdapter

from hpo.data.sources import BUNDLED
from hpo.data.tables import take_frame
from hpo.definition import StudyDefinition
from hpo.estimators.loading import LARGEST_FILES, ShippedModel, load_model
from hpo.service.connection import Connection, iter_events, read
from hpo.service.sending import Form
from hpo.service.status import FINAL, StudyStatus
from hpo.study_file import load_definition

_CHUNK_BYTES = 1 << 20

_STUDY = TypeAdapter(StudyStatus)
_STUDIES = TypeAdapter(dict[Literal["studies"], list[StudyStatus]])


class Client:
    """A service that ``hpo serve --http`` serves.

    Args:
        url: Its address, such as ``https://hpo.example``.
        token: What it asks for, or None.

    Raises:
        SettingsError: The address is none.
    """

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self._connection = Connection(url, token)

    def submit(
        self,
        definition: StudyDefinition | Mapping[str, Any] | Path | str | None = None,
        table: pd.DataFrame | Path | str | None = None,
        *,
        priority: int = 0,
        register: str | None = None,
        plots: bool = True,
        data_in_place: bool = False,
    ) -> StudyStatus:
        """Submit a study; the same again changes nothing, more trials raise its total.

        Args:
            definition: A definition, what a study file holds, or a file; by default the Iris study.
            table: The table, or its file, in the place of the definition's ``data.source``.
            priority: Studies with a higher one are driven first.
            register: The registered model that the final model becomes a version of.
            plots: Whether figures of study and model are drawn.
            data_in_place: Whether the table stays where it is: servers reach it by the same path.

        Raises:
            InputError: The service refuses it, and why.
            HpoError: The service does not answer, or what it needs is away.
        """
        if not isinstance(definition, StudyDefinition):
            definition = load_definition(definition)
        if isinstance(table, Path | str):
            data = definition.data.model_copy(update={"source": str(table)})
            definition = definition.model_copy(update={"data": data})
        elif table is not None:
            definition = definition.for_frame()
        how = {"priority": str(priority), "plots": str(plots).lower()}
        if register is not None:
            how["register"] = register
        with nullcontext() if data_in_place else _keeping_table(definition, table) as path:
            content = _to_content(definition, is_sent=path is not None)
            form = Form({"definition": json.dumps(content), **how}, path)
            return self._study("POST", "/studies", data=form, headers=form.headers)

    def studies(self) -> list[StudyStatus]:
        """Give all submitted studies, in the order in which they are driven."""
        return read(_STUDIES, self._connection.ask("GET", "/studies"))["studies"]

    def status(self, name: str) -> StudyStatus:
        """Give the status of one study.

        Raises:
            MissingStudyError: It was not submitted.
        """
        return self._study("GET", _path(name))

    def cancel(self, name: str) -> StudyStatus:
        """Cancel a study, wherever it runs; what is done stays."""
        return self._study("DELETE", _path(name))

    def events(self, name: str) -> Iterator[StudyStatus]:
        """Follow a study: its status now, and at every change until it has ended."""
        while True:
            with self._connection.ask("GET", f"{_path(name)}/events", stream=True) as answer:
                try:
                    for event, data in iter_events(answer):
                        if event == "status":
                            status = _STUDY.validate_json(data)
                            yield status
                            if status.state in FINAL:
                                return
                except requests.RequestException:
                    pass  # the service was restarted: it is asked again, or does not answer
            self.status(name)

    def wait(self, name: str) -> StudyStatus:
        """Wait until a study has ended, and give its status."""
        return [*self.events(name)][-1]

    def model(self, name: str, trusted: Sequence[str] = ()) -> ShippedModel:
        """Download the final model of a study, and load it with the safe loader.

        Args:
            name: The study's.
            trusted: Types that an estimator of one's own may hold, beside those that skops trusts.

        Raises:
            MissingStudyError: There is no such study, or no model yet.
            ModelError: It is not safe to load.
        """
        with (
            tempfile.TemporaryDirectory(prefix="hpo-") as directory,
            tempfile.TemporaryFile() as file,
        ):
            with self._connection.ask("GET", f"{_path(name)}/model", stream=True) as answer:
                for chunk in answer.iter_content(_CHUNK_BYTES):
                    file.write(chunk)
            with zipfile.ZipFile(file) as archive:
                for entry in archive.infolist():
                    if entry.file_size <= LARGEST_FILES.get(entry.filename, -1):
                        archive.extract(entry, directory)
            return load_model(Path(directory), trusted)

    def _study(self, method: str, path: str, **how: Any) -> StudyStatus:
        return read(_STUDY, self._connection.ask(method, path, **how))


@contextmanager
def _keeping_table(
    definition: StudyDefinition, table: pd.DataFrame | Path | str | None
) -> Iterator[Path | None]:
    """Give the file to send, or None for a bundled table."""
    if isinstance(table, pd.DataFrame):
        with tempfile.TemporaryDirectory(prefix="hpo-") as directory:
            path = Path(directory, "table.parquet")
            frame = take_frame(table)
            frame.columns = frame.columns.map(str)
            frame.to_parquet(path)
            yield path
    else:
        source = definition.data.source
        yield None if source in BUNDLED else Path(source)


def _to_content(definition: StudyDefinition, *, is_sent: bool) -> dict[str, Any]:
    content = definition.model_dump(mode="json", exclude_unset=True)
    content.setdefault("study", {})["name"] = definition.name
    if is_sent:
        content["data"].pop("source")
    elif "source" in content.get("data", {}) and definition.data.source not in BUNDLED:
        content["data"]["source"] = str(Path(definition.data.source).absolute())
    return content


def _path(name: str) -> str:
    return f"/studies/{quote(name, safe='')}"
