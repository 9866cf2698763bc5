"""The service's log: lines on standard error, of a server and of its study processes alike."""

import logging
import sys

from hpo.escaping import hide_passwords, on_one_line, show

LOGGERS = ("hpo.service", "hpo.ledger.lock")
"""What a server does, and who takes the lock of a study and lets it go."""


class _Lines(logging.Formatter):
    """Escapes what comes from data or a server."""

    def format(self, record: logging.LogRecord) -> str:
        """Give one line."""
        return show(hide_passwords(on_one_line(f"hpo: {record.getMessage()}")))


def log_to_stderr() -> None:
    """Send the log to standard error, each line whole."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False
