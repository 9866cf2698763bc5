"""The flags of the commands that hand studies in, drive them and look after them."""

import argparse
from pathlib import Path

from hpo.commands.store_flags import add_where
from hpo.settings import TOKEN_VARIABLE, WORKERS_VARIABLE


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
    _add_server(how)


def add_status_flags(flags: argparse.ArgumentParser) -> None:
    """Add the flags of ``status``."""
    flags.add_argument("name", metavar="NAME", nargs="?", help="the study's name (default: all)")
    flags.add_argument(
        "--watch", action="store_true", help="print again whenever something changes"
    )
    _add_server(add_where(flags, "where they are kept"))


def add_cancel_flags(flags: argparse.ArgumentParser) -> None:
    """Add the flags of ``cancel``."""
    flags.add_argument("name", metavar="NAME", help="the study's name")
    _add_server(add_where(flags, "where it is kept"))


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
    _add_http(flags.add_argument_group("over HTTP"))


def _add_http(http: argparse._ArgumentGroup) -> None:
    http.add_argument(
        "--http",
        metavar="HOST:PORT",
        help="serve HTTP and the page; a port alone is on this machine, 0 a free one",
    )
    _add_token_file(http)
    http.add_argument(
        "--max-upload", metavar="SIZE", help='the largest request, such as "2 GB" (default: 512 MB)'
    )
    http.add_argument(
        "--data-in-place",
        metavar="FOLDER",
        type=Path,
        help="clients may name tables in this folder, which servers reach by the same path",
    )
    http.add_argument(
        "--mlflow-page", metavar="URL", help="where browsers find MLflow (default: as the servers)"
    )
    http.add_argument(
        "--dashboard-page", metavar="URL", help="where browsers find optuna-dashboard"
    )


def _add_server(where: argparse._ArgumentGroup) -> None:
    text = "ask the service at this address, in the place of the storage"
    where.add_argument("--server", metavar="URL", help=text)
    _add_token_file(where)


def _add_token_file(flags: argparse._ActionsContainer) -> None:
    text = f"a file that holds the token of the service (default: ${TOKEN_VARIABLE})"
    flags.add_argument("--token-file", metavar="FILE", type=Path, help=text)
