"""The loop: total, timeout, signals, workers."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest

import hpo.search.loop
from hpo.data.dataset import Dataset
from hpo.definition import StudyDefinition
from hpo.errors import InterruptedBySignal
from hpo.estimators.final_model import fit_final_model
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION
from hpo.ledger.ledger import open_ledger
from hpo.ledger.trials import SCORES
from hpo.progress import Progress
from hpo.results.holdout import judge_holdout, predict_holdout
from hpo.results.selection import select_best
from hpo.search.baseline import Baseline, score_baseline
from hpo.search.driver import Driver, make_executor
from hpo.search.executor import Executor, LocalExecutor
from hpo.search.loop import Search
from hpo.search.plan import Plan, load_data, make_plan
from hpo.search.pool_executor import PoolExecutor
from hpo.settings import ServiceSettings
from tests.unit.driving import define, facts, holding, worker_pids

N_FOLDS = 3


class Watching(Progress):
    """Keeps what it is told; sleeps, or does something else, after a fold of its choice."""

    def __init__(self, number: int = -1, n_scored: int = -1, act: Any = None) -> None:
        self.events: list[tuple[Any, ...]] = []
        self._moment = (number, n_scored)
        self._act = act

    def begin(self, told: Sequence[tuple[str, float | None]], n_trials: int, n_folds: int) -> None:
        self.events.append(("begin", len(told), n_trials, n_folds))

    def fold_scored(self, number: int, n_scored: int) -> None:
        self.events.append(("fold", number, n_scored))
        if (number, n_scored) == self._moment:
            self._act()

    def trial_told(self, number: int, state: str, value: float | None) -> None:
        self.events.append(("told", number, state, value))


def narrow(**overrides: Any) -> StudyDefinition:
    """Iris with three folds and penalties that are fast."""
    return define(**{"cv__n_splits": N_FOLDS, "search_space__penalty": ["l2", "none"], **overrides})


@pytest.fixture(scope="module")
def pool() -> Iterator[PoolExecutor]:
    """Two workers, which serve one run after the other."""
    with closing(PoolExecutor(2)) as executor:
        yield executor


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(narrow())


def run(
    storage_url: str,
    definition: StudyDefinition,
    progress: Any = None,
    *,
    workers: int | str = 1,
    pool: Executor | None = None,
    stop_signal: Any = lambda: None,
    dataset: Dataset | None = None,
    on_best: Any = lambda *_: None,
) -> None:
    plan = make_plan(definition, dataset)
    with open_ledger(storage_url, plan.identity({})) as ledger:
        progress = progress or Progress()
        with closing(make_executor(workers, n_cells=0)) as executor:
            settings = ServiceSettings(storage_url, workers=workers)
            driver = Driver(settings, {}, pool or executor, progress, stop_signal)
            search = Search(driver, plan, ledger, on_best)
            if isinstance(progress, Killing):
                progress.search = search
            search.run()


def read_trials(storage_url: str) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="iris", storage=storage_url).get_trials()


def states(storage_url: str) -> list[str]:
    return [trial.state.name for trial in read_trials(storage_url)]


def test_total_is_filled_and_folds_are_told_in_order(storage_url, pool):
    progress = Watching()
    run(storage_url, narrow(study__n_trials=2), progress)
    values = [trial.value for trial in read_trials(storage_url)]
    assert progress.events == [
        ("begin", 0, 2, N_FOLDS),
        *(("fold", 0, n) for n in (1, 2, 3)),
        ("told", 0, "COMPLETE", values[0]),
        *(("fold", 1, n) for n in (1, 2, 3)),
        ("told", 1, "COMPLETE", values[1]),
    ]
    again = Watching()
    run(storage_url, narrow(study__n_trials=2), again, pool=pool)
    assert again.events == [("begin", 2, 2, N_FOLDS)]


def test_each_higher_trial_is_said_and_the_highest_again_with_the_first_trial_of_a_run(storage_url):
    """A driver that is killed may have told a trial and not said it."""
    said: list[tuple[int, float]] = []

    def run_to(n_trials: int) -> list[float]:
        run(storage_url, narrow(study__n_trials=n_trials), on_best=lambda *best: said.append(best))
        return [trial.value for trial in read_trials(storage_url)]

    values = run_to(12)
    expected = [
        (number, value)
        for number, value in enumerate(values)
        if value > max(values[:number], default=0.0)
    ]
    assert said == expected
    assert 1 < len(expected) < 12
    run_to(12)
    values = run_to(13)
    assert said == [*expected, (int(np.argmax(values)), max(values))]


class Counted(PoolExecutor):
    """Counts how often a pool is made, and used."""

    n_made = n_used = 0

    def __init__(self, n_workers: int) -> None:
        super().__init__(n_workers)
        type(self).n_made += 1

    def hold(self, objective: Any) -> None:
        super().hold(objective)
        type(self).n_used += 1


class Prompt(Counted):
    @property
    def is_ready(self) -> bool:
        deadline = time.monotonic() + 60
        while not super().is_ready and time.monotonic() < deadline:
            time.sleep(0.01)
        return super().is_ready


class Late(Counted):
    is_ready = False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "constants", "concurrency", "n_made", "n_used"),
    [
        (Prompt, {}, 1, 0, 0),
        (Prompt, {"WORTH_SECONDS": 0.0}, 1, 1, 1),
        (Prompt, {"WORTH_SECONDS": 0.0}, 3, 1, 1),
        (Late, {"WORTH_SECONDS": 0.0}, 1, 1, 0),
        (Late, {"WORTH_SECONDS": 0.0, "START_SECONDS": 0.0}, 1, 1, 1),
    ],
)
def test_workers_that_take_over_where_the_rest_would_take_long_change_no_trial(
    storage_url, tmp_path, monkeypatch, made, constants, concurrency, n_made, n_used
):
    definition = narrow(study__n_trials=8, study__concurrency=concurrency)
    run(storage_url, definition)
    monkeypatch.setattr(made, "n_made", 0)
    monkeypatch.setattr(made, "n_used", 0)
    monkeypatch.setattr(hpo.search.loop, "PoolExecutor", made)
    for name, value in {"CHEAP_SECONDS": 0.0, **constants}.items():
        monkeypatch.setattr(hpo.search.loop, name, value)
    taken_over = f"sqlite:///{tmp_path}/taken-over.db"
    run(taken_over, definition, workers="auto")
    assert (made.n_made, made.n_used) == (n_made, n_used)
    assert facts(read_trials(taken_over)) == facts(read_trials(storage_url))


@pytest.mark.slow
def test_workers_that_are_ready_when_nothing_is_left_are_not_used(storage_url, monkeypatch):
    monkeypatch.setattr(Prompt, "n_made", 0)
    monkeypatch.setattr(Prompt, "n_used", 0)
    monkeypatch.setattr(hpo.search.loop, "PoolExecutor", Prompt)
    monkeypatch.setattr(hpo.search.loop, "are_workers_worth_starting", lambda *_: True)
    run(storage_url, narrow(study__n_trials=1), workers="auto")
    assert Prompt.n_used == 0


class Homeless(Prompt):
    """Its directory is gone when the folds are to be written, or never was."""

    def hold(self, objective):
        self._directory.cleanup()
        super().hold(objective)


@pytest.mark.slow
@pytest.mark.parametrize("has_directory", [True, False])
def test_search_goes_on_alone_where_the_folds_cannot_be_written(
    storage_url, tmp_path, monkeypatch, has_directory
):
    monkeypatch.setattr(hpo.search.loop, "PoolExecutor", Homeless)
    monkeypatch.setattr(hpo.search.loop, "are_workers_worth_starting", lambda *_: True)
    if not has_directory:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    notes: list[str] = []
    progress = Progress()
    progress.note = notes.append
    run(storage_url, narrow(study__n_trials=4), progress, workers="auto")
    assert states(storage_url) == ["COMPLETE"] * 4
    (note,) = notes
    assert note.startswith("going on without workers: the folds cannot be written to ")
    assert note.endswith("(No such file or directory)")


@pytest.mark.parametrize(
    ("concurrency", "expected"), [(1, ["COMPLETE"]), (3, ["COMPLETE", "RUNNING", "RUNNING"])]
)
def test_timeout_that_is_over_at_once_lets_one_trial_be_told_each_run(
    storage_url, concurrency, expected
):
    definition = narrow(
        study__n_trials=5, study__timeout_seconds=1e-6, study__concurrency=concurrency
    )
    run(storage_url, definition)
    assert states(storage_url) == expected
    run(storage_url, definition)
    assert states(storage_url).count("COMPLETE") == 2


def test_timeout_ends_between_folds_and_the_next_run_takes_the_trial_up(storage_url, tmp_path):
    seconds = 3.0
    progress = Watching(1, 2, act=lambda: time.sleep(seconds))
    run(storage_url, narrow(study__n_trials=3, study__timeout_seconds=seconds), progress)
    assert states(storage_url) == ["COMPLETE", "RUNNING"]
    assert progress.events[-1] == ("fold", 1, 2)
    run(storage_url, narrow(study__n_trials=3))
    whole_url = f"sqlite:///{tmp_path}/whole.db"
    run(whole_url, narrow(study__n_trials=3))
    assert facts(read_trials(storage_url)) == facts(read_trials(whole_url))


@pytest.mark.parametrize("workers", [1, 2])
def test_signal_ends_between_folds_and_leaves_the_trial_running(storage_url, pool, workers):
    asked: list[int] = []
    progress = Watching(1, 1, act=lambda: asked.append(signal.SIGTERM))
    with pytest.raises(
        InterruptedBySignal, match=r"^stopped by SIGTERM with 1 of 5 trials done$"
    ) as caught:
        run(
            storage_url,
            narrow(study__n_trials=5),
            progress,
            pool=pool if workers == 2 else None,
            stop_signal=lambda: asked[0] if asked else None,
        )
    assert caught.value.exit_code == 143
    # Workers are fed one trial ahead while trials are drawn at random.
    assert states(storage_url) == ["COMPLETE", *["RUNNING"] * workers]


class Killing(Watching):
    """Kills a worker after a fold of its choice."""

    search: Search

    def __init__(self) -> None:
        super().__init__(2, 1, act=self._kill)
        self.killed: list[int] = []

    def _kill(self) -> None:
        self.killed = worker_pids(self.search._executor)[:1]
        os.kill(self.killed[0], signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 4])
def test_workers_and_their_death_change_no_trial(storage_url, tmp_path, pool, concurrency):
    definition = narrow(
        study__n_trials=8, study__concurrency=concurrency, pruner__kind="median", pruner__n_startup_trials=2, data__source="wine",
        study__name="iris",
    )  # fmt: skip
    run(storage_url, definition)
    local = facts(read_trials(storage_url))
    assert {state.name for _, state, *_ in local} == {"COMPLETE", "PRUNED"}
    pool_url = f"sqlite:///{tmp_path}/pool.db"
    progress = Killing()
    run(pool_url, definition, progress, pool=pool)
    assert progress.killed
    assert facts(read_trials(pool_url)) == local


class Looking(Progress):
    """Keeps, at the first fold of each trial, the states of all trials; stops after a fold of its
    choice.
    """

    def __init__(self, storage_url: str, stop_at: int = -1) -> None:
        self.seen: list[list[str]] = []
        self._storage_url, self._stop_at = storage_url, stop_at
        self.signal: int | None = None

    def fold_scored(self, number: int, n_scored: int) -> None:
        if n_scored == 1:
            self.seen.append(states(self._storage_url))
        if number == self._stop_at:
            self.signal = signal.SIGTERM


def run_looking(
    storage_url: str,
    definition: StudyDefinition,
    pool: PoolExecutor | None = None,
    *,
    stop_at: int = -1,
) -> list[list[str]]:
    progress = Looking(storage_url, stop_at)
    run(storage_url, definition, progress, pool=pool, stop_signal=lambda: progress.signal)
    return progress.seen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "n_running"),
    [
        ({}, [2] * 9 + [1] * 3),
        ({"sampler__n_startup_trials": 5}, [2] * 4 + [1] * 8),
        ({"study__patience": 20}, [1] * 12),
    ],
    ids=str,
)
def test_workers_are_fed_ahead_and_the_trials_are_the_same(
    storage_url, tmp_path, pool, overrides, n_running
):
    definition = narrow(
        study__n_trials=12, pruner__kind="median", pruner__n_startup_trials=2, **overrides
    )
    seen = run_looking(storage_url, definition, pool)
    assert [of_trials.count("RUNNING") for of_trials in seen] == n_running
    alone_url = f"sqlite:///{tmp_path}/alone.db"
    assert {of_trials.count("RUNNING") for of_trials in run_looking(alone_url, definition)} == {1}
    assert facts(read_trials(storage_url)) == facts(read_trials(alone_url))


class Counting(LocalExecutor):
    """Notes which steps are handed out."""

    def __init__(self) -> None:
        self.handed_out: list[int] = []

    def submit(self, params: Any, step: int) -> Any:
        self.handed_out.append(step)
        return super().submit(params, step)


def test_step_that_may_not_be_wanted_is_handed_out_when_a_worker_is_free(plan):
    params = plan.space.default_params()
    executor = holding(Counting(), plan.objective)
    executor.n_workers = 2
    scoring = executor.start(params, may_stop=True)
    handed_out = [[*executor.handed_out]]
    for step in range(N_FOLDS):
        assert scoring.result(step, 1.0) == plan.objective.evaluate(params, step)
        handed_out.append([*executor.handed_out])
    assert handed_out == [[0, 1], [0, 1], [0, 1, 2], [0, 1, 2]]
    executor.start(params)
    assert executor.handed_out == [0, 1, 2] * 2


@pytest.mark.parametrize("pruner", ["none", "median", "race"])
def test_stopped_trials_cost_no_fits_after_their_last_fold(storage_url, pruner):
    executor = Counting()
    definition = narrow(study__n_trials=12, pruner__kind=pruner, pruner__n_startup_trials=1)
    run(storage_url, definition, pool=executor)
    folds = [len(trial.intermediate_values) for trial in read_trials(storage_url)]
    assert executor.handed_out == [step for n_folds in folds for step in range(n_folds)]
    assert (min(folds) == N_FOLDS) is (pruner == "none")


@pytest.mark.slow
def test_workers_are_not_fed_ahead_while_trials_are_queued(storage_url, pool):
    run(storage_url, narrow(study__n_trials=1))
    for C in (2.0, 3.0):
        optuna.load_study(study_name="iris", storage=storage_url).enqueue_trial({"C": C})
    assert run_looking(storage_url, narrow(study__n_trials=5), pool) == [
        ["COMPLETE", "RUNNING", "WAITING"],
        ["COMPLETE", "COMPLETE", "RUNNING", "RUNNING"],
        ["COMPLETE", "COMPLETE", "COMPLETE", "RUNNING", "RUNNING"],
        ["COMPLETE", "COMPLETE", "COMPLETE", "COMPLETE", "RUNNING"],
    ]


@pytest.mark.slow
def test_slots_looked_ahead_to_when_the_signal_comes_are_adopted(storage_url, tmp_path, pool):
    definition = narrow(study__n_trials=11)
    for stop_at in (1, 6):
        with pytest.raises(InterruptedBySignal, match=f"with {stop_at} of 11 trials done"):
            run_looking(storage_url, definition, pool, stop_at=stop_at)
        assert states(storage_url) == ["COMPLETE"] * stop_at + ["RUNNING"] * 2
    run(storage_url, definition)
    whole_url = f"sqlite:///{tmp_path}/whole.db"
    run(whole_url, definition)
    assert facts(read_trials(storage_url)) == facts(read_trials(whole_url))


def test_baseline_is_trial_0_where_the_space_holds_it(storage_url, plan):
    run(storage_url, narrow(study__n_trials=1))
    trials = read_trials(storage_url)
    scores = trials[0].user_attrs[SCORES]["accuracy"]
    assert score_baseline(plan, trials, {}) == Baseline(trials[0].value, scores, 0)


def test_baseline_outside_the_space_is_scored_beside_the_study(storage_url):
    run(storage_url, narrow(study__n_trials=1))
    outside = make_plan(narrow(search_space__C=[10.0, 20.0]))
    (trial,) = read_trials(storage_url)
    scores = trial.user_attrs[SCORES]["accuracy"]
    assert score_baseline(outside, [], {}) == Baseline(trial.value, scores, None)


def test_baseline_that_was_stopped_is_scored_beside_the_study(storage_url):
    """The defaults of the second estimator are trial 1: the first one's may outrace them."""
    definition = define(
        study__n_trials=2, study__metric="neg_log_loss", data__source="wine", study__name="iris",
        estimator__name=["LogisticRegression", "KNeighborsClassifier"], pruner__kind="race",
    )  # fmt: skip
    run(storage_url, definition)
    trials = read_trials(storage_url)
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED"]
    baseline = score_baseline(make_plan(definition), trials, trials[1].params)
    assert baseline.trial is None
    assert baseline.value is not None
    assert baseline.value < trials[0].value


