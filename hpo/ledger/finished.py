"""How many trials of a study are over, read before anything heavy is imported."""

import sqlite3
from contextlib import closing
from pathlib import Path


def count_finished(path: Path, study_name: str) -> int:
    """Count the finished trials in an SQLite file; none where it cannot be read, for a hint only.

    Args:
        path: The ledger's, which is neither made nor changed.
        study_name: The study's.
    """
    query = (
        "SELECT count(*) FROM trials JOIN studies USING (study_id)"
        " WHERE study_name = ? AND state NOT IN ('RUNNING', 'WAITING')"
    )
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
            return int(file.execute(query, (study_name,)).fetchone()[0])
    except sqlite3.Error:
        return 0
