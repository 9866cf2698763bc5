"""Time ``hpo`` against what else searches: ``python -m tests.benchmarks.peers --rounds 1``.

``autolog`` is scikit-learn's own ``RandomizedSearchCV`` under ``mlflow.sklearn.autolog``, with a
child run for each candidate; ``halving`` is its ``HalvingRandomSearchCV``, whose first rounds see
few rows, with the best model logged and no runs; ``intelex`` is the usual script under
scikit-learn-intelex, where that is installed; ``mlflow-storage`` is Optuna on MLflow's own storage
(``mlflow.optuna``), which needs no callback. All have the space, the folds and the hold-out of the
usual script, 50 trials, and log the best model. Whole processes in turn, each in a fresh directory.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import mlflow
import optuna
from mlflow.optuna.storage import MlflowStorage
from scipy.stats import loguniform, uniform
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_score,
    train_test_split,
)

from tests.benchmarks.__main__ import COMMANDS, RunFailedError, note
from tests.benchmarks.usual_script import SEED, TRACKING_URI, build_model, suggest_params
from tests.support.commands import environment

ROOT = Path(__file__).parents[2]
N_TRIALS = 50
FOLDS = StratifiedKFold(n_splits=5, shuffle=True, random_state=SEED)
# The usual script's space as scikit-learn writes it: a list of spaces, one of which is drawn first.
COMMON = {
    "logisticregression__C": loguniform(1e-4, 1e4),
    "logisticregression__class_weight": [None, "balanced"],
}
SPACES = [
    {**COMMON, "logisticregression__solver": ["lbfgs"], "logisticregression__l1_ratio": [0.0]},
    {**COMMON, "logisticregression__solver": ["saga"], "logisticregression__l1_ratio": [1.0]},
    {
        **COMMON,
        "logisticregression__solver": ["saga"],
        "logisticregression__l1_ratio": uniform(0.05, 0.9),
    },
]


def run_autolog() -> None:
    """Search with scikit-learn alone; autologging makes the runs and logs the model."""
    X, y = load_iris(return_X_y=True, as_frame=True)
    X_train, _, y_train, _ = train_test_split(X, y, test_size=0.2, stratify=y, random_state=SEED)
    mlflow.sklearn.autolog(max_tuning_runs=N_TRIALS, serialization_format="cloudpickle")
    model = build_model({"penalty": "l2", "C": 1.0, "class_weight": None})
    RandomizedSearchCV(model, SPACES, n_iter=N_TRIALS, cv=FOLDS, random_state=SEED).fit(
        X_train, y_train
    )


def run_halving() -> None:
    """Search by successive halving, log the best."""
    X, y = load_iris(return_X_y=True, as_frame=True)
    X_train, _, y_train, _ = train_test_split(X, y, test_size=0.2, stratify=y, random_state=SEED)
    model = build_model({"penalty": "l2", "C": 1.0, "class_weight": None})
    search = HalvingRandomSearchCV(
        model, SPACES, n_candidates=N_TRIALS, cv=FOLDS, random_state=SEED
    ).fit(X_train, y_train)
    with mlflow.start_run():
        mlflow.log_metric("cv_accuracy", search.best_score_)
        mlflow.sklearn.log_model(search.best_estimator_, name="model", input_example=X_train.head())


def run_mlflow_storage() -> None:
    """Search with Optuna on MLflow's storage, refit and log the best."""
    X, y = load_iris(return_X_y=True, as_frame=True)
    X_train, _, y_train, _ = train_test_split(X, y, test_size=0.2, stratify=y, random_state=SEED)
    study = optuna.create_study(
        study_name="iris",
        storage=MlflowStorage(mlflow.create_experiment("iris")),
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=SEED),
    )
    study.optimize(
        lambda trial: cross_val_score(
            build_model(suggest_params(trial)), X_train, y_train, cv=FOLDS
        ).mean(),
        N_TRIALS,
    )
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            build_model(study.best_params).fit(X_train, y_train),
            name="model",
            input_example=X_train.head(),
        )


SIDES = {"autolog": run_autolog, "halving": run_halving, "mlflow-storage": run_mlflow_storage}


def run_once(command: tuple[str, ...]) -> float:
    """Wall seconds of a whole process."""
    with tempfile.TemporaryDirectory(prefix="hpo-peers-") as directory:
        started = time.perf_counter()
        process = subprocess.run(
            command,
            cwd=directory,
            env=environment(PYTHONPATH=str(ROOT)),
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            raise RunFailedError(
                f"{' '.join(command)} ended with exit code {process.returncode}\n{process.stderr}"
            )
        return time.perf_counter() - started


def main() -> None:
    """Measure and print, or be one side."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.peers", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--rounds", type=int, default=1, help="measured rounds, after one that is not (default: 1)"
    )
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        mlflow.set_tracking_uri(TRACKING_URI)
        SIDES[options.side]()
        return
    commands = {
        side: (sys.executable, "-m", "tests.benchmarks.peers", "--side", side) for side in SIDES
    }
    if find_spec("sklearnex"):
        usual = COMMANDS["usual"][1]
        commands["intelex"] = (sys.executable, "-m", "sklearnex", usual, "--trials", str(N_TRIALS))
    else:
        note("intelex: left out, since scikit-learn-intelex is not installed")
    commands["hpo"] = (*COMMANDS["hpo"], "--trials", str(N_TRIALS))
    seconds: dict[str, list[float]] = {side: [] for side in commands}
    for index in range(options.rounds + 1):
        for side, command in commands.items():
            taken = run_once(command)
            note(
                f"round {index}/{options.rounds} {side}: {taken:.2f} s{'' if index else ' (warm-up)'}"
            )
            if index:
                seconds[side].append(taken)
    ours = median(seconds["hpo"])
    for side in commands:
        if side == "hpo":
            continue
        print(
            f"{side}: {median(seconds[side]):.2f} s, hpo {ours:.2f} s, ratio {median(seconds[side]) / ours:.2f}"
        )


if __name__ == "__main__":
    main()
