"""Says on a parent run that its study is gone from the ledger, where a later one has its name."""

from mlflow import MlflowClient
from mlflow.entities import Run

from hpo.tracking import keys, reader
from hpo.tracking.entities import TAG_LENGTH
from hpo.tracking.run_records import StudyRecord

_GONE = "**The study of this run was deleted from its ledger**; a later one has its name.\n\n"


def mark_predecessors(client: MlflowClient, experiment_id: str, study: StudyRecord) -> None:
    """Mark the parent runs of a study's name: their studies are gone from the ledger.

    A ledger has one study of a name, and this study's run is about to be created.
    """
    if keys.LEDGER not in study.tags:
        return
    of_name = reader.search_runs(
        client, [experiment_id], keys.STUDY_NAME, study.tags[keys.STUDY_NAME]
    )
    for run in of_name:
        tags = run.data.tags
        is_predecessor = (
            tags.get(keys.LEDGER) == study.tags[keys.LEDGER]
            and reader.key_of(run) == tags.get(keys.STUDY_UID)
            and reader.key_of(run) != study.copied_from
            and keys.STUDY_GONE not in tags
            and not reader.is_deleted(run)
        )
        if is_predecessor:
            description = f"{_GONE}{tags.get(keys.DESCRIPTION, '')}"
            if len(description) <= TAG_LENGTH:
                client.set_tag(run.info.run_id, keys.DESCRIPTION, description)
            client.set_tag(run.info.run_id, keys.STUDY_GONE, "true")


def unmark(client: MlflowClient, run: Run) -> None:
    """Take back that the study is gone: its ledger was away, and is there again."""
    if keys.STUDY_GONE in run.data.tags:
        description = run.data.tags.get(keys.DESCRIPTION, "").removeprefix(_GONE)
        client.set_tag(run.info.run_id, keys.DESCRIPTION, description)
        client.delete_tag(run.info.run_id, keys.STUDY_GONE)
