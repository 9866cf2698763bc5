"""Notes in Markdown that a program writes anew and people add to: on MLflow's runs and in optuna-dashboard."""

from __future__ import annotations

_LINE = "\n\n---\n_Written by hpo. What you write below this line stays._\n"


def merge_note(text: str, present: str) -> str:
    """A note as it is to stand: the text, then what a person wrote below the line of the present note.

    A present note without the line is a person's own and stays as it is.
    """
    _, line, below = present.partition(_LINE)
    return present if present and not line else text + _LINE + below


def link(text: str, address: str) -> str:
    """A link; brackets in its text would end it."""
    return f"[{text}]({address})"
