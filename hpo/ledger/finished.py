"""How many trials of a study are over, read before anything heavy is imported."""

import sqlite3
from contextlib import closing
from pathlib import Path

_QUERY = """
SELECT json_extract(value_json, '$.uid'), (
    SELECT count(*) FROM trials
    WHERE trials.study_id = studies.study_id AND state NOT IN ('RUNNING', 'WAITING')
) FROM studies JOIN study_user_attributes USING (study_id)
WHERE study_name = ? AND key = 'hpo.identity'
"""


def count_finished(path: Path, study_name: str) -> tuple[str, int]:
    """Count the finished trials in an SQLite file; none where it cannot be read, for a hint only.

    Args:
        path: The ledger's, which is neither made nor changed.
        study_name: The study's.

    Returns:
        The study's uid, empty where there is none, and how many of its trials are finished.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
            uid, count = file.execute(_QUERY, (study_name,)).fetchone() or ("", 0)
    except sqlite3.Error:
        return "", 0
    return str(uid), int(count)
