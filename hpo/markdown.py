"""Markdown: text from data as code, and notes that people may add to."""

import re


def code(value: object) -> str:
    """Format text from data as code, on one line: none of it is taken as Markdown or HTML."""
    text = " ".join(str(value).split()).replace("`", "'").replace("|", "\\|")
    return f"`{text or ' '}`"


def escape(text: str) -> str:
    """Escape a sentence that quotes data: none of it is taken as Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<>|&~$])", r"\\\1", text)


_LINE = "\n\n---\n_Written by hpo. What you write below this line stays._\n"


def merge_note(text: str, present: str = "") -> str:
    """Merge a note with what a person wrote below the line of the present one.

    A present note without the line is a person's own and stays as it is.
    """
    _, line, below = present.partition(_LINE)
    return present if present and not line else text + _LINE + below
