"""Tells a ledger that was copied that another copy of it has written to the same study."""

from collections.abc import Iterable

from mlflow import MlflowClient
from mlflow.entities import Run

from hpo.errors import TrackingError
from hpo.tracking import keys, reader
from hpo.tracking.run_records import StudyRecord
from hpo.tracking.study_runs import all_experiments


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
