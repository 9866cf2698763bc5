"""Writes the child runs of a study's parent run, one for each finished trial.

A child run is created with its key, gets one batch, then is terminated: a run that is not
terminated does not count as there. One that an objective logs to was created, and is ended, outside
of this module: it gets its key last, and without one it does not count either.
"""

from collections.abc import Callable
from functools import cache, partial

from mlflow import MlflowClient
from mlflow.entities import Metric, Run

from hpo.tracking import keys, reader
from hpo.tracking.entities import make_metrics, make_params, make_tags, make_text
from hpo.tracking.interface import ignore
from hpo.tracking.parent_run import ParentRun
from hpo.tracking.run_creation import create_run, keep_one
from hpo.tracking.run_records import TrialRecord


class ChildRuns:
    """The child runs of one study.

    Args:
        client: Of the store.
        study_uid: The study's uid.
        parent: The parent run, found or created.
        on_loss: Called with a line on what MLflow has lost.
    """

    def __init__(
        self,
        client: MlflowClient,
        study_uid: str,
        parent: ParentRun,
        on_loss: Callable[[str], None] = ignore,
    ) -> None:
        self._client = client
        self._study_uid = study_uid
        self._parent = parent
        self._on_loss = on_loss
        self._is_gone = cache(partial(reader.is_gone, client))

    def find(self) -> tuple[dict[int, str], dict[int, str]]:
        """Ask MLflow what it holds, and put it right: each key keeps one run, of this parent.

        A finished run that a person deleted counts as there: it stays deleted.

        Returns:
            Trial number to run id, of every finished child run and of every unfinished one.
        """
        found: dict[str, list[Run]] = {}
        unfinished: dict[int, str] = {}
        for run in self._search(keys.STUDY_UID, self._study_uid):
            key = reader.key_of(run)
            if _is_begun(run):
                unfinished[keys.number_of(run.data.tags[keys.OBJECTIVE_KEY])] = run.info.run_id
            if key.startswith(f"{self._study_uid}/"):
                found.setdefault(key, []).append(run)
        finished: dict[int, str] = {}
        for key, runs in found.items():
            run = keep_one(self._client, runs)
            if run is None:
                continue
            self._adopt(run)
            of_state = finished if reader.is_finished(run) else unfinished
            of_state[keys.number_of(key)] = run.info.run_id
        return finished, unfinished

    def find_one(self, key: str) -> str | None:
        """The id of the run with this key, else of the one its objective logged to, or None."""
        for tag in (keys.KEY, keys.OBJECTIVE_KEY):
            for run in self._search(tag, key):
                if not reader.is_deleted(run):
                    return str(run.info.run_id)
        return None

    def find_elsewhere(self) -> frozenset[int]:
        """The numbers of the trials whose runs are in another experiment, or were deleted there."""
        experiments = reader.all_pages(self._client.search_experiments)
        ids = {experiment.experiment_id for experiment in experiments} - {
            self._parent.experiment_id
        }
        if not ids:
            return frozenset()
        runs = reader.search_runs(self._client, sorted(ids), keys.STUDY_UID, self._study_uid)
        return frozenset(
            keys.number_of(reader.key_of(run))
            for run in runs
            if "/" in reader.key_of(run)
            and (not reader.is_deleted(run) or reader.was_deleted_by_hand(run))
        )

    def write(self, record: TrialRecord, run_id: str | None) -> str:
        """Create, fill and terminate a child run.

        Args:
            record: What it says.
            run_id: The run that an earlier attempt or the trial's objective left, or None to create
                one.

        Returns:
            The run's id.
        """
        is_new = run_id is None
        # A server takes tags with a new run at a fraction of what they cost it later.
        tags, params = {}, record.params
        if run_id is None:
            run_id = self.create(record)
        else:
            # MLflow refuses another value for a param that the objective logged.
            logged = self._client.get_run(run_id).data.params
            tags = record.tags
            params = {name: text for name, text in params.items() if name not in logged}
        metrics = make_metrics(record.metrics, record.end_time_ms)
        for name, steps in record.steps.items():
            metrics += [
                Metric(name, value, record.end_time_ms, step) for step, value in steps.items()
            ]
        self._client.log_batch(
            run_id, metrics=metrics, params=make_params(params), tags=make_tags(tags)
        )
        if record.traceback is not None:
            self._client.log_text(run_id, make_text(record.traceback), keys.TRACEBACK_FILE)
        self._client.set_terminated(run_id, status=record.status, end_time=record.end_time_ms)
        if not is_new:
            # Last, since MLflow ended it when its objective did.
            self._client.set_tag(run_id, keys.KEY, record.key)
        return run_id

    def create(self, record: TrialRecord) -> str:
        """Create a child run with its tags, and nothing else yet."""
        tags = {**record.tags, keys.STUDY_UID: self._study_uid}
        if self._parent.run_id:
            tags[keys.PARENT_RUN_ID] = self._parent.run_id
        run = create_run(
            self._client,
            self._parent.experiment_id,
            record.key,
            record.name or keys.trial_run_name(record.number),
            record.start_time_ms,
            tags,
        )
        return str(run.info.run_id)

    def _adopt(self, run: Run) -> None:
        """Put a run that stands alone, or below a duplicate of this parent, below this parent.

        One below a run that was purged too; one below a run of somebody else's stays there.
        """
        parent_id = run.data.tags.get(keys.PARENT_RUN_ID)
        is_in_place = parent_id == self._parent.run_id
        if not self._parent.own_ids or is_in_place or reader.is_deleted(run):
            return
        if parent_id is None or parent_id in self._parent.own_ids:
            self._client.set_tag(run.info.run_id, keys.PARENT_RUN_ID, self._parent.run_id)
        elif self._is_gone(parent_id):
            self._on_loss("the parent run is gone")
            self._client.set_tag(run.info.run_id, keys.PARENT_RUN_ID, self._parent.run_id)

    def _search(self, tag: str, value: str) -> list[Run]:
        return reader.search_runs(self._client, [self._parent.experiment_id], tag, value)


def _is_begun(run: Run) -> bool:
    """Whether an objective logs to the run, or did, and the trial is not in it yet."""
    is_of_trial = keys.is_key(run.data.tags.get(keys.OBJECTIVE_KEY, ""))
    return is_of_trial and not reader.key_of(run) and not reader.is_deleted(run)
