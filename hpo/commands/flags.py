"""The flags of each command; ``inputs`` makes definition and settings of them.

Loads nothing heavy, so that ``--help`` and a wrong flag cost nothing.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import hpo
from hpo.commands.parser import Parser
from hpo.commands.service_flags import add_cancel_flags, add_serve_flags, add_status_flags
from hpo.commands.store_flags import (
    add_delete_flags,
    add_export_flags,
    add_list_flags,
    add_tracking,
    add_where,
)
from hpo.commands.study_flags import add_run_flags, add_study, add_submit_flags
from hpo.errors import InputError, did_you_mean
from hpo.escaping import is_utf8, quote

COMMANDS: Mapping[str, str] = {
    "run": "Search a study's hyperparameters, record every trial in MLflow, log the best model:"
    " run it again to go on.",
    "check": "Say what a run with the same flags would meet, and what mends it: exit code 0 only"
    " where all is well. Writes nothing.",
    "ui": "Start optuna-dashboard and MLflow's page for a study, on this machine alone:"
    " Ctrl-C stops both.",
    "submit": "Hand a study in for a server to drive, with the flags of a run: submit it again with"
    " more trials to raise its total.",
    "serve": "Drive submitted studies until it is stopped: Ctrl-C or SIGTERM lets them go, and"
    " another server takes them up.",
    "status": "Say how submitted studies are: queued, running and where, done, failed and why.",
    "cancel": "Stop a submitted study wherever it is driven: what is done stays, and submitting it"
    " again goes on.",
    "predict": "Score the rows of a table with a logged model: the class and a probability for"
    " each, or the number.",
    "list": "List the studies of a storage: trials, best value, and where MLflow has them.",
    "export": "Print a study's trials as a table: params, fold scores, times, MLflow runs.",
    "delete": "Delete a study from Optuna's storage; its runs and models go to MLflow's trash:"
    " it asks first.",
    "schema": "Print the JSON schema of study files, for editors.",
}
"""Each command's ``--help`` text; the command is the function of that name in ``hpo.commands``."""


_OF_MODULES = ("run", "check", "ui", "predict")
"""Commands that are started as ``python -m hpo.COMMAND`` too."""

_POSITIONALS = {
    "predict": " MODEL_URI FILE",
    **dict.fromkeys(("delete", "export", "cancel"), " NAME"),
    "status": " [NAME]",
}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse a command's name and its flags.

    Raises:
        InputError: There is no such command, or a flag is wrong.
    """
    name = arguments[0]
    for argument in arguments:
        if not is_utf8(argument):
            raise InputError(f"an argument should be UTF-8 text, but got {quote(argument)}")
    if not name.startswith("-") and name not in COMMANDS:
        hint = did_you_mean(name, COMMANDS, "python -m hpo shows every command")
        raise InputError(f"there is no command '{name}'", hint=hint)
    return make_parser().parse_args(arguments)


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands; it sets ``command`` to the name of the one given."""
    parser = Parser(prog="hpo", description=hpo.__doc__.splitlines()[0] if hpo.__doc__ else None)
    parser.add_argument("--version", action="version", version=f"hpo {hpo.__version__}")
    group = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=Parser
    )
    for name, text in COMMANDS.items():
        usage = f"python -m hpo{'.' if name in _OF_MODULES else ' '}{name}"
        usage += f"{_POSITIONALS.get(name, '')} [FLAG ...]"
        flags = group.add_parser(
            name, help=text.partition(":")[0], description=text, usage=usage, add_help=False
        )
        flags.set_defaults(command=name)
        _OTHER_FLAGS.get(name, add_run_flags)(flags)
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
    if command not in ("ui", "predict", "serve", "schema"):
        output.add_argument("--json", action="store_true", help="the result as one JSON object")
    output.add_argument("--debug", action="store_true", help="the traceback of an error")
    version = f"hpo {hpo.__version__}"
    output.add_argument("--version", action="version", version=version, help="the version")
    output.add_argument("--help", "-h", action="help", help="this text")


def _add_ui_flags(ui: argparse.ArgumentParser) -> None:
    add_study(ui, "whose trials")
    add_where(ui, "where they are kept")
    ports = ui.add_argument_group("where they are shown")
    for flag, of, port in (
        ("--dashboard-port", "optuna-dashboard", 8080),
        ("--mlflow-port", "MLflow's page", 5000),
    ):
        text = f"of {of} (default: {port}, else a free one)"
        ports.add_argument(flag, metavar="N", type=int, help=text)


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
    predict.add_argument(
        "--trust",
        metavar="TYPE",
        action="append",
        default=[],
        help="a type that a model of your own estimator may hold; repeatable",
    )
    keeping = predict.add_mutually_exclusive_group()
    text = "a column of FILE to write too; repeatable (default: those dropped as ids in training)"
    keeping.add_argument("--keep", metavar="COLUMN", action="append", default=[], help=text)
    keeping.add_argument("--keep-all", action="store_true", help="write all columns of FILE too")
    add_tracking(predict)


_OTHER_FLAGS: Mapping[str, Callable[[argparse.ArgumentParser], object]] = {
    "ui": _add_ui_flags,
    "submit": add_submit_flags,
    "serve": add_serve_flags,
    "status": add_status_flags,
    "cancel": add_cancel_flags,
    "predict": _add_predict_flags,
    "list": add_list_flags,
    "export": add_export_flags,
    "delete": add_delete_flags,
    "schema": lambda _: None,
}
"""Commands that do not take the flags of a run, and the flags that they take."""
