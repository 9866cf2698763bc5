"""Text from outside is one printable line, without passwords, whatever it holds."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from mlflow.utils.validation import _validate_param, _validate_tag

from hpo.data.tables import write_table
from hpo.errors import DataError
from hpo.escaping import MAX_LINE, hide_password, hide_passwords, on_one_line, quote, show
from hpo.markdown import MAX_CODE, address, code, escape
from hpo.results.drawing import NAME_LENGTH, shorten
from hpo.tracking.entities import PARAM_LENGTH, TAG_LENGTH, make_params, make_tags
from tests.support.nasty import ANY, assert_lines, assert_no_password

nasty = pytest.mark.parametrize("text", ANY.values(), ids=ANY)
GFM = MarkdownIt("gfm-like", {"linkify": False})


@nasty
def test_line_is_printable_and_no_longer_than_a_sentence(text):
    for line in (on_one_line(text), str(DataError(text)), str(DataError("x", hint=text).hint)):
        assert_lines(line)
        assert "\n" not in line
        assert len(line) <= MAX_LINE
    assert "\n" not in show(text)
    assert_lines(show(text), longest=len(text) + 20)
    assert len(quote(text)) <= 82
    assert len(shorten(text)) <= NAME_LENGTH
    assert_lines(shorten(text))


@given(st.text(st.characters()))
def test_any_text_is_printable_and_showing_twice_changes_nothing(text):
    assert show(text).isprintable()
    assert show(show(text)) == show(text)


def test_plain_text_stays_as_it_is():
    for text in ("Größe: 3 °C, 日本, 'x' \\n", "a  b", "models:/iris@champion", "a@b.example"):
        assert show(text) == text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://TOKEN@host/x", "http://***@host/x"),
        ("HTTPS://TOKEN@host", "HTTPS://***@host"),
        ("https:/u:SECRET@h/x.csv", "https:/u:***@h/x.csv"),
        ("s3:/id:SECRET@bucket", "s3:/id:***@bucket"),
        ("postgresql://me@db/optuna", "postgresql://me@db/optuna"),
        ("http://h/x?X-Amz-Signature=SECRET&a=1", "http://h/x?X-Amz-Signature=***&a=1"),
        ("http://h/#/runs?viewStateShareKey=hpo-1", "http://h/#/runs?viewStateShareKey=hpo-1"),
        ("models:/penguins@champion", "models:/penguins@champion"),
    ],
)
def test_what_is_hidden_of_an_address(url, shown):
    assert hide_password(url) == shown
    assert hide_passwords(f"see {url} and '{url}'").startswith(f"see {shown} and '")
    assert "SECRET" not in show(f"({url}), x={url}")
    assert "TOKEN" not in show(f"({url}), x={url}")


@nasty
def test_no_page_takes_text_for_markup(text):
    for marked in (code(text), escape(text), f"| a | b |\n| - | - |\n| {code(text)} | x |\n"):
        rendered = GFM.render(marked)
        for tag in ("<script", "<img", "<a ", "<strong", "<em", "<s>", "<h1", "<br"):
            assert tag not in rendered, rendered[:300]
        assert rendered.count("<td") in (0, 2)
        assert rendered.count("<p>") <= 1
        assert_lines(marked.rstrip("\n"), longest=len(show(text)) * 2 + 20)
    assert len(code(text)) <= 2 * MAX_CODE + 2


@pytest.mark.parametrize("text", ["[x](javascript:a)", "**a** `b` <b>", "a|b", "&lt;", "$x$ ~~c~~"])
def test_escaped_text_is_seen_as_it_is(text):
    (paragraph, *_) = [token for token in GFM.parse(escape(text)) if token.type == "inline"]
    assert "".join(child.content for child in paragraph.children) == text


@nasty
def test_a_link_has_one_address(text):
    rendered = GFM.render(f"[runs]({address('http://h/' + show(text))})")
    assert rendered.startswith('<p><a href="http://h/')
    assert rendered.endswith('">runs</a></p>\n')


@nasty
def test_mlflow_takes_it_as_tag_and_param(text):
    for made, length in (
        (make_tags({"t": text})[0], TAG_LENGTH),
        (make_params({"p": text})[0], PARAM_LENGTH),
    ):
        assert len(made.value) <= length
        assert made.value.replace("\n", "").isprintable()
        made.value.encode()
        assert_no_password(made.value)
    _validate_tag("t", make_tags({"t": text})[0].value)
    _validate_param("p", make_params({"p": text})[0].value)


def test_what_a_person_wrote_in_a_description_stays():
    (tag,) = make_tags({"mlflow.note.content": "mine:\tx\u200dy http://me@h"})
    assert tag.value == "mine:\tx\u200dy http://me@h"


@nasty
def test_a_spreadsheet_runs_no_cell_and_each_stays_a_cell(tmp_path, text):
    names = pd.Index(["a", text], dtype=object)
    frame = pd.DataFrame([[text, 1], ["b", 2]], columns=names, dtype=object)
    path = tmp_path / "t.csv"
    write_table(frame, path)
    content = path.read_bytes().decode()
    written = io.StringIO()
    write_table(frame, written)
    assert written.getvalue() == content
    limit = csv.field_size_limit(10**6)
    header, first, second = csv.reader(io.StringIO(content, newline=""))
    csv.field_size_limit(limit)
    assert (len(header), len(first), second) == (2, 2, ["b", "2"])
    for cell in (header[1], first[0]):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\0"))
