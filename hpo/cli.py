"""The command line: parses, shows progress, prints, gives the exit code. The only module that prints.

Standard output is for the result, standard error for everything else. A command is one function, whose docstring ``--help`` shows.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import hpo
from hpo.errors import HpoError, InputError, InterruptedBySignal, TrackingError
from hpo.settings import STORAGE_VARIABLE, TRACKING_VARIABLE, WORKERS_VARIABLE, ServiceSettings, read_settings

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from hpo.definition import StudyDefinition
    from hpo.search import Progress

# Before numpy is loaded: BLAS threads that spin beside another busy process make small fits twice as slow, and one thread
# everywhere is what makes scores equal to the last bit.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")


class _UsageError(Exception):
    """What argparse found wrong, instead of its own exit."""


class _Parser(argparse.ArgumentParser):
    """Flags in full only, since ``--json`` and ``--debug`` are looked for before parsing; an error is raised, not printed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise _UsageError(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The command's name and its flags; by default those of the process.

    Returns:
        The exit code of ``hpo.errors``.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    wants_json, wants_traceback = "--json" in arguments, "--debug" in arguments
    try:
        options = _make_parser().parse_args(arguments)
        return int(options.command(options))
    except _UsageError as usage:
        error: HpoError = InputError(str(usage), hint="--help shows every flag")
    except HpoError as raised:
        error = raised
        if wants_traceback:
            traceback.print_exc()
    except KeyboardInterrupt:
        error = InterruptedBySignal(signal.SIGINT, "stopped", hint="run the same command again to go on")
    return _print_error(error, as_json=wants_json)


def _print_error(error: HpoError, *, as_json: bool) -> int:
    if as_json:
        from hpo.report import error_to_json

        print(json.dumps(error_to_json(error)))
    print(f"hpo: {error}" + (f" ({error.hint})" if error.hint else ""), file=sys.stderr)
    return error.exit_code


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="hpo", description=hpo.__doc__.splitlines()[0] if hpo.__doc__ else None)
    parser.add_argument("--version", action="version", version=f"hpo {hpo.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    for command, add_flags in ((_run, _add_run_flags), (_check, _add_run_flags), (_predict, _add_predict_flags)):
        description = command.__doc__ or ""
        flags = commands.add_parser(command.__name__[1:], help=description.partition(":")[0], description=description)
        flags.set_defaults(command=command)
        flags.add_argument(
            "--tracking-uri",
            metavar="URI",
            help=f"MLflow's store (default: ${TRACKING_VARIABLE} or {ServiceSettings.tracking_uri})",
        )
        flags.add_argument("--debug", action="store_true", help="the traceback of an error")
        flags.add_argument("--version", action="version", version=f"hpo {hpo.__version__}")
        add_flags(flags)
    return parser


def _add_predict_flags(predict: argparse.ArgumentParser) -> None:
    predict.add_argument("model_uri", metavar="MODEL_URI", help="models:/NAME@champion, models:/m-..., runs:/... or a directory")
    predict.add_argument("file", metavar="FILE", type=Path, help="a CSV, Parquet or Feather file with the model's columns")
    predict.add_argument("--output", metavar="FILE", type=Path, help="where to write, as its ending says (default: CSV to stdout)")


def _add_run_flags(run: argparse.ArgumentParser) -> None:
    what = run.add_argument_group("what is searched")
    what.add_argument("--study", metavar="FILE", type=Path, help="a study file (default: the built-in Iris study)")
    what.add_argument("--name", help="the study's name (default: the file's, or the data's)")
    what.add_argument("--trials", metavar="N", type=int, help="trials of the study in all, not more (default: 50)")
    what.add_argument("--timeout", metavar="SECONDS", type=float, help="end the search after so long; the next run goes on")
    what.add_argument("--data", metavar="FILE", help="a CSV, Parquet or Feather file, or iris, wine, breast_cancer, digits")
    what.add_argument("--target", metavar="COLUMN", help="the column to predict")
    what.add_argument("--metric", metavar="SCORER", help="a scikit-learn scorer (default: accuracy)")
    what.add_argument("--seed", metavar="S", type=int, help="same seed, same trials (default: 0)")
    what.add_argument("--concurrency", metavar="B", type=int, help="trials open at once; changes the search (default: 1)")
    what.add_argument(
        "--nested", metavar="K", type=int, help="repeat the search on K outer folds: the unbiased score of search and refit"
    )
    how = run.add_argument_group("how fast")
    how.add_argument(
        "--workers",
        metavar="N",
        help="processes that score folds, auto, or a Dask cluster's tcp://HOST:PORT; changes no result"
        f" (default: ${WORKERS_VARIABLE} or auto)",
    )
    where = run.add_argument_group("where it is kept")
    where.add_argument(
        "--storage", metavar="URL", help=f"Optuna's storage (default: ${STORAGE_VARIABLE} or {ServiceSettings.storage})"
    )
    where.add_argument("--register", metavar="NAME", help="make the final model a version of this registered model")
    where.add_argument(
        "--tracking-wait",
        metavar="SECONDS",
        type=float,
        default=ServiceSettings.tracking_wait_seconds,
        dest="tracking_wait_seconds",
        help="wait so long at the end for an MLflow that is away",
    )
    where.add_argument("--no-plots", action="store_false", dest="plots", help="draw no figures of study and model")
    where.add_argument("--wait", action="store_true", help="wait while another process drives the study")
    output = run.add_argument_group("what is printed")
    output.add_argument("--json", action="store_true", help="the result as one JSON object")
    output.add_argument("--quiet", action="store_true", help="no progress")


def _load_definition(options: argparse.Namespace) -> StudyDefinition:
    from hpo.definition import FLAGS, load_definition

    given = {key: getattr(options, flag.removeprefix("--")) for key, flag in FLAGS.items()}
    return load_definition(options.study, {key: value for key, value in given.items() if value is not None})


def _read_settings(options: argparse.Namespace) -> ServiceSettings:
    known = {field.name for field in fields(ServiceSettings)}
    return read_settings(**{name: value for name, value in vars(options).items() if name in known})


def _run(options: argparse.Namespace) -> int:
    """Search a study's hyperparameters, record every trial in MLflow, log the best model: run it again to go on."""
    started = time.perf_counter()
    settings = _read_settings(options)
    # Started before the imports below, so that its own overlap with them.
    from hpo.tracking.process import TrackingProcess

    with _catching_signals() as stop_signal, TrackingProcess() as tracking:
        # Imports leave nothing to collect: looking for it takes a tenth of their time, and half a second at the end.
        gc.disable()
        atexit.register(gc.freeze)
        definition = _load_definition(options)
        from hpo.job import run_study

        gc.freeze()
        gc.enable()

        with _make_progress(options) as progress:
            result = run_study(definition, settings, progress=progress, stop_signal=stop_signal, tracking=tracking)
    total = time.perf_counter() - started
    if options.json:
        content = result.to_json()
        content["seconds"]["total"] = round(total, 3)
        print(json.dumps(content))
    else:
        print(result.to_text())
    if result.is_tracking_complete:
        return 0
    amount = "" if result.n_behind is None else f" by {result.n_behind} trials"
    behind = f"MLflow is behind{amount} and the final model may be missing: {result.tracking_problem}"
    if result.model_uri is not None and result.n_behind == 0:
        behind = f"the final model is logged, but not all that follows is done: {result.tracking_problem}"
    error = TrackingError(behind, hint="the same command catches up")
    return _print_error(error, as_json=False)


def _check(options: argparse.Namespace) -> int:
    """Say what a run with the same flags would meet, and what mends it: exit code 0 only where all is well. Writes nothing."""
    _use_mlflow_here()
    from hpo.preflight import Finding, check_run

    try:
        settings = _read_settings(options)
        findings = check_run(_load_definition(options).name, settings)
    except InputError as error:
        findings = [Finding.of("settings", error)]
    if options.json:
        print(json.dumps([finding.to_json() for finding in findings]))
    else:
        print(*(finding.to_text() for finding in findings), sep="\n")
    return next((finding.exit_code for finding in findings if finding.exit_code), 0)


def _predict(options: argparse.Namespace) -> int:
    """Score the rows of a table with a logged model: the class, and a probability for each class."""
    settings = read_settings(ServiceSettings.storage, options.tracking_uri)
    _use_mlflow_here()
    from hpo.scoring import predict_table
    from hpo.tables import check_output, write_table

    if options.output is not None:
        check_output(options.output)
    table, notes = predict_table(options.model_uri, options.file, settings.tracking_uri)
    for note in notes:
        print(f"hpo: {note}", file=sys.stderr)
    try:
        write_table(table, sys.stdout if options.output is None else options.output)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has had enough (head); what the interpreter flushes at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _use_mlflow_here() -> None:
    """Before it is imported in this process: no telemetry, no retries for minutes, no log on standard error."""
    from hpo.tracking.process import ENVIRONMENT

    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.disable(logging.WARNING)


@contextmanager
def _catching_signals() -> Iterator[Callable[[], int | None]]:
    """Give what the job asks between fits: which SIGINT or SIGTERM came, if any; a second Ctrl-C ends at once."""
    received: list[int] = []

    def receive(number: int, _: object) -> None:
        if received and number == signal.SIGINT:
            os._exit(128 + number)
        received.append(number)
        print("hpo: ending after the fit in hand; Ctrl-C again ends at once", file=sys.stderr)

    # Installed explicitly: a process that a shell starts in the background inherits SIGINT ignored.
    previous = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: received[-1] if received else None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _make_progress(options: argparse.Namespace) -> Iterator[Progress | None]:
    """A bar on standard error where that is a terminal; elsewhere only what a person should know at once."""
    if options.quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("trials"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        yield _BarProgress(bar)


class _BarProgress:
    """Trials done, best so far, time left."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None)
        self._best: float | None = None
        self._n_failed = 0
        self._n_folds = 1

    def begin(self, n_told: int, n_trials: int, n_folds: int) -> None:
        self._n_folds = n_folds
        self._best, self._n_failed = None, 0
        self._bar.update(self._task, total=n_trials, completed=n_told)

    def fold_scored(self, number: int, n_scored: int) -> None:
        self._bar.update(self._task, completed=number + n_scored / self._n_folds)

    def trial_told(self, number: int, state: str, value: float | None) -> None:
        if value is not None and (self._best is None or value > self._best):
            self._best = value
        self._n_failed += state == "FAIL"
        best = "" if self._best is None else f"best {self._best:.4f}"
        failed = f", {self._n_failed} failed" if self._n_failed else ""
        self._bar.update(self._task, completed=number + 1, description=best + failed)

    def note(self, line: str) -> None:
        self._bar.console.print(f"hpo: {line}", soft_wrap=True, markup=False, highlight=False)
