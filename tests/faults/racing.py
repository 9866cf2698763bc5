"""Two of the same command at the same moment."""

import os
import re
import subprocess
from collections.abc import Callable

from tests.support.commands import start_hpo
from tests.support.forked import ForkedProcess

from .converging import Place
from .disturbing import end


def race(
    place: Place,
    flags: tuple[str, ...],
    start: Callable[..., subprocess.Popen[str] | ForkedProcess] = start_hpo,
) -> str:
    """Start two drivers at once; what was wrong with how they ended, or nothing."""
    processes = [start(place.directory, *flags) for _ in range(2)]
    winner, loser = sorted(
        (end(process, 0.0) for process in processes), key=lambda ended: ended.returncode
    )
    owner = rf"host {os.uname().nodename}, pid {winner.pid}, since .*|it has only just started"
    told = rf"hpo: study 'iris' is being driven by another process \(({owner})\).*\n"
    if (winner.returncode, loser.returncode) != (0, 7):
        return (
            f"exit codes {winner.returncode} and {loser.returncode}: {winner.stderr}{loser.stderr}"
        )
    if winner.stderr or loser.stdout or not re.fullmatch(told, loser.stderr):
        return f"told {loser.stderr!r}, and the winner said {winner.stderr!r}"
    return ""
