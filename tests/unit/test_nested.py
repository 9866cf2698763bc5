"""Nested searches: what they hold out, that they go on where they were cut, and that no choice
looks at the hold-out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import optuna
import pytest
from sklearn.metrics import accuracy_score

from hpo.definition import CvSection
from hpo.errors import DataError, InterruptedBySignal
from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.final_model import build_pipeline, fit_final_model, refit_on_all
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION
from hpo.results.selection import select_best
from hpo.search.driver import Driver
from hpo.search.executor import LocalExecutor
from hpo.search.loop import Search
from hpo.search.nested import check_nested, score_nested
from hpo.search.outcome import Searched, judge_study
from hpo.search.plan import Plan, make_plan
from hpo.settings import ServiceSettings

from .driving import define, facts

N_TRIALS = 4
N_OUTER = 3


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(
        define(
            study__n_trials=N_TRIALS,
            study__nested=N_OUTER,
            search_space__penalty="l2",
            cv__n_splits=3,
        )
    )


def driver(url: str, stop_after: int | None = None) -> Driver:
    """One that a signal stops when it was asked so often."""
    asked = count()
    settings = ServiceSettings(url, workers=1)
    return Driver(
        settings,
        {},
        LocalExecutor(),
        stop_signal=lambda: 15 if stop_after is not None and next(asked) >= stop_after else None,
    )


def search(plan: Plan, url: str) -> list[optuna.trial.FrozenTrial]:
    using = driver(url)
    with using.open(plan) as ledger:
        Search(using, plan, ledger).run()
        return ledger.trials()


def choose(
    plan: Plan, trials: list[optuna.trial.FrozenTrial]
) -> tuple[optuna.trial.FrozenTrial, dict[str, object]]:
    best = select_best(
        trials, plan.definition.selection.rule, recipe=LOGISTIC_REGRESSION, n_splits=3
    )
    return best, plan.space.replay(best.params)


def test_scores_are_those_of_searches_that_never_saw_the_fold(plan, tmp_path):
    url = f"sqlite:///{tmp_path}/optuna.db"
    nested, n_new = score_nested(plan, driver(url), n_trials=N_TRIALS)
    assert n_new == N_OUTER * N_TRIALS
    names = [f"iris.nested-{index}-of-{N_OUTER}" for index in range(1, N_OUTER + 1)]
    assert sorted(optuna.get_all_study_names(url)) == names
    # Done anew: rows by the splitter that the definition names, the chosen params, scikit-learn.
    splits = CLASSIFICATION.split(plan.dataset, CvSection(n_splits=N_OUTER), 0)
    dataset, seen = plan.dataset, []
    for name, (train, test), score in zip(names, splits, nested.scores, strict=True):
        trials = optuna.load_study(study_name=name, storage=url).trials
        assert len(trials) == N_TRIALS
        _, params = choose(plan, trials)
        model = build_pipeline(
            LOGISTIC_REGRESSION, dataset.columns, plan.definition.preprocessing, params
        )
        model.fit(dataset.X_train.iloc[train], dataset.y_train[train])
        assert score == pytest.approx(
            accuracy_score(dataset.y_train[test], model.predict(dataset.X_train.iloc[test]))
        )
        assert set(train).isdisjoint(test)
        seen.extend(test)
    assert sorted(seen) == list(range(len(dataset.y_train)))


class Counting(LocalExecutor):
    """Counts the fits that it is given."""

    n_fits = 0

    def submit(self, params: Mapping[str, Any], step: int) -> Any:
        self.n_fits += 1
        return super().submit(params, step)


def test_every_fit_of_a_trial_is_given_to_the_executor_whose_limits_hold(plan, tmp_path):
    executor = Counting()
    using = replace(driver(f"sqlite:///{tmp_path}/optuna.db"), executor=executor)
    score_nested(plan, using, n_trials=N_TRIALS)
    assert executor.n_fits == N_OUTER * N_TRIALS * 3


@pytest.mark.parametrize("stop_after", [1, 20, 45])
def test_nested_search_goes_on_where_it_was_cut(plan, tmp_path, stop_after):
    whole, _ = score_nested(plan, driver(f"sqlite:///{tmp_path}/whole.db"), n_trials=N_TRIALS)
    url = f"sqlite:///{tmp_path}/cut.db"
    with pytest.raises(InterruptedBySignal, match="stopped"):
        score_nested(plan, driver(url, stop_after), n_trials=N_TRIALS)
    done = sum(
        len(optuna.load_study(study_name=name, storage=url).trials)
        for name in optuna.get_all_study_names(url)
    )
    assert done < N_OUTER * N_TRIALS
    again, _ = score_nested(plan, driver(url), n_trials=N_TRIALS)
    assert again == whole
    assert score_nested(plan, driver(url), n_trials=N_TRIALS) == (whole, 0)


def test_time_that_is_over_leaves_the_rest_to_the_next_run(plan, tmp_path):
    nested, n_new = score_nested(
        plan, driver(f"sqlite:///{tmp_path}/optuna.db"), n_trials=N_TRIALS, deadline=-math.inf
    )
    assert (nested.scores, nested.estimate, n_new) == ((), None, 0)


def test_more_outer_folds_than_rows_of_a_class_are_refused(plan):
    with pytest.raises(DataError, match=r"the smallest class, '.+', has 40 training rows"):
        check_nested(plan.dataset, define(study__nested=41))


@pytest.mark.parametrize(
    ("n_groups", "nested", "found"),
    [
        (1, None, "class '1' is in so few groups that a fold would be fitted without it"),
        (1, 2, "class '1' is in 1 groups"),
        (2, 2, "class '1' is in 2 groups"),
    ],
)
def test_class_in_too_few_groups_is_refused(plan, n_groups, nested, found):
    """Else its rows are scored with the probability of another class."""
    dataset, rows = plan.dataset, np.arange(len(plan.dataset.y_train))
    groups = np.where(
        dataset.y_train == np.unique(dataset.y_train)[1], rows % n_groups, n_groups + rows % 20
    )
    grouped, definition = (
        replace(dataset, groups=groups),
        define(study__nested=nested, cv__n_splits=3),
    )
    check = (
        partial(check_nested, grouped, definition)
        if nested
        else partial(make_plan, definition, grouped)
    )
    with pytest.raises(DataError, match=rf"{found}$"):
        check()


def test_no_choice_looks_at_the_hold_out(plan, tmp_path):
    rng, dataset = np.random.default_rng(0), plan.dataset
    shuffled = replace(plan, dataset=replace(dataset, y_test=rng.permutation(dataset.y_test)))
    said = []
    for name, each in (("true", plan), ("shuffled", shuffled)):
        trials = search(each, f"sqlite:///{tmp_path}/{name}.db")
        best, params = choose(each, trials)
        said.append(
            (
                facts(trials),
                best.number,
                params,
                judge_study(each, Searched(trials, best), ServiceSettings()),
            )
        )
    (trials, number, params, judged), (other_trials, other_number, other_params, other_judged) = (
        said
    )
    assert (other_trials, other_number, other_params) == (trials, number, params)
    np.testing.assert_array_equal(other_judged.model[-1].coef_, judged.model[-1].coef_)
    assert other_judged.holdout_score.value < judged.holdout_score.value - 0.2


def test_fit_on_all_rows_leaves_the_one_without_the_hold_out_as_it_is(plan):
    dataset, definition = plan.dataset, plan.definition
    params = plan.space.complete({"penalty": "l2", "C": 1.0, "class_weight": "none"})
    final = fit_final_model(
        LOGISTIC_REGRESSION, params, dataset, definition, plan.objective.metrics
    )
    everything = refit_on_all(final.pipeline, dataset)
    assert everything[0].named_transformers_["numeric"]["scale"].n_samples_seen_ == 150
    assert final.pipeline[0].named_transformers_["numeric"]["scale"].n_samples_seen_ == 120
