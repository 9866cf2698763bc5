"""Versions and aliases in a real registry: the champion moves when it should, stays when it should
not, and is never lost.
"""

from __future__ import annotations

import multiprocessing
import shutil
import uuid
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Timer

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from hpo.data.columns import COLUMNS_FILE, Columns
from hpo.definition import PreprocessingSection
from hpo.errors import TrackingError
from hpo.estimators.final_model import TRUSTED_TYPES, build_pipeline
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION
from hpo.results.tracking_state import RegistryState
from hpo.tracking.run_records import FinalRecord, HeldOut, ModelRecord, StudyRecord
from hpo.tracking.writer import MlflowWriter
from tests.support.servers import free_port, serving_tracking

# Done by MLflow 3.17 with the frame of an input example.
pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated")

PARAMS = {
    "penalty": "l2",
    "C": 1e4,
    "class_weight": "none",
    "solver": "lbfgs",
    "max_iter": 1000,
    "tol": 1e-4,
    "random_state": 0,
}
COLUMNS = Columns(numeric=("x",))
X = pd.DataFrame({"x": np.linspace(-1, 1, 400)})
HELD_OUT = HeldOut(
    LOGISTIC_REGRESSION,
    None,
    "accuracy",
    X,
    np.where(X["x"] > 0, "yes", "no"),
    digest="the same rows",
)


def make_record(
    shift: float,
    rule: str = "not_worse",
    held_out: HeldOut = HELD_OUT,
    columns: Columns = COLUMNS,
    refit: str = "train",
) -> FinalRecord:
    """A model that is wrong on as many rows as it is shifted."""
    rows, (no, yes) = held_out.X, np.unique(held_out.y)
    model = build_pipeline(LOGISTIC_REGRESSION, columns, PreprocessingSection(), PARAMS).fit(
        rows, np.where(rows.iloc[:, 0] > shift, yes, no)
    )
    record = ModelRecord(
        key=f"{uuid.uuid4().hex}/0",
        trial_number=0,
        model=model,
        input_example=rows.head(5),
        expected={"predict": model.predict(rows.head(5))},
        metrics={},
        params={},
        time_ms=0,
        requirements=(),
        input_types=columns.signature(),
        refit=refit,
        trusted_types=TRUSTED_TYPES,
        files={COLUMNS_FILE: columns.model_dump_json()},
    )
    return FinalRecord(
        record,
        n_finished=1,
        held_out=replace(held_out, model=model),
        registered_name="flowers",
        rule=rule,
    )


def log(tracking_uri: str, record: FinalRecord) -> MlflowWriter:
    """The model in a study of its own, with its run."""
    writer = MlflowWriter(
        tracking_uri,
        StudyRecord(uid=record.model.key.partition("/")[0], name="shifts", value_name="value"),
    )
    writer.open(0)
    writer.write_model(record)
    writer.close("FINISHED", 1)
    return writer


def register(tracking_uri: str, record: FinalRecord) -> RegistryState:
    state = log(tracking_uri, record).register(record)
    assert state is not None
    return state


def aliases(tracking_uri: str) -> dict[str, int]:
    found = MlflowClient(tracking_uri).get_registered_model("flowers").aliases
    return {alias: int(version) for alias, version in found.items()}


def tags(tracking_uri: str, version: int) -> dict[str, str]:
    return dict(MlflowClient(tracking_uri).get_model_version("flowers", str(version)).tags)


def test_champion_moves_when_it_should_and_stays_when_it_should_not(tracking_uri: str) -> None:
    expected = [
        (0.3, "champion", 1),
        (0.0, "champion", 2),
        (0.3, "kept", 2),
        (0.0, "champion", 4),
        (0.02, "kept", 4),
    ]
    for number, (shift, decision, champion) in enumerate(expected, start=1):
        before = aliases(tracking_uri)["champion"] if number > 1 else ""
        state = register(tracking_uri, make_record(shift))
        assert (state.version, state.decision, state.champion) == (number, decision, champion)
        assert aliases(tracking_uri) == {"challenger": number, "champion": champion}
        assert tags(tracking_uri, number)["hpo.decision"] == decision
        assert tags(tracking_uri, number)["hpo.compared_with"] == str(before)
    assert (
        "accuracy 0.8500 against 1.0000 on the same 400 held-out rows"
        in tags(tracking_uri, 3)["hpo.comparison"]
    )


@pytest.mark.parametrize(
    ("rule", "shifts", "champion"),
    [("better", (0.3, 0.3), 1), ("better", (0.3, 0.0), 2), ("never", (0.3, 0.0), None)],
)
def test_rule_of_the_definition_decides(
    tracking_uri: str, rule: str, shifts: tuple[float, float], champion: int | None
) -> None:
    for shift in shifts:
        register(tracking_uri, make_record(shift, rule))
    assert aliases(tracking_uri).get("champion") == champion


def test_registering_again_changes_nothing_even_where_a_person_has_moved_the_alias(
    tracking_uri: str,
) -> None:
    register(tracking_uri, make_record(0.0))
    record = make_record(0.3)
    writer = log(tracking_uri, record)
    first = writer.register(record)
    MlflowClient(tracking_uri).delete_registered_model_alias("flowers", "champion")
    assert first is not None
    assert writer.register(record) == replace(first, champion=None)
    assert aliases(tracking_uri) == {"challenger": 2}


