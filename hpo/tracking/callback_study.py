"""Which study the callback follows, and what its parent run is to say."""

import uuid
from dataclasses import dataclass
from datetime import UTC
from typing import NamedTuple

import mlflow
import optuna
from mlflow.environment_variables import MLFLOW_EXPERIMENT_ID, MLFLOW_EXPERIMENT_NAME

from hpo.ledger.failures import translated
from hpo.tracking import keys
from hpo.tracking.callback_options import (
    UID_ATTRIBUTE,
    ExperimentChoice,
    TrialOptions,
    as_tags,
    is_same_store,
)
from hpo.tracking.objective_run import active_run
from hpo.tracking.run_records import StudyRecord

DEFAULT_EXPERIMENT_ID = "0"
"""Of the experiment that every store has."""


class OuterRun(NamedTuple):
    """A run of the user's that the child runs go below."""

    run_id: str
    experiment_id: str


@dataclass(frozen=True)
class Target:
    """A study, and where it is written."""

    study: optuna.Study
    tracking_uri: str
    outer: OuterRun | None = None


def find_outer_run(tracking_uri: str) -> OuterRun | None:
    """Find the user's active run, if it is in this store."""
    run = active_run()
    if run is None or not is_same_store(mlflow.get_tracking_uri(), tracking_uri):
        return None
    return OuterRun(run.info.run_id, run.info.experiment_id)


@translated("of the study")
def describe_study(
    target: Target, options: TrialOptions, choice: ExperimentChoice, *, makes_parent: bool
) -> StudyRecord:
    """Describe a study of the user's own; one that has no uid gets one.

    Raises:
        LedgerError: Its storage fails.
    """
    study = target.study
    uid = study.user_attrs.get(UID_ATTRIBUTE)
    if uid is None:
        uid = _make_uid(study)
        study.set_user_attr(UID_ATTRIBUTE, uid)
    directions = [direction.name for direction in study.directions]
    experiment_id, experiment_name = _find_experiment(choice, target.outer)
    return StudyRecord(
        uid=uid,
        name=study.study_name,
        value_name=options.name_metrics(1)[0],
        is_maximized=directions[0] == "MAXIMIZE",
        experiment=experiment_name,
        experiment_id=experiment_id,
        makes_parent=makes_parent,
        outer_run_id=None if target.outer is None else target.outer.run_id,
        tags={**as_tags(study.user_attrs), keys.DIRECTION: ", ".join(directions)},
    )


def _make_uid(study: optuna.Study) -> str:
    """Make a uid: the same in all processes that begin to follow a study at once.

    No storage keeps the first of two values of an attribute, so it follows from what they all see:
    when the study's first trial started.
    """
    trials = study.get_trials(deepcopy=False)
    started = trials[0].datetime_start if trials else None
    if started is None:
        return uuid.uuid4().hex
    moment = started.astimezone(UTC).isoformat()
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{study.study_name} {moment}").hex


def _find_experiment(
    choice: ExperimentChoice, outer: OuterRun | None
) -> tuple[str | None, str | None]:
    """The experiment's id, else its name, else neither: it is then the study's name."""
    if choice.id is not None or choice.name is not None:
        return choice.id, choice.name
    if outer is not None:
        # MLflow's page shows runs below another in its own experiment only.
        return outer.experiment_id, None
    if choice.is_created:
        return None, None
    if (experiment_id := MLFLOW_EXPERIMENT_ID.get()) is not None:
        return experiment_id, None
    if (name := MLFLOW_EXPERIMENT_NAME.get()) is not None:
        return None, name
    return DEFAULT_EXPERIMENT_ID, None
