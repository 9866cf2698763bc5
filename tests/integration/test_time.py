"""Studies of rows in the order of time, and tables that leak, by the real command."""

import json
from itertools import pairwise
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from tests.support.here import run_here, run_here_well
from tests.support.stores import stores_of

N = 400


@pytest.fixture
def orders(directory: Path) -> Path:
    """A table whose only telling column tells less and less, and then the opposite."""
    rng = np.random.default_rng(0)
    day = np.sort(rng.integers(0, 200, N))
    x = rng.normal(size=(N, 2))
    logit = 3 * np.cos(np.pi * day / 200) * x[:, 0]
    rows = pd.DataFrame(x, columns=["a", "b"]).assign(
        ordered_at=(pd.Timestamp("2024-01-01") + pd.to_timedelta(day, "D")).strftime("%Y-%m-%d"),
        amount=np.round(logit + rng.normal(size=N), 3),
        late=np.where(rng.random(N) < 1 / (1 + np.exp(-logit)), "yes", "no"),
    )
    rows.sample(frac=1, random_state=0).to_csv(directory / "orders.csv", index=False)
    write(directory)
    return directory


def write(directory: Path, *, target: str = "late", more: str = "", data: str = "") -> None:
    other = {"late": "amount", "amount": "late"}[target]
    (directory / "orders.toml").write_text(
        f'[study]\nname = "orders"\nn_trials = 3\n{more}\n[data]\nsource = "orders.csv"\n'
        f'target = "{target}"\ndrop = ["{other}"]\ntime = "ordered_at"\n{data}\n[cv]\ngap = 3\n',
        encoding="utf-8",
    )


@pytest.mark.slow
def test_forward_study_says_that_the_score_falls_and_draws_it(orders: Path) -> None:
    text = run_here_well(orders, "--study", "orders.toml", plots=True)
    facts = {line[:9].strip(): line[10:] for line in text.splitlines()}
    assert facts["note"] == "3 rows before the held-out ones are left out: cv.gap = 3"
    assert facts["by time"].startswith("accuracy 0.")
    assert ", from 2024-01-" in facts["by time"]
    assert "falls from part to part by -0." in facts["by time"]
    content = json.loads(run_here_well(orders, "--study", "orders.toml", "--json"))
    over_time = content["over_time"]
    assert over_time["column"] == "ordered_at"
    assert len(over_time["folds"]) == 5
    fitted = [fold["n_fitted"] for fold in over_time["folds"]]
    assert fitted == sorted(fitted)
    parts = [*over_time["folds"], over_time["holdout"]]
    assert all(a["to"] < b["from"] for a, b in pairwise(parts))
    assert over_time["change"]["high"] < 0
    assert content["notes"] == [facts["note"]]
    client = mlflow.MlflowClient(stores_of(orders)["tracking_uri"])
    run = client.get_run(content["parent_run_id"])
    drawn = [file.path for file in client.list_artifacts(run.info.run_id, "figures")]
    assert "figures/score_over_time.png" in drawn
    assert "By time: accuracy" in run.data.tags["mlflow.note.content"]
    assert run.data.params["data.time"] == "ordered_at"


