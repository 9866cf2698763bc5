"""Names of scorers that are taken on trust are scikit-learn's."""

from __future__ import annotations

from sklearn.metrics import get_scorer_names

from hpo.estimators.metrics import USUAL_METRICS


def test_usual_metrics_are_scorers_of_scikit_learn():
    assert set(get_scorer_names()) >= USUAL_METRICS
