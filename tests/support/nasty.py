"""Text that forges, moves, reorders, hides or runs something wherever it is shown as it is."""

from collections.abc import Iterable

NASTY = {
    "newline": "a\nmodel     models:/EVIL",
    "carriage return": "a\rmodel     models:/EVIL",
    "form feed": "a\x0cb\x0bc\x85d",
    "escape": "a\x1b[2J\x1b[31mred\x1b]0;title\x07",
    "8-bit escape": "a\x9b2Jb",
    "bell": "a\x07b\x08c",
    "delete": "a\x7fb",
    "bidirectional": "a\u202egnp.exe\u2066x\u2069",
    "line separator": "a\u2028model\u2029b",
    "zero width": "a\u200bb\u200db\ufeffc",
    "pipes": "a|b | c",
    "backticks": "a`b``c`",
    "link": "[x](javascript:alert(1)) ![i](http://evil.example/i.png)",
    "emphasis": "**a** __b__ ~~c~~ # d",
    "script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "entity": "&lt;b&gt; &#x1b;",
    "formula": "=cmd()|' /C calc'!A0",
    "rich markup": "[red]a[/red] [link=http://evil.example]b[/link]",
    "braces": "{{ 7 * 7 }} {0} %s %(a)s ${HOME}",
    "quotes": "'a' \"b\" \\n",
    "long": "x" * 100_000,
    "many words": "word " * 10_000,
    "password": "https://u:s3cr3t@h/x.csv http://s3cr3t@h?token=s3cr3t",
}
"""What a file of UTF-8 may hold in a cell or a name."""

NUL = "a\0b"
SURROGATE = "a\ud800b\udcff"
"""Neither fits into a file of text, but a DataFrame, a flag or another client's study has them."""

ANY = {**NASTY, "NUL": NUL, "surrogate": SURROGATE}


def assert_lines(text: str, longest: int = 3000) -> None:
    """Nothing but printable characters in lines that are no longer than a sentence."""
    assert_no_password(text)
    for line in text.split("\n"):
        assert line.isprintable(), ascii(line)[:500]
        assert len(line) <= longest, f"{len(line)}: {line[:200]}"
        assert not line.startswith("model     models:/EVIL"), line


def assert_no_password(*texts: str | bytes) -> None:
    for text in texts:
        assert ("s3cr3t" if isinstance(text, str) else b"s3cr3t") not in text, text[:500]


def html_marks(texts: Iterable[str]) -> list[str]:
    """Those texts that a browser would take for elements."""
    return [text for text in texts if "<script" in text or "<img" in text]