@pytest.mark.parametrize("moved", [False, True], ids=["before the move", "after the move"])
def test_decision_that_was_cut_off_is_made_again(tracking_uri: str, moved: bool) -> None:
    register(tracking_uri, make_record(0.3))
    record = make_record(0.0)
    writer = log(tracking_uri, record)
    writer.register(record)
    client = MlflowClient(tracking_uri)
    client.set_model_version_tag("flowers", "2", "hpo.decision", "pending")
    if not moved:
        client.set_registered_model_alias("flowers", "champion", "1")
    state = writer.register(record)
    assert state is not None
    assert state.decision == "champion"
    assert aliases(tracking_uri) == {"challenger": 2, "champion": 2}
    assert tags(tracking_uri, 2)["hpo.compared_with"] == "1"


def test_older_version_that_is_not_decided_yet_is_waited_for(tracking_uri: str) -> None:
    register(tracking_uri, make_record(0.3))
    client = MlflowClient(tracking_uri)
    client.set_model_version_tag("flowers", "1", "hpo.decision", "pending")
    client.delete_registered_model_alias("flowers", "champion")

    def decide() -> None:
        client.set_registered_model_alias("flowers", "champion", "1")
        client.set_model_version_tag("flowers", "1", "hpo.decision", "champion")

    timer = Timer(2.0, decide)
    timer.start()
    state = register(tracking_uri, make_record(0.0))
    timer.join()
    assert (state.decision, tags(tracking_uri, 2)["hpo.compared_with"]) == ("champion", "1")


def spoil(tracking_uri: str, kind: str) -> HeldOut:
    """A champion that cannot be compared with what is registered next."""
    if kind == "other columns":
        other = replace(HELD_OUT, X=X.rename(columns={"x": "z"}))
        register(tracking_uri, make_record(0.3, held_out=other, columns=Columns(numeric=("z",))))
    elif kind == "other classes":
        register(tracking_uri, make_record(0.3))
        return replace(HELD_OUT, y=np.where(X["x"] > 0, "yes", "perhaps"))
    elif kind == "untrusted":
        path = Path(log_champion(tracking_uri), "model.skops")
        shutil.copy(Path(__file__), path)
    else:
        shutil.rmtree(log_champion(tracking_uri))
    return HELD_OUT


def log_champion(tracking_uri: str) -> str:
    """Where its files are."""
    record = make_record(0.3)
    register(tracking_uri, record)
    client = MlflowClient(tracking_uri)
    (model,) = client.search_logged_models([client.get_experiment_by_name("shifts").experiment_id])
    return str(model.artifact_location)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("other columns", "not comparable: the champion needs other columns (z)"),
        ("other classes", "not comparable: not both know the classes 'no', 'perhaps'"),
        ("untrusted", "not comparable: model: its files are damaged"),
        ("gone", "not comparable: model: "),
    ],
)
def test_champion_that_cannot_be_compared_stays(tracking_uri: str, kind: str, reason: str) -> None:
    held_out = spoil(tracking_uri, kind)
    state = register(tracking_uri, make_record(0.0, held_out=held_out))
    assert (state.decision, state.champion) == ("kept", 1)
    assert state.comparison.startswith(reason)
    assert aliases(tracking_uri) == {"challenger": 2, "champion": 1}


@pytest.mark.parametrize(("refit", "digest"), [("train", "others"), ("all", "the same rows")])
def test_champion_that_may_have_seen_the_hold_out_is_said_to(
    tracking_uri: str, refit: str, digest: str
) -> None:
    register(tracking_uri, make_record(0.3, refit=refit))
    state = register(tracking_uri, make_record(0.0, held_out=replace(HELD_OUT, digest=digest)))
    assert state.decision == "champion"
    assert state.comparison.endswith("the champion may have been fitted on some of these rows")


def test_challenger_is_judged_by_the_fit_that_never_saw_the_hold_out(tracking_uri: str) -> None:
    register(tracking_uri, make_record(0.1))
    poor = make_record(0.3).held_out
    assert poor is not None
    state = register(tracking_uri, replace(make_record(0.0, refit="all"), held_out=poor))
    assert state.decision == "kept"
    assert state.comparison.startswith(
        "accuracy 0.8500 against 0.9500 on the same 400 held-out rows"
    )


def register_all(tracking_uri: str, shifts: list[float]) -> list[RegistryState]:
    return [register(tracking_uri, make_record(shift)) for shift in shifts]


@pytest.mark.slow
def test_two_at_once_lose_no_champion(
    empty_databases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(empty_databases / "mlflow.db", tmp_path / "server.db")
    # As the tracking process has it: MLflow's own retries of a server that is away take minutes.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    # Each is worse than the one before by 20 rows of 400; the best of all is registered early by
    # one of the two.
    shifts = [[0.4, 0.0, 0.5, 0.2, 0.6], [0.5, 0.3, 0.1, 0.6, 0.4]]
    with (
        serving_tracking(tmp_path, free_port()) as address,
        ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool,
    ):
        MlflowClient(address).create_experiment("shifts")
        states = [state for done in pool.map(register_all, [address] * 2, shifts) for state in done]
        versions = {
            state.version: shift for state, shift in zip(states, shifts[0] + shifts[1], strict=True)
        }
        assert sorted(versions) == list(range(1, 11))
        champion = None
        for version in sorted(versions):
            compared_with = tags(address, version)["hpo.compared_with"]
            assert compared_with == ("" if champion is None else str(champion)), (
                f"version {version}"
            )
            if champion is None or versions[version] <= versions[champion]:
                champion = version
            assert tags(address, version)["hpo.decision"] == (
                "champion" if champion == version else "kept"
            )
        assert champion is not None
        assert versions[champion] == 0.0
        assert aliases(address)["champion"] == champion
        late = log(address, make_record(0.0))
    with pytest.raises(TrackingError, match="MLflow: "):
        late.register(make_record(0.0))
