"""Every promise of docs/reliability.md names a test that exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = [
    line.strip("|").split("|")
    for line in PAGE.partition("## Faults and promises")[2].splitlines()
    if line.startswith("| ") and not line.startswith("| fault |")
]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_named_test_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_each_fault_names_its_test_or_that_there_is_no_promise() -> None:
    assert len(ROWS) > 20
    for fault, promise, shown in ROWS:
        assert "::" in shown or promise.strip().startswith("no promise"), fault
