"""The command line's flags, by command, and what they say: a definition and settings.

Loads nothing heavy, so that ``--help`` and a wrong flag cost nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import hpo
from hpo.settings import DEFAULT_STORAGE, STORAGE_VARIABLE, TRACKING_VARIABLE, WORKERS_VARIABLE, ServiceSettings, read_settings

if TYPE_CHECKING:
    from hpo.definition import StudyDefinition

_OVERRIDES = {
    "name": "study.name",
    "trials": "study.n_trials",
    "timeout": "study.timeout_seconds",
    "data": "data.source",
    "target": "data.target",
    "metric": "study.metric",
    "seed": "study.seed",
    "concurrency": "study.concurrency",
    "nested": "study.nested",
}
"""Flag to the key of a study file that it overrides."""


class UsageError(Exception):
    """What argparse found wrong, instead of its own exit."""


class _Parser(argparse.ArgumentParser):
    """Flags in full only, since ``--json`` and ``--debug`` are looked for before parsing; an error is raised, not printed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


class _Formatter(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands; the chosen one's name becomes ``command``."""
    parser = _Parser(prog="hpo", description=hpo.__doc__.splitlines()[0] if hpo.__doc__ else None)
    parser.add_argument("--version", action="version", version=f"hpo {hpo.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True, parser_class=_Parser)

    def add(name: str, text: str, positionals: str = "") -> argparse.ArgumentParser:
        usage = f"python -m hpo.{name}{positionals} [FLAG ...]"
        return commands.add_parser(name, help=text.partition(".")[0], description=text, usage=usage, add_help=False)

    run = add("run", "Search a study's hyperparameters, record every trial in MLflow, log the best model. Run it again to go on.")
    _add_run_flags(run)
    _add_output_flags(run, is_run=True)
    check = add("check", "Say what a run with the same flags would meet: exit code 0 only where all is well. Writes nothing.")
    _add_run_flags(check)
    _add_output_flags(check)
    ui = add("ui", "Start optuna-dashboard and MLflow's page for a study, on this machine alone. Ctrl-C stops both.")
    _add_ui_flags(ui)
    text = "Score the rows of a table with a logged model: the class, and a probability for each class."
    _add_predict_flags(add("predict", text, " MODEL_URI FILE"))
    definition = add("definition", "Print the JSON schema of study files, for editors.")
    definition.add_argument("--schema", action="store_true", required=True, help="print it")
    _add_output_flags(definition, has_json=False)
    return parser


def _add_output_flags(parser: argparse.ArgumentParser, *, is_run: bool = False, has_json: bool = True) -> None:
    output = parser.add_argument_group("what is printed")
    if is_run:
        output.add_argument(
            "--dry-run", action="store_true", help="data, space, splits and an estimated time; nothing runs or is written"
        )
        output.add_argument("--quiet", action="store_true", help="no progress")
    if has_json:
        output.add_argument("--json", action="store_true", help="the result as one JSON object")
    output.add_argument("--debug", action="store_true", help="the traceback of an error")
    output.add_argument("--version", action="version", version=f"hpo {hpo.__version__}", help="the version")
    output.add_argument("--help", "-h", action="help", help="this text")


def _add_predict_flags(predict: argparse.ArgumentParser) -> None:
    predict.add_argument("model_uri", metavar="MODEL_URI", help="models:/NAME@champion, models:/m-..., runs:/... or a directory")
    predict.add_argument("file", metavar="FILE", type=Path, help="a CSV, Parquet or Feather file with the model's columns")
    predict.add_argument("--output", metavar="FILE", type=Path, help="where to write, as its ending says (default: CSV to stdout)")
    _add_tracking_flag(predict)
    _add_output_flags(predict, has_json=False)


def _add_ui_flags(ui: argparse.ArgumentParser) -> None:
    what = ui.add_argument_group("whose trials")
    _add_study_flags(what)
    what.add_argument("--data", metavar="FILE", help="the table that gives the study its name, where --name does not")
    where = ui.add_argument_group("where they are kept")
    _add_storage_flag(where)
    _add_tracking_flag(where)
    ports = ui.add_argument_group("where they are shown")
    ports.add_argument("--dashboard-port", metavar="N", type=int, help="of optuna-dashboard (default: 8080, else a free one)")
    ports.add_argument("--mlflow-port", metavar="N", type=int, help="of MLflow's page (default: 5000, else a free one)")
    _add_output_flags(ui, has_json=False)


def _add_study_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--study", metavar="FILE", type=Path, help="a study file (default: the built-in Iris study)")
    group.add_argument("--name", help="the study's name (default: the file's, or the data's)")


def _add_storage_flag(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--storage", metavar="URL", help=f"Optuna's storage (default: ${STORAGE_VARIABLE} or sqlite:///optuna.db)")


def _add_tracking_flag(group: argparse._ActionsContainer) -> None:
    default = f"${TRACKING_VARIABLE} or sqlite:///mlflow.db"
    group.add_argument("--tracking-uri", metavar="URI", help=f"MLflow's store (default: {default})")


def _add_run_flags(run: argparse.ArgumentParser) -> None:
    what = run.add_argument_group("what is searched")
    _add_study_flags(what)
    what.add_argument("--trials", metavar="N", type=int, help="trials of the study in all, not more (default: 50)")
    what.add_argument("--timeout", metavar="SECONDS", type=float, help="end the search after so long; the next run goes on")
    what.add_argument("--data", metavar="FILE", help="a CSV, Parquet or Feather file, or iris, wine, breast_cancer, digits")
    what.add_argument("--target", metavar="COLUMN", help="the column to predict")
    what.add_argument("--metric", metavar="SCORER", help="a scikit-learn scorer (default: accuracy)")
    what.add_argument("--seed", metavar="S", type=int, help="same seed, same trials (default: 0)")
    what.add_argument("--concurrency", metavar="B", type=int, help="trials open at once; changes the search (default: 1)")
    what.add_argument("--nested", metavar="K", type=int, help="repeat the search on K outer folds: the score of search and refit")
    how = run.add_argument_group("how fast")
    how.add_argument(
        "--workers",
        metavar="N",
        help=f"processes, auto, or a Dask cluster's tcp://HOST:PORT (default: ${WORKERS_VARIABLE} or auto)",
    )
    where = run.add_argument_group("where it is kept")
    _add_storage_flag(where)
    _add_tracking_flag(where)
    where.add_argument("--register", metavar="NAME", help="make the final model a version of this registered model")
    where.add_argument(
        "--tracking-wait",
        metavar="SECONDS",
        type=float,
        default=30.0,
        help="wait at the end for an MLflow that is away (default: 30)",
    )
    where.add_argument("--wait", action="store_true", help="wait while another process drives the study")


def settings_of(options: argparse.Namespace) -> ServiceSettings:
    """Where things are, as flags and environment say.

    Raises:
        SettingsError: A URL cannot be used.
    """
    names = ("storage", "tracking_uri", "register", "workers", "wait")
    # A command without the flag has no use for a ledger, wherever the environment says one is.
    flags: dict[str, Any] = {"storage": DEFAULT_STORAGE} | {name: getattr(options, name) for name in names if name in options}
    if "tracking_wait" in options:
        flags["tracking_wait_seconds"] = options.tracking_wait
    return read_settings(**flags)


def definition_of(options: argparse.Namespace) -> StudyDefinition:
    """What is searched, as the study file and the flags on top of it say.

    Raises:
        DefinitionError: The file cannot be read, or a key or value is not allowed.
    """
    from hpo.definition import load_definition  # noqa: PLC0415 - it loads Pydantic

    given = {key: getattr(options, flag, None) for flag, key in _OVERRIDES.items()}
    return load_definition(options.study, {key: value for key, value in given.items() if value is not None})
