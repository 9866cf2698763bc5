"""Every metric, tag, artifact and run name that MLflow shows."""

import re
from collections.abc import Iterable, Mapping
from itertools import chain, count

# Tags. "hpo." ones are ours, "optuna." ones mirror Optuna; "mlflow." ones steer MLflow's pages.
KEY = "hpo.key"
OBJECTIVE_KEY = "hpo.objective_key"
"""Of a run that an objective logs to; it gets its key once the whole trial is in it."""
STUDY_UID = "hpo.study"
DATA_DIGEST = "hpo.data_digest"
DEFINITION_DIGEST = "hpo.definition_digest"
FAILURE = "hpo.failure"
CONVERGED = "hpo.converged"
FOREIGN = "hpo.foreign"
LEDGER = "hpo.ledger"
WRITER = "hpo.writer"
"""The place of the ledger from which the parent run was written last."""
STUDY_GONE = "hpo.study_gone"
WRITTEN_TRIALS = "hpo.written_trials"
BEST_TRIAL = "hpo.best_trial"
MODEL_URI = "hpo.model_uri"
SELECTION_RULE = "hpo.selection_rule"
REFIT = "hpo.refit"
DRAWN = "hpo.drawn"
TIES = "hpo.ties"
GAIN = "hpo.gain"
VERDICT = "hpo.verdict"
ENDED = "hpo.ended"
INCOMPLETE = "hpo.incomplete"
"""Of a logged model whose files are being written again."""
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
RUN_NAME = "mlflow.runName"
DESCRIPTION = "mlflow.note.content"
SOURCE_NAME = "mlflow.source.name"
DATASET_CONTEXT = "mlflow.data.context"
COLUMNS = "hpo.columns"
"""Of a table with more columns than MLflow takes: how many are shown, and where all are."""
TABLE_DIGEST = "hpo.table"
"""Of a run that keeps a submitted table: the SHA-256 of its file."""
EXPERIMENT_KIND = "mlflow.experimentKind"
MODEL_TRAINING = "custom_model_development"

# Aliases of a registered model, and values of a version's decision.
CHAMPION = "champion"
CHALLENGER = "challenger"
PENDING = "pending"
KEPT = "kept"

# Metrics that are not scores.
TRIAL_NUMBER = "trial_number"
N_TIED = "n_trials_tied"
N_UNCONVERGED = "n_trials_not_converged"

DECISION_THRESHOLD = "decision_threshold"

# Artifacts.
TRACEBACK_FILE = "failure/traceback.txt"
DEFINITION_FILE = "study/definition.json"
COLUMN_KINDS_FILE = "data/columns.json"
SPACE_FILE = "study/search_space.json"
JOURNAL_FILE = "study/optuna_journal.log"
MODEL_NAME = "model"
MODEL_CARD_FILE = "model_card.md"

fold_metric = "fold_{}".format
"""Fold scores: one value a fold, the fold being the step. MLflow's page shows the last value of a
metric, so the name must not look like that of a mean."""
cv_mean = "cv_{}_mean".format
"""The mean over the folds."""
cv_std = "cv_{}_std".format
"""The standard deviation over the folds."""
intermediate = "{}_intermediate".format
"""Intermediate values of a trial of another objective, by its own steps."""
best_so_far = "best_{}".format
"""On the parent run: the best value up to a trial, the trial's number being the step."""
holdout_metric = "test_{}".format
"""A score on the hold-out."""
gain_metric = "gain_{}".format
"""The gain over the defaults on the hold-out."""
constant_metric = "constant_{}".format
"""The score of the model that ignores the columns, on the hold-out."""
gain_over_constant_metric = "gain_over_constant_{}".format
"""The gain over that model on the hold-out."""
decided_metric = "test_decided_{}".format
"""A score on the hold-out of what the model decides."""
decision_gain_metric = "decision_gain_over_{}".format
"""The gain of a decision on the hold-out over deciding otherwise."""
optimism_metric = "optimism_{}".format
"""The best trial's mean over the folds minus the final model's score on the hold-out."""
nested_metric = "nested_{}".format
"""Mean, deviation and interval of search and refit on the outer folds, each with its ending."""
nested_fold_metric = "nested_fold_{}".format
"""Those scores: one value an outer fold, the fold being the step."""
version_tag = "hpo.version.{}".format
"""The tag with the version of a package, the interpreter or the BLAS kernel."""


def importance_metrics(columns: Iterable[str]) -> dict[str, str]:
    """Column to the metric of the hold-out's loss when it is shuffled; in the table's order."""
    metrics = {column: f"importance_{column}" for column in columns}
    made = distinct(metrics.values())
    return {column: made[metric] for column, metric in metrics.items()}


def interval_metrics(name: str, low: float, high: float) -> dict[str, float]:
    """The two ends of a metric's 95 % interval."""
    return {f"{name}_low": low, f"{name}_high": high}


def trial_key(study_uid: str, number: int) -> str:
    """The idempotency key of a child run.

    It is hexadecimal digits, a slash and a number, so that a filter needs no quoting.
    """
    return f"{study_uid}/{number}"


def allowed(name: str) -> str:
    """Make a foreign name one that MLflow takes.

    Characters that it refuses become ``_``; 250 characters are kept.
    """
    return re.sub(r"[^\w\-. :/]|^\.|(?<![\w\- :])/|/(?![\w\- :])", "_", name[:250] or "_")


def distinct(names: Iterable[str]) -> dict[str, str]:
    """Make each of several foreign names one that MLflow takes and no other has.

    One that MLflow takes as it is stays; of others that would be the same, the second gets ``_2``.

    Args:
        names: In an order that is the same whenever they are written.
    """
    names = list(names)
    made = {name: name for name in names if allowed(name) == name}
    taken = set(made)
    for name in names:
        if name not in made:
            numbered = (f"{allowed(name)[:240]}_{number}" for number in count(2))
            made[name] = next(new for new in chain([allowed(name)], numbered) if new not in taken)
            taken.add(made[name])
    return made


def renamed(values: Mapping[str, object]) -> dict[str, str]:
    """Values under foreign names as text, each under a name of its own that MLflow takes."""
    names = distinct(sorted(values))
    return {names[name]: str(value) for name, value in values.items()}


def is_key(text: str) -> bool:
    """Whether this is a key of a parent run or from :func:`trial_key`, as no person writes one."""
    return re.fullmatch(r"[0-9a-f]{32}(/\d+)?", text) is not None


def number_of(key: str) -> int:
    """The trial's number in a key from :func:`trial_key`."""
    return int(key.rpartition("/")[2])


def trial_run_name(number: int) -> str:
    """A run name whose order as text is that of the numbers."""
    return f"trial-{number:04d}"
