"""One finished run, both pages of it and one browser a session, which under xdist is a worker's."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.support.checker import Picture, read_stores
from tests.support.here import run_here_well
from tests.support.servers import serving_pages
from tests.support.stores import stores_of

from .browsing import open_page, running_browser

N_TRIALS = 30


@dataclass(frozen=True)
class Pages:
    """A study and where its pages are served."""

    directory: Path
    mlflow: str
    dashboard: str
    report: str
    picture: Picture

    @property
    def experiment(self) -> str:
        return f"{self.mlflow}/#/experiments/{self.picture.experiment.experiment_id}"

    @property
    def parent(self) -> str:
        return f"{self.experiment}/runs/{self.picture.parent.info.run_id}?workflowType=machine_learning"

    @property
    def best(self) -> int:
        return int(self.picture.parent.data.tags["hpo.best_trial"])


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with running_browser() as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with open_page(browser) as opened:
        yield opened


@pytest.fixture(scope="session")
def pages(browser: Browser, make_directory: Callable[[str], Path]) -> Iterator[Pages]:  # noqa: ARG001 - no browser, no run
    """For tests that only read."""
    directory = make_directory("pages")
    report = run_here_well(directory, "--trials", str(N_TRIALS))
    with serving_pages(directory) as (mlflow, dashboard):
        yield Pages(directory, mlflow, dashboard, report, read_stores(**stores_of(directory)))