@pytest.mark.parametrize("target", ["late", "amount"])
def test_trials_are_the_same_with_workers_after_a_stop_and_with_another_order_of_the_file(
    orders: Path, target: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    write(orders, target=target)
    other = tmp_path_factory.mktemp("other")
    rows = pd.read_csv(orders / "orders.csv").drop_duplicates("ordered_at")
    rows.to_csv(orders / "orders.csv", index=False)
    rows.sample(frac=1, random_state=1).to_csv(other / "orders.csv", index=False)
    write(other, target=target)
    at_once = run_here(orders, "--study", "orders.toml", "--json", "--trials", "4")
    run_here(other, "--study", "orders.toml", "--json", "--trials", "2")
    resumed = run_here(other, "--study", "orders.toml", "--json", "--trials", "4", "--workers", "2")
    assert (at_once.returncode, resumed.returncode) == (0, 0), resumed.stderr
    first, second = json.loads(at_once.stdout), json.loads(resumed.stdout)
    assert first["best"]["params"] == second["best"]["params"]
    assert first["over_time"] == second["over_time"]
    assert first["holdout"] == second["holdout"]


def test_nested_search_and_refit_on_all_rows_go_forward_too(orders: Path) -> None:
    write(orders, more="nested = 2", data="group = 'b'\n[selection]\nrefit = 'all'")
    done = run_here(orders, "--study", "orders.toml", "--json", "--trials", "2")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert len(content["nested"]["scores"]) == 2
    assert content["best"]["refit"] == "all"


def test_other_column_of_time_is_another_study(orders: Path) -> None:
    assert run_here(orders, "--study", "orders.toml", "--trials", "1").returncode == 0
    text = (orders / "orders.toml").read_text(encoding="utf-8")
    (orders / "orders.toml").write_text(text.replace("gap = 3", "gap = 4"), encoding="utf-8")
    refused = run_here(orders, "--study", "orders.toml", "--trials", "1")
    assert refused.returncode == 2
    assert "cv.gap" in refused.stderr


def test_class_that_comes_too_late_is_refused_before_anything_is_written(orders: Path) -> None:
    rows = pd.read_csv(orders / "orders.csv")
    rows.loc[rows["ordered_at"] < "2024-02-12", "late"] = "no"
    rows.to_csv(orders / "orders.csv", index=False)
    before = sorted(path.name for path in orders.iterdir())
    refused = run_here(orders, "--study", "orders.toml")
    assert refused.returncode == 2
    assert refused.stderr == (
        "hpo: data.time: fold 1 of 5 by 'ordered_at' has no training row of class 'yes'"
        " (set cv.n_splits to 2, or add rows of that class)\n"
    )
    assert sorted(path.name for path in orders.iterdir()) == before


def test_dry_run_of_a_table_with_dates_says_what_time_does(orders: Path) -> None:
    rows = pd.read_csv(orders / "orders.csv").drop(columns="amount")
    is_early = rows["ordered_at"] < "2024-03-21"
    rows["late"] = np.where((rows["a"] > 0) == is_early, "yes", "no")
    rows.to_csv(orders / "turned.csv", index=False)
    flags = ("--dry-run", "--data", "turned.csv", "--target", "late")
    notes = json.loads(run_here(orders, *flags, "--json").stdout)["notes"]
    assert notes[0].startswith("'ordered_at' holds dates: with data.time = \"ordered_at\"")
    assert notes[1].startswith("time matters: on rows after those they were fitted on")
    text = run_here(orders, "--dry-run", "--study", "orders.toml").stdout
    assert "splits    5 folds forward in 'ordered_at', with a gap of 3 rows\n" in text
    assert "holds dates" not in text


def test_leak_is_told_everywhere_and_refused_nowhere(orders: Path) -> None:
    rows = pd.read_csv(orders / "orders.csv").drop(columns=["amount", "ordered_at"])
    rows["arrival_delay"] = np.where(rows["late"] == "yes", 20, -5)
    rows.to_csv(orders / "orders.csv", index=False)
    flags = ("--data", "orders.csv", "--target", "late", "--trials", "1")
    expected = (
        "possible leak: 'arrival_delay' alone predicts 'late' (AUC 1.0000 on rows it was not fitted"
        " on): drop it unless it is known when you predict"
    )
    assert json.loads(run_here(orders, *flags, "--dry-run", "--json").stdout)["notes"] == [expected]
    done = run_here(orders, *flags, "--json")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content["notes"] == [expected]
    assert f"note      {expected}\n" in run_here(orders, *flags).stdout
    client = mlflow.MlflowClient(stores_of(orders)["tracking_uri"])
    description = client.get_run(content["parent_run_id"]).data.tags["mlflow.note.content"]
    assert "possible leak: 'arrival_delay' alone predicts" in description.replace("\\", "")
