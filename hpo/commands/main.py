"""The command line: one function a command, progress, printing, exit codes. The only module that prints.

Standard output is for the result, standard error for everything else. A command's docstring is what ``--help`` says of it.
"""

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
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

from hpo.commands.flags import UsageError, definition_of, make_parser, settings_of
from hpo.errors import HpoError, InputError, InterruptedBySignal, TrackingError
from hpo.progress import PlainProgress, Progress
from hpo.settings import ServiceSettings, hide_password

if TYPE_CHECKING:
    from hpo.tracking.interface import Tracking

# Before numpy is loaded: BLAS threads that spin beside another busy process make small fits twice as slow, and one thread
# everywhere is what makes scores equal to the last bit.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")


def main(
    argv: Sequence[str] | None = None,
    *,
    make_tracking: Callable[[], "Tracking"] | None = None,
) -> int:
    """Run one command.

    Args:
        argv: The command's name and its flags; by default those of the process.
        make_tracking: How a run tracks; by default in a process of its own.

    Returns:
        The exit code of ``hpo.errors``.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        options = make_parser(_COMMANDS).parse_args(arguments)
        options.make_tracking = make_tracking
        return int(options.command(options))
    except UsageError as usage:
        error: HpoError = InputError(str(usage), hint="--help shows every flag")
    except HpoError as raised:
        error = raised
        if "--debug" in arguments:
            print(
                *map(hide_password, traceback.format_exc().splitlines()), sep="\n", file=sys.stderr
            )
    except KeyboardInterrupt:
        error = InterruptedBySignal(signal.SIGINT, "stopped")
    return _print_error(error, as_json="--json" in arguments)


def _print_error(error: HpoError, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(error.to_json()))
    _say(str(error) + (f" ({error.hint})" if error.hint else ""))
    return error.exit_code


def _say(line: str) -> None:
    print(f"hpo: {line}", file=sys.stderr)


def _print(text: str) -> None:
    with _until_reader_leaves():
        print(text)


@contextmanager
def _until_reader_leaves() -> Iterator[None]:
    """For what goes to standard output: its reader may have had enough (head)."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # What the interpreter flushes at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_result(content: object, text: str, *, as_json: bool) -> None:
    """One JSON object; or a table on a terminal, the same facts as plain lines elsewhere."""
    if sys.stdout.isatty() and not as_json:
        from hpo.commands.terminal import print_table
        from hpo.results.result import split_report

        print_table(split_report(text))
    else:
        _print(json.dumps(content) if as_json else text)


def _run(options: argparse.Namespace) -> int:
    """Search a study's hyperparameters, record every trial in MLflow, log the best model: run it again to go on."""
    started = time.perf_counter()
    settings = settings_of(options)
    if options.dry_run:
        return _dry_run(options, settings)
    # Started before the imports below, so that its own overlap with them.
    from hpo.tracking.process import TrackingProcess

    with (
        _catching_signals("ending after the fit in hand; Ctrl-C again ends at once") as stop_signal,
        (options.make_tracking or TrackingProcess)() as tracking,
    ):
        # Imports leave nothing to collect: looking for it takes a tenth of their time, and half a second at the end.
        gc.disable()
        atexit.register(gc.freeze)
        definition = definition_of(options)
        from hpo.study_run import run_study

        gc.freeze()
        gc.enable()
        with _showing(definition.study.metric, is_quiet=options.quiet) as progress:
            result = run_study(
                definition, settings, progress=progress, stop_signal=stop_signal, tracking=tracking
            )
    content = result.to_json()
    content["seconds"]["total"] = round(time.perf_counter() - started, 3)
    _print_result(content, result.to_text(), as_json=options.json)
    if result.is_tracking_complete:
        return 0
    amount = "" if result.n_behind is None else f" by {result.n_behind} trials"
    behind = (
        f"MLflow is behind{amount} and the final model may be missing: {result.tracking_problem}"
    )
    if result.model_uri is not None and result.n_behind == 0:
        behind = f"the final model is logged, but not all that follows is done: {result.tracking_problem}"
    return _print_error(TrackingError(behind, hint="the same command catches up"), as_json=False)


