"""The registered model: makes the final model a version, and decides whether it is the champion.

Versions are decided in the order of their numbers because MLflow cannot set an alias on a
condition: reading the alias again after setting it, the simpler way, lets a run replace a better
champion that was set in between and that it was never compared with. MLflow does give numbers out
one at a time. So a version is pending from its creation until its decision is tagged on it, and
waits while an earlier one is pending. All of it may be repeated: a decision once made stays.
"""

import json
import time
from dataclasses import dataclass

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from hpo.errors import DataError, ModelError, TrackingError
from hpo.estimators.decision import without_rule
from hpo.estimators.loading import ShippedModel, refusing
from hpo.estimators.tasks import task_of
from hpo.results.holdout import judge_models, may_take_over
from hpo.results.tracking_state import RegistryState
from hpo.tracking import keys
from hpo.tracking.model_files import load_logged_model
from hpo.tracking.run_records import FinalRecord, HeldOut

TURN_SECONDS = 10.0
"""How long to wait for the decisions on earlier versions."""

ABANDONED_SECONDS = 60.0
"""How much older a pending version must be to count as left by a run that was killed."""

MAX_ATTEMPTS = 5


@dataclass(frozen=True)
class Registry:
    """One registered model.

    Attributes:
        client: Of the store.
        tracking_uri: The store's, which is the process's own: MLflow looks models up there.
        name: The registered model's.
        final: The final model, and the rule that decides.
        held_out: The rows on which it is compared with the champion.
    """

    client: MlflowClient
    tracking_uri: str
    name: str
    final: FinalRecord
    held_out: HeldOut

    def register(self, model_id: str, run_id: str) -> RegistryState:
        """Make the version if it is not there, and decide once whether it becomes the champion.

        Args:
            model_id: The logged model's.
            run_id: The parent run's.
        """
        version = self._find_or_create(model_id, run_id)
        number = int(version.version)
        self._show_on_model(model_id, number)
        if version.tags.get(keys.DECISION, keys.PENDING) == keys.PENDING:
            self.client.set_registered_model_alias(self.name, keys.CHALLENGER, number)
            self._wait_for_turn(version)
            self._tag(number, keys.DECISION, self._decide(number))
        tags = self.client.get_model_version(self.name, str(number)).tags
        return RegistryState(
            self.name, number, tags[keys.DECISION], tags.get(keys.COMPARISON, ""), self._champion()
        )

    def _find_or_create(self, model_id: str, run_id: str) -> ModelVersion:
        try:
            self.client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        uri = f"models:/{model_id}"
        existing = [version for version in self._versions() if version.source == uri]
        if existing:
            return min(existing, key=lambda version: int(version.version))
        tags = {
            keys.DECISION: keys.PENDING,
            keys.HOLDOUT_DIGEST: self.held_out.digest,
            keys.REFIT: self.final.model.refit,
        }
        return self.client.create_model_version(
            self.name, source=uri, run_id=run_id, model_id=model_id, tags=tags
        )

    def _show_on_model(self, model_id: str, number: int) -> None:
        """Name the version on the logged model, in the tag by which MLflow's page shows it."""
        model = self.client.get_logged_model(model_id)
        shown = json.loads(model.tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
        ours = {"name": self.name, "version": number}
        if ours not in shown:
            tags = {MLFLOW_MODEL_VERSIONS: json.dumps([*shown, ours])}
            self.client.set_logged_model_tags(model_id, tags)

    def _versions(self) -> list[ModelVersion]:
        return list(self.client.search_model_versions(f"name = '{self.name}'"))

    def _wait_for_turn(self, version: ModelVersion) -> None:
        end = time.monotonic() + TURN_SECONDS
        oldest = version.creation_timestamp - 1000 * ABANDONED_SECONDS
        while time.monotonic() < end and any(
            int(other.version) < int(version.version)
            and other.tags.get(keys.DECISION) == keys.PENDING
            and other.creation_timestamp > oldest
            for other in self._versions()
        ):
            time.sleep(0.1)

    def _decide(self, number: int) -> str:
        """Move the alias or leave it, and tag the reason on the version."""
        for _ in range(MAX_ATTEMPTS):
            champion = self._champion()
            if champion == number:
                return keys.CHAMPION
            is_fit, why = self._judge(champion)
            if self.final.caution:
                why = f"{why}; {self.final.caution}"
                is_fit = is_fit and self.final.is_useful
            self._tag(number, keys.COMPARISON, why)
            self._tag(number, keys.COMPARED_WITH, str(champion or ""))
            if not is_fit:
                return keys.KEPT
            if self._champion() == champion:
                self.client.set_registered_model_alias(self.name, keys.CHAMPION, number)
        raise TrackingError(
            f"the champion of '{self.name}' is being moved by others",
            hint="the same command decides",
        )

    def _champion(self) -> int | None:
        number = self.client.get_registered_model(self.name).aliases.get(keys.CHAMPION)
        return None if number is None else int(number)

    def _tag(self, number: int, name: str, text: str) -> None:
        self.client.set_model_version_tag(self.name, str(number), name, text)

    def _judge(self, champion: int | None) -> tuple[bool, str]:
        """Whether the new version may take over, and why."""
        held_out = self.held_out
        task = task_of(held_out.recipe)
        if champion is None:
            return self.final.rule != "never", "there was no champion"
        try:
            shipped = load_logged_model(
                f"models:/{self.name}/{champion}",
                self.tracking_uri,
                self.final.model.trusted_types,
            )
            differs = self._difference(shipped)
            if differs:
                return False, f"not comparable: {differs}"
            positive = held_out.positive
            X_theirs = self._take_theirs(shipped)
            costs = held_out.costs
            # A scorer judges models; the thresholds by which they decide are no part of that.
            models = [
                task.predictions(without_rule(held_out.model), held_out.X, positive, costs),
                task.predictions(without_rule(shipped.pipeline), X_theirs, positive, costs),
            ]
            with refusing("it cannot be scored"):
                score, (gain,) = judge_models(
                    task,
                    models,
                    held_out.y,
                    held_out.groups,
                    held_out.metric,
                    seed=held_out.seed,
                    is_ordered=held_out.over_time is not None,
                )
        except (DataError, ModelError) as error:
            return False, f"not comparable: {error}"
        tags = self.client.get_model_version(self.name, str(champion)).tags
        is_fair = tags.get(keys.HOLDOUT_DIGEST) == held_out.digest and tags.get(keys.REFIT) != "all"
        champions = score.value - gain.value
        interval = (
            f"95 % interval of the difference {gain.low:+.4f} to {gain.high:+.4f}"
            if gain.is_known
            else "too few to say"
        )
        comparison = (
            f"{held_out.metric} {score.value:.4f} against {champions:.4f}"
            f" on the same {len(held_out.y)} held-out rows ({interval})"
        )
        if not is_fair:
            comparison += "; the champion may have been fitted on some of these rows"
        return may_take_over(gain, self.final.rule), comparison

    def _take_theirs(self, champion: ShippedModel) -> pd.DataFrame:
        """The held-out rows as the champion takes them."""
        X, columns = self.held_out.X, champion.columns
        is_raw = self.held_out.recipe.preprocessing == "none"
        return columns.convert(X) if is_raw else X[list(columns.features)]

    def _difference(self, champion: ShippedModel) -> str:
        """Why the champion cannot predict these rows comparably; empty where it can."""
        needed = champion.columns.signature()
        ours = self.final.model.input_types
        is_converted = self.held_out.recipe.preprocessing != "none"
        if champion.columns.as_read and is_converted and set(needed.values()) != {"double"}:
            return "the champion takes the table as it is read"
        other = [name for name, kind in needed.items() if ours.get(name) != kind]
        if other:
            return f"the champion needs other columns ({', '.join(other[:5])})"
        task = task_of(self.held_out.recipe)
        return task.difference(self.held_out.model, champion.pipeline)
