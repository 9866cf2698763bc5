"""The study's plots: one page that needs no network."""

from __future__ import annotations

import re

import optuna
import pytest

from hpo.results.plots import MAX_TRIALS, PAGE_FILE, PLOTS, draw_study

from .driving import N_FOLDS, define, drive, open_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('plots')}/optuna.db"
    with open_study(url, define(cv__n_splits=N_FOLDS)) as ledger:
        drive(ledger, 12)
    return optuna.load_study(study_name="iris", storage=url)


def test_page_has_every_plot_and_the_library_once(study):
    files = draw_study(study)
    assert set(files) == {PAGE_FILE}
    page = files[PAGE_FILE].decode()
    assert page.count("Plotly.newPlot(") == len(PLOTS)
    assert page.count("plotly.js v") == 1
    assert re.findall(r'<(?:script|link)[^>]+(?:src|href)="', page) == []
    assert "accuracy" in page


@pytest.mark.parametrize("n_trials", [1, 2])
def test_study_of_few_trials_is_drawn_as_far_as_it_goes(n_trials):
    study = optuna.create_study(study_name="<few>", direction="maximize")
    study.optimize(lambda trial: trial.suggest_float("C", 0, 1), n_trials=n_trials)
    page = draw_study(study)[PAGE_FILE].decode()
    assert page.count("Plotly.newPlot(") > 0
    assert page.count("Plotly.newPlot(") + page.count("<p>No ") == len(PLOTS)
    assert "<few>" not in page


def test_of_a_long_study_the_last_trials_are_drawn():
    study = optuna.create_study(study_name="long", direction="maximize")
    distributions = {"C": optuna.distributions.FloatDistribution(0, 1)}
    study.add_trials(
        optuna.create_trial(
            params={"C": n / 5000},
            distributions=distributions,
            value=float(n),
            user_attrs={"hpo.scores": {}},
        )
        for n in range(MAX_TRIALS + 1)
    )
    assert (
        f"long: the last {MAX_TRIALS} of {MAX_TRIALS + 1} trials"
        in draw_study(study)[PAGE_FILE].decode()
    )
