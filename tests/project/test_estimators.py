"""The page on estimators lists every recipe, with what its default space searches."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from hpo.estimators.recipes import RECIPES
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


def test_study_of_the_page_is_one(tmp_path: Path) -> None:
    from hpo.study_file import load_definition  # noqa: PLC0415

    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    definition = load_definition(path)
    recipe = RECIPES[tomllib.loads(text)["estimator"]["name"]]
    recipe.check(definition.search_space, 2)
    assert dict(definition.search_space)["max_features"] is None
