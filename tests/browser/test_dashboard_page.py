"""``optuna-dashboard``: the notes, and the way to MLflow."""

import re

from playwright.sync_api import Page, expect

from .browsing import target_of
from .conftest import N_TRIALS, Pages


def open_trial(page: Page, pages: Pages, number: int) -> None:
    page.goto(f"{pages.dashboard}/dashboard/studies/1/trials?numbers={number}")
    expect(
        page.get_by_role("heading", name=f"Trial {number} (trial_id={number + 1})")
    ).to_be_visible()


def test_studies_are_listed(page: Page, pages: Pages) -> None:
    page.goto(f"{pages.dashboard}/dashboard")
    expect(page.get_by_text("1. iris")).to_be_visible()
    expect(page.get_by_text("MAXIMIZE")).to_be_visible()


def test_the_axis_has_the_metrics_name(page: Page, pages: Pages) -> None:
    page.goto(f"{pages.dashboard}/dashboard/studies/1")
    expect(page.locator(".ytitle").get_by_text("accuracy").first).to_be_attached()


def test_the_studys_note_says_what_came_of_it_and_leads_to_the_comparison(
    page: Page, pages: Pages
) -> None:
    page.goto(f"{pages.dashboard}/dashboard/studies/1/note")
    expect(page.get_by_text("120 training rows, 4 numeric columns")).to_be_visible()
    expect(page.get_by_text(f"Best: trial {pages.best}")).to_be_visible()
    expect(page.get_by_text("own best trial may be another one")).to_be_visible()
    page.goto(
        target_of(page.get_by_role("link", name="All trials compared in MLflow"), pages.mlflow)
    )
    expect(page.get_by_text(f"{N_TRIALS} matching runs")).to_be_visible()


def test_notable_trials_say_why_they_are(page: Page, pages: Pages) -> None:
    open_trial(page, pages, pages.best)
    expect(
        page.get_by_text("Best trial: the final model is fitted with its params.")
    ).to_be_visible()
    open_trial(page, pages, 0)
    expect(page.get_by_text("Baseline: scikit-learn's defaults.")).to_be_visible()
    expect(page.get_by_text("accuracy 0.9500 ± 0.0312")).to_be_visible()


def test_a_trial_leads_to_its_run(page: Page, pages: Pages) -> None:
    for number in (3, N_TRIALS - 1):
        open_trial(page, pages, number)
        page.goto(target_of(page.get_by_role("link", name="Run in MLflow"), pages.mlflow))
        expect(page.get_by_role("heading", name=f"trial-{number:04d}")).to_be_visible()


def test_fold_scores_are_intermediate_values(page: Page, pages: Pages) -> None:
    open_trial(page, pages, 3)
    expect(page.get_by_text("Intermediate Values", exact=True)).to_be_visible()
    shown = page.get_by_text(re.compile(r"^[0-4] [01](\.\d+)?$"))
    expect(shown).to_have_count(5)
    scores = dict(map(float, text.split()) for text in shown.all_inner_texts())
    assert scores == pages.picture.trials[3].intermediate_values
