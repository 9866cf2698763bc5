"""What a run leaves to look at: figures, tables, the page and the card; each is opened, and what
cannot be drawn loses nothing.
"""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from tests.support.checker import Picture, check_stores, read_stores
from tests.support.commands import run_hpo
from tests.support.here import run_here_well
from tests.support.sharing import FinishedRun
from tests.support.stores import stores_of

OF_MODEL = {
    "model_card.md",
    *(
        f"figures/{name}.png"
        for name in (
            "calibration_curve",
            "coefficients",
            "confusion_matrix",
            "permutation_importance",
        )
    ),
    *(f"figures/{name}.png" for name in ("precision_recall_curve", "roc_curve")),
    *(
        f"tables/{name}.csv"
        for name in ("coefficients", "confusion_matrix", "permutation_importance")
    ),
}
OF_STUDY = {"plots/study.html"}


def files_of(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def parent_files(directory: Path, study: str = "iris") -> dict[str, bytes]:
    run: Run = read_stores(**stores_of(directory), study=study).parent
    return files_of(Path(run.info.artifact_uri))


def model_files(picture: Picture) -> dict[str, bytes]:
    return files_of(Path(picture.model.artifact_location))


def test_every_artifact_opens(finished: FinishedRun) -> None:
    files = parent_files(finished.directory)
    assert files.keys() >= OF_MODEL | OF_STUDY
    for name, content in files.items():
        if name.endswith(".png"):
            assert np.ptp(np.asarray(Image.open(io.BytesIO(content)).convert("L"))) > 50, name
        elif name.endswith(".csv"):
            assert len(pd.read_csv(io.BytesIO(content))) in {3, 4, 12}, name
    assert files["plots/study.html"].count(b"Plotly.newPlot(") == 7


def test_model_has_its_own_figures_and_card(finished: FinishedRun) -> None:
    picture = read_stores(**stores_of(finished.directory))
    of_model, of_run = model_files(picture), parent_files(finished.directory)
    assert of_model.keys() >= OF_MODEL
    assert of_model.keys().isdisjoint(OF_STUDY)
    assert {name: of_run[name] for name in OF_MODEL} == {name: of_model[name] for name in OF_MODEL}


def test_card_and_metrics_say_what_the_runs_say(finished: FinishedRun) -> None:
    picture = read_stores(**stores_of(finished.directory))
    card, said = model_files(picture)["model_card.md"].decode(), picture.parent.data
    assert f"python -m hpo.predict {picture.model.model_uri} rows.csv" in card
    assert (
        f"{said.metrics['test_accuracy_low']:.4f} to {said.metrics['test_accuracy_high']:.4f}"
        in card
    )
    assert said.tags["hpo.gain"] in card
    assert said.tags["hpo.data_digest"] in card
    table = pd.read_csv(io.BytesIO(model_files(picture)["tables/permutation_importance.csv"]))
    logged = {
        name.removeprefix("importance_"): value
        for name, value in said.metrics.items()
        if name.startswith("importance_")
    }
    assert sorted(logged.values()) == sorted(table["mean"])
    assert max(logged, key=lambda name: logged[name]).startswith("petal")


def test_what_cannot_be_drawn_loses_nothing_and_is_drawn_by_the_next_run(directory: Path) -> None:
    # A script of the user's with the name of the library, in the directory that Python looks in
    # first.
    broken = directory / "matplotlib.py"
    broken.write_text("raise ImportError('a script of mine')\n", encoding="utf-8")
    process = run_hpo(directory, "--trials", "3", plots=True)
    assert process.returncode == 0
    assert process.stderr == (
        "hpo: figures were not drawn (ImportError: a script of mine); all else is logged, --no-plots leaves them out\n"
    )
    check_stores(**stores_of(directory), n_trials=3)
    assert parent_files(directory).keys().isdisjoint(OF_STUDY)
    assert "model_card.md" in parent_files(directory)
    broken.unlink()
    run_here_well(directory, "--trials", "3", plots=True)
    assert parent_files(directory).keys() >= OF_MODEL | OF_STUDY
    check_stores(**stores_of(directory), n_trials=3)


def test_figures_follow_the_study_and_are_left_out_where_not_wanted(directory: Path) -> None:
    run_here_well(directory, "--trials", "2")
    assert parent_files(directory).keys() & (OF_MODEL | OF_STUDY) == {"model_card.md"}
    run_here_well(directory, "--trials", "3", plots=True)
    first = parent_files(directory)
    assert first["plots/study.html"].count(b'"COMPLETE"') > 0
    run_here_well(directory, "--trials", "3", plots=True)
    assert parent_files(directory) == first
    run_here_well(directory, "--trials", "5", plots=True)
    assert parent_files(directory)["plots/study.html"] != first["plots/study.html"]
    assert b"5 complete" in parent_files(directory)["model_card.md"]


def test_model_that_is_fitted_on_all_rows_says_so(directory: Path) -> None:
    study, stores = directory / "study.toml", stores_of(directory)
    text = '[study]\nname = "iris"\nn_trials = 3\n[selection]\nrefit = "{}"\n'
    models = {}
    for refit in ("train", "all", "train"):
        study.write_text(text.format(refit), encoding="utf-8")
        report = run_here_well(directory, "--study", "study.toml")
        assert ("fitted on all rows" in report) == (refit == "all")
        picture = read_stores(**stores)
        models.setdefault(refit, picture.model)
        assert picture.model.model_id == models[refit].model_id
        assert picture.model.tags["hpo.refit"] == picture.parent.data.tags["hpo.refit"] == refit
        assert (
            "it was fitted on all 150 rows" in model_files(picture)["model_card.md"].decode()
        ) == (refit == "all")
    scores = [{(point.key, point.value) for point in model.metrics} for model in models.values()]
    assert scores[0] == scores[1]
    assert (
        len(
            MlflowClient(stores["tracking_uri"]).search_logged_models(
                [picture.experiment.experiment_id]
            )
        )
        == 2
    )
