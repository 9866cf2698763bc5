"""Every metric, tag, artifact and run name that MLflow shows."""

import re

# Tags of ours; "mlflow." ones are MLflow's own and steer its pages.
KEY = "hpo.key"
STUDY_UID = "hpo.study"
DATA_DIGEST = "hpo.data_digest"
DEFINITION_DIGEST = "hpo.definition_digest"
FAILURE = "hpo.failure"
CONVERGED = "hpo.converged"
BEST_TRIAL = "hpo.best_trial"
MODEL_URI = "hpo.model_uri"
SELECTION_RULE = "hpo.selection_rule"
REFIT = "hpo.refit"
DRAWN = "hpo.drawn"
TIES = "hpo.ties"
GAIN = "hpo.gain"
SUPERSEDED_BY = "hpo.superseded_by"
DUPLICATE_OF = "hpo.duplicate_of"
DECISION = "hpo.decision"
COMPARED_WITH = "hpo.compared_with"
COMPARISON = "hpo.comparison"
HOLDOUT_DIGEST = "hpo.holdout_digest"
TRIAL_STATE = "optuna.state"
STUDY_NAME = "optuna.study_name"
DIRECTION = "optuna.direction"
PARENT_RUN_ID = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
SOURCE_NAME = "mlflow.source.name"
DATASET_CONTEXT = "mlflow.data.context"
EXPERIMENT_KIND = "mlflow.experimentKind"
MODEL_TRAINING = "custom_model_development"

# Of a registered model: its aliases, and what was decided of a version.
CHAMPION = "champion"
CHALLENGER = "challenger"
PENDING = "pending"
KEPT = "kept"

# Metrics that are no scores.
TRIAL_NUMBER = "trial_number"
N_TIED = "n_trials_tied"

# Artifacts.
TRACEBACK_FILE = "failure/traceback.txt"
DEFINITION_FILE = "study/definition.json"
COLUMNS_FILE = "data/columns.json"
SPACE_FILE = "study/search_space.json"
JOURNAL_FILE = "study/optuna_journal.log"
MODEL_NAME = "model"
MODEL_CARD_FILE = "model_card.md"
MODEL_URI_MARK = "MODEL-URI"


cv_metric = "cv_{}".format
"""Fold scores: one value a fold, the fold being the step."""
cv_mean = "cv_{}_mean".format
"""The mean over the folds."""
cv_std = "cv_{}_std".format
"""The standard deviation over the folds."""
intermediate = "{}_intermediate".format
"""What a trial of another objective reported on its way, by its own steps."""
best_so_far = "best_{}".format
"""On the parent run: the best value up to a trial, the trial's number being the step."""
holdout_metric = "test_{}".format
"""A score on the hold-out."""
gain_metric = "gain_{}".format
"""What the search gained over the defaults on the hold-out."""
optimism_metric = "optimism_{}".format
"""The best trial's mean over the folds minus the final model's score on the hold-out."""
nested_metric = "nested_{}".format
"""Scores of search and refit on the outer folds: one value a fold, the fold being the step."""
version_tag = "hpo.version.{}".format
"""The tag with the version of a package, the interpreter or the BLAS kernel."""


def importance_metric(column: str) -> str:
    """What the hold-out's score loses when a column is shuffled."""
    return allowed(f"importance_{column}")


def interval_metrics(name: str, low: float, high: float) -> dict[str, float]:
    """The two ends of a metric's 95 % interval."""
    return {f"{name}_low": low, f"{name}_high": high}


def trial_key(study_uid: str, number: int) -> str:
    """The idempotency key of a child run: hexadecimal digits, a slash and a number, so that no filter needs a quote."""
    return f"{study_uid}/{number}"


def allowed(name: str) -> str:
    """A name of somebody else's as MLflow takes it: what it refuses becomes ``_``, and 250 characters are enough."""
    return re.sub(r"[^\w\-. :/]|^\.|(?<![\w\- :])/|/(?![\w\- :])", "_", name[:250])


def number_of(key: str) -> int:
    """The trial's number in a key of :func:`trial_key`."""
    return int(key.rpartition("/")[2])


def trial_run_name(number: int) -> str:
    """A name that sorts as text in the order of the numbers."""
    return f"trial-{number:04d}"


def runs_path(experiment_id: str, run_id: str = "") -> str:
    """What follows MLflow's address in the link to runs, or to one; the page is for language models unless told otherwise."""
    return f"#/experiments/{experiment_id}/runs{f'/{run_id}' if run_id else ''}?workflowType=machine_learning"


def comparison_path(experiment_id: str, study_uid: str) -> str:
    """The same to the comparison of a study's trials, a view that is saved with the experiment."""
    return (
        f"{runs_path(experiment_id)}&compareRunsMode=CHART&viewStateShareKey={view_id(study_uid)}"
    )


def view_id(study_uid: str) -> str:
    """What follows ``mlflow.sharedViewState.`` in the experiment's tag that holds the view."""
    return f"hpo-{study_uid[:12]}"
