"""A study as the text of an Optuna journal file, to be kept beside its runs."""

import json
import re
from collections.abc import Iterator
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from hpo.ledger.failures import translated
from hpo.ledger.storage import quiet_optuna


def export_journal(study: optuna.Study) -> str:
    """Write a study as the text of an Optuna journal file.

    ``optuna-dashboard`` opens it, ``optuna.copy_study`` copies it back.
    """
    journal = _JournalText()
    storage = study._storage  # noqa: SLF001 - a study has no other way to say where it is
    with quiet_optuna(), translated("of the study"):
        optuna.copy_study(
            from_study_name=study.study_name,
            from_storage=storage,
            to_storage=JournalStorage(journal),
        )
    return "".join(journal.lines)


class _JournalText(BaseJournalBackend):
    """Keeps what ``JournalFileBackend`` would write, without a disk's wait for every line."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        yield from map(json.loads, self.lines[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        # A note is kept under its trial's id, which is another one in the copy.
        kept = (
            log
            for log in logs
            if not any(re.match(r"dashboard:\d+:", key) for key in log.get("system_attr", ()))
        )
        self.lines.extend(json.dumps(log, separators=(",", ":")) + "\n" for log in kept)
