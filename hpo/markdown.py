"""Markdown that hpo writes where people write too: text of the data's as code, and notes with a line below which theirs stands."""


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
