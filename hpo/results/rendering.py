"""Texts whose words stand in files beside this module: reports, model cards, dashboard notes.

A template's own words stay as they are; every value in it is escaped for the template's medium,
which its name ends with. ``code``, ``address`` and ``safe`` are for what is Markdown already.
"""

from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from hpo import markdown
from hpo.escaping import name, quote, show
from hpo.progress import format_duration
from hpo.search_space import describe_entry


def render(template: str, **values: Any) -> str:
    """The text of a template; its last line has no end."""
    environment = next(each for end, each in _ENVIRONMENTS.items() if template.endswith(end))
    return str(environment.get_template(template).render(values))


def _as_text(value: object) -> str:
    return show(str(value))


def _as_markdown(value: object) -> Markup:
    return value if isinstance(value, Markup) else Markup(markdown.escape(str(value)))  # noqa: S704


def _make_environment(**options: Any) -> jinja2.Environment:
    environment = jinja2.Environment(  # noqa: S701 - a text has no HTML; the others escape
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        **options,
    )
    environment.globals["code"] = lambda value: Markup(markdown.code(value))  # noqa: S704
    environment.filters["address"] = lambda url: Markup(markdown.address(url))  # noqa: S704
    environment.filters["quote"] = quote
    environment.filters["short"] = name
    environment.filters["searched"] = describe_entry
    environment.filters["duration"] = format_duration
    return environment


_ENVIRONMENTS = {
    ".txt.jinja": _make_environment(finalize=_as_text),
    # Autoescape tells a macro's text, which is Markdown, from a value's.
    ".md.jinja": _make_environment(finalize=_as_markdown, autoescape=True),
    ".html.jinja": _make_environment(autoescape=True),
}
