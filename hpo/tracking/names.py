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


def cv_metric(scorer: str) -> str:
    """Fold scores: one value a fold, the fold being the step."""
    return f"cv_{scorer}"


def cv_mean(scorer: str) -> str:
    """The mean over the folds."""
    return f"cv_{scorer}_mean"


def cv_std(scorer: str) -> str:
    """The standard deviation over the folds."""
    return f"cv_{scorer}_std"


def intermediate(metric: str) -> str:
    """What a trial of another objective reported on its way, by its own steps."""
    return f"{metric}_intermediate"


def best_so_far(value_name: str) -> str:
    """On the parent run: the best value up to a trial, the trial's number being the step."""
    return f"best_{value_name}"


def holdout_metric(scorer: str) -> str:
    """A score on the hold-out."""
    return f"test_{scorer}"


def gain_metric(scorer: str) -> str:
    """What the search gained over the defaults on the hold-out."""
    return f"gain_{scorer}"


def optimism_metric(scorer: str) -> str:
    """The best trial's mean over the folds minus the final model's score on the hold-out."""
    return f"optimism_{scorer}"


def importance_metric(column: str) -> str:
    """What the hold-out's score loses when a column is shuffled."""
    return allowed(f"importance_{column}")


def nested_metric(scorer: str) -> str:
    """Scores of search and refit on the outer folds: one value a fold, the fold being the step."""
    return f"nested_{scorer}"


def interval_metrics(name: str, low: float, high: float) -> dict[str, float]:
    """The two ends of a metric's 95 % interval."""
    return {f"{name}_low": low, f"{name}_high": high}


def version_tag(package: str) -> str:
    """The tag with the version of a package, the interpreter or the BLAS kernel."""
    return f"hpo.version.{package}"


def trial_key(study_uid: str, number: int) -> str:
    """The idempotency key of a child run: hexadecimal digits, a slash and a number, so that no filter needs a quote."""
    return f"{study_uid}/{number}"


def allowed(name: str) -> str:
    """A name of somebody else's as MLflow takes it: what it refuses becomes ``_``, and 250 characters are enough."""
    return re.sub(r"[^\w\-. :/]", "_", name)[:250]


def number_of(key: str) -> int:
    """The trial's number in a key of :func:`trial_key`."""
    return int(key.rpartition("/")[2])


def trial_run_name(number: int) -> str:
    """A name that sorts as text in the order of the numbers."""
    return f"trial-{number:04d}"
