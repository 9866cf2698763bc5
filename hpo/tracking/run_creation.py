"""Creates experiments, and runs under their idempotency key; leaves one of runs created twice.

An attempt whose answer was lost may have created a run, so a key may have several.
"""

from collections.abc import Mapping
from itertools import filterfalse

from mlflow import MlflowClient
from mlflow.entities import Run

from hpo.tracking import keys, reader
from hpo.tracking.entities import make_tags
from hpo.tracking.run_records import StudyRecord
from hpo.tracking.study_runs import find_experiment


def find_or_create_experiment(client: MlflowClient, study: StudyRecord) -> str:
    """Find a study's experiment, or create it.

    Returns:
        Its id.

    Raises:
        TrackingError: It is in the trash.
    """
    if study.experiment_id is not None:
        experiment = client.get_experiment(study.experiment_id)
    elif study.experiment is not None:
        experiment = client.get_experiment_by_name(study.experiment)
    else:
        experiment = find_experiment(client, study.name, study.uid)
    if experiment is None:
        tags = {keys.EXPERIMENT_KIND: keys.MODEL_TRAINING}
        if study.summary:
            tags[keys.DESCRIPTION] = study.summary
        return str(client.create_experiment(study.experiment or study.name, tags=tags))
    if reader.is_trashed(experiment):
        raise reader.trashed_experiment(experiment)
    return str(experiment.experiment_id)


def create_run(
    client: MlflowClient,
    experiment_id: str,
    key: str,
    name: str,
    start_time_ms: int,
    tags: Mapping[str, str],
) -> Run:
    """Create a run.

    Args:
        client: Of the store.
        experiment_id: The experiment that gets it.
        key: The idempotency key.
        name: The name that MLflow shows.
        start_time_ms: Milliseconds since 1970, UTC.
        tags: Name to text, beside those that every run of ours has.
    """
    every = {**tags, keys.KEY: key, keys.SOURCE_NAME: "hpo"}
    cut = {tag.key: tag.value for tag in make_tags(every)}
    return client.create_run(experiment_id, start_time=start_time_ms, run_name=name, tags=cut)


def keep_one(client: MlflowClient, runs: list[Run]) -> Run | None:
    """Keep one of the runs with one key: a finished one, then the earliest, then the smallest id.

    Returns:
        The one that stays. Where none is active, a finished one that a person deleted, or None.
    """
    active = sorted(filterfalse(reader.is_deleted, runs), key=reader.order_of_keeping)
    for duplicate in active[1:]:
        give_way(client, duplicate.info.run_id, active[0].info.run_id)
    if active:
        return active[0]
    return next(filter(reader.was_deleted_by_hand, runs), None)


def give_way(client: MlflowClient, run_id: str, kept_id: str) -> None:
    """Delete a run that is there twice; a tag tells it from a run that a person deletes."""
    client.set_tag(run_id, keys.DUPLICATE_OF, kept_id)
    client.delete_run(run_id)
