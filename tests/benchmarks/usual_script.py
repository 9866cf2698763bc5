"""The usual script: what a competent user of Optuna, MLflow and scikit-learn writes for the job
that ``hpo`` does.

It is one side of the benchmark, so it is meant to be good: nested runs in one parent, a sampler
with a seed, preprocessing inside
cross-validation, a hold-out that the search does not see, a signature and an input example. Space,
folds, hold-out and number of
trials are those of ``hpo``'s default study, and so are 1000 iterations at the most. The seeds of
single trials are not: the sampler
here has one seed for all. Nor are solver and tolerance: scikit-learn's default solver where it can
fit the penalty, its default
tolerance, and no ``pip_requirements``, so that MLflow finds them out. Those are choices of the
user, which ``hpo`` makes otherwise.
It does less than ``hpo``: one score a fold, no fold scores in MLflow, no model loaded back, no
second run that goes on.

The penalty is mapped to ``l1_ratio`` because scikit-learn 1.9 deprecates ``penalty``. By default
both databases lie in the
working directory.
"""

from __future__ import annotations

import argparse

import mlflow
import optuna
import pandas as pd
from mlflow.models import infer_signature
from optuna_integration import MLflowCallback
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

NAME = "iris"
STORAGE = "sqlite:///optuna.db"
TRACKING_URI = "sqlite:///mlflow.db"
SEED = 0


def build_model(params: dict) -> Pipeline:
    """An unfitted pipeline from a trial's params."""
    penalty = params["penalty"]
    classifier = LogisticRegression(
        C=params["C"],
        l1_ratio={"l2": 0.0, "l1": 1.0}.get(penalty, params.get("l1_ratio")),
        class_weight=params["class_weight"],
        solver="lbfgs" if penalty == "l2" else "saga",
        max_iter=1000,
        random_state=SEED,
    )
    return make_pipeline(StandardScaler(), classifier)


def suggest_params(trial: optuna.Trial) -> dict:
    """The search space."""
    params = {
        "penalty": trial.suggest_categorical("penalty", ["l2", "l1", "elasticnet"]),
        "C": trial.suggest_float("C", 1e-4, 1e4, log=True),
        "class_weight": trial.suggest_categorical("class_weight", [None, "balanced"]),
    }
    if params["penalty"] == "elasticnet":
        params["l1_ratio"] = trial.suggest_float("l1_ratio", 0.05, 0.95)
    return params


def make_study(X: pd.DataFrame, y: pd.Series, options: argparse.Namespace) -> optuna.Study:
    """Search; every trial becomes a child of the active run."""
    folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=SEED)
    study = optuna.create_study(
        study_name=options.name,
        storage=options.storage,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=SEED),
    )
    callback = MLflowCallback(
        tracking_uri=options.tracking_uri,
        metric_name="accuracy",
        create_experiment=False,
        mlflow_kwargs={"nested": True},
    )

    def objective(trial: optuna.Trial) -> float:
        model = build_model(suggest_params(trial))
        return cross_val_score(
            model, X, y, cv=folds, scoring="accuracy", n_jobs=options.jobs
        ).mean()

    study.optimize(objective, n_trials=options.trials, callbacks=[callback])
    return study


def name_type(model: object) -> str:
    """The name by which skops trusts a type."""
    return f"{type(model).__module__}.{type(model).__qualname__}"


def main() -> None:
    """Search, refit the best, log it."""
    parser = argparse.ArgumentParser(description="tune a logistic regression on Iris")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--name", default=NAME)
    parser.add_argument("--storage", default=STORAGE)
    parser.add_argument("--tracking-uri", default=TRACKING_URI)
    parser.add_argument("--jobs", type=int, default=None)
    options = parser.parse_args()

    X, y = load_iris(return_X_y=True, as_frame=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.2, stratify=y, random_state=SEED
    )

    mlflow.set_tracking_uri(options.tracking_uri)
    mlflow.set_experiment(options.name)
    with mlflow.start_run(run_name=options.name):
        study = make_study(X_train, y_train, options)
        model = build_model(study.best_params).fit(X_train, y_train)
        mlflow.log_params(study.best_params)
        mlflow.log_metrics(
            {"cv_accuracy": study.best_value, "test_accuracy": model.score(X_test, y_test)}
        )
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(X_train, model.predict(X_train)),
            input_example=X_train.head(),
            # Under scikit-learn-intelex the classifier is of a class that skops does not know.
            skops_trusted_types=[name_type(model[-1])],
        )
    print(
        f"trial {study.best_trial.number}: cv accuracy {study.best_value:.4f}, {study.best_params}"
    )


if __name__ == "__main__":
    main()
