"""Finds artifacts that are gone, though the parent run of a finished study says they were written.

The run is made to say less, and what writes it does the rest: killed in between, the next command
goes on.
"""

from collections.abc import Callable

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from hpo.tracking import keys
from hpo.tracking.parent_run import ParentRun
from hpo.tracking.run_records import FinalRecord, StudyRecord

_FIGURES = {"figures", "tables"}
_PLOTS = "plots"


def forget_lost(
    client: MlflowClient,
    parent: ParentRun,
    study: StudyRecord,
    final: FinalRecord,
    on_loss: Callable[[str], None],
) -> None:
    """Look for what a finished study has, and reopen its parent run where something is gone.

    Args:
        client: Of the store.
        parent: The parent run.
        study: What it says.
        final: What it says of the end.
        on_loss: Called with a line on what is gone.
    """
    tags = client.get_run(parent.run_id).data.tags
    if parent.is_open or keys.MODEL_URI not in tags:
        return
    model_id = tags[keys.MODEL_URI].removeprefix("models:/")
    key, there = _find_model(client, model_id)
    of_model = {keys.MODEL_CARD_FILE} if final.conclusion.card else set()
    of_run = of_model | {path.partition("/")[0] for path in study.texts}
    if keys.DRAWN in tags:
        of_run |= {*_FIGURES, _PLOTS}
        # The drawings may be those of a model that another rule chose before.
        of_model |= _FIGURES if tags[keys.DRAWN].rpartition(" ")[0] == key else set()
    of_run.difference_update(entry.path for entry in client.list_artifacts(parent.run_id))
    of_model -= there or set()
    if of_run:
        on_loss(f"files of the parent run are gone ({', '.join(sorted(of_run))})")
    if there is None:
        on_loss(f"the logged model models:/{model_id} was deleted")
    elif of_model and there:
        # Where all are gone, who looks whether the model can be loaded says so.
        on_loss(f"files of the model are gone ({', '.join(sorted(of_model))})")
    if of_run or of_model:
        for tag in {keys.MODEL_URI, keys.DRAWN} & tags.keys():
            client.delete_tag(parent.run_id, tag)
        parent.reopen()


def _find_model(client: MlflowClient, model_id: str) -> tuple[str | None, set[str] | None]:
    """Give a logged model's key and the names in its folder; None where the model was deleted."""
    try:
        key = client.get_logged_model(model_id).tags.get(keys.KEY)
        return key, {entry.path for entry in client.list_logged_model_artifacts(model_id)}
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return None, None
