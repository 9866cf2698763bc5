"""Prints: results on standard output, everything else on standard error.

Whatever is printed is escaped here, and what a stream's encoding does not have is written in ASCII.
Results that cannot be written are an error; lines for a person that cannot be are lost.
"""

import codecs
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from hpo.errors import HpoError, InputError, first_line
from hpo.escaping import hide_passwords, on_one_line, show

if TYPE_CHECKING:
    import pandas as pd

_IN_ASCII = {"±": "+-", "─": "-", "…": "...", "·": "-"}


def prepare_output() -> None:
    """Make both streams take all text; call it before anything is printed.

    A stream that was closed when the process started goes nowhere: else the first file that is
    opened would get its number, and what is printed.
    """
    codecs.register_error("hpo", _write_in_ascii)
    for descriptor in range(3):
        with suppress(OSError):
            os.fstat(descriptor)
            continue
        _send_nowhere(descriptor)
    if sys.stderr is None:  # print would take standard output in its place
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        _set_fallback(stream, "hpo")


def say(line: str) -> None:
    """Print a line for a person on standard error."""
    say_lines([f"hpo: {on_one_line(line)}"])


def say_lines(lines: Iterable[str]) -> None:
    """Print lines on standard error; where it is full or closed, nobody reads them."""
    text = "\n".join(map(show, lines))
    try:
        print(text, file=sys.stderr, flush=True)
    except RuntimeError:  # this answers a signal that came while another line was written
        _write_past_buffer(f"{text}\n")
    except OSError:
        _send_nowhere(sys.stderr.fileno())


def print_error(error: HpoError, *, as_json: bool = False) -> int:
    """Print an error and its hint.

    Returns:
        The error's exit code.
    """
    if as_json:
        with suppress(HpoError):  # the line that follows says it
            print_json(error.to_json())
    say_error(error)
    return error.exit_code


def say_error(error: HpoError) -> None:
    """Print an error and its hint, as one line for a person."""
    say(str(error) + (f" ({error.hint})" if error.hint else ""))


def print_json(content: object) -> None:
    """Print JSON on standard output, on one line."""
    with writing_output() as output:
        print(json.dumps(_without_passwords(content)), file=output)


def print_csv(table: "pd.DataFrame") -> None:
    """Print a table as CSV: for a program as it is, for a person escaped.

    Raises:
        HpoError: Standard output is full or closed, or its encoding does not have what is written.
    """
    from hpo.data.tables import write_table

    with writing_output() as output:
        if output.isatty():
            table = table.map(_show_cell).rename(columns=_show_cell)
        else:
            _set_fallback(output, "strict")
        write_table(table, output)


def print_text(text: str) -> None:
    """Print a text on standard output."""
    with writing_output() as output:
        print(*map(show, text.split("\n")), sep="\n", file=output)


def align(rows: Sequence[tuple[str, ...]]) -> str:
    """Align columns; one that has nothing but its header is left out."""
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    wide = [[cell.ljust(max(map(len, column))) for cell in column] for column in columns]
    return "\n".join("  ".join(cells).rstrip() for cells in zip(*wide, strict=True))


def print_result(content: object, text: str, *, as_json: bool) -> None:
    """Print a result: one JSON object, a table on a terminal, the same facts as lines elsewhere."""
    if as_json:
        print_json(content)
    elif sys.stdout is not None and sys.stdout.isatty():
        from hpo.commands.terminal import print_table
        from hpo.results.result import split_report

        with writing_output():
            print_table(split_report(text))
    else:
        print_text(text)


def ask(question: str) -> bool:
    """Ask a person on standard error; anything but yes is no.

    Raises:
        InputError: Nobody can answer: standard input is no terminal.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise InputError("this asks first, and standard input is no terminal", hint="give --yes")
    print(f"hpo: {on_one_line(question)}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@contextmanager
def writing_output() -> Iterator[IO[str]]:
    """Write to standard output until its reader (``head``) has had enough.

    Raises:
        HpoError: It is full or closed.
    """
    try:
        if sys.stdout is None:
            raise OSError("it is closed")  # noqa: TRY301 - as if writing had said so
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        _send_nowhere(sys.stdout.fileno())
    except UnicodeEncodeError as error:
        raise HpoError(
            f"standard output is {error.encoding}, which lacks some of what is written",
            hint="set PYTHONIOENCODING=utf-8, or name a file",
        ) from error
    except OSError as error:
        if sys.stdout is not None:
            _send_nowhere(sys.stdout.fileno())
        raise HpoError(
            f"standard output cannot be written: {error.strerror or first_line(error)}",
            hint="the same command prints it again: what is finished is kept",
        ) from error


def _set_fallback(stream: object, errors: str) -> None:
    """Say what becomes of text that a stream's encoding does not have."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=errors)


def _show_cell(cell: object) -> object:
    return show(cell) if isinstance(cell, str) else cell


def _without_passwords(content: object) -> object:
    if isinstance(content, str):
        return hide_passwords(content)
    if isinstance(content, Mapping):
        return {key: _without_passwords(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_passwords(value) for value in content]
    return content


def _write_past_buffer(text: str) -> None:
    stream = sys.stderr
    with suppress(OSError):
        os.write(stream.fileno(), text.encode(stream.encoding, stream.errors or "replace"))


def _send_nowhere(descriptor: int) -> None:
    """Lead a stream to the null device; the interpreter flushes once more when it ends."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)


def _write_in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Replace what an encoding does not have: an error handler of ``codecs``."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    return "".join(_IN_ASCII.get(mark) or ascii(mark)[1:-1] for mark in text), error.end
