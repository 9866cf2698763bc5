"""Closes the parent run of a study that nobody drives any more."""

from hpo.tracking import keys
from hpo.tracking.connection import check_reachable, connect, translated
from hpo.tracking.reader import is_deleted, is_finished, search_runs
from hpo.tracking.study_runs import all_experiments


@translated()
def close_parent(tracking_uri: str, uid: str) -> None:
    """End a parent run that is RUNNING as KILLED; one that has ended stays as it is.

    Args:
        tracking_uri: MLflow's.
        uid: The study's.

    Raises:
        TrackingError: MLflow is away.
    """
    check_reachable(tracking_uri)
    client = connect(tracking_uri)
    for run in search_runs(client, all_experiments(client), keys.KEY, uid):
        if not is_finished(run) and not is_deleted(run):
            client.set_terminated(run.info.run_id, status="KILLED")
