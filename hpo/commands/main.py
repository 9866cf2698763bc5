"""The command line: finds the command, runs it, turns errors into lines and exit codes.

Each command is one function in a module of its own, imported only when it is called, so that
``--help`` and a wrong flag cost nothing.
"""

import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from hpo.commands.environment import use_one_thread
from hpo.commands.flags import make_parser, parse
from hpo.commands.output import prepare_output, print_error, print_text, say_lines
from hpo.errors import HpoError, InterruptedBySignal
from hpo.escaping import hide_password

if TYPE_CHECKING:
    from hpo.tracking.interface import Tracking


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
    prepare_output()
    use_one_thread()
    try:
        if not arguments:
            print_text(make_parser().format_help().rstrip())
            return 0
        options = parse(arguments)
        options.make_tracking = make_tracking
        module = import_module(f"hpo.commands.{options.command}")
        return int(getattr(module, options.command)(options))
    except HpoError as raised:
        error: HpoError = raised
        if "--debug" in arguments:
            lines = traceback.format_exc().splitlines()
            say_lines(map(hide_password, lines))
    except KeyboardInterrupt:
        error = InterruptedBySignal(signal.SIGINT, "stopped")
    return print_error(error, as_json="--json" in arguments)
