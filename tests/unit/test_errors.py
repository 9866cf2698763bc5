"""The error tree is the one that its docstring draws, with these exit codes."""

from __future__ import annotations

import inspect
import re

import pytest

from hpo import errors
from hpo.errors import DataError, HpoError, InputError, InterruptedBySignal

CLASSES = [
    cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, HpoError)
]
DRAWN = {
    match["name"]: match["code"]
    for match in re.finditer(
        r"^ +[│├└─ ]*(?P<name>[A-Z]\w+)(?: +(?P<code>\d+))?", errors.__doc__, re.MULTILINE
    )
}


def test_every_class_is_drawn():
    assert set(DRAWN) == {cls.__name__ for cls in CLASSES}


@pytest.mark.parametrize(
    "cls", [cls for cls in CLASSES if cls is not InterruptedBySignal], ids=lambda cls: cls.__name__
)
def test_exit_code_is_the_drawn_one(cls):
    drawn = next(DRAWN[each.__name__] for each in cls.__mro__ if DRAWN.get(each.__name__))
    assert cls("it broke").exit_code == int(drawn)


def test_exit_codes_tell_the_kinds_apart():
    codes = [
        cls("it broke").exit_code
        for cls in CLASSES
        if cls.__base__ is HpoError and cls is not InterruptedBySignal
    ]
    assert len(codes) == len(set(codes))
    assert HpoError("it broke").exit_code not in codes


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
def test_signal_gives_the_exit_code_that_shells_give(number, code):
    assert InterruptedBySignal(number, "stopped").exit_code == code


def test_message_is_one_line():
    assert str(HpoError("one\ntwo\r\n  three\u2028four")) == "one two three four"


def test_hint_is_kept_and_optional():
    assert HpoError("it broke", hint="mend\n\x1bit").hint == "mend \\x1bit"
    assert HpoError("it broke").hint is None


def test_kind_is_the_class_name():
    assert DataError("no rows").to_json()["error"]["kind"] == "DataError"
    assert isinstance(DataError("no rows"), InputError)
