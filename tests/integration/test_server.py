"""The same job against a real ``mlflow server``: there, absent, and there again."""

import json
import shutil
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from sklearn.datasets import load_iris

import hpo
from hpo.tracking.inline import InlineTracking
from tests.support.checker import check_stores, trial_table
from tests.support.commands import run_hpo
from tests.support.here import run_here_well
from tests.support.servers import free_port, serving_tracking
from tests.support.sharing import FinishedRun
from tests.support.stores import stores_of

N_TRIALS = 12
WAIT_SECONDS = 1.0


def test_job_against_a_server(server: str, finished: FinishedRun, tmp_path: Path) -> None:
    flags = ("--trials", str(N_TRIALS), "--name", "served")
    report = run_here_well(tmp_path, *flags, MLFLOW_TRACKING_URI=server)
    storage = stores_of(tmp_path)["storage"]
    picture = check_stores(storage, server, n_trials=N_TRIALS, study="served")
    assert trial_table(storage, "served") == first_trials(finished)
    assert f"\n          {server}/#/experiments/{picture.experiment.experiment_id}/runs?" in report
    assert not (tmp_path / "mlflow.db").exists()
    assert not (tmp_path / "mlruns").exists()
    assert picture.model.artifact_location.startswith("mlflow-artifacts:")
    path = MlflowClient(server).download_artifacts(
        picture.parent.info.run_id, "study/definition.json", str(tmp_path)
    )
    assert json.loads(Path(path).read_text(encoding="utf-8"))["study"]["n_trials"] == N_TRIALS
    copy = mlflow.artifacts.download_artifacts(
        artifact_uri=picture.model.artifact_location, dst_path=str(tmp_path), tracking_uri=server
    )
    assert (Path(copy) / "MLmodel").exists()


def first_trials(finished: FinishedRun) -> list[tuple[str, ...]]:
    return trial_table(stores_of(finished.directory)["storage"])[:N_TRIALS]


def test_server_absent_is_exit_3_and_the_same_command_catches_up(
    empty_databases: Path, finished: FinishedRun, tmp_path: Path
) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    flags = ("--trials", str(N_TRIALS), "--tracking-uri", address)
    process = run_hpo(tmp_path, *flags, "--tracking-wait", str(WAIT_SECONDS))
    assert process.returncode == 3
    assert f"iris: {N_TRIALS} trials ({N_TRIALS} complete)\n" in process.stdout
    assert "not logged yet: MLflow is behind, the same command catches up" in process.stdout
    away_line = f"{address} does not answer: Connection refused"
    assert process.stderr.splitlines() == [
        f"hpo: MLflow does not take what is written ({away_line}); the search goes on, nothing is lost",
        f"hpo: MLflow is behind by {N_TRIALS} trials and the final model may be missing: {away_line} (the same command catches up)",
    ]
    storage = stores_of(tmp_path)["storage"]
    assert trial_table(storage) == first_trials(finished)
    shutil.copy(empty_databases / "mlflow.db", tmp_path / "server.db")
    with serving_tracking(tmp_path, port):
        run_here_well(tmp_path, *flags)
        check_stores(storage, address, n_trials=N_TRIALS)


def test_server_absent_is_said_by_the_python_call_too(tmp_path: Path) -> None:
    definition = hpo.load_definition(overrides={"study.n_trials": 3})
    storage, address = stores_of(tmp_path)["storage"], f"http://127.0.0.1:{free_port()}"
    settings = hpo.ServiceSettings(storage, address, tracking_wait_seconds=WAIT_SECONDS)
    result = hpo.run_study(definition, settings, tracking=InlineTracking())
    assert (result.n_trials, result.n_behind) == ({"complete": 3, "pruned": 0, "failed": 0}, 3)
    assert not result.is_tracking_complete
    assert (result.parent_run_id, result.best_run_id, result.model_uri) == (None, None, None)
    assert result.model.predict(load_iris(as_frame=True).data.head(1)).tolist() == [0]
