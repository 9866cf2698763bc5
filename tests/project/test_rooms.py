"""The house: rooms in one straight line, no circle of modules, nothing too large to read at once.

``python -m pytest -s tests/project/test_rooms.py -k arrows`` prints the arrows between the rooms.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "hpo"
ROOMS = (
    "commands", "service", "study_run", "tracking", "search", "results", "ledger", "estimators", "data",
    "shared",
)  # fmt: skip
"""From the top down; ``shared`` are the modules that every room may import."""

BESIDE = ("tracking", "search")
"""Two rooms of one height, which do not import each other."""

DOORS = ("__init__", "__main__", "run", "check", "predict", "ui", "study_file")
"""Modules that open the house from outside: commands, public names, the reader of study files."""

MAX_LINES = 250
MAX_FUNCTION_LINES = 50


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    first = [*module.split("."), ""][1]
    if first in ROOMS or first in DOORS:
        return first
    return "shared"


def imports_of(path: Path, names: frozenset[str]) -> Iterator[str]:
    """The modules of the package that one imports when it runs, those inside functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("hpo"):
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in names else node.module
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name in names)


@pytest.fixture(scope="module")
def arrows() -> Mapping[str, set[str]]:
    names = frozenset(map(name_of, modules()))
    found = defaultdict[str, set[str]](set)
    for path in modules():
        found[name_of(path)].update(set(imports_of(path, names)) - {name_of(path)})
    return found


def test_arrows_between_rooms_run_down(arrows):
    counts = Counter(
        (room_of(importer), room_of(imported))
        for importer, targets in arrows.items()
        for imported in targets
        if room_of(importer) in ROOMS and room_of(imported) in ROOMS
    )
    for (importer, imported), count in sorted(
        counts.items(), key=lambda item: tuple(map(ROOMS.index, item[0]))
    ):
        if importer != imported:
            print(f"{importer:>10} -> {imported:<10} {count}")
    wrong = [
        (importer, imported)
        for importer, imported in counts
        if ROOMS.index(importer) > ROOMS.index(imported)
        or (importer != imported and {importer, imported} == set(BESIDE))
    ]
    assert wrong == []
    assert {importer for importer, _ in counts} == set(ROOMS)


def test_no_circle_of_modules(arrows):
    try:
        order = list(TopologicalSorter(arrows).static_order())
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")
    assert len(order) >= len(modules())


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_module_can_be_read_at_once(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < MAX_LINES


def test_functions_can_be_read_at_once():
    long = [
        f"{name_of(path)}.{node.name}: {node.end_lineno - node.body[0].lineno + 1}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and code_lines(node) > MAX_FUNCTION_LINES
    ]
    assert long == []


def code_lines(function: ast.FunctionDef) -> int:
    """Lines of the body, without its docstring."""
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("room", sorted(set(ROOMS) - {"study_run", "shared"}))
def test_room_says_what_it_is_for(room):
    text = (PACKAGE / room / "__init__.py").read_text(encoding="utf-8")
    assert 2 <= len([line for line in ast.get_docstring(ast.parse(text)).splitlines() if line]) <= 4


def test_docstrings_say_what_a_thing_is():
    """Not "What ...": a reader wants the noun or the verb first."""
    wrong = [
        f"{name_of(path)}:{getattr(node, 'lineno', 1)}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and (ast.get_docstring(node) or "").startswith("What ")
    ]
    assert wrong == []
