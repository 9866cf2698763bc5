"""What must hold of a ledger and its projection, read through their own clients and not through
hpo.

``check_stores`` asserts the invariant of a finished study; ``trial_table`` is for comparing two
studies to the last bit. The
names below are written out, not imported from hpo: they are what people query by.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from mlflow import MlflowClient
from mlflow.entities import Experiment, LoggedModel, LoggedModelStatus, Run
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from optuna_dashboard._note import get_note_from_system_attrs

STATUS_OF = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.FAIL: "FAILED",
    TrialState.PRUNED: "KILLED",
}
DERIVED = {"solver", "max_iter", "tol", "random_state"}
CHOSEN_BY_ALL = {"penalty", "class_weight"}


@dataclass(frozen=True)
class Picture:
    """A study as both stores have it."""

    trials: list[FrozenTrial]
    experiment: Experiment
    parent: Run
    children: dict[int, Run]
    models: list[LoggedModel]

    @property
    def current_models(self) -> list[LoggedModel]:
        return [model for model in self.models if "hpo.superseded_by" not in model.tags]

    @property
    def model(self) -> LoggedModel:
        (model,) = self.current_models
        return model

    @property
    def model_by_trial(self) -> dict[int, LoggedModel]:
        return {int(model.tags["hpo.best_trial"]): model for model in self.models}


def read_trials(storage: str, study: str = "iris") -> list[FrozenTrial]:
    """A study's trials through Optuna; the connections are closed again."""
    opened = RDBStorage(storage)
    try:
        return optuna.load_study(study_name=study, storage=opened).trials
    finally:
        opened.engine.dispose()


def read_notes(
    storage: str, trials: Sequence[FrozenTrial], study: str = "iris"
) -> dict[int | None, str]:
    """What optuna-dashboard shows beside each trial, by number, and beside the study, under None."""
    opened = RDBStorage(storage)
    try:
        attributes = opened.get_study_system_attrs(opened.get_study_id_from_name(study))
        ids = {None: None, **{trial.number: trial._trial_id for trial in trials}}
        return {
            number: get_note_from_system_attrs(attributes, trial_id)["body"]
            for number, trial_id in ids.items()
        }
    finally:
        opened.engine.dispose()


def trial_table(storage: str, study: str = "iris") -> list[tuple[str, ...]]:
    """All that is the same, to the last bit, in two runs of one study: everything but the times."""
    return [
        (
            str(trial.number),
            trial.state.name,
            repr(sorted(trial.params.items())),
            repr(sorted(trial.distributions.items())),
            repr(trial.values),
            repr(sorted(trial.intermediate_values.items())),
            *(
                repr(trial.user_attrs.get(f"hpo.{name}"))
                for name in ("scores", "derived", "converged", "failure")
            ),
        )
        for trial in read_trials(storage, study)
    ]


def read_runs(client: MlflowClient, experiment_id: str) -> list[Run]:
    runs, token, is_first = [], None, True
    while is_first or token:
        page = client.search_runs([experiment_id], max_results=1000, page_token=token)
        runs, token, is_first = [*runs, *page], page.token, False
    return runs


def read_stores(storage: str, tracking_uri: str, study: str = "iris") -> Picture:
    """A study through Optuna and MLflow; asserts only that there is one parent and no trial has two
    runs.
    """
    return read_projection(read_trials(storage, study), tracking_uri, study)


def read_projection(trials: list[FrozenTrial], tracking_uri: str, experiment_name: str) -> Picture:
    client = MlflowClient(tracking_uri)
    experiment = client.get_experiment_by_name(experiment_name)
    assert experiment is not None, f"no experiment {experiment_name}"
    runs = read_runs(client, experiment.experiment_id)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1, [run.info.run_id for run in parents]
    children = {
        int(run.data.metrics["trial_number"]): run
        for run in runs
        if "mlflow.parentRunId" in run.data.tags
    }
    assert len(children) == len(runs) - 1, "two runs of one trial"
    models = list(client.search_logged_models([experiment.experiment_id]))
    return Picture(trials, experiment, parents[0], children, models)


def check_stores(
    storage: str,
    tracking_uri: str,
    *,
    n_trials: int,
    study: str = "iris",
    metric: str = "accuracy",
    n_folds: int = 5,
    parent_status: str = "FINISHED",
    has_model: bool = True,
) -> Picture:
    """Assert the invariant of a study that has come to its end."""
    picture = read_stores(storage, tracking_uri, study)
    assert len(picture.trials) == n_trials
    check_nothing_runs(picture.trials, tracking_uri)
    check_projection(picture, parent_status=parent_status)
    client = MlflowClient(tracking_uri)
    for trial in picture.trials:
        check_params(trial, picture.children[trial.number])
        check_scores(client, trial, picture.children[trial.number], metric=metric, n_folds=n_folds)
    (check_model if has_model else check_no_model)(picture, metric)
    return picture


def check_nothing_runs(trials: Sequence[FrozenTrial], tracking_uri: str) -> None:
    assert [trial.number for trial in trials if not trial.state.is_finished()] == []
    client = MlflowClient(tracking_uri)
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    assert [
        run.info.run_id for run in client.search_runs(ids, "attributes.status = 'RUNNING'")
    ] == []


