"""The page on estimators lists every recipe, with what its default space searches."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from hpo.estimators.recipes import RECIPES, candidates
from hpo.estimators.tasks import TASKS

PAGE = (Path(__file__).parents[2] / "docs" / "estimators.md").read_text(encoding="utf-8")


def test_table_lists_every_recipe() -> None:
    listed = {}
    for line in PAGE.splitlines():
        if not line.startswith("| `"):
            continue
        names, params, rows = (cell.strip() for cell in line.strip("|").split("|"))
        for name in re.findall(r"`(\w+)`", names):
            listed[name] = (re.findall(r"`(\w+)`", params), rows)
    assert listed == {
        name: (
            [
                param
                for param in recipe.asking_order
                if recipe.space.model_fields[param].default is not None
            ],
            recipe.preprocessing,
        )
        for name, recipe in RECIPES.items()
    }


def test_every_recipe_is_of_a_task_that_scores_it() -> None:
    assert {recipe.task for recipe in RECIPES.values()} == set(TASKS)


@pytest.mark.parametrize(
    "text", re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL), ids=["one", "when", "several"]
)
def test_study_of_the_page_is_one(text: str, tmp_path: Path) -> None:
    from hpo.study_file import load_definition  # noqa: PLC0415

    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    definition = load_definition(path)
    searched = candidates(definition.estimator.names)
    searched.check(definition.search_space, 2)
    named = tomllib.loads(text)["search_space"]
    spaces = [
        (dict(definition.search_space), named)
        if len(searched.recipes) == 1
        else (dict(getattr(definition.search_space, recipe.name)), named.get(recipe.name, {}))
        for recipe in searched.recipes
    ]
    for entries, differing in spaces:
        assert [name for name, given in differing.items() if given is False] == [
            name for name in differing if entries[name] is None
        ]
