"""Scorers that need no look-up: known by name without loading scikit-learn."""

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
    }
)
"""All are names of ``sklearn.metrics.get_scorer_names()``; others are looked up there."""
