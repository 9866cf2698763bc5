"""Show that two checkouts do the same: ``python -m tests.equality BEFORE [AFTER]``.

Each checkout runs the same commands in empty directories of its own, with its own study files: the
four bundled studies, a table of penguins with gaps, categories and dates, nested searches, the
registry, failing fits and wrong input. After every command all that it printed and left behind is
read through other clients and compared: what must differ by the name it has in ``naming``, all
else to the last character. A study is one line, with its first differences below it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import distribution
from itertools import zip_longest
from pathlib import Path

from tests.equality.commands import FILES, STUDIES, TABLES
from tests.equality.naming import Names, printed
from tests.equality.reading import Picture, Reader

MAX_SHOWN = 5
"""Differences of a study that are printed."""

MAX_WIDTH = 160
"""Characters of a differing line that are printed."""

SECONDS = 600
"""A command that takes longer hangs."""


@dataclass(frozen=True)
class Intended:
    """A difference that is wanted.

    Attributes:
        paths: Where it is, a pattern as of a shell, such as ``*/report.txt``.
        before: What stands there before, or a part of it; None where the path is new.
        after: What stands there instead; None where the path is gone. Where both are None, any
            difference is wanted.
        reason: Why.
    """

    paths: str
    before: str | None
    after: str | None
    reason: str


INTENDED: tuple[Intended, ...] = (
    Intended(
        paths="stdout (after hpo.definition --schema)",
        before=None,
        after=None,
        reason="the schema's descriptions are reworded; its keys and types are tests/project's",
    ),
    *(
        Intended(paths=f"*{path}*", before=None, after=None, reason=reason)
        for path, reason in (
            ("fold_", "fold scores are under fold_<scorer>"),
            ("hpo.verdict", "the verdict is a tag"),
            ("constant_", "the model that ignores the columns is compared with"),
            ("n_trials_not_converged", "fits that did not converge are counted"),
            (
                "mlflow.note.content",
                "descriptions begin with the verdict; an experiment's is plain",
            ),
            ("model_card.md", "the card begins with the verdict"),
        )
    ),
)
"""Every difference between the two checkouts that is not a mistake."""


class Side:
    """One of the two checkouts.

    Args:
        checkout: Its directory.
        home: An empty directory, for those of the studies.
    """

    def __init__(self, checkout: Path, home: Path) -> None:
        self._checkout = checkout
        self._home = home
        kept = {name: value for name, value in os.environ.items() if not _steers(name)}
        # Nothing is written into a checkout; help is as wide as this.
        own = {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "100"}
        self._environment = {**kept, **own}

    def check_import(self) -> None:
        """Make sure that what is run is the checkout's and not an installed one.

        Raises:
            SystemExit: It is not.
        """
        done = self._run(self._home, "-c", "import hpo; print(hpo.__file__)")
        if done.stdout.strip() != str(self._checkout / "hpo" / "__init__.py"):
            sys.exit(
                f"equality: {self._checkout} is no checkout of hpo\n{done.stdout}{done.stderr}"
            )

    def perform(self, study: str) -> Iterator[Picture]:
        """Run a study's commands; gives what there is after each of them."""
        directory = self._home / study
        directory.mkdir()
        for name, text in FILES.get(study, {}).items():
            (directory / name).write_text(text, encoding="utf-8")
        if study in TABLES:
            package, path, name = TABLES[study]
            shutil.copy(str(distribution(package).locate_file(path)), directory / name)
        began_ms = 1000 * time.time() - 1
        for command in STUDIES[study]:
            program, *flags = command.replace("CHECKOUT", str(self._checkout)).split()
            done = self._run(directory, "-m", f"hpo.{program}", *flags)
            names = Names()
            names.call(directory, "directory")
            names.call(self._checkout, "checkout")
            reader = Reader(directory, self._checkout, names, began_ms, 1000 * time.time() + 1)
            reader.picture.note("exit code", done.returncode)
            reader.picture.note("stdout", printed(done.stdout))
            reader.picture.note("stderr", printed(done.stderr))
            yield reader.read()

    def _run(self, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )


