"""An artifact store that answers with other files than were put: nothing of them is run, read or
written beyond what a model of ours has, whoever asks.
"""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus

import hpo.estimators.loading
from tests.support.artifact_store import ArtifactStore, artifact_store
from tests.support.checker import check_stores, read_stores
from tests.support.commands import run_python
from tests.support.here import Ended, call_main, run_here
from tests.support.stores import stores_of

MARK = "executed"
NAMES_A_MODULE = b"""
flavors:
  python_function:
    code: code
    env: {virtualenv: python_env.yaml}
    loader_module: evil
    python_version: 3.11.7
"""
NAMES_A_PICKLE = b"""
flavors:
  python_function:
    env: {virtualenv: python_env.yaml}
    loader_module: mlflow.sklearn
    model_path: model.pkl
    python_version: 3.11.7
  sklearn:
    code: null
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.9.1
"""
MODULE = f"import os\nos.system('touch {MARK}')\ndef _load_pyfunc(path): return None\n".encode()


class Trap:
    """Unpickled, it leaves a file."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {MARK}",)


HOSTILE = {
    "module": ({"/MLmodel": NAMES_A_MODULE, "code/evil.py": MODULE}, "loader_module 'evil'"),
    "pickle": (
        {"/MLmodel": NAMES_A_PICKLE, "/model.pkl": pickle.dumps(Trap())},
        "pickled_model 'model.pkl', serialization_format 'cloudpickle'",
    ),
}
"""What MLflow's own loader runs, and what ours says of it."""


@pytest.fixture
def store() -> Iterator[ArtifactStore]:
    with artifact_store() as running:
        yield running


def run_on(store: ArtifactStore, directory: Path, *flags: str, wait: str = "0") -> Ended:
    """A run whose artifacts go to the store."""
    client = MlflowClient(stores_of(directory)["tracking_uri"])
    if client.get_experiment_by_name("iris") is None:
        client.create_experiment("iris", artifact_location=store.address)
    return run_here(
        directory, *("--trials", "2", "--tracking-wait", wait), *flags, **WITHOUT_RETRIES
    )


WITHOUT_RETRIES = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


@pytest.mark.parametrize("kind", HOSTILE)
def test_run_does_not_count_a_model_that_its_store_changed(
    directory: Path, store: ArtifactStore, kind: str
) -> None:
    store.answers, line = HOSTILE[kind]
    ended = run_on(store, directory)
    assert not (directory / MARK).exists()
    assert ended.returncode == 3
    assert f"its MLmodel names {line}" in ended.stderr
    assert "Traceback" not in ended.stderr
    model = read_stores(**stores_of(directory)).model
    assert model.status == LoggedModelStatus.PENDING
    # MLflow's own loader takes it: the trap is a real one.
    load = "import mlflow, sys\nmlflow.pyfunc.load_model(sys.argv[1])"
    run_python(directory, "-W", "ignore", "-c", load, model.artifact_location)
    assert (directory / MARK).exists()
    store.answers = {}
    assert run_on(store, directory).returncode == 0
    check_stores(**stores_of(directory), n_trials=2)


@pytest.mark.parametrize("kind", HOSTILE)
def test_champion_that_its_store_changed_is_not_comparable_nor_predicts(
    directory: Path, store: ArtifactStore, kind: str
) -> None:
    assert run_on(store, directory, "--register", "flowers").returncode == 0
    answers, line = HOSTILE[kind]
    champion = read_stores(**stores_of(directory)).model.artifact_location.rpartition("/models/")[2]
    store.answers = {
        f"{champion}{end if end[0] == '/' else '/' + end}": answers[end] for end in answers
    }
    (directory / "rows.csv").write_text("a\n1\n")
    predicted = call_main(
        directory, "predict", "models:/flowers@champion", "rows.csv", **WITHOUT_RETRIES
    )
    assert predicted.returncode == 2
    assert f"its MLmodel names {line}" in predicted.stderr
    study = ("--name", "second", "--seed", "1", "--register", "flowers")
    MlflowClient(stores_of(directory)["tracking_uri"]).create_experiment(
        "second", artifact_location=store.address
    )
    ended = run_on(store, directory, *study)
    assert f"not comparable: model: its MLmodel names {line}" in ended.stdout
    assert not (directory / MARK).exists()


def test_code_of_ours_is_that_of_this_package(directory: Path, store: ArtifactStore) -> None:
    store.answers = {"code/hpo/serving.py": MODULE, "code/hpo/conversion.py": MODULE}
    assert run_on(store, directory).returncode == 0
    assert not (directory / MARK).exists()
    assert not any("/code/" in path for path in store.asked)


def big_zip(n_bytes: int) -> bytes:
    """A file that is small until it is unpacked."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b" " * n_bytes)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["/MLmodel", "/hpo_columns.json", "/model.skops"])
def test_file_without_end_is_not_read_to_its_end(
    directory: Path, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    largest = dict.fromkeys(hpo.estimators.loading.LARGEST_FILES, 2**22)
    monkeypatch.setattr(hpo.estimators.loading, "LARGEST_FILES", largest)
    store.answers = {name: None}
    ended = run_on(store, directory)
    assert ended.returncode == 3
    assert f"{name[1:]} should have {2**22} bytes at most, but got more" in ended.stderr
    assert store.n_zeros < 2**26


def test_file_that_is_listed_as_huge_is_not_asked_for(
    directory: Path, store: ArtifactStore
) -> None:
    store.sizes = {"model.skops": 2**40}
    ended = run_on(store, directory)
    assert ended.returncode == 3
    assert "model.skops should have 536870912 bytes at most" in ended.stderr
    assert not any(path.endswith("model.skops") for path in store.asked)


def test_archive_that_unpacks_to_more_is_refused(
    directory: Path, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hpo.estimators.skops_file, "MAX_BYTES", 2**22)
    store.answers = {"/model.skops": big_zip(2**23)}
    ended = run_on(store, directory)
    assert ended.returncode == 3
    assert "it should unpack to 4194304 bytes at most, but got 8388608" in ended.stderr


def test_names_that_are_listed_lead_nowhere(directory: Path, store: ArtifactStore) -> None:
    store.names = ("..", "../../escaped", "/etc/passwd", "a/../../model.skops", "%2e%2e/escaped")
    ended = run_on(store, directory)
    assert not list(directory.parent.glob("escaped*"))
    assert not any("escaped" in path or "passwd" in path for path in store.asked)
    assert ended.returncode in {0, 3}
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("status", [404, 500])
def test_file_that_cannot_be_had_is_said(
    directory: Path, store: ArtifactStore, status: int
) -> None:
    store.answers = {"/model.skops": status}
    ended = run_on(store, directory)
    assert ended.returncode == 3
    assert "cannot be fetched from sqlite" in ended.stderr
    assert "Traceback" not in ended.stderr
