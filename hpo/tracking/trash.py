"""Moves what MLflow holds of a study to its trash; registered versions, and what they need, stay.

An experiment that was made for the study and holds nothing else goes there as a whole, under
another name, so that its own is free for a study that is begun anew. All of it may be repeated:
what is in the trash is not found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Experiment, LoggedModel, Run, ViewType
from mlflow.entities.model_registry import ModelVersion

from hpo.tracking import keys
from hpo.tracking.connection import connect, translated
from hpo.tracking.reader import all_pages, is_made, key_of

_EXPERIMENTS_PAGE = 1000


@dataclass(frozen=True)
class Holding:
    """One experiment's content of a study, outside of the trash.

    Attributes:
        experiment: The experiment.
        runs: The study's runs, each trial's before that of the study.
        model_ids: The study's logged models of which no registered version is made.
        versions: Name and number of the registered versions made of its other models.
        is_whole: Whether the experiment can go to the trash: it was made for the study, holds
            nothing else, and nothing that a registered version needs.
    """

    experiment: Experiment
    runs: Sequence[Run]
    model_ids: Sequence[str]
    versions: Sequence[tuple[str, int]]
    is_whole: bool


@translated()
def find_holdings(tracking_uri: str, uid: str) -> list[Holding]:
    """Find what MLflow holds of a study: in one experiment, unless it was tracked into several.

    Args:
        tracking_uri: MLflow's.
        uid: The study's.

    Raises:
        TrackingError: MLflow is away.
    """
    if not is_made(tracking_uri):
        return []
    client = connect(tracking_uri)
    experiments = all_pages(client.search_experiments, max_results=_EXPERIMENTS_PAGE)
    versions = all_pages(client.search_model_versions)
    found = (_look(client, experiment, uid, versions) for experiment in experiments)
    return [holding for holding in found if holding.runs or holding.model_ids or holding.versions]


@translated()
def move_to_trash(tracking_uri: str, holdings: Sequence[Holding], uid: str) -> None:
    """Move what was found to MLflow's trash.

    Raises:
        TrackingError: MLflow is away, or does not allow it.
    """
    if not holdings:
        return
    client = connect(tracking_uri)
    for holding in holdings:
        for model_id in holding.model_ids:
            client.delete_logged_model(model_id)
        if holding.is_whole:
            _delete_experiment(client, holding.experiment, uid)
        else:
            for run in holding.runs:
                client.delete_run(run.info.run_id)


def _look(
    client: MlflowClient, experiment: Experiment, uid: str, versions: Sequence[ModelVersion]
) -> Holding:
    ids = [experiment.experiment_id]
    of_study = f"tags.`{keys.STUDY_UID}` = '{uid}'"
    runs = all_pages(client.search_runs, ids, of_study)
    models = all_pages(client.search_logged_models, ids, of_study)
    made_of = {
        model.model_id: [
            (version.name, int(version.version))
            for version in versions
            if _is_made_of(version, model)
        ]
        for model in models
    }
    is_whole = _is_made_for_study(experiment, runs) and not any(made_of.values())
    if is_whole:
        n_runs = len(all_pages(client.search_runs, ids, run_view_type=ViewType.ACTIVE_ONLY))
        n_models = len(all_pages(client.search_logged_models, ids))
        is_whole = (n_runs, n_models) == (len(runs), len(models))
    return Holding(
        experiment,
        sorted(runs, key=lambda run: keys.PARENT_RUN_ID not in run.data.tags),
        [model_id for model_id, made in made_of.items() if not made],
        [version for made in made_of.values() for version in made],
        is_whole,
    )


def _is_made_of(version: ModelVersion, model: LoggedModel) -> bool:
    """Whether a registered version needs a logged model, however it was registered."""
    source = str(version.source)
    is_by_run = source.startswith("runs:/") and version.run_id == model.source_run_id
    return (
        is_by_run
        or model.model_id == version.model_id
        or f"{source}/".startswith((f"models:/{model.model_id}/", f"{model.artifact_location}/"))
    )


def _is_made_for_study(experiment: Experiment, runs: Sequence[Run]) -> bool:
    """Whether hpo made the experiment for this study: it has the name of the study's parent run."""
    is_ours = keys.EXPERIMENT_KIND in experiment.tags and experiment.experiment_id != "0"
    parents = (run for run in runs if key_of(run) == run.data.tags.get(keys.STUDY_UID))
    # An earlier attempt may have got as far as the name.
    names = {f"{run.info.run_name}{end}" for run in parents for end in ("", _mark(key_of(run)))}
    return is_ours and experiment.name in names


def _delete_experiment(client: MlflowClient, experiment: Experiment, uid: str) -> None:
    mark = _mark(uid)
    if not experiment.name.endswith(mark):
        client.rename_experiment(experiment.experiment_id, f"{experiment.name[:400]}{mark}")
    client.delete_experiment(experiment.experiment_id)


def _mark(uid: str) -> str:
    """The end of the name that a study's experiment has in the trash."""
    return f" (deleted {uid[:8]})"
