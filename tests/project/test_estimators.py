"""The page on estimators lists every recipe, with what its default space searches."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest
from sklearn.datasets import load_diabetes, load_wine

from hpo.estimators.recipes import RECIPES, candidates
from hpo.estimators.tasks import TASKS, complete
from hpo.tracking.inline import InlineTracking
from tests.support.commands import run_hpo_well

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "estimators.md").read_text(encoding="utf-8")


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


def test_example_of_an_estimator_of_ones_own_runs(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = [
        text
        for text in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
        if "run_study" in text
    ]
    monkeypatch.chdir(directory)
    # The page's call, tracked here: a process of its own is tested elsewhere.
    example = example.replace("definition,", "definition, tracking=InlineTracking(),", 1)
    names = {"table": load_wine(as_frame=True).frame, "InlineTracking": InlineTracking}
    exec(example, names)
    assert names["result"].n_trials["complete"] == 10
    assert names["result"].tracking_problem is None


@pytest.mark.parametrize("text", re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL))
def test_study_of_the_page_is_one(text: str, tmp_path: Path) -> None:
    from hpo.study_file import load_definition  # noqa: PLC0415

    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    given = load_definition(path)
    task = candidates(given.estimator.names).task
    definition, searched = complete(given, task)
    searched.check(definition.search_space, 2)
    for recipe in searched.recipes:
        entries = getattr(definition.search_space, recipe.name, definition.search_space)
        named = tomllib.loads(text)["search_space"]
        named = named.get(recipe.name, named if len(searched.recipes) == 1 else {})
        for name, entry in named.items():
            assert (entry is False) == (dict(entries)[name] is None)
        for name, value in tomllib.loads(text).get("fixed", {}).items():
            assert dict(entries)[name] == value


def test_a_new_recipe_is_one_file_and_one_line(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "hpo", tmp_path / "hpo", ignore=shutil.ignore_patterns("__pycache__"))
    room = tmp_path / "hpo" / "estimators"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```python\n(from hpo.estimators.*?)```", readme, flags=re.DOTALL)
    (room / "ard.py").write_text(recipe, encoding="utf-8")
    table = room / "recipes.py"
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace("FAMILIES = (\n", 'FAMILIES = (\n    "ard",\n'), encoding="utf-8")
    frame = load_diabetes(as_frame=True).frame
    frame.to_csv(tmp_path / "diabetes.csv", index=False)
    flags = ("--data", "diabetes.csv", "--target", "target", "--estimator", "ARDRegression")
    report = run_hpo_well(tmp_path, *flags, "--trials", "3")
    assert re.search(r"best +trial \d: alpha_1 = ", report)
    assert "columns   10 numeric" in report
