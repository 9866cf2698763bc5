"""Text from outside as one line that is safe to show: no control characters, no passwords.

Data, study files, the environment and servers may hold anything. What a terminal, a log or a tag
shows of them goes through :func:`on_one_line`, or line by line through :func:`show`; Markdown,
HTML and CSV have marks of their own (``hpo.markdown``, Jinja's autoescape, :func:`make_harmless`).
"""

import re
from typing import Any

FORMULA_MARKS = tuple("=+-@\t\r\n\0＝＋－＠")  # noqa: RUF001 - full-width on purpose

MAX_LINE = 2000
"""Characters of a line; what is longer is a cell or a name, not a sentence."""

MAX_QUOTED = 80
"""Characters of a cell or a name within a sentence."""


def on_one_line(text: str) -> str:
    """Show a text as one line: blanks and line ends become single blanks."""
    return shorten(show(" ".join(text.split())), MAX_LINE)


def show(text: str) -> str:
    """Escape what moves the cursor, reorders text or is not seen, and hide passwords of URLs.

    Line ends become blanks; all other blanks stay.
    """
    line = hide_passwords(text)
    return line if line.isprintable() else "".join(map(_show_mark, line))


def quote(value: object) -> str:
    """Quote a cell or a name for a sentence."""
    return f"'{name(value)}'"


def name(value: object) -> str:
    """Show a cell or a name that stands in a list of such."""
    return shorten(on_one_line(str(value)), MAX_QUOTED)


def shorten(text: str, most: int) -> str:
    """Leave out the middle of a text that is longer than ``most`` characters."""
    head = most // 2
    return text if len(text) <= most else f"{text[:head]}…{text[head + 1 - most :]}"


def is_utf8(text: str) -> bool:
    """Whether a text can be stored: bytes that were no text became halves of characters."""
    return text.isascii() or text == as_utf8(text)


def as_utf8(text: str) -> str:
    """Escape what no file and no database can hold."""
    return text.encode("utf-8", "backslashreplace").decode()


def make_harmless(cell: Any) -> Any:
    """Make a cell that a file of text can hold, and that a spreadsheet shows and does not run.

    Values that are no text stay as they are. The marks, full-width ones too, are those of
    https://owasp.org/www-community/attacks/CSV_Injection.
    """
    if not isinstance(cell, str):
        return cell
    text = as_utf8(cell)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_MARKS) else text


def hide_password(url: str) -> str:
    """Give the URL with its password replaced by ``***``, for printing.

    Works on any text, since error lines print URLs that are not valid. Of a web address what stands
    alone before the ``@`` is a token; of a database it is the user.
    """
    scheme, separator, rest = _split(url)
    # A password may itself hold "/" or "@": the credentials end at the last "@".
    credentials, at, place = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    if _SECRET_KEYS.search(credentials):
        place = "***"  # the last "@" may belong to a password in the query
    if at and not colon and scheme.lower().endswith(("http", "https")):
        user = "***"
    return _SECRET_KEYS.sub(
        r"\1***", f"{scheme}{separator}{user}{':***' if colon else ''}{at}{place}"
    )


def hide_passwords(text: str) -> str:
    """Hide the password of every URL in a text; a URL ends at a blank."""
    return _URL.sub(lambda url: hide_password(url[0]), text) if ":/" in text else text


def _split(url: str) -> tuple[str, str, str]:
    """Scheme, separator and the rest; a path library makes one slash of two."""
    return url.partition("://" if "://" in url else ":/")


def _show_mark(mark: str) -> str:
    if mark.isprintable():
        return mark
    return " " if mark.isspace() else ascii(mark)[1:-1]


# From the start of a word alone: else a long one takes the square of its length.
_URL = re.compile(r"(?<![a-z0-9+.-])[a-z0-9+.-]+:/\S+", re.IGNORECASE)
_SECRET_KEYS = re.compile(
    r"([?&][^=&]*(?:password|passwd|pwd|token|secret|signature|credential|api_?key|access_?key)=)"
    r"(?!\*{3})[^&]*",
    re.IGNORECASE,
)
