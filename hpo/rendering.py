"""Texts whose words stand in a file beside this module: reports, cards, notes, and the view that MLflow's comparison opens."""

from pathlib import Path
from typing import Any

import jinja2


def render(template: str, **values: Any) -> str:
    """The text of a template; its last line has no end. What goes into HTML is escaped."""
    return _TEMPLATES.get_template(template).render(values)


def code(value: object) -> str:
    """Text of the data's as code, on one line: nothing in it is taken as Markdown or HTML."""
    text = " ".join(str(value).split()).replace("`", "'").replace("|", "\\|")
    return f"`{text or ' '}`"


_LINE = "\n\n---\n_Written by hpo. What you write below this line stays._\n"


def merge_note(text: str, present: str = "") -> str:
    """A note as it is to stand: the text, then what a person wrote below the line of the present note.

    A present note without the line is a person's own and stays as it is.
    """
    _, line, below = present.partition(_LINE)
    return present if present and not line else text + _LINE + below


_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=jinja2.StrictUndefined,
    autoescape=jinja2.select_autoescape(["html.jinja"], default=False),
)
_TEMPLATES.globals["code"] = code
