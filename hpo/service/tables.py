"""The tables of submitted studies: kept where servers reach them, found again, verified."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from hpo.data.sources import BUNDLED
from hpo.definition import StudyDefinition
from hpo.errors import DataError, TrackingError
from hpo.settings import ServiceSettings

CACHE_VARIABLE = "HPO_CACHE"


def find_table(
    definition: StudyDefinition, settings: ServiceSettings, *, in_place: bool
) -> dict[str, str] | None:
    """Say where servers are to find the table of a study; nothing is written.

    Args:
        definition: What is submitted.
        settings: How large a table may be.
        in_place: Whether servers reach it by the same path.

    Returns:
        Its ``path``, or ``digest`` and ``name``; None for a bundled table.

    Raises:
        DataError: It is too large.
    """
    source = definition.data.source
    if source in BUNDLED:
        return None
    path = Path(source)
    if in_place:
        return {"path": str(path.absolute())}
    n_bytes = path.stat().st_size
    if n_bytes > settings.max_table_bytes:
        raise DataError(
            f"data: {path} has {n_bytes} bytes, and a table that is submitted may have"
            f" {settings.max_table_bytes}",
            hint="--data-in-place leaves it where it is, if servers reach it there",
        )
    return {"digest": digest_of_file(path), "name": path.name}


def fetch(table: Mapping[str, str], settings: ServiceSettings) -> str:
    """Give the path of a table on this machine, downloaded where it is not there yet.

    Raises:
        TrackingError: MLflow is away, does not have it, or has something else.
        DataError: A table that was left in place is not there.
    """
    if "path" in table:
        if not os.path.isfile(table["path"]):
            raise DataError(
                f"data: {table['path']} is not there on this server",
                hint="submit it without --data-in-place",
            )
        return table["path"]
    # As it is named in MLflow: errors and reports name the user's file.
    path = cache_folder() / table["digest"] / Path(table["name"]).name
    if not path.is_file() or digest_of_file(path) != table["digest"]:
        from hpo.tracking.kept_tables import fetch_table  # noqa: PLC0415 - it loads MLflow

        fetch_table(settings.tracking_uri, table["digest"], path)
        if digest_of_file(path) != table["digest"]:
            path.unlink()
            raise TrackingError(
                f"MLflow has something else in the place of the table {table['name']}",
                hint="submit the study again: that uploads it",
            )
    return str(path)


def cache_folder() -> Path:
    """Give the folder of downloaded tables: ``$HPO_CACHE``, or the user's own cache."""
    given = os.environ.get(CACHE_VARIABLE)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(given) if given else Path(base) / "hpo" / "tables"


def digest_of_file(path: Path) -> str:
    """Give the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
