"""The command line: one small function a command, progress, printing, exit codes. The only module that prints.

Standard output is for the result, standard error for everything else.
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
from typing import TYPE_CHECKING, Any, Self

from hpo.errors import HpoError, InputError, InterruptedBySignal, TrackingError
from hpo.flags import UsageError, definition_of, make_parser, settings_of
from hpo.progress import PlainProgress

if TYPE_CHECKING:
    from hpo.report import StudyResult
    from hpo.search import Progress

# Before numpy is loaded: BLAS threads that spin beside another busy process make small fits twice as slow, and one thread
# everywhere is what makes scores equal to the last bit.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")


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
        options = make_parser().parse_args(arguments)
        return _COMMANDS[options.command](options)
    except UsageError as usage:
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
        print(json.dumps(error.to_json()))
    _say(str(error) + (f" ({error.hint})" if error.hint else ""))
    return error.exit_code


def _say(line: str) -> None:
    print(f"hpo: {line}", file=sys.stderr)


def _run(options: argparse.Namespace) -> int:
    if options.dry_run:
        return _dry_run(options)
    started = time.perf_counter()
    settings = settings_of(options)
    # Started before the imports below, so that its own overlap with them.
    from hpo.tracking.process import TrackingProcess

    with _SignalFlag() as stop_signal, TrackingProcess() as tracking:
        # The interpreter would look through all that was imported for garbage before it ends, for half a second.
        atexit.register(gc.freeze)
        definition = definition_of(options)

        from hpo.job import run_study

        with _showing(definition.study.metric, is_quiet=options.quiet) as progress:
            result = run_study(definition, settings, progress=progress, stop_signal=stop_signal, tracking=tracking)
    if options.json:
        content = result.to_json()
        content["seconds"]["total"] = round(time.perf_counter() - started, 3)
        _print(json.dumps(content))
    else:
        _print_rows(result.rows())
    return 0 if result.is_tracking_complete else _print_error(_behind(result), as_json=False)


def _behind(result: StudyResult) -> TrackingError:
    amount = "" if result.n_behind is None else f" by {result.n_behind} trials"
    behind = f"MLflow is behind{amount} and the final model may be missing: {result.tracking_problem}"
    if result.model_uri is not None and result.n_behind == 0:
        behind = f"the final model is logged, but not all that follows is done: {result.tracking_problem}"
    return TrackingError(behind, hint="the same command catches up")


def _dry_run(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    from hpo.dry_run import plan_study

    plan = plan_study(definition_of(options), settings)
    if options.json:
        _print(json.dumps(plan.to_json()))
    else:
        _print_rows(plan.rows())
    return 0


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


def _print_rows(rows: Sequence[tuple[str, str]]) -> None:
    """A table on a terminal, the same facts as plain lines elsewhere."""
    if sys.stdout.isatty():
        from hpo.terminal import print_table

        print_table(rows)
    else:
        from hpo.report import rows_to_text

        _print(rows_to_text(rows))


def _check(options: argparse.Namespace) -> int:
    from hpo.preflight import Finding, check_run

    try:
        settings = settings_of(options)
        findings = check_run(definition_of(options).name, settings)
    except InputError as error:
        findings = [Finding.of("settings", error)]
    if options.json:
        _print(json.dumps([finding.to_json() for finding in findings]))
    else:
        _print("\n".join(finding.to_text() for finding in findings))
    return next((finding.exit_code for finding in findings if finding.exit_code), 0)


def _ui(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    from hpo.pages import serve_pages, wait_for_pages, watch_pages

    study = definition_of(options).name
    with (
        _SignalFlag("stopping what was started") as stop_signal,
        serve_pages(study, settings, options.dashboard_port, options.mlflow_port) as pages,
    ):
        if wait_for_pages(pages, stop_signal):
            print(*(f"{page.name:<17} {page.link}" for page in pages), sep="\n", flush=True)
            watch_pages(pages, stop_signal)
    return 0


def _predict(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    from hpo.tracking.process import ENVIRONMENT

    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.disable(logging.WARNING)
    from hpo.scoring import predict_table
    from hpo.tables import check_output, write_table

    if options.output is not None:
        check_output(options.output)
    table, notes = predict_table(options.model_uri, options.file, settings.tracking_uri)
    for note in notes:
        _say(note)
    with _until_reader_leaves():
        write_table(table, sys.stdout if options.output is None else options.output)
    return 0


def _definition(_: argparse.Namespace) -> int:
    from hpo.definition import make_schema

    _print(json.dumps(make_schema(), indent=2))
    return 0


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "check": _check,
    "ui": _ui,
    "predict": _predict,
    "definition": _definition,
}


class _SignalFlag:
    """Keeps the first SIGINT or SIGTERM for the job to look at between fits; a second Ctrl-C ends at once.

    Args:
        answer: What is said when it comes.
    """

    def __init__(self, answer: str = "ending after the fit in hand; Ctrl-C again ends at once") -> None:
        self._answer = answer
        self._received: int | None = None
        self._previous: dict[int, Any] = {}

    def __call__(self) -> int | None:
        return self._received

    def __enter__(self) -> Self:
        # Installed explicitly: a process that a shell starts in the background inherits SIGINT ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _: object) -> None:
        if self._received is not None and number == signal.SIGINT:
            os._exit(128 + number)
        self._received = number
        _say(self._answer)


@contextmanager
def _showing(metric: str, *, is_quiet: bool) -> Iterator[Progress | None]:
    """A live view on standard error where that is a terminal; elsewhere a line now and then, and what cannot wait."""
    if is_quiet:
        yield None
    elif sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        from hpo.terminal import drawing

        with drawing(metric) as progress:
            yield progress
    else:
        yield PlainProgress(_say)
