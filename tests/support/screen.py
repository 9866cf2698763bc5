"""A command on a pseudo-terminal, and what a person sees there."""

import contextlib
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pyte

from .commands import COMMAND_SECONDS, environment

COLUMNS, LINES = 110, 50


def run_on_screen(directory: Path, *arguments: str, **variables: str) -> tuple[int, list[str]]:
    """The exit code of a Python command whose output and errors are a terminal, and each screen
    that it showed.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=directory,
        env=environment(
            **{"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES), **variables}
        ),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    screen = pyte.Screen(COLUMNS, LINES)
    stream, screens, deadline = pyte.ByteStream(screen), [], time.monotonic() + COMMAND_SECONDS
    try:
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1.0)[0]:
                continue
            try:
                read = os.read(ours, 65536)
            except OSError:  # Linux's word for the other end being closed
                break
            if not read:
                break
            stream.feed(read)
            screens.append("\n".join(line.rstrip() for line in screen.display).rstrip())
    finally:
        os.close(ours)  # what is still there then gets a SIGHUP, or is killed
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
        process.kill()
    return process.wait(), screens
