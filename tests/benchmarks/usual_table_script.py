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
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

STORAGE = "sqlite:///optuna.db"
TRACKING_URI = "sqlite:///mlflow.db"
SEED = 0
TRUSTED = {
    "linear": ["numpy.dtype"],
    "boosting": [
        "functools.partial",
        "numpy.dtype",
        "sklearn._loss._loss.CyHalfBinomialLoss",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.utils.validation.check_array",
    ],
}
"""What skops does not trust of each model: found by the error of the last step."""


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


def suggest(trial: optuna.Trial) -> dict:
    """A trial's params."""
    return {
        "C": trial.suggest_float("C", 1e-4, 1e4, log=True),
        "class_weight": trial.suggest_categorical("class_weight", [None, "balanced"]),
    }


def build_boosting(X: pd.DataFrame, params: dict) -> Pipeline:
    """The same for histogram gradient boosting, which takes categories as whole numbers."""
    numeric = X.select_dtypes("number").columns.tolist()
    categorical = [name for name in X.columns if name not in numeric]
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=float("nan"))
    columns = ColumnTransformer(
        [("numeric", "passthrough", numeric), ("categorical", encode, categorical)]
    )
    positions = list(range(len(numeric), len(X.columns)))
    classifier = HistGradientBoostingClassifier(
        categorical_features=positions, random_state=SEED, **params
    )
    return make_pipeline(columns, classifier)


def suggest_boosting(trial: optuna.Trial) -> dict:
    """Its params."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.5, log=True),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 4, 64, log=True),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 2, 100, log=True),
    }


DEFAULTS = {
    "linear": {"C": 1.0, "class_weight": None},
    "boosting": {"learning_rate": 0.1, "max_leaf_nodes": 31, "min_samples_leaf": 20},
}


def main() -> None:
    """The whole job."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--kind", choices=list(DEFAULTS), default="linear")
    parser.add_argument("--metric", default="accuracy")
    parser.add_argument("--trials", type=int, default=20)
    options = parser.parse_args()

    is_linear = options.kind == "linear"
    build, ask = (build_model, suggest) if is_linear else (build_boosting, suggest_boosting)
    table = pd.read_csv(options.data)
    X, y = table.drop(columns="target"), table["target"]
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.2, stratify=y, random_state=SEED
    )
    folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=1, random_state=SEED)

    def objective(trial: optuna.Trial) -> float:
        model = build(X_train, ask(trial))
        scores = cross_val_score(
            model, X_train, y_train, cv=folds, scoring=options.metric, n_jobs=2
        )
        return float(scores.mean())

    mlflow.set_tracking_uri(TRACKING_URI)
    mlflow.set_experiment("table")
    study = optuna.create_study(
        study_name="table",
        storage=STORAGE,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=SEED),
    )
    study.enqueue_trial(DEFAULTS[options.kind])
    with mlflow.start_run(run_name="table"):
        callback = MLflowCallback(
            TRACKING_URI, options.metric, create_experiment=False, mlflow_kwargs={"nested": True}
        )
        study.optimize(objective, n_trials=options.trials, callbacks=[callback])
        model = build(X_train, study.best_params).fit(X_train, y_train)
        score = get_scorer(options.metric)(model, X_test, y_test)
        mlflow.log_metric(f"test_{options.metric}", score)
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(X_train, model.predict(X_train.head())),
            input_example=X_train.head(),
            skops_trusted_types=TRUSTED[options.kind],
        )
    print(f"best {options.metric} {study.best_value:.6f} with {study.best_params}")


if __name__ == "__main__":
    main()
