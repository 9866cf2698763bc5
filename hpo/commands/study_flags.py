"""The flags that say what is searched and where it is kept: of ``run`` and ``submit``."""

import argparse
from pathlib import Path

from hpo.commands.service_flags import add_submission
from hpo.commands.store_flags import add_where
from hpo.settings import WORKERS_VARIABLE, ServiceSettings


def add_study(flags: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    """Add the flags that name a study, as a group."""
    what = flags.add_argument_group(title)
    what.add_argument(
        "--study", metavar="FILE", type=Path, help="a study file (default: the built-in Iris study)"
    )
    what.add_argument("--name", help="the study's name (default: the file's, or the data's)")
    what.add_argument(
        "--data",
        metavar="FILE",
        help="a CSV, Parquet or Feather file, or iris, wine, breast_cancer, digits",
    )
    return what


def add_submit_flags(submit: argparse.ArgumentParser) -> None:
    """Add the flags of ``submit``."""
    _add_search(add_study(submit, "what is searched"))
    add_submission(submit)
    _add_outcome(add_where(submit, "where it is kept"))


def add_run_flags(run: argparse.ArgumentParser) -> None:
    """Add the flags of ``run``."""
    _add_search(add_study(run, "what is searched"))
    workers = (
        "processes, auto, or a Dask cluster's tcp://HOST:PORT"
        f" (default: ${WORKERS_VARIABLE} or auto)"
    )
    run.add_argument_group("how fast").add_argument("--workers", metavar="N", help=workers)
    _add_keeping(add_where(run, "where it is kept"))


def _add_search(what: argparse._ArgumentGroup) -> None:
    what.add_argument("--target", metavar="COLUMN", help="the column to predict")
    what.add_argument(
        "--estimator",
        metavar="NAME",
        help="scikit-learn's name of the class to search; A,B searches both in one study",
    )
    what.add_argument(
        "--positive", metavar="CLASS", help="the class of two that f1 and its like are of"
    )
    what.add_argument(
        "--drop",
        metavar="COLUMN",
        action="append",
        default=[],
        help="leave out a column, beside those of the file's drop; may be repeated",
    )
    what.add_argument(
        "--trials", metavar="N", type=int, help="trials of the study in all, not more (default: 50)"
    )
    what.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        help="end the search after so long; the next run goes on",
    )
    what.add_argument(
        "--metric", metavar="SCORER", help="a scikit-learn scorer (default: accuracy)"
    )
    what.add_argument("--seed", metavar="S", type=int, help="same seed, same trials (default: 0)")
    what.add_argument(
        "--concurrency",
        metavar="B",
        type=int,
        help="trials open at once; changes the search (default: 1)",
    )
    what.add_argument(
        "--nested",
        metavar="K",
        type=int,
        help="repeat the search on K outer folds: the score of search and refit",
    )


def _add_outcome(where: argparse._ArgumentGroup) -> None:
    where.add_argument(
        "--register", metavar="NAME", help="make the final model a version of this registered model"
    )
    where.add_argument(
        "--no-plots", action="store_false", dest="plots", help="draw no figures of study and model"
    )


def _add_keeping(where: argparse._ArgumentGroup) -> None:
    _add_outcome(where)
    default = f"{ServiceSettings.tracking_wait_seconds:g}"
    where.add_argument(
        "--tracking-wait",
        metavar="SECONDS",
        type=float,
        dest="tracking_wait_seconds",
        help=f"wait at the end for an MLflow that is away (default: {default})",
    )
    where.add_argument(
        "--new-uid", action="store_true", help="go on with a copied ledger as a study of its own"
    )
    where.add_argument(
        "--wait", action="store_true", help="wait while another process drives the study"
    )
