"""Prints: results on standard output, everything else on standard error."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hpo.errors import HpoError, InputError


def say(line: str) -> None:
    """Print a line for a person on standard error."""
    print(f"hpo: {line}", file=sys.stderr)


def print_error(error: HpoError, *, as_json: bool = False) -> int:
    """Print an error and its hint.

    Returns:
        The error's exit code.
    """
    if as_json:
        print(json.dumps(error.to_json()))
    say_error(error)
    return error.exit_code


def say_error(error: HpoError) -> None:
    """Print an error and its hint, as one line for a person."""
    say(str(error) + (f" ({error.hint})" if error.hint else ""))


def print_json(content: object) -> None:
    """Print JSON on standard output, on one line."""
    print_text(json.dumps(content))


def print_text(text: str) -> None:
    """Print a text on standard output."""
    with until_reader_leaves():
        print(text)


def print_result(content: object, text: str, *, as_json: bool) -> None:
    """Print a result: one JSON object, a table on a terminal, the same facts as lines elsewhere."""
    if sys.stdout.isatty() and not as_json:
        from hpo.commands.terminal import print_table
        from hpo.results.result import split_report

        print_table(split_report(text))
    elif as_json:
        print_json(content)
    else:
        print_text(text)


def ask(question: str) -> bool:
    """Ask a person on standard error; anything but yes is no.

    Raises:
        InputError: Nobody can answer: standard input is no terminal.
    """
    if not sys.stdin.isatty():
        raise InputError("this asks first, and standard input is no terminal", hint="give --yes")
    print(f"hpo: {question}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@contextmanager
def until_reader_leaves() -> Iterator[None]:
    """Write to standard output until its reader (``head``) has had enough."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes once more when it ends: that goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
