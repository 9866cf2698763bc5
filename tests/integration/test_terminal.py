"""What a person sees on a terminal: the search while it goes on, the report as a table, and nothing
where that was asked for.
"""

import re
from pathlib import Path

import pytest

from hpo.commands.terminal import print_table
from tests.support.here import run_here_well
from tests.support.screen import run_on_screen
from tests.support.servers import free_port
from tests.support.sharing import FinishedRun


def test_search_is_seen_while_it_goes_on_and_leaves_its_report_alone(directory: Path) -> None:
    exit_code, screens = run_on_screen(directory, "-m", "hpo.run", "--trials", "60")
    assert exit_code == 0
    views = [screen for screen in screens if screen.startswith("trials ")]
    assert {int(found) for view in views for found in re.findall(r"(\d+)/60", view)} > {60}
    whole = [
        view
        for view in views
        if re.search(r"trial +state +accuracy\n(\d+ +COMPLETE +0\.\d{4}\n)+", view + "\n")
    ]
    assert whole
    assert any(
        re.search(r"best 0\.\d{4} \(trial \d+\)   failed 0   MLflow has \d+", view)
        for view in whole
    )
    report = screens[-1].splitlines()[1:-1]
    assert report[0].startswith("verdict   ")
    assert "study     iris: 60 trials (60 complete)" in report
    assert "columns   4 numeric" in report
    assert "failed" not in screens[-1]
    assert screens[-1].splitlines()[0] == screens[-1].splitlines()[-1] == "─" * 110


def test_an_address_is_one_word_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    address = f"http://127.0.0.1:5000/#/experiments/1/runs?{'x' * 100}"
    print_table([("note", "word " * 30), ("pages", f"mlflow ui  ->  {address}")])
    lines = capsys.readouterr().out.splitlines()
    assert f"          {address}" in lines
    assert lines[1].startswith("note      word word")
    assert all(len(line) <= 80 for line in lines if address not in line)


def test_table_has_the_facts_of_the_plain_text(finished_copy: Path) -> None:
    _, screens = run_on_screen(finished_copy, "-m", "hpo.run", "--trials", "50", "--quiet")
    plain = run_here_well(finished_copy, "--trials", "50")
    drawn = screens[-1].replace("─", "")
    assert "".join(drawn.split()) == "".join(plain.split())


def test_quiet_terminal_shows_the_report_only(directory: Path) -> None:
    exit_code, screens = run_on_screen(directory, "-m", "hpo.run", "--trials", "3", "--quiet")
    assert exit_code == 0
    assert not any(
        "best " in screen.partition("─")[0] or screen.startswith("trials") for screen in screens
    )
    assert "iris: 3 trials (3 complete)" in screens[-1]


@pytest.mark.parametrize("term", ["", "dumb"])
def test_terminal_without_movement_gets_plain_lines(directory: Path, term: str) -> None:
    exit_code, screens = run_on_screen(directory, "-m", "hpo.run", "--trials", "12", TERM=term)
    assert exit_code == 0
    assert not any(screen.startswith("trials ") for screen in screens)
    assert "iris: 12 trials (12 complete)" in screens[-1]


def test_notes_stand_above_the_view_and_stay(directory: Path) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    exit_code, screens = run_on_screen(
        directory, "-m", "hpo.run", "--trials", "40", "--tracking-uri", away, "--tracking-wait", "0"
    )
    assert exit_code == 3
    note = "hpo: MLflow does not take what is written"
    assert any(screen.startswith(note) and "\ntrials " in screen for screen in screens)
    assert screens[-1].startswith(note)
    assert "next      the same command again: it writes what MLflow lacks" in " ".join(
        screens[-1].split("\n")
    ) or ("the same command again: it writes what MLflow lacks" in screens[-1])


def test_piped_run_draws_nothing(finished: FinishedRun) -> None:
    assert finished.stderr == ""
    assert "\x1b" not in finished.stdout
    assert "─" not in finished.stdout
