"""Makes the README's pictures from a real run: ``python -m tests.browser.pictures``, from a
checkout.

Both pages in Debian's Chromium, and what the command prints, drawn by rich. Each is a PNG below 150
kB.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect
from rich.console import Console
from rich.text import Text

from tests.support.commands import run_hpo_well
from tests.support.servers import serving_pages

from .browsing import open_page, running_browser

PICTURES = Path(__file__).parent / "pictures"
COMMAND = ("--trials", "50")
COLUMNS = 130
SIZE = {"width": 1280, "height": 800}
MAX_BYTES = 150_000


def main(directory: Path) -> None:
    """Run the built-in study in an empty directory and take the pictures."""
    report = run_hpo_well(directory, *COMMAND, timeout=600)
    with serving_pages(directory) as (mlflow, dashboard):
        take(report, mlflow, dashboard)


def take(report: str, mlflow: str, dashboard: str) -> None:
    """Take the pictures of a run whose pages are served."""
    PICTURES.mkdir(exist_ok=True)
    with running_browser() as browser:
        picture_terminal(browser, report)
        with open_page(browser) as page:
            page.set_viewport_size(SIZE)
            page.goto(mlflow + re.search(r"http://127\.0\.0\.1:5000(/#/\S+)", report).group(1))
            expect(page.locator(".js-plotly-plot").first).to_be_visible()
            # MLflow's own banner and panel, which a visitor closes once.
            page.get_by_role("button", name="Hide banner").click()
            page.get_by_role("button", name="Close").last.click()
            save(page, "mlflow")
        with open_page(browser) as page:
            page.set_viewport_size(SIZE)
            page.goto(f"{dashboard}/dashboard/studies/1")
            expect(page.get_by_text("Hyperparameter Importance")).to_be_visible()
            expect(page.locator(".js-plotly-plot").first).to_be_visible()
            save(page, "dashboard")
            page.goto(f"{dashboard}/dashboard/studies/1/note")
            expect(page.get_by_text("All trials compared in MLflow")).to_be_visible()
            save(page, "note", height=400)


def picture_terminal(browser: Browser, report: str) -> None:
    """The command and its report, as a terminal of a fixed width shows them."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ python -m hpo.run {' '.join(COMMAND)}\n{report.rstrip()}"))
    with browser.new_context(viewport={"width": 1100, "height": 500}) as visitor:
        page = visitor.new_page()
        page.set_content(console.export_svg(title="hpo"))
        check(page.locator("svg").first.screenshot(), "terminal")


def save(page: Page, name: str, height: int = SIZE["height"]) -> None:
    """A picture of what is in the window, when its charts have come to rest."""
    page.wait_for_timeout(2000)
    clip = {"x": 0, "y": 0, "width": SIZE["width"], "height": height}
    check(page.screenshot(clip=clip), name)


def check(picture: bytes, name: str) -> None:
    """Write a picture in few colours; one that is still too large for a README ends the script."""
    path = PICTURES / f"{name}.png"
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(128).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
    if path.stat().st_size > MAX_BYTES:
        sys.exit(f"{path.name} is larger than {MAX_BYTES / 1000:.0f} kB: make its window smaller")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="hpo-pictures-") as name:
        main(Path(name))
