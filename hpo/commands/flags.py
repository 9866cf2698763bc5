"""The flags of each command, and the definition and settings that they make.

Loads nothing heavy, so that ``--help`` and a wrong flag cost nothing.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import hpo
from hpo.settings import (
    STORAGE_VARIABLE,
    TRACKING_VARIABLE,
    WORKERS_VARIABLE,
    ServiceSettings,
    read_settings,
)

if TYPE_CHECKING:
    from hpo.definition import StudyDefinition


class UsageError(Exception):
    """A wrong flag, raised where argparse would exit."""


class _Parser(argparse.ArgumentParser):
    """Accepts no abbreviated flags, and raises errors where argparse would print them.

    ``main`` looks for ``--json`` and ``--debug`` itself, since it needs them when parsing fails.
    """

    def __init__(self, **kwargs: Any) -> None:
        formatter = partial(argparse.HelpFormatter, max_help_position=28)
        super().__init__(allow_abbrev=False, formatter_class=formatter, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


COMMANDS: Mapping[str, str] = {
    "run": "Search a study's hyperparameters, record every trial in MLflow, log the best model:"
    " run it again to go on.",
    "check": "Say what a run with the same flags would meet, and what mends it: exit code 0 only"
    " where all is well. Writes nothing.",
    "ui": "Start optuna-dashboard and MLflow's page for a study, on this machine alone:"
    " Ctrl-C stops both.",
    "predict": "Score the rows of a table with a logged model: the class, and a probability for"
    " each class.",
    "schema": "Print the JSON schema of study files, for editors.",
}
"""Each command's ``--help`` text; the command is the function of that name in ``hpo.commands``."""


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands; it sets ``command`` to the name of the one given."""
    parser = _Parser(prog="hpo", description=hpo.__doc__.splitlines()[0] if hpo.__doc__ else None)
    parser.add_argument("--version", action="version", version=f"hpo {hpo.__version__}")
    group = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=_Parser
    )
    for name, text in COMMANDS.items():
        program = "python -m hpo schema" if name == "schema" else f"python -m hpo.{name}"
        positionals = " MODEL_URI FILE" if name == "predict" else ""
        usage = f"{program}{positionals} [FLAG ...]"
        flags = group.add_parser(
            name, help=text.partition(":")[0], description=text, usage=usage, add_help=False
        )
        flags.set_defaults(command=name)
        _OTHER_FLAGS.get(name, _add_run_flags)(flags)
        _add_output(flags, name)
    return parser


def _add_output(flags: argparse.ArgumentParser, command: str) -> None:
    output = flags.add_argument_group("what is printed")
    if command in ("run", "check"):
        dry = "data, space, splits and an estimated time; nothing runs or is written"
        for flag, text in (("--dry-run", dry), ("--quiet", "no progress")):
            # A check takes the flags of its run, so that the same line serves for both.
            shown = text if command == "run" else argparse.SUPPRESS
            output.add_argument(flag, action="store_true", help=shown)
        output.add_argument("--json", action="store_true", help="the result as one JSON object")
    output.add_argument("--debug", action="store_true", help="the traceback of an error")
    version = f"hpo {hpo.__version__}"
    output.add_argument("--version", action="version", version=version, help="the version")
    output.add_argument("--help", "-h", action="help", help="this text")


def _add_where(flags: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    where = flags.add_argument_group(title)
    default = f"${STORAGE_VARIABLE} or {ServiceSettings.storage}"
    where.add_argument("--storage", metavar="URL", help=f"Optuna's storage (default: {default})")
    _add_tracking(where)
    return where


def _add_tracking(where: argparse._ActionsContainer) -> None:
    default = f"${TRACKING_VARIABLE} or {ServiceSettings.tracking_uri}"
    where.add_argument("--tracking-uri", metavar="URI", help=f"MLflow's store (default: {default})")


def _add_study(flags: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
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


def _add_run_flags(run: argparse.ArgumentParser) -> None:
    _add_search(_add_study(run, "what is searched"))
    workers = (
        "processes, auto, or a Dask cluster's tcp://HOST:PORT"
        f" (default: ${WORKERS_VARIABLE} or auto)"
    )
    run.add_argument_group("how fast").add_argument("--workers", metavar="N", help=workers)
    _add_keeping(_add_where(run, "where it is kept"))


def _add_search(what: argparse._ArgumentGroup) -> None:
    what.add_argument("--target", metavar="COLUMN", help="the column to predict")
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


def _add_keeping(where: argparse._ArgumentGroup) -> None:
    where.add_argument(
        "--register", metavar="NAME", help="make the final model a version of this registered model"
    )
    default = f"{ServiceSettings.tracking_wait_seconds:g}"
    where.add_argument(
        "--tracking-wait",
        metavar="SECONDS",
        type=float,
        dest="tracking_wait_seconds",
        help=f"wait at the end for an MLflow that is away (default: {default})",
    )
    where.add_argument(
        "--no-plots", action="store_false", dest="plots", help="draw no figures of study and model"
    )
    where.add_argument(
        "--wait", action="store_true", help="wait while another process drives the study"
    )


def _add_ui_flags(ui: argparse.ArgumentParser) -> None:
    _add_study(ui, "whose trials")
    _add_where(ui, "where they are kept")
    ports = ui.add_argument_group("where they are shown")
    ports.add_argument(
        "--dashboard-port",
        metavar="N",
        type=int,
        help="of optuna-dashboard (default: 8080, else a free one)",
    )
    ports.add_argument(
        "--mlflow-port",
        metavar="N",
        type=int,
        help="of MLflow's page (default: 5000, else a free one)",
    )


def _add_predict_flags(predict: argparse.ArgumentParser) -> None:
    predict.add_argument(
        "model_uri",
        metavar="MODEL_URI",
        help="models:/NAME@champion, models:/m-..., runs:/... or a directory",
    )
    predict.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help="a CSV, Parquet or Feather file with the model's columns",
    )
    predict.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="where to write, as its ending says (default: CSV to stdout)",
    )
    _add_tracking(predict)


_OTHER_FLAGS: Mapping[str, Callable[[argparse.ArgumentParser], object]] = {
    "ui": _add_ui_flags,
    "predict": _add_predict_flags,
    "schema": lambda _: None,
}
"""Commands that do not take the flags of a run, and the flags that they take."""


def settings_of(options: argparse.Namespace) -> ServiceSettings:
    """Make settings from flags and environment.

    Raises:
        SettingsError: A URL cannot be used.
    """
    known = {field.name for field in fields(ServiceSettings)}
    # A command without --storage needs no ledger, so $HPO_STORAGE is not checked for it.
    given = {"storage": ServiceSettings.storage, **vars(options)}
    return read_settings(**{name: value for name, value in given.items() if name in known})


def definition_of(options: argparse.Namespace) -> "StudyDefinition":
    """Make the definition from the study file and the flags that override it.

    Raises:
        DefinitionError: The file cannot be read, or a key or value is not allowed.
    """
    from hpo.study_file import FLAGS, load_definition

    given = {key: getattr(options, flag.removeprefix("--"), None) for key, flag in FLAGS.items()}
    return load_definition(
        options.study, {key: value for key, value in given.items() if value is not None}
    )
