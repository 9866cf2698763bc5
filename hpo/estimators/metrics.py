"""Names of scorers; loads scikit-learn only for one that few use."""

from collections.abc import Iterable

from hpo.errors import DefinitionError, did_you_mean

USUAL_METRICS = frozenset(
    {
        "accuracy",
        "balanced_accuracy",
        "f1",
        "f1_macro",
        "f1_weighted",
        "neg_brier_score",
        "neg_log_loss",
        "average_precision",
        "precision",
        "recall",
        "roc_auc",
        "roc_auc_ovo",
        "roc_auc_ovr",
        "r2",
        "neg_mean_absolute_error",
        "neg_root_mean_squared_error",
    }
)
"""Names of ``sklearn.metrics.get_scorer_names()`` that are known without asking it."""


def check_metric_names(names: Iterable[str]) -> None:
    """Refuse a metric that scikit-learn does not know.

    Raises:
        DefinitionError: A name is none of scikit-learn's scorers.
    """
    rare = [name for name in names if name not in USUAL_METRICS]
    if not rare:
        return
    from sklearn.metrics import get_scorer_names  # noqa: PLC0415 - it takes a second to load

    known = get_scorer_names()
    for name in rare:
        if name not in known:
            raise DefinitionError(
                "study.metric: a metric should be the name of a scikit-learn scorer,"
                f" but got '{name}'",
                hint=did_you_mean(
                    name, known, "sklearn.metrics.get_scorer_names() lists them", n=3
                ),
            )
