"""The invariant: the same command, run again after a fault, leaves what a run that nobody disturbed
leaves.

What was there before the last run is read from the files themselves, so that looking heals nothing;
what is there after it is read
through Optuna's and MLflow's own clients.
"""

import os
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import numpy as np
import skops.io
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelStatus, ViewType
from optuna.trial import TrialState
from sklearn.datasets import load_iris

from hpo.estimators.final_model import TRUSTED_TYPES
from tests.support.checker import Picture, check_stores, read_trials, trial_table
from tests.support.here import run_here
from tests.support.stores import ask

# Models are downloaded here.
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"

Table = list[tuple[str, ...]]


@dataclass(frozen=True)
class Place:
    """Where a study is.

    Attributes:
        directory: Where the command is run; the ledger is in it.
        database: MLflow's SQLite file.
        address: A server's, or None where MLflow is that file.
        command_address: What the command is given for it: a proxy's.
        ledger: The URL of a ledger that is not in the directory.
    """

    directory: Path
    database: Path
    address: str | None = None
    command_address: str | None = None
    ledger: str | None = None

    @property
    def storage(self) -> str:
        return self.ledger or f"sqlite:///{self.directory}/optuna.db"

    @property
    def tracking_uri(self) -> str:
        return self.address or f"sqlite:///{self.database}"

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the command."""
        address = self.command_address or self.address
        named = {"MLFLOW_TRACKING_URI": address, "HPO_STORAGE": self.ledger}
        return {name: value for name, value in named.items() if value}


def place_in(directory: Path) -> Place:
    """Both stores in a directory, the default."""
    return Place(directory, directory / "mlflow.db")


@dataclass(frozen=True)
class Reference:
    """What a command leaves where nobody disturbs it."""

    flags: tuple[str, ...]
    table: Table
    model: bytes | None


@dataclass(frozen=True)
class Kept:
    """What is finished, as the files have it: trials with their times, keys of child runs with
    their ids.
    """

    trials: set[tuple] = field(default_factory=set)
    runs: dict[str, str] = field(default_factory=dict)

    def __or__(self, later: "Kept") -> "Kept":
        return Kept(self.trials | later.trials, self.runs | later.runs)


def read_kept(place: Place, study: str) -> Kept:
    trials = ask(
        place.directory / "optuna.db",
        "SELECT number, state, datetime_start, datetime_complete FROM trials JOIN studies USING (study_id)"
        f" WHERE study_name = '{study}' AND state NOT IN ('RUNNING', 'WAITING')",
    )
    runs = ask(
        place.database,
        "SELECT tags.value, runs.run_uuid FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid AND tags.key = 'hpo.key'"
        f" JOIN experiments USING (experiment_id) WHERE experiments.name = '{study}' AND runs.status != 'RUNNING'"
        " AND runs.lifecycle_stage = 'active' AND tags.value LIKE '%/%'",
    )
    return Kept(set(trials), dict(runs))


def model_bytes(model: LoggedModel, tracking_uri: str) -> bytes:
    """Coefficients, intercepts and what the loaded model says of Iris, to the last bit."""
    with tempfile.TemporaryDirectory() as directory:
        path = mlflow.artifacts.download_artifacts(
            artifact_uri=model.artifact_location, dst_path=directory, tracking_uri=tracking_uri
        )
        pipeline = skops.io.load(Path(path) / "model.skops", trusted=list(TRUSTED_TYPES))
    classifier = pipeline[-1]
    parts = [classifier.coef_, classifier.intercept_]
    if pipeline.n_features_in_ == 4:
        rows = load_iris(as_frame=True).data.set_axis(pipeline.feature_names_in_, axis=1)
        parts.append(pipeline.predict_proba(rows))
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


def count_violations(place: Place, reference: Reference, study: str, kept: Kept) -> dict[str, int]:
    """How often the invariant is broken, by what is wrong; all zero where it holds."""
    trials = read_trials(place.storage, study)
    finished = [trial.number for trial in trials if trial.state.is_finished()]
    client = MlflowClient(place.tracking_uri)
    experiment = client.get_experiment_by_name(study)
    runs = (
        list(client.search_runs([experiment.experiment_id], max_results=1000)) if experiment else []
    )
    models = list(client.search_logged_models([experiment.experiment_id])) if experiment else []
    current = [model for model in models if "hpo.superseded_by" not in model.tags]
    n_parents = sum("mlflow.parentRunId" not in run.data.tags for run in runs)
    children = Counter(
        run.data.tags["hpo.key"] for run in runs if "mlflow.parentRunId" in run.data.tags
    )
    ended = {
        run.data.tags["hpo.key"].rpartition("/")[2] for run in runs if run.info.status != "RUNNING"
    }
    n_models = 0 if reference.model is None else 1
    return {
        "lost": sum(
            (
                max(0, len(reference.table) - len(finished)),
                len(kept.trials - read_kept(place, study).trials),
                len({str(number) for number in finished} - ended),
                len(kept.runs.keys() - children.keys()),
                max(0, 1 - n_parents),
                max(0, n_models - len(current)),
            )
        ),
        "duplicated": sum(
            (
                max(0, len(trials) - len(reference.table)),
                children.total() - len(children),
                max(0, n_parents - 1),
                max(0, len(current) - n_models),
            )
        ),
        "running": sum(
            (
                sum(trial.state in (TrialState.RUNNING, TrialState.WAITING) for trial in trials),
                sum(run.info.status == "RUNNING" for run in runs),
                sum(model.status != LoggedModelStatus.READY for model in models),
            )
        ),
        "different trials": len(set(trial_table(place.storage, study)) - set(reference.table)),
        "different models": sum(
            model_bytes(model, place.tracking_uri) != reference.model for model in current
        ),
    }


def check_deleted(place: Place, study: str) -> None:
    """What hpo itself put in the trash says of which run it was a duplicate."""
    client = MlflowClient(place.tracking_uri)
    experiment = client.get_experiment_by_name(study)
    for run in client.search_runs([experiment.experiment_id], run_view_type=ViewType.DELETED_ONLY):
        kept = client.get_run(run.data.tags["hpo.duplicate_of"])
        assert kept.info.lifecycle_stage == "active"
        assert kept.data.tags["hpo.key"] == run.data.tags["hpo.key"]


def assert_converged(
    place: Place,
    reference: Reference,
    *,
    study: str = "iris",
    kept: Kept | None = None,
    exit_code: int = 0,
    plots: bool = False,
    **stores: object,
) -> Picture:
    """Run the undisturbed command after a fault, in this process, and assert the whole invariant.

    Args:
        place: Where the disturbed run was.
        reference: What the command leaves where nobody disturbs it.
        study: The study's name.
        kept: What was finished before the last disturbed run, where there were several.
        exit_code: Of the command; the same as undisturbed.
        plots: Whether figures are drawn.
        stores: What else ``check_stores`` is to know.

    Returns:
        What both stores then hold.
    """
    kept = (kept or Kept()) | read_kept(place, study)
    # A name that is not the reference's is given as a flag: it is no part of a study's identity.
    flags = reference.flags if study == "iris" else (*reference.flags, "--name", study)
    process = run_here(place.directory, *flags, plots=plots, **place.variables)
    assert process.returncode == exit_code, process.stderr
    assert process.stderr == "" or exit_code, process.stderr
    return assert_is_undisturbed(place, reference, study=study, kept=kept, **stores)


def assert_is_undisturbed(
    place: Place,
    reference: Reference,
    *,
    study: str = "iris",
    kept: Kept | None = None,
    **stores: object,
) -> Picture:
    """Assert the whole invariant of what is there, without another run."""
    violations = count_violations(place, reference, study, kept or Kept())
    assert violations == dict.fromkeys(violations, 0)
    check_deleted(place, study)
    return check_stores(
        place.storage, place.tracking_uri, n_trials=len(reference.table), study=study, **stores
    )


def make_reference(
    directory: Path, flags: tuple[str, ...], study: str = "iris", exit_code: int = 0
) -> Reference:
    """Run a command where nobody disturbs it."""
    process = run_here(directory, *flags)
    assert process.returncode == exit_code, process.stderr
    place, client = place_in(directory), MlflowClient(f"sqlite:///{directory}/mlflow.db")
    models = list(client.search_logged_models([client.get_experiment_by_name(study).experiment_id]))
    model = model_bytes(models[0], place.tracking_uri) if models else None
    return Reference(flags, trial_table(place.storage, study), model)
