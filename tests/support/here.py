"""Runs the command in this process: the same code, files and MLflow, without the imports of a new
one.

A run of eight trials takes a second here and eight of processor time as a process, nearly all of
them imports. What is about the process itself (signals, pipes, terminals, start-up, several at
once) is tested with ``commands``.
"""

import atexit
import gc
import io
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from hpo.commands.main import main
from hpo.tracking.inline import InlineTracking

from .commands import NO_PLOTS, WITHOUT_WORKERS, environment, set_environment
from .stores import close_stores

Ended = subprocess.CompletedProcess[str]

_NOT_SHOWN = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""What a new interpreter does not show either."""


def run_here(directory: Path, *flags: str, plots: bool = False, **variables: str) -> Ended:
    """``python -m hpo.run`` in this process; MLflow is written when the search has ended.

    Args:
        directory: The working directory; where both databases have their tables, as the fixture
            ``directory`` gives it, the run makes none.
        flags: Of the command.
        plots: Whether figures are drawn.
        variables: Of the environment, beside those that a process would get.
    """
    more = () if plots else (NO_PLOTS,)
    return call_main(directory, "run", *flags, *more, **WITHOUT_WORKERS | variables)


def run_here_well(directory: Path, *flags: str, plots: bool = False, **variables: str) -> str:
    """What a run that must go well printed."""
    ended = run_here(directory, *flags, plots=plots, **variables)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    return ended.stdout


def call_main(directory: Path, *arguments: str, **variables: str) -> Ended:
    """A command of ``hpo`` in this process, which is afterwards as it was."""
    stdout, stderr = io.StringIO(), io.StringIO()
    close_stores()  # takes $MLFLOW_TRACKING_URI away where an earlier test made MLflow set it
    with (
        redirect_stdout(stdout),
        redirect_stderr(stderr),
        _in_directory(directory),
        _with_environment(environment(**variables)),
        _as_in_a_new_process(),
    ):
        try:
            code = main(arguments, make_tracking=InlineTracking)
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            close_stores()
            if any("postgresql" in text for text in (*arguments, *variables.values())):
                # A process ends with its connections; here they would be warned of in another test.
                gc.unfreeze()
                gc.collect()
    return Ended(arguments, code, stdout.getvalue(), stderr.getvalue())


@contextmanager
def _in_directory(directory: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _with_environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    set_environment(variables)
    try:
        yield
    finally:
        set_environment(before)


@contextmanager
def _as_in_a_new_process() -> Iterator[None]:
    """Warnings as an interpreter shows them; what the command changes for good is undone."""
    disabled = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.resetwarnings()
        for category in _NOT_SHOWN:
            warnings.simplefilter("ignore", category)
        warnings.showwarning = _print_warning
        try:
            yield
        finally:
            logging.disable(disabled)
            atexit.unregister(gc.freeze)
            gc.unfreeze()
            gc.enable()


def _print_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    _: object = None,
    line: str | None = None,
) -> None:
    sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))