def _steers(variable: str) -> bool:
    """Whether an environment variable would change what the commands do."""
    return variable.startswith(("HPO_", "PYTEST_")) or variable == "MLFLOW_TRACKING_URI"


def compare(before: Picture, after: Picture) -> list[tuple[str, str, str]]:
    """Path, before and after, of each difference that is not intended."""
    differences = []
    for path in sorted({*before.facts, *after.facts}):
        old, new = before.facts.get(path), after.facts.get(path)
        if old != new and not is_intended(path, old, new):
            differences.append((path, *_first_difference(old, new)))
    return differences


def is_intended(path: str, old: str | None, new: str | None) -> bool:
    """Whether nothing but the intended differences of a path tells two texts apart."""
    for intended in INTENDED:
        before, after = intended.before, intended.after
        if not fnmatchcase(path, intended.paths):
            continue
        if before is None and after is None:
            return True
        if before is not None and after is not None:
            old = None if old is None else old.replace(before, after)
        elif (old is None, new is None) == (before is None, after is None):
            # A path that is gone, or new.
            return (before or after or "") in (old or new or "")
    return old == new


def _first_difference(old: str | None, new: str | None) -> tuple[str, str]:
    """The first differing line of two texts, from shortly before where they part."""
    if old is None or new is None:
        one, other = ("(absent)" if text is None else _shown(text) for text in (old, new))
        return one, other
    for one, other in zip([*old.split("\n"), "(end)"], [*new.split("\n"), "(end)"], strict=False):
        if one != other:
            pairs = enumerate(zip_longest(one, other))
            parted = next(index for index, (left, right) in pairs if left != right)
            start = max(0, parted - MAX_WIDTH // 4)
            return _shown(one, start), _shown(other, start)
    raise AssertionError("the texts are equal")


def _shown(text: str, start: int = 0) -> str:
    line = text[start:].partition("\n")[0]
    more = "..." if len(line) > MAX_WIDTH else ""
    return ("..." if start else "") + line[:MAX_WIDTH] + more


def show(study: str, before: Side, after: Side) -> bool:
    """Run a study in both checkouts and print its line; gives whether they are equal."""
    differences = []
    for command, *pictures in zip(
        STUDIES[study], before.perform(study), after.perform(study), strict=True
    ):
        last = pictures[0]
        differences += [(command, *difference) for difference in compare(*pictures)]
    counts = f"{last.n_trials} trials, {last.n_runs} runs, {last.n_artifacts} artifacts"
    amount = f"{len(differences)} difference{'s' if len(differences) > 1 else ''}"
    verdict = amount if differences else "equal"
    print(f"{study}: {counts}: {verdict}", flush=True)
    for command, path, old, new in differences[:MAX_SHOWN]:
        print(f"  {path}  (after hpo.{command})\n    before: {old}\n    after:  {new}")
    if len(differences) > MAX_SHOWN:
        print(f"  and {len(differences) - MAX_SHOWN} more", flush=True)
    return not differences


def main(argv: Sequence[str] | None = None) -> int:
    """Compare and print; 1 where anything differs."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.equality", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("before", type=Path, help="a checkout of hpo")
    here = Path(__file__).parents[2]
    parser.add_argument("after", type=Path, nargs="?", default=here, help="another (default: this)")
    parser.add_argument("--only", choices=list(STUDIES), action="append", help="of the studies")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the directories here")
    options = parser.parse_args(argv)
    with ExitStack() as stack:
        home = options.keep or stack.enter_context(tempfile.TemporaryDirectory(prefix="hpo-equal-"))
        sides = []
        for name in ("before", "after"):
            directory = Path(home, name).resolve()
            directory.mkdir(parents=True)
            sides.append(Side(getattr(options, name).resolve(), directory))
            sides[-1].check_import()
        verdicts = [show(study, *sides) for study in options.only or STUDIES]
        for intended in INTENDED:
            print(f"intended: {intended.paths}: {intended.reason}")
        return int(not all(verdicts))


if __name__ == "__main__":
    sys.exit(main())