def test_baseline_that_fails_is_not_known():
    failing = make_plan(narrow(search_space__C=[10.0, 20.0], study__metrics=["f1_macro"]))
    broken = replace(failing, objective=replace(failing.objective, metrics=("roc_auc",)))
    assert score_baseline(broken, [], {}) == Baseline()


def test_shuffling_the_holdouts_labels_changes_no_chosen_parameter(tmp_path):
    definition = narrow(study__n_trials=12)
    dataset = load_data(definition)
    shuffled = replace(dataset, y_test=np.random.default_rng(0).permutation(dataset.y_test))
    trials, models, judged = [], [], []
    for name, data in (("true", dataset), ("shuffled", shuffled)):
        url = f"sqlite:///{tmp_path}/{name}.db"
        run(url, definition, dataset=data)
        plan = make_plan(definition, data)
        trials.append(read_trials(url))
        params = [
            plan.space.replay(
                select_best(trials[-1], rule, recipe=LOGISTIC_REGRESSION, n_splits=N_FOLDS).params
            )
            for rule in ("best", "one_standard_error")
        ]
        models.append(
            [
                fit_final_model(
                    LOGISTIC_REGRESSION, chosen, data, definition, plan.objective.metrics
                )
                for chosen in params
            ]
        )
        predicted = predict_holdout(
            LOGISTIC_REGRESSION,
            models[-1][0].pipeline,
            plan.space.default_params(),
            data,
            "accuracy",
        )
        judged.append(judge_holdout(LOGISTIC_REGRESSION, predicted, data, "accuracy", seed=0))
    assert facts(trials[0]) == facts(trials[1])
    for one, other in zip(*models, strict=True):
        np.testing.assert_array_equal(one.pipeline[-1].coef_, other.pipeline[-1].coef_)
    assert judged[0][0].low > judged[1][0].high


@pytest.mark.parametrize(
    ("overrides", "solver"),
    [
        ({}, "newton-cholesky"),
        ({"search_space__solver": "lbfgs"}, "lbfgs"),
        ({"search_space__C": 5.0}, "newton-cholesky"),
    ],
)
def test_default_params_are_those_of_trial_0_where_the_space_holds_them(overrides, solver):
    params = make_plan(narrow(search_space__penalty=["l2"], **overrides)).space.default_params()
    assert (params["C"], params["penalty"], params["solver"]) == (1.0, "l2", solver)
