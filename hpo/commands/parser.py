"""A parser that takes no abbreviated flags, raises our errors, and guesses what was meant."""

import argparse
from functools import partial
from typing import Any, NoReturn

from hpo.commands.output import print_text, writing_output
from hpo.errors import InputError, nearest

_HINT = "--help shows every flag"


class Parser(argparse.ArgumentParser):
    """Raises errors where argparse would print them.

    ``main`` looks for ``--json`` and ``--debug`` itself, since it needs them when parsing fails.
    """

    def __init__(self, **kwargs: Any) -> None:
        formatter = partial(argparse.HelpFormatter, max_help_position=28)
        super().__init__(allow_abbrev=False, formatter_class=formatter, **kwargs)

    def parse_known_args(self, *arguments: Any, **options: Any) -> Any:
        """Parse arguments, refusing unknown ones here: only a command's own parser knows its flags.

        Raises:
            InputError: An argument is unknown.
        """
        found, unknown = super().parse_known_args(*arguments, **options)
        if unknown:
            raise InputError(
                f"unrecognized arguments: {' '.join(unknown)}", hint=self._guess(unknown)
            )
        return found, unknown

    def print_help(self, file: object = None) -> None:  # noqa: ARG002
        """Print the help text, of which argparse would lose what does not fit.

        Raises:
            HpoError: Standard output is full or closed.
        """
        print_text(self.format_help().rstrip())

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Make sure that a version is out before the process ends.

        Raises:
            HpoError: Standard output is full or closed.
        """
        with writing_output():
            pass
        super().exit(status, message)

    def error(self, message: str) -> NoReturn:
        """Raise argparse's own message."""
        raise InputError(message, hint=_HINT)

    def _guess(self, unknown: list[str]) -> str:
        given = next((each for each in unknown if each.startswith("--")), "").partition("=")[0]
        flags = {flag.removeprefix("--"): flag for flag in self._option_string_actions}
        near = nearest(given.removeprefix("--"), flags)
        return f"did you mean {flags[near[0]]}?" if near else _HINT
