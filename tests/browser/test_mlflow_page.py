"""``mlflow ui``: the study read from the top down."""

import re

from playwright.sync_api import Page, expect

from .browsing import target_of
from .conftest import N_TRIALS, Pages


def comparison_of(report: str) -> str:
    """The address that the report gives, without its server."""
    return re.search(r"http://127\.0\.0\.1:5000(/#/\S+)", report).group(1)


def test_the_reports_link_opens_the_comparison_of_all_trials(page: Page, pages: Pages) -> None:
    page.goto(pages.mlflow + comparison_of(pages.report))
    expect(page.get_by_text(f"{N_TRIALS} matching runs")).to_be_visible()
    expect(page.get_by_role("button", name="iris: all trials")).to_be_visible()
    expect(page.get_by_text("Study iris").first).to_be_visible()
    for title in ("Parallel Coordinates", "trial_number vs", "cv_accuracy_std vs"):
        expect(page.get_by_text(title).first).to_be_visible()
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    names = page.get_by_role("link", name=re.compile(r"^trial-\d{4}$"))
    expect(names.first).to_be_visible()
    scores = {
        f"trial-{number:04d}": run.data.metrics["cv_accuracy_mean"]
        for number, run in pages.picture.children.items()
    }
    shown = [scores[name] for name in names.all_inner_texts()]
    assert shown == sorted(shown, reverse=True)
    assert shown[0] == max(scores.values())


def test_the_comparison_as_a_table_has_the_columns_that_count(page: Page, pages: Pages) -> None:
    page.goto(pages.mlflow + comparison_of(pages.report).replace("CHART", "TABLE"))
    for column in ("cv_accuracy_mean", "cv_accuracy_std", "penalty"):
        expect(
            page.get_by_role("columnheader")
            .get_by_text(column, exact=True)
            .or_(page.get_by_text(column))
            .first
        ).to_be_attached()
    expect(page.get_by_text("0.975", exact=True).first).to_be_visible()


def test_the_runs_are_in_the_model_training_view_with_one_parent(page: Page, pages: Pages) -> None:
    page.goto(f"{pages.experiment}/runs?workflowType=machine_learning")
    expect(page.get_by_text(f"{N_TRIALS + 1} matching runs")).to_be_visible()
    expect(page.get_by_role("link", name="iris", exact=True).last).to_be_visible()
    expect(page.get_by_text("Agent versions")).to_have_count(0)
    expect(page.get_by_role("button", name="Views")).to_be_visible()


def test_the_parent_says_what_came_of_it_and_leads_on(page: Page, pages: Pages) -> None:
    page.goto(pages.parent)
    expect(page.get_by_text(f"Best: trial {pages.best}")).to_be_visible()
    expect(
        page.get_by_text(
            re.compile("Gain: .* held-out rows: not measurably different from the defaults")
        )
    ).to_be_attached()
    expect(page.get_by_text("Logged models (1)")).to_be_attached()
    expect(page.get_by_text(re.compile(r"^iris \(5da406"))).not_to_have_count(0)
    comparison = target_of(page.get_by_role("link", name="All trials compared"), pages.mlflow)
    best = target_of(page.get_by_role("link", name="best trial"), pages.mlflow)
    dashboard = target_of(
        page.get_by_role("link", name="the study in optuna-dashboard"), pages.dashboard
    )
    assert comparison == pages.mlflow + comparison_of(pages.report)
    page.goto(best)
    expect(page.get_by_role("heading", name=f"trial-{pages.best:04d}")).to_be_visible()
    page.goto(dashboard)
    expect(page.get_by_text("iris (id=1)")).to_be_visible()


def test_the_best_score_so_far_is_a_line_by_trial(page: Page, pages: Pages) -> None:
    page.goto(pages.parent.replace("?", "/model-metrics?"))
    expect(page.get_by_text("iris (best_cv_accuracy_mean)").first).to_be_visible()
    expect(page.locator(".js-plotly-plot").first).to_be_visible()


def test_a_trial_leads_to_itself_in_the_dashboard(page: Page, pages: Pages) -> None:
    run = pages.picture.children[7]
    page.goto(f"{pages.experiment}/runs/{run.info.run_id}?workflowType=machine_learning")
    page.goto(
        target_of(page.get_by_role("link", name="Trial 7 in optuna-dashboard"), pages.dashboard)
    )
    expect(page.get_by_role("heading", name="Trial 7 (trial_id=8)")).to_be_visible()


def test_the_model_names_its_run_and_its_data(page: Page, pages: Pages) -> None:
    page.goto(
        f"{pages.experiment}/models/{pages.picture.model.model_id}?workflowType=machine_learning"
    )
    expect(
        page.get_by_role("heading", name=re.compile("^model( Not registered)?$"))
    ).to_be_visible()
    expect(page.get_by_text("Ready", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="iris", exact=True).first).to_be_visible()
    expect(page.get_by_text("test_accuracy").first).to_be_visible()
