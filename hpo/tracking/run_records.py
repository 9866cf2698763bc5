"""What is to stand in MLflow, as frozen values that know neither Optuna nor MLflow.

Everything is already in the form that is logged: the writer adds how, not what.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

RunStatus = Literal["FINISHED", "KILLED", "FAILED"]
Notify = Callable[[str | int], None]
"""Takes a line for a person, or how many trials MLflow has."""


@dataclass(frozen=True)
class TrialRecord:
    """One child run.

    Attributes:
        key: The idempotency key, unique for ever.
        number: The trial's number.
        status: COMPLETE is FINISHED, PRUNED is KILLED, FAIL is FAILED.
        start_time_ms: Milliseconds since 1970, UTC.
        end_time_ms: The same; never before the start.
        params: As text.
        metrics: Name to value.
        steps: Name to one value a step, from step 0.
        tags: Name to text.
        traceback: Of a trial whose fit raised, or None.
    """

    key: str
    number: int
    status: RunStatus
    start_time_ms: int
    end_time_ms: int
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    steps: dict[str, dict[int, float]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    traceback: str | None = None


@dataclass(frozen=True)
class DatasetRecord:
    """The table that a study was trained on.

    Attributes:
        name: As shown.
        digest: At most 36 characters.
        source: Where it came from.
        columns: Column name to MLflow's type name.
        n_rows: Training rows.
    """

    name: str
    digest: str
    source: str
    columns: dict[str, str]
    n_rows: int


@dataclass(frozen=True)
class StudyRecord:
    """One parent run.

    Attributes:
        uid: 32 hexadecimal digits, the study's own for ever.
        name: The study's name.
        value_name: The metric that is a trial's value.
        is_maximized: Whether a greater value is better.
        experiment: The experiment's name; by default the study's.
        params: As text.
        tags: Name to text.
        texts: Artifact path to its content.
        dataset: The table, or None where it is unknown.
        description: Markdown, until there is a final model.
        dashboard: Where another page shows the study, or None.
        view: What MLflow's page is to show of the trials when they are compared, as it saves a view; or nothing.
    """

    uid: str
    name: str
    value_name: str
    is_maximized: bool = True
    experiment: str | None = None
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    dataset: DatasetRecord | None = None
    description: str = ""
    dashboard: str | None = None
    view: str = ""


@dataclass(frozen=True)
class HeldOut:
    """Rows that a model was judged on, for what is compared or drawn when it is logged.

    Attributes:
        recipe: Of the estimator.
        model: Fitted on the training rows alone, whatever the one that ships was fitted on.
        metric: The judged scorer.
        X: DataFrame of shape (n_samples, n_features).
        y: Their labels, array of shape (n_samples,).
        groups: Their groups, array of shape (n_samples,), or None.
        digest: Of all held-out rows: whether two models had the same.
        seed: The study's.
    """

    recipe: Any
    model: Any
    metric: str
    X: Any
    y: Any
    groups: Any = None
    digest: str = ""
    seed: int = 0


@dataclass(frozen=True)
class RegistryState:
    """What the registry holds of the final model.

    Attributes:
        name: The registered model's.
        version: The final model's.
        decision: ``champion`` or ``kept``, as it was decided once.
        comparison: Why, one line.
        champion: The version that is the champion now, or None.
    """

    name: str
    version: int
    decision: str
    comparison: str
    champion: int | None


@dataclass(frozen=True)
class ModelRecord:
    """The final model and what is known of it.

    Attributes:
        key: Names study and trial: a model is logged once a key.
        trial_number: The trial it was refitted from.
        model: A fitted scikit-learn estimator.
        input_example: DataFrame, a few training rows.
        expected: What the model predicts for them: the loaded model must say the same.
        metrics: Hold-out scores.
        params: As text.
        time_ms: When its trial ended, milliseconds since 1970, UTC.
        requirements: Pinned packages that serving needs.
        input_types: Column name to MLflow's type name, in the order of the input example.
        n_finished: Finished trials: the step of the metrics, so that the newest of what the parent run says is what is shown.
        study_metrics: What the parent run says of the study as it stands, which changes as the study grows: name to value.
        study_steps: The same: name to one value a step, from step 0.
        study_tags: The same: name to text.
        description: The same, Markdown.
        card: The model card, Markdown, in which ``names.MODEL_URI_MARK`` stands for the model's URI.
        trusted_types: What the saved model may hold beside what skops trusts itself.
        needs_hpo: Whether the model holds a class of ours, whose code is then shipped with it.
        files: Name to content of texts that lie beside the model.
        refit: Which rows it was fitted on: ``train`` or ``all``.
        held_out: What it is compared and drawn on, or None where neither is asked for.
        is_drawn: Whether figures are wanted.
        registered_name: Of the registered model that gets a version, or None.
        rule: When that version becomes the champion: ``not_worse``, ``better`` or ``never``.
    """

    key: str
    trial_number: int
    model: Any
    input_example: Any
    expected: Any
    metrics: dict[str, float]
    params: dict[str, str]
    time_ms: int
    requirements: tuple[str, ...]
    input_types: dict[str, str]
    n_finished: int
    study_metrics: dict[str, float] = field(default_factory=dict)
    study_steps: dict[str, dict[int, float]] = field(default_factory=dict)
    study_tags: dict[str, str] = field(default_factory=dict)
    description: str = ""
    card: str = ""
    trusted_types: tuple[str, ...] = ()
    needs_hpo: bool = False
    files: dict[str, str] = field(default_factory=dict)
    refit: str = "train"
    held_out: HeldOut | None = None
    is_drawn: bool = False
    registered_name: str | None = None
    rule: str = "not_worse"


@dataclass(frozen=True)
class Drawings:
    """Figures and tables, and the metrics that belong to them.

    Attributes:
        of_model: Artifact path to content: kept with the model, and on the parent run.
        of_study: The same, on the parent run alone.
        metrics: Name to value.
    """

    of_model: dict[str, bytes] = field(default_factory=dict)
    of_study: dict[str, bytes] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrackingState:
    """What the tracking store holds of a study.

    Attributes:
        experiment_id: The experiment's, or None while unknown.
        parent_run_id: The parent run's, or None while unknown.
        comparison: What follows the server's address in the link that opens the comparison of the trials, or None.
        run_ids: Trial number to child run.
        n_behind: Finished trials that have no finished run yet, or None while unknown.
        model_uri: ``models:/...`` of the current final model, or None.
        registry: What the registry holds of it: the fields of :class:`RegistryState`, or None.
        tracking_problem: Why the store is behind, one line, or None.
    """

    experiment_id: str | None = None
    parent_run_id: str | None = None
    comparison: str | None = None
    run_ids: dict[int, str] = field(default_factory=dict)
    n_behind: int | None = None
    model_uri: str | None = None
    registry: dict[str, Any] | None = None
    tracking_problem: str | None = None
