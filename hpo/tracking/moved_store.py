"""Keeps an SQLite store's artifact addresses with its directory.

MLflow keeps absolute addresses and has no relative ones: a copied directory would write into the
original's folders, and a moved one would not find its own. So before a store is used, addresses
that belong to where it was become those of where it is.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import closing
from pathlib import Path

from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH

from hpo.ledger.inspection import MLFLOW, read_database
from hpo.settings import sqlite_path
from hpo.sqlite import BUSY_SECONDS

FOLDER = Path(DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH).name
"""In the working directory: where MLflow keeps artifacts, in a folder an experiment."""

_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)

_EXPERIMENTS = "SELECT experiment_id, artifact_location, creation_time FROM experiments"

Experiment = tuple[int, str, int]
"""Id, address and when it was created."""


def move_addresses(path: Path) -> dict[Path, Path]:
    """Give the artifacts the addresses that they have by now, where the store was moved or copied.

    Args:
        path: The database.

    Returns:
        The directory of artifacts that were addressed elsewhere to the one that has them now; only
        those where a run has been.
    """
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        moves = find_moves(connection, path)
        of_runs = _with_runs(connection, moves)
        with connection:
            for old, new in moves.items():
                before, after = f"{old / FOLDER}/", f"{new / FOLDER}/"
                for table, column in _ADDRESSES:
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?)"  # noqa: S608
                        f" WHERE substr({column}, 1, ?) = ?",
                        (after, len(before) + 1, len(before), before),
                    )
        return of_runs


def read_moves(tracking_uri: str) -> dict[Path, Path]:
    """Find what :func:`move_addresses` would give; nothing is made or changed.

    Raises:
        HpoError: The database cannot be read.
    """
    path = sqlite_path(tracking_uri)
    if path is None:
        return {}
    with read_database(tracking_uri, MLFLOW) as opened:
        connection = None if opened is None else opened.connection.driver_connection
        return {} if connection is None else _with_runs(connection, find_moves(connection, path))


def address_after(moves: Mapping[Path, Path], address: str) -> str:
    """Give the address that artifacts have once those of a store are moved."""
    for old, new in moves.items():
        if address.startswith(f"{old / FOLDER}/"):
            return str(new / Path(address).relative_to(old))
    return address


def _with_runs(connection: sqlite3.Connection, moves: Mapping[Path, Path]) -> dict[Path, Path]:
    """Those of the moves that artifacts of a run are in."""
    run = "SELECT 1 FROM runs WHERE substr(artifact_uri, 1, ?) = ?"
    return {
        old: new
        for old, new in moves.items()
        for before in [f"{old / FOLDER}/"]
        if connection.execute(run, (len(before), before)).fetchone()
    }


def find_moves(connection: sqlite3.Connection, path: Path) -> dict[Path, Path]:
    """Find the working directories whose artifacts are elsewhere by now; nothing is changed."""
    by_root: dict[Path, list[Experiment]] = defaultdict(list)
    for experiment in connection.execute(_EXPERIMENTS):
        number, address, _ = experiment
        location = Path(str(address))
        if location.is_absolute() and location.parts[-2:] == (FOLDER, str(number)):
            by_root[location.parent.parent].append(experiment)
    moves = {}
    for root, experiments in by_root.items():
        new = None if root == path.parent else _find_new(connection, path, root, experiments)
        if new is not None and new != root:
            moves[root] = new
    return moves


def _find_new(
    connection: sqlite3.Connection, path: Path, root: Path, experiments: Collection[Experiment]
) -> Path | None:
    """Find the directory that has the artifacts of another one now; None where they are there."""
    here = path.parent
    if _has_files(connection, here, experiments):
        return here
    if _is_copied(root / path.name, path, experiments):
        return here
    if _has_files(connection, root, experiments):
        return None
    if _has_files(connection, Path.cwd(), experiments):
        return Path.cwd()
    return None if root.is_dir() else here


def _has_files(
    connection: sqlite3.Connection, root: Path, experiments: Collection[Experiment]
) -> bool:
    """Whether a directory has artifacts of a run or a model that the store knows."""
    queries: Mapping[str, str] = {
        "*": "SELECT 1 FROM runs WHERE run_uuid = ?",
        "models/*": "SELECT 1 FROM logged_models WHERE model_id = ?",
    }
    return any(
        connection.execute(query, (folder.name,)).fetchone()
        for number, *_ in experiments
        for pattern, query in queries.items()
        for folder in (root / FOLDER / str(number)).glob(pattern)
    )


def _is_copied(original: Path, path: Path, experiments: Collection[Experiment]) -> bool:
    """Whether a database is another one with the same experiments; nothing is made beside it."""
    try:
        if not original.is_file() or original.samefile(path):
            return False
        url = f"{original.as_uri()}?immutable=1"
        with closing(sqlite3.connect(url, uri=True)) as connection:
            return not {*experiments}.isdisjoint(connection.execute(_EXPERIMENTS))
    except (OSError, sqlite3.Error):
        return False
