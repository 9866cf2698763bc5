"""MLflow's tables from a template, where it was made with the MLflow that is installed.

MLflow makes them by every migration since its first release, half a second of processor time; the
template takes some milliseconds. A test holds it to what MLflow makes, and writes it anew.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

TEMPLATE = Path(__file__).with_name("mlflow_tables.sql")
"""SQLite's dump of an MLflow database without content; its first line names the version."""


def first_line_of(version: str) -> str:
    """The first line of the template that a version of MLflow made."""
    return f"-- MLflow {version}"


def fill_tables(path: Path, version: str) -> None:
    """Make the tables in a new SQLite file; of another version MLflow makes them itself.

    Args:
        path: A file without tables.
        version: MLflow's.
    """
    script = TEMPLATE.read_text(encoding="utf-8")
    if script.startswith(f"{first_line_of(version)}\n"):
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(script)
