"""The flags that say where studies are kept, and those of the commands that look after studies."""

import argparse

from hpo.settings import STORAGE_VARIABLE, TRACKING_VARIABLE, ServiceSettings


def add_where(flags: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    """Add the flags of both stores, as a group."""
    where = flags.add_argument_group(title)
    default = f"${STORAGE_VARIABLE} or {ServiceSettings.storage}"
    where.add_argument("--storage", metavar="URL", help=f"Optuna's storage (default: {default})")
    add_tracking(where)
    return where


def add_tracking(where: argparse._ActionsContainer) -> None:
    """Add the flag of MLflow's store."""
    default = f"${TRACKING_VARIABLE} or {ServiceSettings.tracking_uri}"
    where.add_argument("--tracking-uri", metavar="URI", help=f"MLflow's store (default: {default})")


def add_list_flags(flags: argparse.ArgumentParser) -> None:
    """Add the flags of ``list``."""
    add_where(flags, "whose studies")


def add_delete_flags(flags: argparse.ArgumentParser) -> None:
    """Add the flags of ``delete``."""
    flags.add_argument("name", metavar="NAME", help="the study's name")
    flags.add_argument("--yes", action="store_true", help="do not ask first")
    add_where(flags, "where it is kept")


def add_export_flags(flags: argparse.ArgumentParser) -> None:
    """Add the flags of ``export``."""
    flags.add_argument("name", metavar="NAME", help="the study's name")
    flags.add_argument(
        "--csv",
        metavar="FILE",
        nargs="?",
        const=None,
        help="a table of its trials, to this file (default: to stdout)",
    )
    add_where(flags, "where it is kept")
