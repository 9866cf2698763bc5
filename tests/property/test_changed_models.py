"""Whatever is changed in a logged model's files, loading it gives its predictions or one line.

Nothing of it is run, no module is imported, no process started, no file written and none read but
its own: Python's own audit events say so, in a process of its own.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from hpo.definition import DataSection
from hpo.search.plan import load_data
from hpo.study_file import StudyDefinition
from tests.support.commands import run_python
from tests.support.doors import save_fitted

WATCHED = ("-m", "tests.property.loading_watched")
N_ROWS = 120
IN_THE_SUITE = 0.25
"""Of the mutations that are drawn; ``--hypothesis-profile=explore`` takes them all."""

pytestmark = [
    pytest.mark.slow,
    # Done by MLflow 3.17 with the frame of an input example.
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a model that has every kind of column, and rows for it."""
    directory = tmp_path_factory.mktemp("saved")
    rng = np.random.default_rng(0)
    table = pd.DataFrame({
        "size": rng.normal(size=N_ROWS),
        "gappy": np.where(rng.random(N_ROWS) < 0.3, np.nan, rng.integers(0, 9, N_ROWS)),
        "flag": rng.choice(["TRUE", "FALSE"], N_ROWS),
        "word": rng.choice(["x", "y", "z"], N_ROWS),
        "day": pd.date_range("2026-01-31", periods=N_ROWS).strftime("%Y-%m-%d"),
        "note": rng.choice(["a dull plot", "lovely music", ""], N_ROWS),
    })  # fmt: skip
    table.head(3).to_csv(directory / "rows.csv", index=False)
    table["buys"] = np.where(table["size"] > 0, "yes", "no")
    table.to_csv(directory / "table.csv", index=False)
    section = DataSection(source=str(directory / "table.csv"), target="buys", text=("note",))
    save_fitted(load_data(StudyDefinition(data=section)), directory / "model")
    return directory


def load_watched(directory: Path, *arguments: str) -> tuple[list[str], dict[str, int]]:
    """What was wrong, and how many mutations had which outcome."""
    place = [str(directory / "model"), str(directory / "rows.csv")]
    share = IN_THE_SUITE if settings.default.derandomize else 1.0
    process = run_python(Path.cwd(), "-W", "ignore", *WATCHED, *place, "0", str(share), *arguments)
    assert (process.returncode, process.stderr) == (0, "")
    *wrong, outcomes = process.stdout.splitlines()
    return wrong, json.loads(outcomes)


def test_changed_model_predicts_the_same_or_is_refused_in_one_line(saved: Path) -> None:
    wrong, outcomes = load_watched(saved)
    assert wrong == []
    assert outcomes.keys() == {"predicts", "ModelError"}
    assert min(outcomes.values()) > 100


def test_watch_sees_what_mlflows_own_loader_runs(saved: Path) -> None:
    wrong, _ = load_watched(saved, "mlflow")
    heard = {tuple(line.split(": ", 2)[:2]) for line in wrong}
    events = {(name, event.split()[0]) for name, event in heard}
    assert {("names a module", "exec"), ("names a module", "os.system")} <= events
    assert {("names a pickle", "pickle.find_class"), ("names a pickle", "os.system")} <= events
    assert ("names a module", "left") in events
