"""The state of a study in MLflow: the part of a result that tracking fills in.

It lives here and not in ``hpo.tracking`` because a result contains it and knows nothing else of
tracking. It imports nothing heavy: the tracking process loads it before anything else.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class RegistryState:
    """The final model in the model registry.

    Attributes:
        name: The registered model's name.
        version: The final model's version.
        decision: ``champion`` or ``kept``; made once, never revised.
        comparison: The reason, one line.
        champion: The version that is the champion now, or None.
    """

    name: str
    version: int
    decision: str
    comparison: str
    champion: int | None


@dataclass(frozen=True)
class TrackingState:
    """The state of a study in the tracking store.

    Attributes:
        experiment_id: The experiment's id, or None while unknown.
        parent_run_id: The parent run's id, or None while unknown.
        comparison: The path, below the server's address, of the page of all trials, or None.
        run_ids: Trial number to child run id.
        n_behind: Finished trials without a finished child run, or None while unknown.
        model_uri: ``models:/...`` of the current final model, or None.
        registry: The final model in the registry, or None where it is not registered.
        has_restored: Whether artifacts that were gone were written again.
        tracking_problem: Why the store is behind, one line, or None.
    """

    experiment_id: str | None = None
    parent_run_id: str | None = None
    comparison: str | None = None
    run_ids: dict[int, str] = field(default_factory=dict)
    n_behind: int | None = None
    model_uri: str | None = None
    registry: RegistryState | None = None
    has_restored: bool = False
    tracking_problem: str | None = None
