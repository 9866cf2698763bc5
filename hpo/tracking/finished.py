"""Whether MLflow has the whole of a study, read before anything heavy is imported."""

import sqlite3
from contextlib import closing
from pathlib import Path

from hpo.tracking import keys

_QUERY = """
SELECT count(*) FROM runs JOIN tags USING (run_uuid)
WHERE key = ? AND value = ? AND status = 'FINISHED' AND lifecycle_stage = 'active'
"""


def is_finished(path: Path, uid: str) -> bool:
    """Whether a study's parent run has ended well; false where the SQLite file cannot be read.

    Args:
        path: MLflow's, which is neither made nor changed.
        uid: The study's.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
            return bool(file.execute(_QUERY, (keys.KEY, uid)).fetchone()[0])
    except sqlite3.Error:
        return False
