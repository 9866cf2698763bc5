"""Writes the child runs of a study's parent run, one for each finished trial.

A child run is created with its key, gets one batch, then is terminated: a run that is not
terminated does not count as there.
"""

from mlflow import MlflowClient
from mlflow.entities import Metric, Run

from hpo.tracking import keys, reader
from hpo.tracking.entities import make_metrics, make_params, make_tags
from hpo.tracking.parent_run import ParentRun
from hpo.tracking.run_creation import create_run, keep_one
from hpo.tracking.run_records import TrialRecord


class ChildRuns:
    """The child runs of one study.

    Args:
        client: Of the store.
        study_uid: The study's uid.
        parent: The parent run, found or created.
    """

    def __init__(self, client: MlflowClient, study_uid: str, parent: ParentRun) -> None:
        self._client = client
        self._study_uid = study_uid
        self._parent = parent

    def find(self) -> tuple[dict[int, str], dict[int, str]]:
        """Ask MLflow what it holds, and put it right: each key keeps one run, of this parent.

        A finished run that a person deleted counts as there: it stays deleted.

        Returns:
            Trial number to run id, of every finished child run and of every unfinished one.
        """
        found: dict[str, list[Run]] = {}
        for run in self._search(keys.STUDY_UID, self._study_uid):
            key = reader.key_of(run)
            if key.startswith(f"{self._study_uid}/"):
                found.setdefault(key, []).append(run)
        finished: dict[int, str] = {}
        unfinished: dict[int, str] = {}
        for key, runs in found.items():
            run = keep_one(self._client, runs)
            if run is None:
                continue
            self._adopt(run)
            of_state = finished if reader.is_finished(run) else unfinished
            of_state[keys.number_of(key)] = run.info.run_id
        return finished, unfinished

    def find_one(self, key: str) -> str | None:
        """The id of the run with this key, or None."""
        runs = self._search(keys.KEY, key)
        return next((run.info.run_id for run in runs if not reader.is_deleted(run)), None)

    def write(self, record: TrialRecord, run_id: str | None) -> str:
        """Create, fill and terminate a child run.

        Args:
            record: What it says.
            run_id: A run with this key that an earlier attempt left, or None to create one.

        Returns:
            The run's id.
        """
        # A server takes tags with a new run at a fraction of what they cost it later.
        tags = {} if run_id is None else record.tags
        run_id = run_id or self.create(record)
        metrics = make_metrics(record.metrics, record.end_time_ms)
        for name, steps in record.steps.items():
            metrics += [
                Metric(name, value, record.end_time_ms, step) for step, value in steps.items()
            ]
        self._client.log_batch(
            run_id, metrics=metrics, params=make_params(record.params), tags=make_tags(tags)
        )
        if record.traceback is not None:
            self._client.log_text(run_id, record.traceback, keys.TRACEBACK_FILE)
        self._client.set_terminated(run_id, status=record.status, end_time=record.end_time_ms)
        return run_id

    def create(self, record: TrialRecord) -> str:
        """Create a child run with its tags, and nothing else yet."""
        tags = {
            **record.tags,
            keys.PARENT_RUN_ID: self._parent.run_id,
            keys.STUDY_UID: self._study_uid,
        }
        run = create_run(
            self._client,
            self._parent.experiment_id,
            record.key,
            keys.trial_run_name(record.number),
            record.start_time_ms,
            tags,
        )
        return str(run.info.run_id)

    def _adopt(self, run: Run) -> None:
        """Make it a child of this parent: it was another's where the parent was created twice."""
        parent_id = self._parent.run_id
        if run.data.tags.get(keys.PARENT_RUN_ID) != parent_id and not reader.is_deleted(run):
            self._client.set_tag(run.info.run_id, keys.PARENT_RUN_ID, parent_id)

    def _search(self, tag: str, value: str) -> list[Run]:
        return reader.search_runs(self._client, self._parent.experiment_id, tag, value)
