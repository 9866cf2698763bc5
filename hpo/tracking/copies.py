"""A study that is in two places: in two experiments one stays; of two ledgers one writes."""

from collections.abc import Callable, Iterable, Sequence

from mlflow import MlflowClient
from mlflow.entities import Run

from hpo.errors import TrackingError
from hpo.tracking import keys, reader
from hpo.tracking.run_records import StudyRecord
from hpo.tracking.study_runs import all_experiments
from hpo.tracking.trash import find_holdings, move_to_trash


def search_parents(client: MlflowClient, study: StudyRecord, experiment_id: str) -> list[Run]:
    """Find the parent runs of a study, in the trash or not: in any experiment if none is named."""
    is_named = study.experiment is not None or study.experiment_id is not None
    experiments = [experiment_id] if is_named else all_experiments(client)
    return reader.search_runs(client, experiments, keys.KEY, study.uid)


def keep_one_experiment(
    tracking_uri: str, study: StudyRecord, parents: Sequence[Run], notify: Callable[[str], None]
) -> list[Run]:
    """Move what a study has in other experiments than that of its parent run to the trash.

    Args:
        tracking_uri: MLflow's.
        study: The study.
        parents: All of its parent runs.
        notify: Takes a line for a person, where there was something.

    Returns:
        Those of its parent runs that are left to look at.
    """
    active = [run for run in parents if not reader.is_deleted(run)]
    if len({run.info.experiment_id for run in active}) < 2:
        return [*parents]
    kept = min(active, key=reader.order_of_keeping).info.experiment_id
    second = [
        holding
        for holding in find_holdings(tracking_uri, study.uid)
        if holding.experiment.experiment_id != kept
    ]
    ids = ", ".join(holding.experiment.experiment_id for holding in second)
    move_to_trash(tracking_uri, second, study.uid)
    notify(
        f"study '{study.name}' was in MLflow twice: experiment {kept} keeps it,"
        f" what experiment {ids} had of it is in the trash"
    )
    return [run for run in parents if run.info.experiment_id == kept]


def check_writers(study: StudyRecord, parents: Iterable[Run]) -> None:
    """Refuse to write to a study that another copy of its ledger has written to.

    Args:
        study: The study, with the places where its ledger has been.
        parents: Its parent runs.

    Raises:
        TrackingError: One was written from where this ledger has never been.
    """
    for run in parents:
        writer = run.data.tags.get(keys.WRITER)
        is_known = writer is None or not study.places or writer in study.places
        if not is_known and not reader.is_deleted(run):
            raise TrackingError(
                f"MLflow has study '{study.name}' from another copy of this ledger",
                hint="go on with that copy,"
                " or add --new-uid once to go on with this one as a study of its own",
            )


def release_original(client: MlflowClient, study: StudyRecord) -> None:
    """Leave the study that this one was copied from to the other copy of the ledger."""
    if study.copied_from is None:
        return
    experiments = all_experiments(client)
    for run in reader.search_runs(client, experiments, keys.KEY, study.copied_from):
        is_ours = run.data.tags.get(keys.WRITER) in study.places
        if is_ours and not reader.is_deleted(run):
            client.delete_tag(run.info.run_id, keys.WRITER)
