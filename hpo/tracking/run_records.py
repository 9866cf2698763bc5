"""Runs and models as MLflow is to hold them: frozen values that know neither Optuna nor MLflow.

Everything is in the form that is logged: these records say what, the writer how. The module imports
nothing heavy: the tracking process loads it before anything else.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

RunStatus = Literal["FINISHED", "KILLED", "FAILED"]
Notify = Callable[[str | int], None]
"""Takes a message of tracking: a line for a person, or how many trials MLflow has."""


@dataclass(frozen=True)
class TrialRecord:
    """One child run.

    Attributes:
        key: The idempotency key, unique for good.
        number: The trial's number, from 0.
        status: COMPLETE is FINISHED, PRUNED is KILLED, FAIL is FAILED.
        start_time_ms: Milliseconds since 1970, UTC.
        end_time_ms: The same; never before the start.
        params: As text.
        metrics: Name to value.
        steps: Name to one value a step, from step 0.
        tags: Name to text.
        traceback: The traceback of a fit that raised, or None.
        name: The run's name; by default one that sorts by the number.
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
    name: str = ""


@dataclass(frozen=True)
class DatasetRecord:
    """The table that a study was trained on.

    Attributes:
        name: The name MLflow shows.
        digest: Digest of its content, at most 36 characters.
        source: The file or address it came from.
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
        uid: 32 hexadecimal digits, never those of another study.
        name: The study's name.
        value_name: The metric that is a trial's value.
        is_maximized: Whether a higher value is better.
        is_scored_here: Whether its trials are scored by hpo: of others, nothing is compared.
        experiment: The experiment's name; by default the study's.
        experiment_id: An experiment that exists; it takes precedence over its name.
        makes_parent: Whether a study without a parent run gets one.
        outer_run_id: A run of somebody else's that is the parent of the child runs, or None.
        params: As text.
        tags: Name to text.
        texts: Artifact path to its content.
        dataset: The table, or None where it is unknown.
        description: Markdown, until there is a final model.
        summary: The same in one line of plain text, for the experiment.
        dashboard: The study's address in optuna-dashboard, or None.
        view: The view that compares its trials, as MLflow's page saves one; empty for none.
        places: Where its ledger has been; empty where any may write to the study.
        copied_from: The uid that it had when its ledger was copied, or None.
    """

    uid: str
    name: str
    value_name: str
    is_maximized: bool = True
    is_scored_here: bool = False
    experiment: str | None = None
    experiment_id: str | None = None
    makes_parent: bool = True
    outer_run_id: str | None = None
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    dataset: DatasetRecord | None = None
    description: str = ""
    summary: str = ""
    dashboard: str | None = None
    view: str = ""
    places: tuple[str, ...] = ()
    copied_from: str | None = None


@dataclass(frozen=True)
class HeldOut:
    """The rows a model is judged on: for the comparison with a champion, and for figures.

    Attributes:
        recipe: The recipe of the estimator.
        model: Fitted on the training rows alone, whatever the model that ships was fitted on, with
            the decision that ships.
        metric: The judged scorer.
        X: DataFrame of shape (n_samples, n_features).
        y: The labels, array of shape (n_samples,).
        groups: The groups, array of shape (n_samples,), or None.
        digest: Digest of all held-out rows; equal for two models that were held out the same.
        seed: The study's seed.
        positive: The positive one of two classes, or None.
        over_time: The scores part by part where rows are in the order of time, else None.
        costs: What answers cost, the mean amount of a row for each, or None.
        decision: What was decided, to be drawn, or None.
    """

    recipe: Any
    model: Any
    metric: str
    X: Any
    y: Any
    groups: Any = None
    digest: str = ""
    seed: int = 0
    positive: Any = None
    over_time: Any = None
    costs: Any = None
    decision: Any = None


@dataclass(frozen=True)
class ModelRecord:
    """One logged model.

    Attributes:
        key: Names study and trial; a model is logged once for each key.
        trial_number: The trial it was refitted from.
        refit: The rows it was fitted on: ``train`` or ``all``.
        model: The fitted scikit-learn estimator.
        input_example: DataFrame of a few training rows as they were read.
        expected: Prediction method to its outcome for them; the loaded model must make the same.
        input_types: Column name to MLflow's name of the type that it is converted to, in the order
            of the input example.
        has_typed_inputs: Whether any rows, as they are read, have these types.
        metrics: Scores on the hold-out.
        params: As text.
        time_ms: When its trial ended, milliseconds since 1970, UTC.
        requirements: Pinned packages that serving needs.
        trusted_types: Types the saved model may hold beside those that skops trusts itself.
        modules: Modules of this package that it needs beside those of every model.
        files: Name to text of the files saved beside it.
    """

    key: str
    trial_number: int
    model: Any
    input_example: Any
    expected: dict[str, Any]
    input_types: dict[str, str]
    metrics: dict[str, float]
    params: dict[str, str]
    time_ms: int
    requirements: tuple[str, ...]
    refit: str = "train"
    has_typed_inputs: bool = True
    trusted_types: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Conclusion:
    """The parent run's account of the study as it stands; it changes as the study grows.

    Attributes:
        metrics: Name to value.
        steps: Name to one value a step, from step 0.
        tags: Name to text.
        description: Markdown; empty for none.
        card: The model card, Markdown, with ``MODEL_URI_MARK`` in place of the model's URI.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    steps: dict[str, dict[int, float]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    description: str = ""
    card: str = ""


@dataclass(frozen=True)
class FinalRecord:
    """Everything to be written once the search is over.

    Attributes:
        model: The final model.
        n_finished: Finished trials: the step of metrics, so that MLflow shows the newest.
        conclusion: What the parent run says now.
        held_out: The rows to compare and draw the model on, or None where neither is asked for.
        is_drawn: Whether figures are wanted.
        registered_name: The registered model that gets a version, or None.
        rule: When that version becomes the champion: ``not_worse``, ``better`` or ``never``.
        caution: Why it may be no better than a model that ignores the columns, or empty.
        is_useful: Whether it scores better than that one; else it never becomes the champion.
    """

    model: ModelRecord
    n_finished: int
    conclusion: Conclusion = field(default_factory=Conclusion)
    held_out: HeldOut | None = None
    is_drawn: bool = False
    registered_name: str | None = None
    rule: str = "not_worse"
    caution: str = ""
    is_useful: bool = True


@dataclass(frozen=True)
class Drawings:
    """Figures and tables, and the metrics that belong to them.

    Attributes:
        of_model: Artifact path to content; kept with the model and on the parent run.
        of_study: Artifact path to content; kept on the parent run alone.
        metrics: Name to value.
    """

    of_model: dict[str, bytes] = field(default_factory=dict)
    of_study: dict[str, bytes] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
