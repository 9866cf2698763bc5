"""Guards a driver's commits: none is made once its file, its lock or its study is gone.

A database goes on writing to a file that was removed, and locks keep out nobody once their file is
another. SQLite takes trials of a study that is not there, and gives its id to the next new one.
"""

import os
from collections.abc import Collection, Mapping
from pathlib import Path

import sqlalchemy
from sqlalchemy import Connection, Engine, select

from hpo.errors import LedgerGoneError, StudyLockedError
from hpo.ledger.damage import parse, reading
from hpo.ledger.optuna_tables import STUDY_ATTRIBUTES


def guard_files(
    engine: Engine, url: str, database: Path, locks: Mapping[Path, os.stat_result], subject: str
) -> None:
    """Refuse commits once an SQLite file, or a lock that is held for it, is no longer the same.

    Args:
        engine: The driver's.
        url: Of the file.
        database: The file.
        locks: Those that are held, as they were when they were taken.
        subject: What the locks are for.
    """
    known = database.stat()

    def check(_: Connection) -> None:
        if not _is_still(database, known):
            raise LedgerGoneError(
                f"the storage {url} failed: its file was removed or replaced while the run went on",
                hint="put the file back and run the same command again;"
                " without it, the same command begins anew",
            )
        for path, held in locks.items():
            if not _is_still(path, held):
                raise StudyLockedError(
                    f"the lock of {subject}, {path}, was removed or replaced while the run held it:"
                    " another driver may have the study",
                    hint="leave locks alone while a run goes on; the same command goes on",
                )

    sqlalchemy.event.listen(engine, "commit", check)


def guard_study(engine: Engine, study_id: int, name: str, uids: Collection[str]) -> None:
    """Refuse commits once a study is gone, or its id is another study's.

    Args:
        engine: The driver's.
        study_id: The storage's own id of the study.
        name: The study's.
        uids: Those that the study may have; it may get another while the run goes on.
    """
    of_study = STUDY_ATTRIBUTES["user"]
    query = select(of_study.c.value_json).where(
        of_study.c.study_id == study_id, of_study.c.key == "hpo.identity"
    )

    def check(connection: Connection) -> None:
        identity = connection.scalar(query)
        with reading(name):
            if identity is None or parse("hpo.identity", identity)["uid"] not in uids:
                raise study_gone(name)

    sqlalchemy.event.listen(engine, "commit", check)


def study_gone(name: str) -> LedgerGoneError:
    """Give the error of a driver whose study another client deleted."""
    return LedgerGoneError(
        f"study '{name}', or a trial of it, was deleted while the run went on",
        hint="the same command goes on with what is there, or begins anew",
    )


def _is_still(path: Path, known: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), known)
    except OSError:
        return False
