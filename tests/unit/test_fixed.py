"""``[fixed]``: plain values of arguments that are not searched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo.errors import DefinitionError
from hpo.estimators.space import derived_params
from hpo.search.plan import Plan, load_data, make_plan
from hpo.search_space import choices_of
from hpo.study_file import load_definition
from tests.support.here import run_here, run_here_well

from .driving import define


def plan_of(**overrides: Any) -> Plan:
    return make_plan(define(**overrides))


def of_boosting(**overrides: Any) -> Plan:
    return plan_of(estimator__name="HistGradientBoostingClassifier", **overrides)


def replayed(plan: Plan) -> dict[str, Any]:
    """Complete params of a trial that chose the first of every entry."""
    entries = dict(plan.space.entries)
    return plan.space.replay({name: choices_of(entries[name])[0] for name in plan.space.searched})


def test_value_is_in_every_fit_and_recorded_as_derived() -> None:
    plan = of_boosting(fixed__early_stopping=False, fixed__max_bins=15)
    params = replayed(plan)
    assert {"early_stopping": False, "max_bins": 15}.items() <= params.items()
    assert derived_params(params, dict.fromkeys(plan.space.searched)).keys() == {
        *("early_stopping", "max_bins", "random_state")
    }
    fitted = plan.recipe.build(params, ()).get_params()
    assert (fitted["early_stopping"], fitted["max_bins"]) == (False, 15)


def test_value_takes_the_place_of_a_default_entry() -> None:
    plan = of_boosting(fixed__max_iter=7)
    assert "max_iter" not in plan.space.searched
    assert replayed(plan)["max_iter"] == 7


def test_none_is_pythons() -> None:
    plan = of_boosting(fixed__max_leaf_nodes="none")
    assert plan.recipe.build(replayed(plan), ()).get_params()["max_leaf_nodes"] is None


def test_the_usual_estimator_takes_its_own_params_in_its_own_words() -> None:
    plan = plan_of(fixed__penalty="l2", fixed__solver="lbfgs", fixed__max_iter=7)
    assert plan.space.searched == ["C", "l1_ratio", "class_weight"]
    params = replayed(plan)
    assert (params["penalty"], params["solver"], params["max_iter"]) == ("l2", "lbfgs", 7)


def test_values_belong_to_the_identity_and_their_absence_does_not() -> None:
    before, after = of_boosting(), of_boosting(fixed__max_iter=7)
    assert "fixed" not in " ".join(before.searched_definition.identity())
    identity = after.searched_definition.identity()
    changed = {key: value for key, value in identity.items() if "max_iter" in key}
    assert changed == {"fixed.max_iter": 7}
    assert after.searched_definition.identity() == after.definition.identity()
    again = make_plan(after.searched_definition, after.dataset)
    assert again.space.entries == after.space.entries


@pytest.mark.parametrize(
    ("estimator", "key", "value", "line", "hint"),
    [
        ("Ridge", "alhpa", 1.0, "fixed.alhpa: 'alhpa' is no argument of Ridge", "mean 'alpha'?"),
        ("Ridge", "alpha", -1.0, "fixed.alpha: The 'alpha' parameter of Ridge must be", None),
        ("Ridge", "alpha", "x", "fixed.alpha: The 'alpha' parameter of Ridge must be", None),
        ("Ridge", "random_state", 1, "fixed.random_state: 'random_state' is set by", "leave it"),
        ("SVC", "verbose", True, "fixed.verbose: 'verbose' is set by hpo", "leave it out"),
        (
            "ElasticNet",
            "precompute",
            [1],
            "fixed.precompute: should be one text, truth value",
            None,
        ),
        ("Ridge", "alpha", {"low": 1}, "fixed.alpha: should be one text, truth value or", None),
        ("Ridge", "alpha", float("nan"), "fixed.alpha: should be one text, truth value or", None),
        (
            "RandomForestRegressor",
            "monotonic_cst",
            1,
            "fixed.monotonic_cst: 'monotonic_cst' of RandomForestRegressor takes an object or a list",
            "leave it out",
        ),
        ("LogisticRegression", "CC", 1.0, "fixed.CC: 'CC' is no param", "did you mean 'C'?"),
        ("LogisticRegression", "C", -1.0, "fixed.C: should be above 0 and below", None),
        ("LogisticRegression", "C", "x", "fixed.C: should be a valid number", None),
        ("LogisticRegression", "penalty", "l3", "fixed.penalty: should be 'none', 'l2'", None),
        ("LogisticRegression", "solver", "lbfgs", "fixed: solver should fit every penalty", None),
    ],
)
def test_wrong_value_is_one_line(
    estimator: str, key: str, value: Any, line: str, hint: str | None
) -> None:
    overrides = {"study.name": "x", "data.target": "y", "estimator.name": estimator}
    X = np.arange(60.0)
    y = X if estimator in ("ElasticNet", "Ridge", "RandomForestRegressor") else X % 2
    with pytest.raises(DefinitionError) as caught:
        load_data(
            load_definition(overrides={**overrides, f"fixed.{key}": value}),
            pd.DataFrame({"x": X, "y": y}),
        )
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (hint or "") in (caught.value.hint or "")


def test_key_in_both_tables_is_refused() -> None:
    both = {"estimator__name": "Ridge", "fixed__alpha": 1.0, "search_space__alpha": [1.0, 2.0]}
    with pytest.raises(DefinitionError, match=r"'alpha' is in \[search_space\] and in \[fixed\]"):
        define(**both)


def test_run_records_it_and_a_changed_one_is_another_study(directory: Path) -> None:
    text = '[estimator]\nname = "KNeighborsClassifier"\n[fixed]\nweights = "{}"\nleaf_size = 12\n'
    (directory / "study.toml").write_text(text.format("distance"))
    said = run_here_well(directory, "--study", "study.toml", "--trials", "3", "--json")
    assert '"weights": "distance"' in said
    (directory / "study.toml").write_text(text.format("uniform"))
    ended = run_here(directory, "--study", "study.toml", "--trials", "3")
    assert ended.returncode == 2
    assert "fixed.weights distance -> uniform" in ended.stderr
