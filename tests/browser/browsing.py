"""A browser, and pages in it that fail a test when their script does."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

WAIT_MS = 180_000
SIZE = {"width": 1600, "height": 1000}

expect.set_options(timeout=WAIT_MS)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Chromium for the length of a ``with`` block; a machine without it skips the test, or fails it
    in CI.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            "Debian's chromium is not on this machine"
        )
    with sync_playwright() as playwright:
        # Chromium refuses its sandbox to root.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(
            executable_path=chromium, args=[*sandbox, "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@contextmanager
def open_page(browser: Browser) -> Iterator[Page]:
    """A page of a new visitor's; an error of its script fails the test."""
    errors: list[str] = []
    with browser.new_context(viewport=SIZE) as visitor:
        page = visitor.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
    assert errors == []


def target_of(found: Locator, server: str) -> str:
    """Where a link leads, on the server that the test started instead of the default port."""
    address = found.get_attribute("href")
    assert address is not None
    return server + re.sub(
        r"^http://127\.0\.0\.1:\d+", "", address if address.startswith("http") else f"/{address}"
    )
