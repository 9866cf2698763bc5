"""The usual script for a real table: ``ColumnTransformer``, ``cross_val_score(n_jobs=2)``, Optuna
and its ``MLflowCallback``.

The other side of ``python -m tests.benchmarks.tables``. Space (L2 only), folds, hold-out, metric
and trials are those that
``hpo`` is given; preprocessing is the same, written as a competent user writes it, and is fitted
inside every fold of every trial.
The final model is saved with the types that skops does not trust named by hand: without them this
script dies at its last step.
"""

from __future__ import annotations

import argparse

import mlflow
import optuna
import pandas as pd
from mlflow.models import infer_signature
from optuna_integration import MLflowCallback
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

STORAGE = "sqlite:///optuna.db"
TRACKING_URI = "sqlite:///mlflow.db"
SEED = 0


def build_model(X: pd.DataFrame, params: dict) -> Pipeline:
    """An unfitted pipeline from a trial's params."""
    numeric = X.select_dtypes("number").columns.tolist()
    categorical = [name for name in X.columns if name not in numeric]
    columns = [
        (
            "numeric",
            make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()),
            numeric,
        )
    ]
    if categorical:
        fill = SimpleImputer(strategy="constant", fill_value="(missing)")
        one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10)
        columns.append(("categorical", make_pipeline(fill, one_hot), categorical))
    classifier = LogisticRegression(
        C=params["C"], class_weight=params["class_weight"], max_iter=1000, random_state=SEED
    )
    return make_pipeline(ColumnTransformer(columns), classifier)


def main() -> None:
    """The whole job."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--trials", type=int, default=20)
    options = parser.parse_args()

    table = pd.read_csv(options.data)
    X, y = table.drop(columns="target"), table["target"]
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.2, stratify=y, random_state=SEED
    )
    folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=1, random_state=SEED)

    def objective(trial: optuna.Trial) -> float:
        params = {
            "C": trial.suggest_float("C", 1e-4, 1e4, log=True),
            "class_weight": trial.suggest_categorical("class_weight", [None, "balanced"]),
        }
        scores = cross_val_score(build_model(X_train, params), X_train, y_train, cv=folds, n_jobs=2)
        return float(scores.mean())

    mlflow.set_tracking_uri(TRACKING_URI)
    mlflow.set_experiment("table")
    study = optuna.create_study(
        study_name="table",
        storage=STORAGE,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=SEED),
    )
    study.enqueue_trial({"C": 1.0, "class_weight": None})
    with mlflow.start_run(run_name="table"):
        callback = MLflowCallback(
            TRACKING_URI, "accuracy", create_experiment=False, mlflow_kwargs={"nested": True}
        )
        study.optimize(objective, n_trials=options.trials, callbacks=[callback])
        model = build_model(X_train, study.best_params).fit(X_train, y_train)
        mlflow.log_metric("test_accuracy", model.score(X_test, y_test))
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(X_train, model.predict(X_train.head())),
            input_example=X_train.head(),
            skops_trusted_types=["numpy.dtype"],
        )
    print(f"best accuracy {study.best_value:.6f} with {study.best_params}")


if __name__ == "__main__":
    main()
