"""The flags of the commands that hand studies in, drive them and look after them."""

import argparse

from hpo.commands.store_flags import add_where
from hpo.settings import WORKERS_VARIABLE


def add_submission(submit: argparse.ArgumentParser) -> None:
    """Add what ``submit`` takes beside the flags of a run."""
    how = submit.add_argument_group("how it is queued")
    how.add_argument(
        "--priority", metavar="P", type=int, default=0, help="higher ones first (default: 0)"
    )
    how.add_argument(
        "--data-in-place",
        action="store_true",
        help="leave the table where it is: servers reach it by the same path",
    )


def add_status_flags(flags: argparse.ArgumentParser) -> None:
    """Add the flags of ``status``."""
    flags.add_argument("name", metavar="NAME", nargs="?", help="the study's name (default: all)")
    flags.add_argument(
        "--watch", action="store_true", help="print again whenever something changes"
    )
    add_where(flags, "where they are kept")


def add_cancel_flags(flags: argparse.ArgumentParser) -> None:
    """Add the flags of ``cancel``."""
    flags.add_argument("name", metavar="NAME", help="the study's name")
    add_where(flags, "where it is kept")


def add_serve_flags(flags: argparse.ArgumentParser) -> None:
    """Add the flags of ``serve``."""
    add_where(flags, "whose studies")
    how = flags.add_argument_group("how many at once")
    how.add_argument(
        "--slots", metavar="N", type=int, default=1, help="studies driven at once (default: 1)"
    )
    how.add_argument(
        "--workers",
        metavar="N",
        help="processes shared by all slots, auto, or a Dask cluster's tcp://HOST:PORT"
        f" (default: ${WORKERS_VARIABLE} or auto)",
    )
    how.add_argument(
        "--memory",
        metavar="SIZE",
        help='what the processes of one study may hold, such as "4 GB"'
        " (default: 80 %% of this machine's, divided by the slots)",
    )
