"""Scorer names that can be accepted without loading scikit-learn."""

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
"""A part of ``sklearn.metrics.get_scorer_names()``; other names are looked up there."""
