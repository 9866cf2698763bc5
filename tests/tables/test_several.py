"""Several estimators in one study, on a table with gaps, categories, truth values and dates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sklearn.model_selection import cross_validate

from hpo.errors import DefinitionError
from hpo.estimators.candidates import name_params
from hpo.estimators.final_model import build_pipeline
from hpo.search.plan import Plan, make_plan
from hpo.study_file import load_definition
from tests.support.checker import check_projection, read_stores, read_trials, trial_table
from tests.support.estimators import TABLE, write_customers
from tests.support.here import call_main, run_here_well
from tests.support.stores import stores_of

NAMES = ("LogisticRegression", "RandomForestClassifier", "KNeighborsClassifier")
FOREST = NAMES[1]
STUDY = """
[estimator]
name = ["LogisticRegression", "RandomForestClassifier", "KNeighborsClassifier"]
[search_space.LogisticRegression]
penalty = ["l2"]
[search_space.RandomForestClassifier]
n_estimators = { low = 5, high = 20 }
max_depth = { low = 2, high = 6, when = { n_estimators = { above = 9 } } }
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("several")
    write_customers(directory / TABLE, 240)
    (directory / "study.toml").write_text(
        f'[data]\nsource = "{TABLE}"\ntarget = "churned"\ndrop = ["spent"]\n{STUDY}'
    )
    return directory / "study.toml"


@pytest.fixture(scope="module")
def plan(table: Path) -> Plan:
    return make_plan(load_definition(table))


def test_the_first_trials_are_each_ones_defaults(plan: Plan) -> None:
    logistic, neighbors, more = (plan.space.given(number) for number in range(3))
    assert logistic == {
        "estimator": "LogisticRegression",
        "LogisticRegression.penalty": "l2",
        "LogisticRegression.C": 1.0,
        "LogisticRegression.class_weight": "none",
    }
    # A forest's 100 trees are not in its space: its defaults are scored beside the study.
    assert neighbors == {
        "estimator": "KNeighborsClassifier",
        "KNeighborsClassifier.n_neighbors": 5,
        "KNeighborsClassifier.weights": "uniform",
        "KNeighborsClassifier.p": 2,
    }
    assert more is None


def test_folds_are_prepared_once_for_each_kind_of_preprocessing() -> None:
    names = ["SVC", "RandomForestClassifier", "KNeighborsClassifier", "ExtraTreesClassifier"]
    plan = make_plan(load_definition(None, {"estimator.name": names}))
    folds = {name: id(plan.objective.of({"estimator": name}).folds) for name in names}
    assert folds["SVC"] == folds["KNeighborsClassifier"] != folds["RandomForestClassifier"]
    assert folds["RandomForestClassifier"] == folds["ExtraTreesClassifier"]


@pytest.mark.parametrize("name", NAMES)
def test_fold_scores_are_those_of_cross_validate(plan: Plan, name: str) -> None:
    space = plan.space.of({"estimator": name})
    own = space.default_params() | ({"n_estimators": 5} if name == FOREST else {})
    recipe, params = plan.recipe.choose(name_params(name, own))
    assert (recipe.name, params) == (name, own)
    dataset = plan.dataset
    pipeline = build_pipeline(recipe, dataset.columns, plan.definition.preprocessing, own)
    expected = cross_validate(
        pipeline,
        dataset.X_train,
        dataset.y_train,
        cv=plan.task.split(dataset, plan.definition.cv, plan.definition.study.seed),
        scoring=list(plan.objective.metrics),
        error_score="raise",
    )
    for step in range(plan.objective.n_steps):
        result = plan.objective.evaluate(name_params(name, own), step)
        assert result == plan.objective.part(step).evaluate(name_params(name, own), 0)
        assert result.scores == {
            metric: expected[f"test_{metric}"][step] for metric in plan.objective.metrics
        }


@pytest.fixture(scope="module")
def finished(table: Path, make_directory: Callable[[str], Path]) -> Path:
    """Fourteen trials, four of them asked by what the others gave."""
    directory = make_directory("several")
    (directory / "study.txt").write_text(run_here_well(directory, *flags_of(table, 14)))
    return directory


def flags_of(table: Path, n_trials: int) -> tuple[str, ...]:
    return ("--study", str(table), "--trials", str(n_trials))


