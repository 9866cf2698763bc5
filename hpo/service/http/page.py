"""The page at ``/``: all studies, each a row, live.

The server makes every row, from one template and escaped there; the script puts rows in their
places. A row is sent again when it has changed.
"""

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from hpo.progress import format_duration
from hpo.service.http.settings import HttpSettings
from hpo.service.status import State, StudyStatus

FOLDER = Path(__file__).parent
STATES: tuple[State, ...] = ("running", "queued", "failed", "cancelled", "done")
"""In the order of the page."""

WIDTH, HEIGHT = 120, 28
_MARGIN = 3


@dataclass(frozen=True)
class Page:
    """All rows of the page at one moment.

    Attributes:
        rows: Study to the HTML of its row, in the order of the page.
        counts: State to number of studies.
    """

    rows: dict[str, str]
    counts: dict[str, int]

    @property
    def versions(self) -> dict[str, str]:
        """Study to a digest of its row."""
        return {name: _digest(row) for name, row in self.rows.items()}

    @property
    def version(self) -> str:
        """A digest of all rows."""
        return _digest("".join(self.rows.values()))

    @property
    def summary(self) -> str:
        """How many studies are in each state, in words."""
        counted = [f"{count} {state}" for state, count in self.counts.items() if count]
        return ", ".join(counted) or "no studies yet"

    def changes_from(self, known: Mapping[str, str]) -> dict[str, Any]:
        """Give what a page has to do that knows these versions: the order, and the other rows."""
        changed = [row for name, row in self.rows.items() if known.get(name) != _digest(row)]
        return {
            "order": [row_id(name) for name in self.rows],
            "rows": "".join(changed),
            "summary": self.summary,
        }


class Drawer:
    """Draws pages; a row is drawn anew where its study has changed.

    Args:
        settings: Where browsers find the other two pages.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._drawn: dict[str, tuple[StudyStatus, str]] = {}

    def draw(self, studies: Sequence[StudyStatus]) -> Page:
        """Draw what runs first, then what waits, then what ended, the latest first."""
        drawn = dict[str, tuple[StudyStatus, str]]()
        for study in sorted(studies, key=_place):
            known, row = self._drawn.get(study.name, (None, ""))
            drawn[study.name] = (study, row if known == study else draw_row(study, self._settings))
        self._drawn = drawn
        counts = Counter(study.state for study in studies)
        rows = {name: row for name, (_, row) in drawn.items()}
        return Page(rows, {state: counts[state] for state in STATES})


def _place(study: StudyStatus) -> tuple[int, int, float]:
    if study.state in ("running", "queued"):
        return STATES.index(study.state), -study.priority, study.submitted_at
    return STATES.index(study.state), 0, -study.submitted_at


def render_page(page: Page, *, has_token: bool) -> str:
    """Make the whole page."""
    return _templates().get_template("page.html.jinja").render(page=page, has_token=has_token)


def render_login(*, was_wrong: bool) -> str:
    """Make the page that asks for the token."""
    return _templates().get_template("login.html.jinja").render(was_wrong=was_wrong)


def row_id(name: str) -> str:
    """The id of a study's row."""
    return f"study-{name}"


def draw_row(study: StudyStatus, settings: HttpSettings) -> str:
    """Make the HTML of a study's row."""
    row = _templates().get_template("row.html.jinja")
    return row.render(
        study=study,
        row_id=row_id(study.name),
        points=sparkline(study.values),
        links=find_links(study, settings),
    )


def find_links(study: StudyStatus, settings: HttpSettings) -> dict[str, str]:
    """Give the links into both pages, as a browser reaches them; none that is no web address."""
    found = {
        "MLflow": _public(study.mlflow_url, settings.mlflow_page),
        "dashboard": _public(study.dashboard_url, settings.dashboard_page),
    }
    return {name: url for name, url in found.items() if url.startswith(("http://", "https://"))}


def _public(url: str, page: str | None) -> str:
    """The address with another server in the place of the one that it names."""
    url = url.rpartition("->  ")[2]  # after the command that serves it
    if page is None or "://" not in url:
        return url
    path = url.partition("://")[2].partition("/")[2]
    return f"{page.rstrip('/')}/{path}"


def sparkline(values: Sequence[float]) -> str:
    """Give the points of a line through values, the least at the bottom; empty for none."""
    if not values:
        return ""
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 1, high + 1  # a flat line runs through the middle
    steps = max(1, len(values) - 1)
    points = [
        (
            _MARGIN + (WIDTH - 2 * _MARGIN) * index / steps,
            HEIGHT - _MARGIN - (HEIGHT - 2 * _MARGIN) * (value - low) / (high - low),
        )
        for index, value in enumerate(values if len(values) > 1 else (*values, *values))
    ]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _as_time(moment: float | str) -> str:
    """Show seconds since 1970, or what an ISO time says."""
    try:
        seen = (
            datetime.fromisoformat(moment)
            if isinstance(moment, str)
            else datetime.fromtimestamp(moment, UTC)
        )
    except ValueError:
        return str(moment)
    return seen.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _digest(row: str) -> str:
    return f"{zlib.crc32(row.encode()):08x}"


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["time"] = _as_time
    environment.filters["duration"] = format_duration
    environment.globals["sparkline_size"] = (WIDTH, HEIGHT)
    return environment