def _dry_run(options: argparse.Namespace, settings: ServiceSettings) -> int:
    from hpo.commands.dry_run import describe_plan, plan_study

    plan = plan_study(definition_of(options), settings.workers)
    _print_result(plan, describe_plan(plan), as_json=options.json)
    return 0


def _check(options: argparse.Namespace) -> int:
    """Say what a run with the same flags would meet, and what mends it: exit code 0 only where all is well. Writes nothing."""
    _use_mlflow_here()
    from hpo.commands.check import Finding, check_run

    try:
        findings = check_run(settings_of(options), definition_of(options).name)
    except InputError as error:
        findings = [Finding.of("settings", error)]
    content, lines = (
        [finding.to_json() for finding in findings],
        [finding.to_text() for finding in findings],
    )
    _print(json.dumps(content) if options.json else "\n".join(lines))
    return next((finding.exit_code for finding in findings if finding.exit_code), 0)


def _ui(options: argparse.Namespace) -> int:
    """Start optuna-dashboard and MLflow's page for a study, on this machine alone: Ctrl-C stops both."""
    settings = settings_of(options)
    _use_mlflow_here()
    from hpo.commands.ui import Pages

    with _catching_signals("stopping what was started") as stop_signal, Pages(stop_signal) as pages:
        links = pages.show(
            definition_of(options).name, settings, options.dashboard_port, options.mlflow_port
        )
        print(*(f"{name:<17} {link}" for name, link in links.items()), sep="\n", flush=True)
        pages.watch()
    return 0


def _predict(options: argparse.Namespace) -> int:
    """Score the rows of a table with a logged model: the class, and a probability for each class."""
    settings = settings_of(options)
    _use_mlflow_here()
    from hpo.commands.predict import predict_table
    from hpo.data.tables import check_output, write_table

    if options.output is not None:
        check_output(options.output)
    table, notes = predict_table(options.model_uri, options.file, settings.tracking_uri)
    for note in notes:
        _say(note)
    with _until_reader_leaves():
        write_table(table, sys.stdout if options.output is None else options.output)
    return 0


def _definition(_: argparse.Namespace) -> int:
    """Print the JSON schema of study files, for editors."""
    from hpo.study_file import make_schema

    _print(json.dumps(make_schema(), indent=2))
    return 0


def _use_mlflow_here() -> None:
    """Before it is imported in this process: no telemetry, no retries for minutes, no log on standard error."""
    from hpo.tracking.process import ENVIRONMENT

    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.disable(logging.WARNING)


@contextmanager
def _catching_signals(answer: str) -> Iterator[Callable[[], int | None]]:
    """Give what the job asks between fits: which SIGINT or SIGTERM came, if any; a second Ctrl-C ends at once."""
    received: list[int] = []

    def receive(number: int, _: object) -> None:
        if received and number == signal.SIGINT:
            os._exit(128 + number)
        received.append(number)
        _say(answer)

    with ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            # Installed explicitly: a process that a shell starts in the background inherits SIGINT ignored.
            stack.callback(signal.signal, number, signal.signal(number, receive))
        yield lambda: received[-1] if received else None


def _showing(metric: str, *, is_quiet: bool) -> AbstractContextManager[Progress]:
    """A live view on standard error where that is a terminal; elsewhere a line now and then, and what cannot wait."""
    if is_quiet or not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return nullcontext(Progress() if is_quiet else PlainProgress(_say))
    from hpo.commands.terminal import drawing

    return drawing(metric)


_COMMANDS = {
    "run": _run,
    "check": _check,
    "ui": _ui,
    "predict": _predict,
    "definition": _definition,
}
