"""A logged model as one file: a zip of its folder, made while it is sent."""

import io
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from hpo.errors import ModelError
from hpo.escaping import quote
from hpo.tracking.model_files import open_repository, translating

MAX_FILES = 1000
_CHUNK_BYTES = 1 << 20


def open_archive(uri: str, tracking_uri: str) -> Iterator[bytes]:
    """Give the parts of a zip with all files of a model.

    Args:
        uri: ``models:/...``, as MLflow says it.
        tracking_uri: The store that knows it.

    Raises:
        TrackingError: The server is away.
        ModelError: There is no such model, or its folder holds what no model's does.
    """
    with translating(uri, tracking_uri):
        repository = open_repository(uri, tracking_uri)
        names = _list_files(repository)
    return _iter_zip(repository, names)


def _list_files(repository: Any) -> list[str]:
    names = list[str]()
    folders = [""]
    while folders:
        for entry in repository.list_artifacts(folders.pop()):
            parts = PurePosixPath(entry.path).parts
            if ".." in parts or "\\" in entry.path or PurePosixPath(entry.path).is_absolute():
                raise ModelError(f"model: its folder lists {quote(entry.path)}")
            (folders if entry.is_dir else names).append(entry.path)
        if len(names) + len(folders) > MAX_FILES:
            raise ModelError(f"model: its folder has more than {MAX_FILES} files")
    if not names:
        raise ModelError("model: its folder is empty")
    return sorted(names)


def _iter_zip(repository: Any, names: list[str]) -> Iterator[bytes]:
    sink = _Sink()
    with (
        tempfile.TemporaryDirectory(prefix="hpo-") as directory,
        zipfile.ZipFile(sink, "w") as archive,
    ):
        for name in names:
            path = Path(repository.download_artifacts(name, dst_path=directory))
            entry = archive.open(zipfile.ZipInfo(name), "w", force_zip64=True)
            with entry, path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    entry.write(chunk)
                    yield sink.take()
            path.unlink()
    yield sink.take()


class _Sink(io.RawIOBase):
    """Holds what was written until it is taken; ``zipfile`` sees that it cannot seek."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """Whether it can be written: always."""
        return True

    def write(self, data: Any) -> int:
        """Keep a part."""
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """Give what was written since the last time."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken
