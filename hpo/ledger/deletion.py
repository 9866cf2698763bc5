"""Deletes studies from the ledger, as their one driver."""

from collections.abc import Iterator
from contextlib import contextmanager

from hpo.errors import StudyLockedError
from hpo.ledger.failures import repeat
from hpo.ledger.listing import ListedStudy
from hpo.ledger.storage import open_driven
from hpo.ledger.transactions import LedgerStorage


@contextmanager
def locked_for_deletion(url: str, study: ListedStudy) -> Iterator[LedgerStorage]:
    """Keep drivers away from a study for a ``with`` block.

    Raises:
        StudyLockedError: One has it.
        LedgerError: The storage cannot be opened.
    """
    try:
        with open_driven(url, study.name, wait=lambda _: False) as storage:
            yield storage
    except StudyLockedError as error:
        error.hint = "end that process first, then delete the study"
        raise


def delete_study(storage: LedgerStorage, study: ListedStudy) -> None:
    """Delete a study with its trials, in one transaction; the lock is held."""

    def delete(is_repeated: bool) -> None:
        try:
            storage.delete_study(study.study_id)
        except KeyError:
            # An attempt whose answer was lost may have deleted it.
            if not is_repeated:
                raise

    repeat(delete)
