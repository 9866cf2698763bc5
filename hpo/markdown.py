"""Markdown: text from data as code, and notes that people may add to."""

import re


def code(value: object) -> str:
    """Text of the data's as code, on one line: nothing in it is taken as Markdown or HTML."""
    text = " ".join(str(value).split()).replace("`", "'").replace("|", "\\|")
    return f"`{text or ' '}`"


def escape(text: str) -> str:
    """A sentence with words of the data's in it: shown as it is, nothing taken as Markdown."""
    return re.sub(r"([\\`*_\[\]<>|&~$])", r"\\\1", text)


_LINE = "\n\n---\n_Written by hpo. What you write below this line stays._\n"


def merge_note(text: str, present: str = "") -> str:
    """Merge a note with what a person wrote below the line of the present one.

    A present note without the line is a person's own and stays as it is.
    """
    _, line, below = present.partition(_LINE)
    return present if present and not line else text + _LINE + below