def check_projection(picture: Picture, *, parent_status: str = "FINISHED") -> None:
    """One child a finished trial, with its parent tag, status, times and chosen params; of any
    study, hpo's or not.
    """
    assert [trial.number for trial in picture.trials] == list(range(len(picture.trials)))
    assert sorted(picture.children) == list(range(len(picture.trials)))
    assert picture.parent.info.status == parent_status
    for trial in picture.trials:
        run = picture.children[trial.number]
        assert run.data.tags["mlflow.parentRunId"] == picture.parent.info.run_id
        assert run.info.status == STATUS_OF[trial.state]
        assert abs(run.info.start_time - trial.datetime_start.timestamp() * 1000) <= 1
        # Not before its start, though the clock went back.
        end = max(trial.datetime_complete, trial.datetime_start)
        assert abs(run.info.end_time - end.timestamp() * 1000) <= 1
        assert {
            name: str(value) for name, value in trial.params.items()
        }.items() <= run.data.params.items()


def check_params(trial: FrozenTrial, run: Run) -> None:
    """The child has all that the fit was given, and nothing else: chosen, fixed and derived."""
    derived = trial.user_attrs["hpo.derived"]
    assert derived.keys() >= DERIVED - trial.params.keys()
    assert run.data.params == {
        name: str(value) for name, value in {**trial.params, **derived}.items()
    }
    assert run.data.params.keys() >= DERIVED | CHOSEN_BY_ALL
    assert ("l1_ratio" in run.data.params) == (run.data.params["penalty"] == "elasticnet")


def check_scores(
    client: MlflowClient, trial: FrozenTrial, run: Run, *, metric: str, n_folds: int
) -> None:
    """Fold scores as steps, their mean and deviation; a pruned trial has no mean and fewer folds, a
    failed one nothing.
    """
    scores = trial.user_attrs.get("hpo.scores", {})
    is_complete = trial.state == TrialState.COMPLETE
    assert bool(scores) == (trial.state != TrialState.FAIL)
    assert not scores or scores.keys() >= {metric, "accuracy", "neg_log_loss"}
    names = ("fold_{}", "cv_{}_mean", "cv_{}_std") if is_complete else ("fold_{}",)
    assert run.data.metrics.keys() == {"trial_number"} | {
        name.format(scorer) for scorer in scores for name in names
    }
    assert trial.intermediate_values == dict(enumerate(scores.get(metric, ())))
    for scorer, of_folds in scores.items():
        history = client.get_metric_history(run.info.run_id, f"fold_{scorer}")
        assert sorted((point.step, point.value) for point in history) == list(enumerate(of_folds))
        assert (len(of_folds) == n_folds) if is_complete else (0 < len(of_folds) < n_folds)
    for scorer in scores if is_complete else ():
        mean = math.fsum(scores[scorer]) / n_folds
        variance = math.fsum((score - mean) ** 2 for score in scores[scorer]) / n_folds
        assert math.isclose(run.data.metrics[f"cv_{scorer}_mean"], mean, rel_tol=1e-14)
        assert math.isclose(
            run.data.metrics[f"cv_{scorer}_std"], math.sqrt(variance), rel_tol=1e-9, abs_tol=1e-12
        )
    assert run.data.metrics.get(f"cv_{metric}_mean") == (trial.value if is_complete else None)


def best_number(trials: Sequence[FrozenTrial]) -> int:
    """The best trial by the rule "best", worked out anew: value, then log loss, then the simpler
    model, then the earlier one.
    """
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    losses = {
        trial.number: math.fsum(trial.user_attrs["hpo.scores"]["neg_log_loss"])
        for trial in complete
    }
    params = {
        trial.number: {**trial.params, **trial.user_attrs["hpo.derived"]} for trial in complete
    }

    def simplicity(number: int) -> tuple[float, float, bool]:
        chosen = params[number]
        l1_share = {"l1": 1.0, "elasticnet": chosen.get("l1_ratio")}.get(chosen["penalty"], 0.0)
        return (-chosen.get("C", math.inf), l1_share, chosen["class_weight"] == "none")

    return max(
        complete,
        key=lambda trial: (
            round(trial.value, 12),
            losses[trial.number],
            *simplicity(trial.number),
            -trial.number,
        ),
    ).number


def check_model(picture: Picture, metric: str) -> None:
    """One current model, that of the best trial, and the earlier ones point at it; all of them are
    whole.
    """
    assert {model.status for model in picture.models} == {LoggedModelStatus.READY}
    assert len(picture.current_models) == 1, picture.models
    assert len(picture.model_by_trial) == len(picture.models), "two models of one trial"
    model, best = picture.model, best_number(picture.trials)
    assert model.tags["hpo.best_trial"] == str(best)
    assert picture.parent.data.tags["hpo.model_uri"] == model.model_uri
    assert picture.parent.data.tags["hpo.best_trial"] == str(best)
    assert model.source_run_id == picture.parent.info.run_id
    assert model.params == picture.children[best].data.params
    holdout = {point.key: point.value for point in model.metrics}
    assert holdout.keys() >= {
        f"test_{metric}",
        "test_accuracy",
        "test_neg_log_loss",
        "test_balanced_accuracy",
        "test_f1_macro",
    }
    assert holdout.items() <= picture.parent.data.metrics.items()
    said = picture.parent.data.metrics
    assert (
        1
        <= said["n_trials_tied"]
        <= sum(trial.state == TrialState.COMPLETE for trial in picture.trials)
    )
    assert said[f"test_{metric}_low"] <= said[f"test_{metric}"] <= said[f"test_{metric}_high"]
    assert said[f"optimism_{metric}"] == picture.trials[best].value - said[f"test_{metric}"]


def check_no_model(picture: Picture, _: str) -> None:
    assert picture.models == []
