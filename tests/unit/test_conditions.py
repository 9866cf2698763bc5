"""Params that are asked only ``when`` others have certain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FixedTrial

from hpo.errors import DefinitionError
from hpo.estimators.recipes import RECIPES
from hpo.estimators.space import SearchedSpace
from hpo.search_space import describe_entry
from hpo.study_file import load_definition

from .test_recipes import SHAPE

BOOSTING = "HistGradientBoostingClassifier"


def load(tmp_path: Path, entries: str, estimator: str = BOOSTING) -> Any:
    path = tmp_path / "study.toml"
    path.write_text(f'[estimator]\nname = "{estimator}"\n[search_space]\n{entries}')
    return load_definition(path)


def searched(tmp_path: Path, entries: str, estimator: str = BOOSTING) -> SearchedSpace:
    recipe, space = RECIPES[estimator], load(tmp_path, entries, estimator).search_space
    recipe.check(space, 2)
    return SearchedSpace(recipe, space, SHAPE, seed=0)


def draw(space: SearchedSpace, n: int = 60) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.suggest(study.ask()) for _ in range(n)]


@pytest.mark.parametrize(
    ("condition", "is_so"),
    [
        ("{ above = 31 }", lambda leaves: leaves > 31),
        ("{ below = 10 }", lambda leaves: leaves < 10),
        ("{ above = 10, below = 31 }", lambda leaves: 10 < leaves < 31),
    ],
)
def test_bounds_of_a_number(tmp_path: Path, condition: str, is_so: Any) -> None:
    entry = f"{{ low = 1e-6, high = 10, log = true, when = {{ max_leaf_nodes = {condition} }} }}"
    drawn = draw(searched(tmp_path, f"l2_regularization = {entry}"))
    asked = ["l2_regularization" in params for params in drawn]
    assert asked == [is_so(params["max_leaf_nodes"]) for params in drawn]
    assert {True, False} == {*asked}


def test_values_of_a_choice_and_choices_with_a_condition(tmp_path: Path) -> None:
    entries = """
        kernel = ["rbf", "poly", "linear"]
        gamma = { low = 1e-4, high = 10, log = true, when = { kernel = ["rbf", "poly"] } }
        degree = { low = 2, high = 4, when = { kernel = "poly" } }
        class_weight = { choices = ["none", "balanced"], when = { degree = { above = 2 } } }
    """
    drawn = draw(searched(tmp_path, entries, "SVC"))
    assert {len(params) for params in drawn} == {2, 3, 4, 5}
    for params in drawn:
        assert ("gamma" in params) == (params["kernel"] != "linear")
        assert ("degree" in params) == (params["kernel"] == "poly")
        assert ("class_weight" in params) == (params.get("degree", 0) > 2)


def test_a_param_that_is_not_asked_has_its_default(tmp_path: Path) -> None:
    entries = 'C = { low = 1, high = 9, when = { class_weight = "balanced" } }'
    space = searched(tmp_path, entries, "LogisticRegression")
    params = space.replay({"penalty": "l2", "class_weight": "none"})
    assert params["C"] == RECIPES["LogisticRegression"].build(params, ()).C == 1.0
    # The defaults are what the space holds of them: class_weight "none", so C is not asked.
    assert space.baseline() == {"penalty": "l2", "class_weight": "none"}
    # Neither C nor l1_ratio is in every trial: a chart of all trials leaves both out.
    assert space.asked_together == [["penalty", "class_weight"]]
    assert space.suggest(FixedTrial({"penalty": "l1", "class_weight": "balanced", "C": 2.0})) == {
        "penalty": "l1",
        "class_weight": "balanced",
        "C": 2.0,
    }


def test_conditions_belong_to_the_identity(tmp_path: Path) -> None:
    plain = "l2_regularization = { low = 0, high = 1 }"
    conditional = (
        "l2_regularization = { low = 0, high = 1, when = { max_leaf_nodes = { above = 31 } } }"
    )
    before, after = (load(tmp_path, text).identity() for text in (plain, conditional))
    added = {key: after[key] for key in after if key not in before}
    assert added == {"search_space.l2_regularization.when.max_leaf_nodes.above": 31}
    assert before.items() <= after.items()


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (
            "{ low = 0, high = 1, when = { max_leaf_node = { above = 31 } } }",
            (
                "l2_regularization depends on max_leaf_node, which is no other param of the search"
                " space; did you mean 'max_leaf_nodes'?"
            ),
        ),
        (
            "{ low = 0, high = 1, when = { max_leaf_nodes = { above = 500 } } }",
            "l2_regularization would never be asked: max_leaf_nodes is never so",
        ),
        (
            "{ low = 0, high = 1, when = { max_leaf_nodes = 1.5 } }",
            "l2_regularization would never be asked: max_leaf_nodes is never so",
        ),
        (
            "{ low = 0, high = 1, when = { l2_regularization = 1 } }",
            (
                "l2_regularization depends on l2_regularization, which is no other param of the"
                " search space"
            ),
        ),
        (
            "{ low = 0, high = 1, when = { max_leaf_nodes = {} } }",
            "a condition should have a value, above = NUMBER or below = NUMBER",
        ),
        (
            "{ low = 0, high = 1, when = { max_leaf_nodes = { above = 9, below = 9 } } }",
            "a condition should have a value, above = NUMBER or below = NUMBER",
        ),
        ("{ choices = [], when = { max_leaf_nodes = 9 } }", "should have at least one entry"),
        (
            "{ low = 0, high = 1, when = { max_leaf_nodes = { over = 9 } } }",
            "unknown key; allowed here: above, below",
        ),
    ],
)
def test_refused(tmp_path: Path, entry: str, line: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        load(tmp_path, f"l2_regularization = {entry}")
    assert line in str(refused.value)


def test_params_that_depend_on_each_other_are_refused(tmp_path: Path) -> None:
    entries = """
        learning_rate = { low = 0.1, high = 1, when = { l2_regularization = { above = 0.5 } } }
        l2_regularization = { low = 0, high = 1, when = { learning_rate = { above = 0.5 } } }
    """
    with pytest.raises(DefinitionError, match="params depend on each other: "):
        load(tmp_path, entries)


@pytest.mark.parametrize("name", ["penalty", "l1_ratio"])
def test_a_param_without_a_default_takes_no_condition(tmp_path: Path, name: str) -> None:
    values = '["l1", "l2"]' if name == "penalty" else "[0.1, 0.2]"
    entry = f'{name} = {{ choices = {values}, when = {{ class_weight = "none" }} }}'
    with pytest.raises(DefinitionError, match=f"{name} takes no when"):
        load(tmp_path, entry, "LogisticRegression")


def test_described(tmp_path: Path) -> None:
    entries = """
        kernel = ["rbf", "poly"]
        gamma = { low = 1e-4, high = 10, log = true, when = { kernel = ["rbf", "poly"] } }
        shrinking = { choices = [true], when = { gamma = { above = 1, below = 2 } } }
        C = 2
    """
    flat = load(tmp_path, entries, "SVC").search_space.flat()
    texts = {name: describe_entry(flat[name]) for name in ("kernel", "gamma", "shrinking", "C")}
    assert texts == {
        "kernel": "rbf, poly",
        "gamma": "0.0001 to 10, on a logarithmic scale, if kernel is rbf or poly",
        "shrinking": "True, if gamma is above 1 and is below 2",
        "C": "2, fixed",
    }
