"""What a run tells, added up; and the lines for logs."""

from __future__ import annotations

import re
import time
from io import StringIO

import pytest
from rich.console import Console

from hpo.commands.terminal import LiveProgress
from hpo.progress import LINE_SECONDS, N_SHOWN_TRIALS, PlainProgress, Progress, format_duration


def test_resumed_search_counts_what_is_there():
    progress = Progress()
    progress.begin([("COMPLETE", 0.9), ("FAIL", None), ("COMPLETE", 0.8)], 10, 5)
    assert (progress.n_told, progress.n_trials, progress.n_failed, progress.best) == (
        3,
        10,
        1,
        (0, 0.9),
    )
    assert progress.last == [(0, "COMPLETE", 0.9), (1, "FAIL", None), (2, "COMPLETE", 0.8)]


def test_best_is_the_first_of_the_highest():
    progress = Progress()
    progress.begin([], 4, 5)
    for number, value in enumerate((0.5, 0.75, 0.75, None)):
        progress.trial_told(number, "COMPLETE" if value else "PRUNED", value)
    assert (progress.best, progress.n_told, progress.n_failed) == ((1, 0.75), 4, 0)


def test_last_trials_are_kept_and_the_open_one_leaves():
    progress = Progress()
    progress.begin([], 50, 5)
    for number in range(20):
        progress.fold_scored(number, 3)
        assert progress.n_scored == {number: 3}
        progress.trial_told(number, "COMPLETE", 0.5)
        assert progress.n_scored == {}
    assert [number for number, *_ in progress.last] == list(range(20 - N_SHOWN_TRIALS, 20))


def test_nested_search_starts_again():
    progress = Progress()
    progress.begin([("FAIL", None)], 1, 5)
    progress.hear(1)
    progress.begin([], 7, 3)
    assert (
        progress.n_told,
        progress.n_trials,
        progress.n_folds,
        progress.n_failed,
        progress.best,
    ) == (0, 7, 3, 0, None)


def test_study_with_more_trials_than_asked_for_is_full():
    progress = Progress()
    progress.begin([("COMPLETE", 0.5)] * 8, 5, 5)
    assert progress.n_trials == 8


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "1 ms"),
        (0.0404, "40 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (210, "4 min"),
        (3599, "1 h"),
        (7800, "2 h 10 min"),
        (86_400 * 3.6, "4 days"),
    ],
)
def test_durations_are_said_as_a_person_says_them(seconds, words):
    assert format_duration(seconds) == words


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_log_has_a_line_a_minute_and_notes_at_once():
    clock, lines = Clock(), []
    progress = PlainProgress(lines.append, clock)
    progress.begin([("COMPLETE", 0.5), ("FAIL", None)], 50, 5)
    progress.fold_scored(2, 1)
    assert lines == []
    progress.note("something")
    clock.now = LINE_SECONDS
    progress.hear(1)
    for n_scored in (2, 3):
        progress.fold_scored(2, n_scored)
    assert lines == [
        "something",
        "2 of 50 trials, best 0.5000 (trial 0), 1 failed; trial 2 at fold 2 of 5; MLflow has 1",
    ]
    clock.now = 2 * LINE_SECONDS
    progress.fold_scored(2, 4)
    assert len(lines) == 3


def drawn(progress: LiveProgress) -> str:
    console = Console(file=StringIO(), width=100)
    console.print(progress.draw())
    return console.file.getvalue()


def test_view_shows_trials_failures_tracking_and_the_fold_of_the_open_trial():
    progress = LiveProgress(Console(file=StringIO()), "roc_auc")
    assert "best none yet   failed 0   MLflow has 0" in drawn(progress)
    progress.begin([("COMPLETE", 0.9876), ("FAIL", None), ("PRUNED", None)], 10, 5)
    progress.hear(2)
    progress.fold_scored(3, 2)
    text = drawn(progress)
    assert "3/10" in text
    assert "best 0.9876 (trial 0)   failed 1   MLflow has 2" in text
    rows = [line.split() for line in text.splitlines()[2:]]
    assert rows[:4] == [
        ["trial", "state", "roc_auc"],
        ["0", "COMPLETE", "0.9876"],
        ["1", "FAIL"],
        ["2", "PRUNED"],
    ]
    assert rows[4] == ["3", "fold", "2", "of", "5", "0", "s"]


def test_view_says_how_long_it_took_and_what_is_left_only_once_that_is_known():
    progress = LiveProgress(Console(file=StringIO()), "accuracy")
    progress.begin([], 30, 5)
    first = drawn(progress).splitlines()[0]
    assert re.search(r" 0/30 1 s so far *$", first)
    for number in range(3):
        progress.trial_told(number, "COMPLETE", 0.5)
        time.sleep(0.05)
        last = drawn(progress).splitlines()[0]
    assert re.search(r" 3/30 1 s so far, about \d+ (ms|s) left *$", last)


def test_text_in_a_note_is_no_markup():
    console = Console(file=StringIO(), width=100)
    LiveProgress(console, "accuracy").note("[bold]data[/bold]")
    assert console.file.getvalue() == "hpo: [bold]data[/bold]\n"
