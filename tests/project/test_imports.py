"""Each folder of tests stands alone: what several need lies in ``tests/support``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FOLDERS = sorted(path.name for path in TESTS.iterdir() if (path / "__init__.py").exists())


def imported(text: str, package: list[str]) -> Iterator[str]:
    """The modules below ``tests`` that a module of a package imports, written out whole."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] == "tests")
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            if module == "tests":
                yield from (f"tests.{name.name}" for name in node.names)
            elif module.startswith("tests."):
                yield module


def imported_by(path: Path) -> Iterator[str]:
    package = ["tests", *path.relative_to(TESTS).parent.parts]
    return imported(path.read_text(encoding="utf-8"), package)


@pytest.mark.parametrize("folder", FOLDERS)
def test_folder_imports_only_what_is_its_own_or_shared(folder: str) -> None:
    others = {
        (path.relative_to(TESTS).as_posix(), module)
        for path in (TESTS / folder).rglob("*.py")
        for module in imported_by(path)
        if module.split(".")[1] not in {folder, "support"}
    }
    assert others == set()


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("import tests.unit.driving", "tests.unit.driving"),
        ("from tests import faults", "tests.faults"),
        ("from tests.stack.composing import end", "tests.stack.composing"),
        ("from ..stack.composing import end", "tests.stack.composing"),
        ("from .fixtures import DATABASES", "tests.support.fixtures"),
        ("from . import fixtures", "tests.support"),
    ],
)
def test_every_way_of_importing_is_seen(text: str, module: str) -> None:
    assert list(imported(text, ["tests", "support"])) == [module]
