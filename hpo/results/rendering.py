"""Texts whose words stand in files beside this module: reports, model cards, dashboard notes."""

from pathlib import Path
from typing import Any

import jinja2

from hpo.markdown import code, escape
from hpo.progress import format_duration


def render(template: str, **values: Any) -> str:
    """The text of a template; its last line has no end. What goes into HTML is escaped."""
    return _TEMPLATES.get_template(template).render(values)


_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=jinja2.StrictUndefined,
    autoescape=jinja2.select_autoescape(["html.jinja"], default=False),
)
_TEMPLATES.globals["code"] = code
_TEMPLATES.filters["markdown"] = escape
_TEMPLATES.filters["duration"] = format_duration
