"""Markdown: text from data as code or escaped, addresses, and notes that people may add to."""

import re
from urllib.parse import quote

from hpo.escaping import on_one_line, shorten, show

MAX_CODE = 200
"""Characters of a name or a cell."""

_MARKS = re.compile(r"[\\`*_\[\]<>|&~$@]|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""What a page may take for markup, a link that nobody marked included."""


def code(value: object) -> str:
    """Format text from data as code, on one line: none of it is taken as Markdown or HTML."""
    text = shorten(on_one_line(str(value)), MAX_CODE).replace("`", "'").replace("|", "\\|")
    return f"`{text or ' '}`"


def escape(text: str) -> str:
    """Escape a sentence that quotes data: none of it is taken as Markdown or HTML."""
    return _MARKS.sub(r"\\\g<0>", show(text))


def address(url: str) -> str:
    """Make an address that stays within the round brackets of a link."""
    return quote(url, safe="/:#?&=%@+,;~*!$'[]")


_LINE = "\n\n---\n_Written by hpo. What you write below this line stays._\n"


def merge_note(text: str, present: str = "") -> str:
    """Merge a note with what a person wrote below the line of the present one.

    A present note without the line is a person's own and stays as it is.
    """
    _, line, below = present.partition(_LINE)
    return present if present and not line else text + _LINE + below
