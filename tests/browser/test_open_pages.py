"""Pages that are open before and during a run, and with many trials."""

import time
from pathlib import Path

from hypothesis import settings
from playwright.sync_api import Browser, Page, expect

from tests.support.checker import check_stores, trial_table
from tests.support.commands import COMMAND_SECONDS, start_hpo, wait_until
from tests.support.here import run_here_well
from tests.support.servers import serving_pages
from tests.support.stores import count_finished_runs, count_told, stores_of

from .browsing import open_page
from .conftest import Pages

N_TRIALS = 12
MANY = 120 if settings.default.derandomize else 1000
"""Trials; ``-s --hypothesis-profile=explore`` says how long a thousand take to be shown."""
MANY_FILE = f"""
[study]
name = "many"
n_trials = {MANY}
[cv]
n_splits = 2
[sampler]
kind = "random"
[search_space]
penalty = "l2"
class_weight = "none"
"""


def test_pages_that_are_open_disturb_nothing(
    page: Page, browser: Browser, pages: Pages, tmp_path: Path
) -> None:
    """Both pages from before there is a study, looked at before, during and after its run."""
    with serving_pages(tmp_path) as (mlflow, dashboard), open_page(browser) as other:
        page.goto(f"{dashboard}/dashboard")
        expect(page.get_by_role("button", name="Create")).to_be_visible()
        other.goto(mlflow)
        process = start_hpo(tmp_path, "--trials", str(N_TRIALS))
        wait_until(lambda: count_told(tmp_path) >= 3, process)
        page.goto(f"{dashboard}/dashboard/studies/1/note")
        expect(page.get_by_text("120 training rows, 4 numeric columns")).to_be_visible()
        page.goto(f"{dashboard}/dashboard/studies/1/trials")
        expect(page.get_by_role("heading", name="Trial 0 (trial_id=1)")).to_be_visible()
        wait_until(lambda: count_finished_runs(tmp_path / "mlflow.db") >= 1, process)
        other.goto(f"{mlflow}/#/experiments/1/runs?workflowType=machine_learning")
        expect(other.get_by_role("link", name="iris", exact=True).last).to_be_visible()
        stdout, stderr = process.communicate(timeout=COMMAND_SECONDS)
        assert (process.returncode, stderr) == (0, ""), stdout
        other.reload()
        expect(other.get_by_text(f"{N_TRIALS + 1} matching runs")).to_be_visible()
        page.reload()
        expect(page.get_by_text(f"{N_TRIALS} Trials")).to_be_visible()
    stores = stores_of(tmp_path)
    check_stores(**stores, n_trials=N_TRIALS)
    finished_table = trial_table(stores_of(pages.directory)["storage"])
    assert trial_table(stores["storage"]) == finished_table[:N_TRIALS]


def test_many_trials_are_shown(page: Page, directory: Path) -> None:
    (directory / "many.toml").write_text(MANY_FILE, encoding="utf-8")
    started = time.perf_counter()
    run_here_well(directory, "--study", "many.toml", "--quiet")
    print(f"{MANY} trials in {time.perf_counter() - started:.1f} s")
    with serving_pages(directory) as (mlflow, dashboard):
        started = time.perf_counter()
        page.goto(f"{dashboard}/dashboard/studies/1/trials?numbers={MANY - 1}")
        expect(page.get_by_role("heading", name=f"Trial {MANY - 1} (")).to_be_visible()
        expect(page.get_by_role("link", name="Run in MLflow")).to_be_visible()
        print(f"optuna-dashboard's first trial after {time.perf_counter() - started:.1f} s")
        started = time.perf_counter()
        page.goto(f"{mlflow}/#/experiments/1/runs?workflowType=machine_learning")
        # MLflow loads a hundred at a time, and their parent.
        expect(page.get_by_text("101 matching runs")).to_be_visible()
        print(f"MLflow's first table after {time.perf_counter() - started:.1f} s")
        view = page.request.get(
            f"{mlflow}/ajax-api/2.0/mlflow/experiments/get?experiment_id=1"
        ).json()
        key = next(
            tag["key"]
            for tag in view["experiment"]["tags"]
            if tag["key"].startswith("mlflow.sharedViewState.")
        )
        started = time.perf_counter()
        page.goto(
            f"{mlflow}/#/experiments/1/runs?workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey={key.rpartition('.')[2]}"
        )
        expect(page.get_by_text("Study many").first).to_be_visible()
        expect(page.locator(".js-plotly-plot").first).to_be_visible()
        print(f"MLflow's comparison after {time.perf_counter() - started:.1f} s")
