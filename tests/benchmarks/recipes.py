"""Time every recipe against the usual script with the same fits: ``python -m
tests.benchmarks.recipes --rounds 1``.

A table of 3,000 rows of 6 numbers and 4 categories with gaps, its target two classes or a number, 15
trials of the default space. The usual script is ``cross_val_score(n_jobs=2)`` on the whole pipeline
with the params of ``hpo``'s trials, Optuna on SQLite and its ``MLflowCallback``, and logs the best
model; it asks no sampler, which spares it some time. Whole processes in turn, each in a fresh
directory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from tests.benchmarks.__main__ import RunFailedError, make_environment, note
from tests.benchmarks.tables import make_table

ROOT = Path(__file__).parents[2]
N_TRIALS = 15
METRICS = {"classification": "accuracy", "regression": "r2"}
STUDY = """
[study]
name = "table"
n_trials = {n_trials}
[data]
source = "table.csv"
target = "target"
[estimator]
name = "{name}"
"""


def write_table(path: Path, task: str) -> None:
    table = make_table(3_000, 6, (3, 5, 12, 20))
    if task == "regression":
        noise = np.random.default_rng(1).normal(size=len(table))
        of_categories = pd.factorize(table["category_2"])[0]
        table["target"] = 3 * table["number_1"] - table["number_2"] ** 2 + of_categories / 4 + noise
    table.to_csv(path, index=False)


def run_usual(directory: Path) -> None:
    """The other side: its params are in ``trials.json``."""
    import mlflow
    import optuna
    from mlflow.models import infer_signature
    from optuna_integration import MLflowCallback
    from sklearn.metrics import get_scorer
    from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold, cross_val_score

    from hpo.estimators.final_model import build_pipeline, trusted_types
    from hpo.estimators.tasks import recipe_of
    from hpo.search.plan import load_data
    from hpo.study_file import load_definition

    definition = load_definition(directory / "study.toml")
    recipe, dataset = recipe_of(definition), load_data(definition)
    trials = json.loads((directory / "trials.json").read_text(encoding="utf-8"))
    metric = METRICS[recipe.task]
    X, y = dataset.X_train, dataset.y_train
    kind = RepeatedStratifiedKFold if recipe.task == "classification" else RepeatedKFold
    folds = kind(n_splits=5, n_repeats=1, random_state=0)

    def build(number: int):
        return build_pipeline(recipe, dataset.columns, definition.preprocessing, trials[number])

    def objective(trial: optuna.Trial) -> float:
        for name, value in trials[trial.number].items():
            trial.set_user_attr(name, value)
        scores = cross_val_score(build(trial.number), X, y, cv=folds, scoring=metric, n_jobs=2)
        return float(scores.mean())

    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("table")
    study = optuna.create_study(
        study_name="table", storage="sqlite:///optuna.db", direction="maximize"
    )
    with mlflow.start_run(run_name="table"):
        callback = MLflowCallback(
            "sqlite:///mlflow.db", metric, create_experiment=False, mlflow_kwargs={"nested": True}
        )
        study.optimize(objective, n_trials=len(trials), callbacks=[callback])
        model = build(study.best_trial.number).fit(X, y)
        name, estimator = model.steps[-1]
        if hasattr(estimator, "to_plain"):  # skops trusts scikit-learn's class
            model.steps[-1] = name, estimator.to_plain()
        score = get_scorer(metric)(model, dataset.X_test, dataset.y_test)
        mlflow.log_metric(f"test_{metric}", score)
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(X, model.predict(X.head())),
            input_example=X.head(),
            skops_trusted_types=[*trusted_types(recipe)],
        )


def run_once(side: str, name: str, task: str, directory: Path) -> float:
    """Wall seconds of a whole process."""
    directory.mkdir()
    study = STUDY.format(n_trials=N_TRIALS, name=name)
    (directory / "study.toml").write_text(study, encoding="utf-8")
    write_table(directory / "table.csv", task)
    trials = directory.parent / "trials.json"
    if side == "usual":
        (directory / "trials.json").write_bytes(trials.read_bytes())
    commands = {
        "hpo": ("-m", "hpo.run", "--no-plots", "--study", "study.toml"),
        "usual": ("-m", "tests.benchmarks.recipes", "--usual"),
    }
    started = time.perf_counter()
    process = subprocess.run(
        [sys.executable, *commands[side]],
        cwd=directory,
        env={**make_environment(os.environ), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if process.returncode:
        raise RunFailedError(f"{side} ended with exit code {process.returncode}\n{process.stderr}")
    if side == "hpo":
        trials.write_text(json.dumps(read_params(directory)), encoding="utf-8")
    return seconds


def read_params(directory: Path) -> list[dict]:
    """The complete params of a study's trials."""
    from optuna import load_study

    from hpo.search.plan import make_plan
    from hpo.study_file import load_definition

    before = Path.cwd()
    os.chdir(directory)
    try:
        plan = make_plan(load_definition(directory / "study.toml"))
    finally:
        os.chdir(before)
    trials = load_study(study_name="table", storage=f"sqlite:///{directory}/optuna.db").trials
    return [dict(plan.space.replay(trial.params)) for trial in trials]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where a side fails or ``hpo`` is the slower one."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.recipes", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--rounds", type=int, default=1, help="measured rounds (default: 1)")
    parser.add_argument("--only", nargs="+", help="names of recipes (default: all)")
    parser.add_argument("--usual", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.usual:
        run_usual(Path.cwd())
        return 0
    from hpo.estimators.recipes import RECIPES

    slower = 0
    print(f"{'recipe':32}{'usual, s':>10}{'hpo, s':>10}{'ratio':>8}")
    for name, recipe in RECIPES.items():
        if options.only and name not in options.only:
            continue
        seconds: dict[str, list[float]] = {"hpo": [], "usual": []}
        with tempfile.TemporaryDirectory(prefix="hpo-recipes-") as home:
            for index in range(options.rounds):
                for side, of_side in seconds.items():
                    directory = Path(home, f"{side}-{index}")
                    of_side.append(run_once(side, name, recipe.task, directory))
        note(f"{name}: load {os.getloadavg()[0]:.1f}")
        usual, ours = median(seconds["usual"]), median(seconds["hpo"])
        slower += ours > usual
        print(f"{name:32}{usual:10.2f}{ours:10.2f}{usual / ours:8.2f}", flush=True)
    print(f"{slower} slower than the usual script")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
