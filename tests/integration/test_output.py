"""Standard output and errors that are full, closed or of few characters: one line, an exit code."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.commands.environment import catching_signals
from hpo.commands.output import say
from tests.support.commands import environment

FULL = "hpo: standard output cannot be written: No space left on device (the same command prints it again: what is finished is kept)\n"


def shell(directory: Path, line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A line of a shell, in which $hpo is the command."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; hpo='{sys.executable} -m hpo'; {line}"],
        cwd=directory,
        env=environment(**{"HPO_WORKERS": "1", **variables}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("$hpo schema > /dev/full", 1, FULL),
        ("$hpo run --help > /dev/full", 1, FULL),  # longer than the stream's buffer
        ("$hpo run --trials 0 --json > /dev/full", 2, "hpo: flag --trials: "),
        ("$hpo schema >&-", 1, "hpo: standard output cannot be written: it is closed "),
        ("$hpo schema | head -1 > /dev/null", 0, ""),
        ("$hpo nothing 2> /dev/full", 2, ""),
        ("$hpo nothing 2>&-", 2, ""),
        (
            "mkdir gone; cd gone; rmdir ../gone; $hpo list",
            2,
            "hpo: the working directory is gone (",
        ),
    ],
)
def test_output_that_takes_nothing(tmp_path, line, code, said):
    ended = shell(tmp_path, line)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.startswith(said)
    assert ended.stderr.count("\n") == bool(said)


def test_finished_study_is_kept_and_printed_in_what_there_is(directory):
    run = "$hpo run --trials 2 --no-plots"
    ended = shell(directory, f"{run} > /dev/full")
    assert (ended.returncode, ended.stderr) == (1, FULL)
    again = shell(directory, run, PYTHONIOENCODING="ascii")
    assert (again.returncode, again.stderr) == (0, "")
    assert "all done before, nothing was changed" in again.stdout
    assert " +- " in again.stdout
    assert again.stdout.isascii()


class Struck(io.FileIO):
    """A file; a signal comes when it has taken its first line."""

    def write(self, line):
        n_written = super().write(line)
        if self.tell() == n_written:
            signal.raise_signal(signal.SIGTERM)
        return n_written


def test_signal_that_comes_within_a_line_is_answered_after_it(tmp_path, monkeypatch):
    with (
        io.TextIOWrapper(io.BufferedWriter(Struck(tmp_path / "stderr", "w")), "utf-8") as stderr,
        monkeypatch.context() as patch,
        catching_signals("stopping … study") as stop_signal,
    ):
        patch.setattr(sys, "stderr", stderr)
        say("waiting")
        say("stopped")
        assert stop_signal() == signal.SIGTERM
    said = (tmp_path / "stderr").read_text(encoding="utf-8")
    assert said == "hpo: waiting\nhpo: stopping … study\nhpo: stopped\n"
