"""What the chosen trial is compared with, on the folds that it was scored on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import cross_val_score

from hpo.definition import StudyDefinition
from hpo.search.baseline import Baseline, compare_folds, score_baseline
from hpo.search.plan import Plan, load_data, make_plan
from hpo.study_file import load_definition


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=100)
    day = pd.date_range("2024-01-01", periods=100)
    return pd.DataFrame({"x": x, "day": day, "y": x + rng.standard_t(2, size=100)})


def define(**overrides: object) -> StudyDefinition:
    given = {"study.name": "t", "data.target": "y", "estimator.name": "Ridge", "cv.n_splits": 4}
    return load_definition(overrides={**given, **overrides}).for_frame()


def plan_of(**overrides: object) -> Plan:
    definition = define(**overrides)
    return make_plan(definition, load_data(definition, table()))


@pytest.mark.parametrize("metric", ["r2", "neg_mean_absolute_error"])
def test_scores_of_the_models_are_those_of_the_same_folds(metric: str) -> None:
    plan = plan_of(**{"study.metric": metric})
    data = plan.dataset
    splits = plan.task.split(data, plan.definition.cv, 0)
    baseline = score_baseline(plan, [], plan.space.default_params())
    folds = compare_folds(plan, splits, [1.0, 2.0, 3.0, 4.0], baseline)
    assert folds is not None
    constant = cross_val_score(
        DummyRegressor(), data.X_train, data.y_train, cv=splits, scoring=metric
    )
    np.testing.assert_array_equal(folds.scores, [[1, 2, 3, 4], constant, baseline.scores])
    # Twenty rows of a fold, twenty held out.
    assert folds.spread().error == pytest.approx(np.std([1, 2, 3, 4], ddof=1))
    gains = np.array([1, 2, 3, 4]) - baseline.scores
    assert folds.spread(2).error == pytest.approx(np.std(gains, ddof=1))
    assert folds.spread().df == 3
    without = compare_folds(plan, splits, [1.0, 2.0, 3.0, 4.0], Baseline())
    assert without is not None
    assert len(without.scores) == 2


def test_folds_have_no_say_where_a_score_has_ends_or_rows_an_order() -> None:
    in_order = plan_of(**{"data.time": "day", "study.metric": "r2"})
    assert compare_folds(in_order, [], [], Baseline()) is None
    iris = make_plan(load_definition())
    assert compare_folds(iris, [], [], Baseline()) is None
    losses = replace(iris, definition=load_definition(overrides={"study.metric": "neg_log_loss"}))
    splits = losses.task.split(losses.dataset, losses.definition.cv, 0)
    folds = compare_folds(losses, splits, [-0.1] * 5, Baseline())
    assert folds is not None
    assert folds.scores[1] == pytest.approx([-np.log(3)] * 5)