def test_the_report_says_the_best_of_each_and_whether_that_is_noise(
    table: Path, finished: Path
) -> None:
    [line] = [
        line
        for line in (finished / "study.txt").read_text().splitlines()
        if line.startswith("each ")
    ]
    result = json.loads(run_here_well(finished, *flags_of(table, 14), "--json"))
    scores = result["estimators"]["scores"]
    trials = read_trials(f"sqlite:///{finished}/optuna.db", "customers")
    assert {score["name"] for score in scores} == {*NAMES}
    for score in scores:
        own = [trial for trial in trials if trial.params["estimator"] == score["name"]]
        assert score["n_trials"] == len(own)
        assert score["value"] == max(trial.value for trial in own if trial.value is not None)
        assert trials[score["number"]].value == score["value"]
        shown = f"{score['value']:.4f} (trial {score['number']}, of {score['n_trials']})"
        assert f"{score['name']} {shown}" in line
    assert [score["value"] for score in scores] == sorted(
        (score["value"] for score in scores), reverse=True
    )
    lead = result["estimators"]["lead"]
    assert lead["value"] == pytest.approx(scores[0]["value"] - scores[1]["value"])
    is_noise = lead["low"] <= 0
    assert line.endswith("the folds cannot tell the first two apart") == is_noise
    assert result["best"]["params"]["estimator"] == scores[0]["name"]


def test_both_stores_name_params_after_their_estimator(finished: Path) -> None:
    picture = read_stores(**stores_of(finished), study="customers")
    check_projection(picture)
    assert len(picture.children) == len(picture.trials) == 14
    for trial in picture.trials:
        name = trial.params["estimator"]
        assert {param.split(".")[0] for param in trial.params} == {"estimator", name}
        assert picture.children[trial.number].data.params["estimator"] == name


def test_the_model_is_the_chosen_ones(table: Path, finished: Path) -> None:
    result = json.loads(run_here_well(finished, *flags_of(table, 14), "--json"))
    rows = table.with_name(TABLE)
    ended = call_main(finished, "predict", result["model_uri"], str(rows))
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.splitlines()) == 241
    card = next(finished.rglob("model_card.md")).read_text()
    assert f"`{result['best']['params']['estimator']}." in card
    assert f"| `estimator` | {', '.join(NAMES)} | `" in card


def test_trials_are_the_same_on_two_workers_and_after_a_stop(
    table: Path, finished: Path, make_directory: Callable[[str], Path]
) -> None:
    other = make_directory("stopped")
    run_here_well(other, *flags_of(table, 5))
    run_here_well(other, *flags_of(table, 14), "--workers", "2")
    assert trial_table(f"sqlite:///{other}/optuna.db", "customers") == trial_table(
        f"sqlite:///{finished}/optuna.db", "customers"
    )


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        (
            'name = ["LogisticRegression", "Ridge"]',
            (
                "estimator.name: the estimators of a study should predict the same, but got"
                " LogisticRegression for classes and Ridge for numbers"
            ),
            None,
        ),
        (
            'name = ["SVC", "LogisticRegression", "SVC"]',
            "estimator.name: SVC, LogisticRegression, SVC names an estimator twice",
            None,
        ),
        (
            'name = ["SVC", "LogisticRegresion"]',
            "estimator.name: there is no estimator 'LogisticRegresion'",
            "did you mean 'LogisticRegression'?",
        ),
        ("name = []", "estimator.name: should name at least one estimator", None),
        ("name = [1, 2]", "estimator.name: should be a name or a list of names", None),
        (
            'name = ["SVC", "LogisticRegression"]\n[search_space]\nC = 1.0',
            "search_space.C: unknown key; allowed here: SVC, LogisticRegression",
            None,
        ),
        (
            'name = ["SVC", "LogisticRegression"]\n[search_space.LogisticRegression]\nC = "x"',
            "search_space.LogisticRegression.C: should be a valid number",
            None,
        ),
        (
            'name = ["SVC", "LogisticRegression"]\n[search_space.LogisticRegression]\nc = 1',
            "search_space.LogisticRegression.c: unknown key; allowed here: C, penalty",
            "did you mean 'C'?",
        ),
        (
            'name = ["SVC", "LogisticRegression"]\n[search_space.SVC]\nkernell = "rbf"',
            "search_space.SVC.kernell: 'kernell' is no argument of SVC",
            "did you mean 'kernel'?",
        ),
    ],
)
def test_refused(tmp_path: Path, text: str, line: str, hint: str | None) -> None:
    path = tmp_path / "study.toml"
    path.write_text(f"[estimator]\n{text}\n")
    with pytest.raises(DefinitionError) as refused:
        make_plan(load_definition(path))
    assert line in str(refused.value)
    if hint is not None:
        assert refused.value.hint == hint


def test_a_list_of_one_is_that_one(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text('[estimator]\nname = ["LogisticRegression"]\n')
    assert load_definition(path).identity() == load_definition().identity()


def test_the_flag_takes_names_with_commas_between_them() -> None:
    definition = load_definition(None, {"estimator.name": "SVC, LogisticRegression"})
    assert definition.estimator.names == ("SVC", "LogisticRegression")
