"""Artifacts that are gone, though MLflow's records say that they are there: the check says so, and
the same command writes them again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.cli import gc
from sklearn.datasets import load_iris

from tests.support.checker import Picture, check_stores, read_stores
from tests.support.here import Ended, call_main, run_here, run_here_well
from tests.support.stores import close_stores, stores_of

RUN = ("--trials", "2", "--tracking-wait", "0")
NOTHING = "all done before, nothing was changed"
AGAIN = "all done before; what MLflow had lost was written again"


def rerun(directory: Path, *flags: str, plots: bool = False) -> Ended:
    ended = run_here(directory, *RUN, *flags, plots=plots)
    assert ended.returncode == 0, ended.stderr
    assert AGAIN in ended.stdout
    return ended


def check(directory: Path) -> Ended:
    return call_main(directory, "check")


def files_of(location: str) -> dict[str, bytes]:
    place = Path(location)
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file()
    }


def all_files(picture: Picture) -> tuple[set[str], set[str]]:
    model, parent = picture.model.artifact_location, picture.parent.info.artifact_uri
    return set(files_of(model)), set(files_of(parent))


def predict(directory: Path, model: str) -> Ended:
    load_iris(as_frame=True).data.to_csv(directory / "rows.csv", index=False)
    return call_main(directory, "predict", model, "rows.csv")


def test_all_artifacts_gone_are_written_again(directory: Path) -> None:
    run_here_well(directory, *RUN, "--register", "flowers", plots=True)
    before = check_stores(**stores_of(directory), n_trials=2)
    files, predicted = all_files(before), predict(directory, before.model.model_uri).stdout
    shutil.rmtree(directory / "mlruns")
    checked = check(directory)
    assert checked.returncode == 3
    assert f"the model {before.model.model_uri} of study 'iris' cannot be loaded" in checked.stdout
    assert "run the same command again: it writes it again" in checked.stdout
    ended = rerun(directory, "--register", "flowers", plots=True)
    assert [line.partition(" (")[0] for line in ended.stderr.splitlines()] == [
        "hpo: files of the parent run are gone",
        f"hpo: the logged model {before.model.model_uri} cannot be loaded",
    ]
    after = check_stores(**stores_of(directory), n_trials=2)
    assert (after.model.model_id, len(after.models)) == (before.model.model_id, 1)
    assert all_files(after) == files
    assert predict(directory, "models:/flowers@champion").stdout == predicted
    assert mlflow.pyfunc.load_model(after.model.artifact_location) is not None
    assert check(directory).returncode == 0
    whole = run_here_well(directory, *RUN, "--register", "flowers", plots=True)
    assert NOTHING in whole


LOSSES: dict[str, Callable[[Path], object]] = {
    "the folder": shutil.rmtree,
    "the pipeline": lambda place: (place / "model.skops").unlink(),
    "the columns": lambda place: (place / "hpo_columns.json").unlink(),
    "half of the pipeline": lambda place: (place / "model.skops").write_bytes(
        (place / "model.skops").read_bytes()[:1000]
    ),
    "what MLflow loads by": lambda place: (place / "MLmodel").unlink(),
    "the code": lambda place: shutil.rmtree(place / "code"),
    "the card": lambda place: (place / "model_card.md").unlink(),
}


@pytest.mark.parametrize("what", LOSSES)
def test_model_that_lost_a_file_is_whole_after_the_next_run(directory: Path, what: str) -> None:
    run_here_well(directory, *RUN)
    before = read_stores(**stores_of(directory))
    files = files_of(before.model.artifact_location)
    LOSSES[what](Path(before.model.artifact_location))
    assert check(directory).returncode == 3
    rerun(directory)
    after = read_stores(**stores_of(directory))
    assert (after.model.model_id, len(after.models)) == (before.model.model_id, 1)
    written = files_of(after.model.artifact_location)
    assert written.keys() == files.keys()
    for name in ("model_card.md", "hpo_columns.json", "code/hpo/serving.py"):
        assert written[name] == files[name]
    assert check(directory).returncode == 0
    assert NOTHING in run_here_well(directory, *RUN)


@pytest.mark.parametrize("what", ["study", "data", "model_card.md"])
def test_parent_run_that_lost_a_file_is_whole_after_the_next_run(
    directory: Path, what: str
) -> None:
    run_here_well(directory, *RUN)
    before = read_stores(**stores_of(directory))
    files = files_of(before.parent.info.artifact_uri)
    lost = Path(before.parent.info.artifact_uri, what)
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    rerun(directory)
    written = files_of(read_stores(**stores_of(directory)).parent.info.artifact_uri)
    assert written.keys() == files.keys()
    assert NOTHING in run_here_well(directory, *RUN)


def test_model_that_was_not_written_again_to_its_end_is_written_by_the_next_run(
    directory: Path,
) -> None:
    run_here_well(directory, *RUN)
    before = read_stores(**stores_of(directory))
    place = Path(before.model.artifact_location)
    client = MlflowClient(stores_of(directory)["tracking_uri"])
    client.set_logged_model_tags(before.model.model_id, {"hpo.incomplete": "true"})
    (place / "code/hpo/serving.py").unlink()
    assert "it was not written to its end" in check(directory).stdout
    rerun(directory)
    assert (place / "code/hpo/serving.py").exists()
    assert "hpo.incomplete" not in read_stores(**stores_of(directory)).model.tags


def test_model_that_a_person_deleted_is_logged_anew(directory: Path) -> None:
    run_here_well(directory, *RUN)
    before = read_stores(**stores_of(directory))
    MlflowClient(stores_of(directory)["tracking_uri"]).delete_logged_model(before.model.model_id)
    assert "cannot be loaded: MLflow does not have it" in check(directory).stdout
    rerun(directory)
    after = check_stores(**stores_of(directory), n_trials=2)
    assert after.model.model_id != before.model.model_id
    assert check(directory).returncode == 0


def test_artifacts_that_cannot_be_written_again_end_in_one_line(directory: Path) -> None:
    run_here_well(directory, *RUN)
    shutil.rmtree(directory / "mlruns")
    (directory / "mlruns").write_text("in the way")
    ended = run_here(directory, *RUN)
    assert ended.returncode == 3
    assert "Traceback" not in ended.stderr
    assert "MLflow is behind" in ended.stderr
    (directory / "mlruns").unlink()
    rerun(directory)
    check_stores(**stores_of(directory), n_trials=2)


def test_parent_run_that_was_purged_is_written_again_above_its_children(directory: Path) -> None:
    run_here_well(directory, *RUN)
    stores = stores_of(directory)
    before = read_stores(**stores)
    purge(stores["tracking_uri"], before.parent.info.run_id)
    checked = check(directory)
    assert checked.returncode == 3
    assert (
        "MLflow lost the parent run of study 'iris' (run the same command again" in checked.stdout
    )
    assert rerun(directory).stderr == "hpo: the parent run is gone: written again\n"
    assert check(directory).returncode == 0
    assert NOTHING in run_here_well(directory, *RUN)
    after = read_stores(**stores)
    assert after.children.keys() == before.children.keys()
    assert after.model.model_id == before.model.model_id
    for number, child in after.children.items():
        assert child.info.run_id == before.children[number].info.run_id
        assert child.data.tags["mlflow.parentRunId"] == after.parent.info.run_id
    (output,) = (
        MlflowClient(stores["tracking_uri"]).get_run(after.parent.info.run_id).outputs.model_outputs
    )
    assert output.model_id == after.model.model_id


def purge(tracking_uri: str, run_id: str) -> None:
    """Delete a run, then ``mlflow gc`` it."""
    MlflowClient(tracking_uri).delete_run(run_id)
    uris = ("--backend-store-uri", tracking_uri, "--tracking-uri", tracking_uri)
    ended = CliRunner().invoke(gc, [*uris, "--run-ids", run_id])
    assert ended.exit_code == 0, ended.output
    close_stores()
