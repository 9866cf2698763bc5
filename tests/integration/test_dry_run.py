"""``--dry-run`` says what would be searched, and does and leaves nothing."""

import json
import re
from pathlib import Path

import pytest

import hpo
from hpo.tracking.inline import InlineTracking
from tests.support.checker import read_stores
from tests.support.commands import run_hpo
from tests.support.here import run_here
from tests.support.sharing import FinishedRun
from tests.support.stores import stores_of

STUDY = """
[study]
name = "sheep"
nested = 2
[data]
source = "sheep.csv"
target = "wool"
group = "farm"
[cv]
n_splits = 3
n_repeats = 2
[search_space]
penalty = ["l1", "elasticnet"]
C = 2.0
"""


@pytest.mark.slow
def test_text_says_what_would_be_searched_and_nothing_is_written(tmp_path: Path) -> None:
    process = run_hpo(tmp_path, "--dry-run", "--trials", "20")
    assert (process.returncode, process.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
    facts = [(line[:9].strip(), line[10:]) for line in process.stdout.splitlines()]
    assert facts[0] == ("study", "iris: 20 trials, judged by accuracy")
    assert facts[1] == (
        "data",
        "iris: 120 training rows, 30 held out; 'target' has 3 classes: 0 (40), 1 (40), 2 (40)",
    )
    assert facts[2][1].startswith("4 numeric: sepal length (cm), ")
    assert ("space", "C: 0.0001 to 10000, on a logarithmic scale") in facts
    assert ("splits", "5 stratified folds") in facts
    (time,) = [text for label, text in facts if label == "time"]
    assert time.startswith("about ")
    assert time.endswith(" for the search, an estimate: 5 folds a trial on 1 process")
    assert re.search(
        r"l2, none, newton-cholesky: \d+ ms a fold, \d+ % of the trials", process.stdout
    )


@pytest.fixture
def sheep(tmp_path: Path) -> Path:
    rows = [
        f"{n % 11}.5,{n % 10},{'abc'[n % 3]},{('fine', 'coarse')[n // 10 * 7 % 5 > 1]},{n}"
        for n in range(200)
    ]
    (tmp_path / "sheep.csv").write_text(
        "\n".join(["weight,farm,breed,wool,row", *rows]), encoding="utf-8"
    )
    (tmp_path / "sheep.toml").write_text(STUDY, encoding="utf-8")
    return tmp_path


def test_json_has_the_same_and_reads_a_table_of_ones_own(sheep: Path) -> None:
    process = run_here(sheep, "--dry-run", "--json", "--study", "sheep.toml", "--workers", "2")
    assert (process.returncode, process.stderr) == (0, "")
    assert sorted(path.name for path in sheep.iterdir()) == ["sheep.csv", "sheep.toml"]
    content = json.loads(process.stdout)
    assert content["columns"] == {"numeric": ["weight"], "categorical": ["breed"]}
    assert content["notes"] == ["'row' dropped: it numbers the rows"]
    assert (content["data"]["target"], sum(content["data"]["classes"].values())) == (
        "wool",
        content["data"]["n_train"],
    )
    assert content["data"]["n_train"] + content["data"]["n_holdout"] == 200
    assert content["splits"] == {
        "n_splits": 3,
        "n_repeats": 2,
        "gap": 0,
        "n_folds": 6,
        "grouped_by": "farm",
        "ordered_by": None,
    }
    assert content["trial_0"]["failure"] is None
    assert content["trial_0"]["params"]["penalty"] in {"l1", "elasticnet"}
    estimate = content["estimate"]
    n_searches, fits_in_turn, bookkeeping = 3, 3, 0.03
    expected = n_searches * 50 * (fits_in_turn * estimate["fold_seconds"] + bookkeeping)
    assert estimate["search_seconds"] == pytest.approx(expected, abs=0.01)
    assert {fit["params"]["penalty"] for fit in estimate["fits"]} == {"l1", "elasticnet"}
    assert sum(fit["share"] for fit in estimate["fits"]) == pytest.approx(1)
    assert all(fit["n_timed"] > 0 for fit in estimate["fits"])
    text = run_here(sheep, "--dry-run", "--study", "sheep.toml").stdout
    assert "3 stratified folds, 2 times, 'farm' never split" in text
    assert "C: 2.0, fixed" in text


def test_trial_0_is_the_one_that_a_run_has(sheep: Path, finished: FinishedRun) -> None:
    planned = json.loads(run_here(sheep, "--dry-run", "--json").stdout)["trial_0"]["params"]
    trial = read_stores(**stores_of(finished.directory)).trials[0]
    assert planned == {**trial.params, **trial.user_attrs["hpo.derived"]}
    planned = json.loads(run_here(sheep, "--dry-run", "--json", "--study", "sheep.toml").stdout)[
        "trial_0"
    ]["params"]
    definition = hpo.load_definition(
        sheep / "sheep.toml", {"study.n_trials": 1, "study.nested": None}
    )
    settings = hpo.ServiceSettings(**stores_of(sheep))
    result = hpo.run_study(definition, settings, tracking=InlineTracking())
    assert result.best_params == planned


def test_what_a_run_refuses_is_refused(tmp_path: Path) -> None:
    for flags in (("--metric", "f1"), ("--nested", "90"), ("--storage", "optuna.db")):
        dry, real = (run_here(tmp_path, *flags, *more) for more in (("--dry-run",), ()))
        assert dry.returncode == 2
        assert dry.stderr == real.stderr
    assert list(tmp_path.iterdir()) == []
