"""Fits that fail, without a double: scikit-learn's sag cannot divide by a step size of zero, which
a tiny C gives it.

A denormal C makes newton-cg's probabilities NaN instead. Both are what a person's study file can
ask for.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

from tests.support.checker import check_stores, read_notes, read_trials
from tests.support.here import run_here, run_here_well
from tests.support.sharing import FinishedRun
from tests.support.stores import copy_directory, count_told, stores_of
from tests.support.studies import ALL_RAISE, SOME_RAISE

WriteStudy = Callable[[str], str]

SOME_ARE_NAN = """
[study]
name = "failing"
n_trials = 6
[search_space]
penalty = "l2"
solver = "newton-cg"
max_iter = 10
C = [1e-320, 1.0]
"""
REASON = "ZeroDivisionError: Current sag implementation does not handle the case step_size * alpha_scaled == 1"


def test_some_fits_raise_and_the_study_goes_on(
    directory: Path, tmp_path: Path, write_study: WriteStudy
) -> None:
    report = run_here_well(directory, "--study", write_study(SOME_RAISE))
    stores = stores_of(directory)
    picture = check_stores(**stores, n_trials=12, study="failing")
    failed = [trial for trial in picture.trials if trial.state == TrialState.FAIL]
    assert [trial.number for trial in failed] == [
        trial.number for trial in picture.trials if trial.params["C"] == 1e-30
    ]
    assert 0 < len(failed) < 12
    assert f"failing: 12 trials ({12 - len(failed)} complete, {len(failed)} failed)\n" in report
    client = MlflowClient(stores["tracking_uri"])
    for trial in failed:
        run = picture.children[trial.number]
        assert run.data.tags["hpo.failure"] == REASON
        path = client.download_artifacts(run.info.run_id, "failure/traceback.txt", str(tmp_path))
        text = Path(path).read_text(encoding="utf-8")
        assert text.startswith("Traceback (most recent call last):")
        assert text.rstrip().endswith(REASON)


def test_score_that_is_nan_fails_its_trial(directory: Path, write_study: WriteStudy) -> None:
    run_here_well(directory, "--study", write_study(SOME_ARE_NAN))
    stores = stores_of(directory)
    picture = check_stores(**stores, n_trials=6, study="failing")
    failed = [trial.number for trial in picture.trials if trial.params["C"] == 1e-320]
    assert failed
    assert [trial.number for trial in picture.trials if trial.state == TrialState.FAIL] == failed
    for number in failed:
        assert picture.children[number].data.tags["hpo.failure"] == "the score neg_log_loss is nan"
    client = MlflowClient(stores["tracking_uri"])
    assert client.list_artifacts(picture.children[failed[0]].info.run_id) == []


@pytest.fixture(scope="module")
def all_raised(make_directory: Callable[[str], Path]) -> FinishedRun:
    directory = make_directory("all-raised")
    (directory / "failing.toml").write_text(ALL_RAISE, encoding="utf-8")
    return FinishedRun.of(directory, run_here(directory, "--study", "failing.toml"))


def test_too_many_failures_end_it_with_the_commonest_reason(all_raised: FinishedRun) -> None:
    assert (all_raised.returncode, all_raised.stdout) == (6, "")
    assert all_raised.stderr == (
        f"hpo: 10 of 10 trials failed, more than max_failed = 0.5 allows; the commonest reason: {REASON}"
        " (mend what makes the fits fail and start again under another --name)\n"
    )
    stores = stores_of(all_raised.directory)
    picture = check_stores(
        **stores, n_trials=10, study="failing", parent_status="FAILED", has_model=False
    )
    assert {run.data.tags["hpo.failure"] for run in picture.children.values()} == {REASON}
    notes = read_notes(stores["storage"], picture.trials, "failing")
    assert all(f"**Failed**: `{REASON}`" in notes[trial.number] for trial in picture.trials)


def test_too_many_failures_run_again_adds_no_trial(all_raised: FinishedRun, tmp_path: Path) -> None:
    directory = copy_directory(all_raised.directory, tmp_path / "copy")
    assert run_here(directory, "--study", "failing.toml").returncode == 6
    assert count_told(directory) == 10


def test_no_completed_trial_has_an_exit_code_of_its_own(
    directory: Path, write_study: WriteStudy
) -> None:
    process = run_here(directory, "--study", write_study(ALL_RAISE), "--trials", "2")
    assert process.returncode == 5
    assert process.stderr == (
        f"hpo: none of 2 trials completed; the last reason: {REASON} (raise --trials or --timeout, or mend the definition)\n"
    )
    trials = read_trials(stores_of(directory)["storage"], "failing")
    assert [trial.state for trial in trials] == [TrialState.FAIL, TrialState.FAIL]
