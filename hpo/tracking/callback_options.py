"""The arguments of ``MLflowCallback``, checked: those of Optuna's callback, and what they mean."""

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from mlflow.environment_variables import MLFLOW_ALLOW_FILE_STORE

from hpo.settings import TRACKING_VARIABLE, read_settings, sqlite_path
from hpo.tracking import keys

UID_ATTRIBUTE = "hpo.uid"
"""The user attribute of a study that holds its uid."""

_RUN_ARGUMENTS = ("experiment_id", "nested", "run_name", "tags")


@dataclass(frozen=True)
class ExperimentChoice:
    """Which experiment the runs go to.

    Attributes:
        id: The experiment's id, which takes precedence, or None.
        name: Its name, or None for the study's.
        is_created: Whether an experiment of the study's name is created; otherwise the session's
            is used.
    """

    id: str | None = None
    name: str | None = None
    is_created: bool = True


@dataclass(frozen=True)
class TrialOptions:
    """The content that a user wants in the runs.

    Attributes:
        metric_name: Of the objective's value; or one name for each of its values.
        run_name: Of every run; by default the trial's number.
        tags: On every run.
        has_study_attributes: Whether the study's user attributes become tags of every run.
        has_trial_attributes: Whether a trial's user attributes become tags of its run.
    """

    metric_name: str | tuple[str, ...] = "value"
    run_name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    has_study_attributes: bool = False
    has_trial_attributes: bool = True

    def check_values(self, values: Sequence[float] | None) -> None:
        """Check that each value of a trial has a name.

        Raises:
            ValueError: A list of names is longer or shorter than that of the values.
        """
        names = self.metric_name
        if values is not None and not isinstance(names, str) and len(names) != len(values):
            raise ValueError(
                f"metric_name should have a name for each of the {len(values)} values that the"
                f" objective returns, but got {list(names)}"
            )

    def name_metrics(self, n_values: int) -> list[str]:
        """The names of so many values; numbered where one name is given for several."""
        if not isinstance(self.metric_name, str):
            names = keys.distinct(self.metric_name)
            return [names[name] for name in self.metric_name]
        name = keys.allowed(self.metric_name)
        return [name] if n_values == 1 else [f"{name}_{i}" for i in range(n_values)]


def read_experiment(
    run_arguments: Mapping[str, Any], name: str | None, *, is_created: bool
) -> ExperimentChoice:
    """Read which experiment the runs go to.

    Raises:
        ValueError: Two arguments name one.
    """
    experiment_id = run_arguments.get("experiment_id")
    if experiment_id is not None and name is not None:
        raise ValueError(
            "experiment_name and mlflow_kwargs['experiment_id'] should not both be given,"
            f" but got '{name}' and '{experiment_id}'"
        )
    return ExperimentChoice(
        None if experiment_id is None else str(experiment_id), name, is_created=is_created
    )


def read_metric_name(metric_name: str | Sequence[str]) -> str | tuple[str, ...]:
    """Read one name or several.

    Raises:
        TypeError: It is neither a string nor a sequence of them.
    """
    if isinstance(metric_name, str):
        return metric_name
    if isinstance(metric_name, Sequence) and metric_name:
        return tuple(map(str, metric_name))
    raise TypeError(
        f"metric_name should be a string or a sequence of strings, but got {metric_name!r}"
    )


def read_run_arguments(given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Read ``mlflow_kwargs``; warn of what has no effect, as it had none in Optuna's callback."""
    given = given or {}
    unknown = [name for name in given if name not in _RUN_ARGUMENTS]
    if unknown:
        warnings.warn(
            f"mlflow_kwargs should have {', '.join(_RUN_ARGUMENTS)} alone,"
            f" but got {', '.join(unknown)}, which have no effect",
            stacklevel=3,
        )
    return given


def read_tracking_uri(given: str | None) -> str:
    """Read the store, wherever the working directory is later.

    A file store is taken only where MLflow takes it.

    Raises:
        SettingsError: It is of a kind that is not supported.
    """
    uri = given or os.environ.get(TRACKING_VARIABLE)
    if uri and urlsplit(uri).scheme in {"", "file"} and MLFLOW_ALLOW_FILE_STORE.get():
        return uri
    uri = read_settings(tracking_uri=given).tracking_uri
    path = sqlite_path(uri)
    return uri if path is None else f"sqlite:///{path}"


def is_same_store(one: str, other: str) -> bool:
    """Whether two tracking URIs name one store."""
    path = sqlite_path(one)
    return path == sqlite_path(other) if path else one.rstrip("/") == other.rstrip("/")


def as_tags(attributes: Mapping[str, object]) -> dict[str, str]:
    """Make tags that MLflow takes of user attributes, leaving out our own."""
    return keys.renamed(
        {name: value for name, value in attributes.items() if name != UID_ATTRIBUTE}
    )
