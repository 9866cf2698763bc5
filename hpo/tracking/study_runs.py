"""Finds a study in MLflow by its uid, whatever its experiment is called by now; changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflow.entities import Experiment, Run, ViewType

from hpo.tracking import keys
from hpo.tracking.reader import (
    all_pages,
    is_deleted,
    is_finished,
    is_made,
    key_of,
    open_store,
    order_of_keeping,
    search_runs,
    was_deleted_by_hand,
)

_EXPERIMENTS_PAGE = 1000

_ANY_UID = "_" * 32
"""A pattern for the keys of all parent runs: uids. Those of child runs are longer."""


@dataclass(frozen=True)
class StudyRuns:
    """A study in MLflow.

    Attributes:
        experiment: In the trash or not; None where there is none.
        runs: Those with the study's uid and a key, in the trash or not.
    """

    experiment: Experiment | None = None
    runs: tuple[Run, ...] = ()

    @property
    def active(self) -> list[Run]:
        """Those that are not in the trash."""
        return [run for run in self.runs if not is_deleted(run)]

    def has(self, key: str) -> bool:
        """Whether there is a run with this key, or was one that a person deleted."""
        return any(key_of(run) == key for run in self.active) or key in self.deleted_by_hand()

    def parent_tags(self, uid: str) -> dict[str, str]:
        """The tags of the study's parent run; none where there is no such run."""
        tags = (dict(run.data.tags) for run in self.active if key_of(run) == uid)
        return next(tags, {})

    def deleted_by_hand(self) -> dict[str, str]:
        """Key to run id of the runs that a person deleted, where no other run has the key."""
        there = {key_of(run) for run in self.active}
        return {
            key_of(run): run.info.run_id
            for run in self.runs
            if was_deleted_by_hand(run) and key_of(run) not in there
        }


def find_experiment(store: Any, name: str, uid: str) -> Experiment | None:
    """Find the experiment of a study, in the trash or not: that of its parent run, else by name.

    Args:
        store: A store of MLflow's, or a client.
        name: The experiment's, unless a person renamed it.
        uid: The study's.
    """
    parents = search_runs(store, all_experiments(store), keys.KEY, uid)
    return _experiment_of(store, parents) or store.get_experiment_by_name(name)


def all_experiments(store: Any) -> list[str]:
    """Give the ids of all experiments, in the trash or not."""
    found = all_pages(
        store.search_experiments, view_type=ViewType.ALL, max_results=_EXPERIMENTS_PAGE
    )
    return [experiment.experiment_id for experiment in found]


def read_runs(tracking_uri: str, name: str, uid: str | None) -> StudyRuns:
    """Read what a server that answers, or a database that has its tables, holds of a study.

    Raises:
        TrackingError: It cannot be read.
    """
    with open_store(tracking_uri) as store:
        if uid is None:
            return StudyRuns(store.get_experiment_by_name(name))
        runs = search_runs(store, all_experiments(store), keys.STUDY_UID, uid)
        of_study = tuple(run for run in runs if key_of(run))
        parents = [run for run in of_study if key_of(run) == uid]
        experiment = _experiment_of(store, parents) or store.get_experiment_by_name(name)
        return StudyRuns(experiment, of_study)


def find_run_ids(tracking_uri: str, name: str, uid: str | None) -> dict[int, str]:
    """Find the finished runs of a study's trials, by number; none where MLflow has no tables yet.

    Raises:
        TrackingError: MLflow is away.
    """
    if uid is None or not is_made(tracking_uri):
        return {}
    return {
        keys.number_of(key_of(run)): run.info.run_id
        for run in read_runs(tracking_uri, name, uid).active
        if "/" in key_of(run) and is_finished(run)
    }


def find_experiments(tracking_uri: str, studies: Mapping[str, str | None]) -> dict[str, str]:
    """Find the ids of the experiments of studies; none where MLflow has no tables yet.

    Args:
        tracking_uri: MLflow's.
        studies: Name to uid, or None where the study has none.

    Returns:
        Name of a study to its experiment's id.

    Raises:
        TrackingError: MLflow is away.
    """
    if not is_made(tracking_uri):
        return {}
    with open_store(tracking_uri) as store:
        active = all_pages(store.search_experiments, max_results=_EXPERIMENTS_PAGE)
        of_name = {experiment.name: experiment.experiment_id for experiment in active}
        parents = search_runs(store, [*of_name.values()], keys.KEY, _ANY_UID, comparator="LIKE")
        of_uid = {
            key_of(run): run.info.experiment_id
            for run in sorted(parents, key=order_of_keeping, reverse=True)
            if not is_deleted(run)
        }
    found = {name: of_uid.get(uid or "") or of_name.get(name) for name, uid in studies.items()}
    return {name: experiment_id for name, experiment_id in found.items() if experiment_id}


def _experiment_of(store: Any, parents: list[Run]) -> Experiment | None:
    if not parents:
        return None
    return store.get_experiment(min(parents, key=order_of_keeping).info.experiment_id)
