"""The command line's words: every command has its help, and a misspelt word is guessed."""

from __future__ import annotations

import argparse

import pytest

from hpo.commands.flags import COMMANDS, make_parser, parse
from hpo.commands.main import main
from hpo.errors import InputError


def parsers() -> dict[str, argparse.ArgumentParser]:
    (commands,) = (
        action
        for action in make_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return dict(commands.choices)


def flags() -> list[tuple[str, str]]:
    return [
        (command, flag)
        for command, parser in parsers().items()
        for flag in parser._option_string_actions
        if flag.startswith("--")
    ]


@pytest.mark.parametrize(("command", "flag"), flags())
def test_every_flag_is_guessed_from_two_letters_that_changed_places(command, flag):
    wrong = f"{flag[:3]}{flag[4]}{flag[3]}{flag[5:]}" if flag[3] != flag[4] else f"{flag}x"
    with pytest.raises(InputError, match="unrecognized arguments") as raised:
        parse([command, *["a"] * len(positionals(command)), wrong])
    assert raised.value.hint == f"did you mean {flag}?"


def positionals(command: str) -> list[argparse.Action]:
    return [action for action in parsers()[command]._actions if not action.option_strings]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_guessed_from_one_letter_more(command):
    with pytest.raises(InputError, match=f"there is no command '{command}s'") as raised:
        parse([f"{command}s"])
    assert raised.value.hint == f"did you mean '{command}'?"


def test_word_that_is_like_no_command_leads_to_their_list():
    with pytest.raises(InputError, match="there is no command '42'") as raised:
        parse(["42"])
    assert raised.value.hint == "python -m hpo shows every command"


def test_no_command_at_all_shows_them(capsys):
    assert main([]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert all(f"    {command}" in shown.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_usage_is_a_line_that_starts_the_command(command):
    usage = parsers()[command].format_usage()
    assert usage.startswith(("usage: python -m hpo.", "usage: python -m hpo "))
    assert usage.split("FLAG")[0].count("\n") == 0
    for action in positionals(command):
        optional = action.nargs == "?"
        named = f"[{action.metavar}]" if optional else action.metavar
        assert f" {named} " in usage
