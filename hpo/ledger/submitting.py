"""Writes wishes: a new study with its identity and its wish in one transaction, or a changed wish.

Whoever writes holds no lock on the study: a server may be driving it.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from hpo.errors import IdentityError, MissingStudyError
from hpo.ledger.damage import parse, reading
from hpo.ledger.failures import repeat
from hpo.ledger.identity import IDENTITY, StudyIdentity, check_identity, new_identity
from hpo.ledger.optuna_tables import (
    STUDIES,
    STUDY_ATTRIBUTES,
    STUDY_DIRECTIONS,
    insert_one,
    lock_study,
)
from hpo.ledger.transactions import LedgerStorage
from hpo.ledger.wishes import WISH, Wish


def put_wish(storage: LedgerStorage, asked: StudyIdentity, wish: Wish) -> None:
    """Create a study with its wish, or add the wish to the study that is there.

    Raises:
        IdentityError: The study was begun with another definition or other data.
        LedgerError: The storage failed.
    """

    def put(_: bool) -> None:
        storage.remove_orphans()
        try:
            _put(storage, asked, wish)
        except IntegrityError:  # another client created it at this moment
            _put(storage, asked, wish)

    repeat(put)


def change_wish(
    storage: LedgerStorage,
    name: str,
    change: Callable[[Wish], Wish],
    *,
    patience_seconds: float | None = None,
) -> Wish:
    """Change the wish of a study, in one transaction.

    Args:
        storage: The ledger's.
        name: The study's.
        change: Gives the next wish; called again where an attempt failed.
        patience_seconds: How long the storage may be away; by default as long as in a run.

    Raises:
        MissingStudyError: The study is gone, or was not submitted.
        LedgerError: The storage failed.
    """

    def act(_: bool) -> Wish:
        with storage.engine.begin() as connection:
            study_id = _lock(connection, name)
            wish = _read(connection, study_id, name, "system", WISH)
            if wish is None:
                raise not_submitted(name)
            return _write(connection, study_id, Wish.from_json(wish), change)

    return repeat(act, patience_seconds=patience_seconds)


def not_submitted(name: str) -> MissingStudyError:
    """Give the error for a name under which nothing was submitted."""
    return MissingStudyError(
        f"study '{name}' was not submitted", hint="hpo status shows the studies that were"
    )


def _put(storage: LedgerStorage, asked: StudyIdentity, wish: Wish) -> None:
    with storage.engine.begin() as connection:
        study_id = _lock(connection, asked.name)
        if study_id is None:
            study_id = _create(connection, asked)
        known = _read(connection, study_id, asked.name, "user", IDENTITY)
        if known is None:
            raise IdentityError(
                f"study '{asked.name}' exists in this storage and was not made by hpo",
                hint="choose another --name",
            )
        check_identity(known, asked)
        before = _read(connection, study_id, asked.name, "system", WISH)
        if before is None:
            _set(connection, study_id, "system", WISH, wish.to_json())
        else:
            earlier = Wish.from_json(before)
            _write(connection, study_id, earlier, lambda known: known.submitted_again(wish))


def _create(connection: Connection, asked: StudyIdentity) -> int:
    study_id = insert_one(connection, STUDIES, {"study_name": asked.name})
    direction = {"study_id": study_id, "objective": 0, "direction": "MAXIMIZE"}
    connection.execute(insert(STUDY_DIRECTIONS), direction)
    _set(connection, study_id, "user", IDENTITY, new_identity(asked))
    _set(connection, study_id, "system", "study:metric_names", [asked.metric])
    return study_id


def _lock(connection: Connection, name: str) -> int | None:
    """Keep other writers away until the transaction ends; gives the study's id, or None."""
    of_name = STUDIES.c.study_name == name
    lock_study(connection, of_name)
    return connection.scalar(select(STUDIES.c.study_id).where(of_name))


def _read(
    connection: Connection, study_id: int | None, name: str, kind: str, key: str
) -> Mapping[str, Any] | None:
    of = STUDY_ATTRIBUTES[kind]
    query = select(of.c.value_json).where(of.c.study_id == study_id, of.c.key == key)
    content = connection.scalar(query)
    with reading(name):
        return None if content is None else parse(key, content)


def _write(
    connection: Connection, study_id: int | None, wish: Wish, change: Callable[[Wish], Wish]
) -> Wish:
    changed = change(wish)
    if changed != wish:
        _set(connection, study_id, "system", WISH, changed.to_json())
    return changed


def _set(connection: Connection, study_id: int | None, kind: str, key: str, value: object) -> None:
    of = STUDY_ATTRIBUTES[kind]
    connection.execute(delete(of).where(of.c.study_id == study_id, of.c.key == key))
    row = {"study_id": study_id, "key": key, "value_json": json.dumps(value)}
    connection.execute(insert(of), row)
