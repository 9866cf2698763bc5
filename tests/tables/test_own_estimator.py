"""An estimator of one's own, given from Python: searched, scored, saved and loaded like any other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from mlflow import MlflowClient
from optuna.trial import FixedTrial
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.compose import make_column_selector
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_validate
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC

import hpo
from hpo.data.kinds import keep_columns
from hpo.estimators.own import bring_estimator
from hpo.estimators.own.description import describe_params
from hpo.estimators.own.saving import read_own
from hpo.search.plan import load_data, make_plan
from hpo.tracking.inline import InlineTracking
from tests.support.checker import read_stores, read_trials
from tests.support.commands import COMMAND_SECONDS, start_python, wait_until
from tests.support.here import call_main
from tests.support.stores import count_told, stores_of

SPACE = {"svc__C": hpo.Range(1e-3, 1e3, log=True), "svc__kernel": ["rbf", "poly"]}
N_ROWS = 120


def iris() -> pd.DataFrame:
    return load_iris(as_frame=True).frame


def scaled_svc(**params: Any) -> Pipeline:
    return make_pipeline(StandardScaler(), SVC(**params))


def define(n_trials: int = 3, target: str = "target", **more: Any) -> Any:
    return hpo.load_definition(
        overrides={
            "study.name": "own",
            "study.n_trials": n_trials,
            "data.target": target,
            **more,
        }
    )


def run(
    directory: Path,
    estimator: Any,
    space: Mapping[str, Any],
    *,
    definition: Any = None,
    frame: pd.DataFrame | None = None,
    trusted_types: tuple[str, ...] = (),
    **settings: Any,
) -> hpo.StudyResult:
    return hpo.run_study(
        definition or define(),
        hpo.ServiceSettings(**stores_of(directory), **{"plots": False, **settings}),
        data=iris() if frame is None else frame,
        estimator=estimator,
        space=space,
        trusted_types=trusted_types,
        tracking=InlineTracking(),
    )


class Shortened(TransformerMixin, BaseEstimator):
    """Numbers of a table of texts, dates and numbers, as it was read."""

    def __init__(self, most: int = 3) -> None:
        self.most = most

    def fit(self, X: pd.DataFrame, y: Any = None) -> Shortened:  # noqa: ARG002
        assert list(X.columns) == ["town", "size", "day", "constant", "row"]
        assert [dtype.kind for dtype in X.dtypes[1:]] == ["f", "M", "i", "i"]
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        lengths = X["town"].str.len().clip(upper=self.most)
        return np.column_stack([X["size"].fillna(0), lengths, X["day"].dt.month])


class Restless(ClassifierMixin, BaseEstimator):
    """Draws from numpy's own stream."""

    def __init__(self, a: int = 1) -> None:
        self.a = a

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Restless:  # noqa: ARG002
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return np.random.choice(self.classes_, len(X))  # noqa: NPY002 - on purpose


def towns() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "town": rng.choice(["Bern", "Zug", "Chur", "Ems"], N_ROWS),
            "size": rng.normal(size=N_ROWS),
            "day": pd.date_range("2024-01-01", periods=N_ROWS),
            "constant": 1,
            "row": np.arange(N_ROWS),
        }
    )
    frame["sold"] = np.where(frame["size"] + (frame["town"] == "Bern") > 0.3, "yes", "no")
    frame.loc[::9, "size"] = np.nan
    return frame


def test_fold_scores_are_those_of_cross_validate_and_all_of_it_is_tracked(directory: Path) -> None:
    estimator = scaled_svc()
    result = run(directory, estimator, SPACE, definition=define(4), plots=True)
    assert estimator.get_params()["svc__random_state"] is None
    assert [name for name, _ in result.model.steps] == ["standardscaler", "svc"]

    plan = make_plan(bring_estimator(define(4).for_frame(), estimator, SPACE), _dataset(estimator))
    pd.testing.assert_frame_equal(
        plan.dataset.X_train, iris().drop(columns="target").loc[plan.dataset.X_train.index]
    )
    splits = plan.task.split(plan.dataset, plan.definition.cv, 0)
    trials = read_trials(stores_of(directory)["storage"], "own")
    assert trials[0].params == {"svc__C": 1.0, "svc__kernel": "rbf"}
    assert {trial.params["svc__kernel"] for trial in trials} == {"rbf", "poly"}
    for trial in trials:
        scores = trial.user_attrs["hpo.scores"]
        expected = cross_validate(
            clone(estimator).set_params(**trial.params),
            plan.dataset.X_train,
            plan.dataset.y_train,
            cv=splits,
            scoring=list(scores),
        )
        assert list(scores) == ["accuracy"]
        assert scores["accuracy"] == expected["test_accuracy"].tolist()

    picture = read_stores(**stores_of(directory), study="own")
    parent = picture.parent
    children = [picture.children[number].data.params for number in range(4)]
    assert children == [
        {name: str(value) for name, value in trial.params.items()} for trial in trials
    ]
    assert parent.data.params["estimator.name"] == "sklearn.pipeline.Pipeline"
    assert parent.data.params["estimator.params.svc__gamma"] == "scale"
    assert "importance_petal width _cm_" in parent.data.metrics
    assert "scikit-learn's defaults" not in result.to_text()
    _check_prediction(directory, result, iris())
    again = run(directory, estimator, SPACE, definition=define(4))
    assert (again.n_new_trials, again.model_uri) == (0, result.model_uri)


def _dataset(estimator: Any) -> Any:
    return load_data(bring_estimator(define().for_frame(), estimator, SPACE), iris())


def _check_prediction(
    directory: Path, result: hpo.StudyResult, frame: pd.DataFrame, *flags: str
) -> None:
    frame.to_csv(directory / "rows.csv", index=False)
    ended = call_main(directory, "predict", str(result.model_uri), "rows.csv", *flags)
    assert ended.returncode == 0, ended.stderr
    predicted = ended.stdout.splitlines()[1:]
    expected = result.model.predict(frame.drop(columns=frame.columns[-1]))
    assert [line.split(",")[0].strip('"') for line in predicted] == [*map(str, expected)]


def test_class_of_ones_own_is_saved_where_its_type_is_trusted(directory: Path) -> None:
    estimator = make_pipeline(Shortened(), LogisticRegression())
    space = {
        "shortened__most": hpo.Range(1, 4),
        "logisticregression__class_weight": [None, "balanced"],
    }
    path = f"{__name__}.Shortened"
    definition = define(target="sold")
    with pytest.raises(
        hpo.HpoError, match=re.escape(f"types that skops does not trust: ['{path}']")
    ):
        run(directory, estimator, space, definition=definition, frame=towns())
    assert count_told(directory) == 0
    result = run(
        directory, estimator, space, definition=definition, frame=towns(), trusted_types=(path,)
    )
    assert all(
        type(trial.params["shortened__most"]) is int
        for trial in read_trials(stores_of(directory)["storage"], "own")
    )
    assert f"--trust {path}" in result.to_text()
    _check_prediction(directory, result, towns(), "--trust", path)
    ended = call_main(directory, "predict", str(result.model_uri), "rows.csv")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"types that are not trusted: ['{path}']" in ended.stderr
    ended = call_main(directory, "check", "--name", "own")
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize(
    ("estimator", "space", "words"),
    [
        (scaled_svc(), {"svc__c": [1, 2]}, "'svc__c' is no param of Pipeline"),
        (scaled_svc(), {"svc__C": hpo.Range(-1, 1)}, "svc__C: The 'C' parameter of SVC must be"),
        (scaled_svc(), {"svc__C": [1.0, 1.0]}, "svc__C: choices should be"),
        (scaled_svc(), {"svc": [SVC(), SVC(C=2)]}, "svc: choices should be"),
        (scaled_svc(), {"svc__random_state": [1, 2]}, "'svc__random_state' is set by hpo"),
        (scaled_svc(), {"svc__C": 3.0}, "there is nothing to search"),
        (SVC, SPACE, "but got SVC the class"),
        (StandardScaler(), {"with_std": [True, False]}, "but got StandardScaler without predict"),
        (
            make_pipeline(StandardScaler(), memory="cache"),
            {"standardscaler": ["passthrough"]},
            "without predict|a cache",
        ),
        (
            make_pipeline(FunctionTransformer(lambda X: X), SVC()),
            SPACE,
            "functiontransformer__func: .*<lambda> has no name",
        ),
        (scaled_svc(random_state=np.random.RandomState(0)), SPACE, "goes on drawing"),
        (Restless(), {"a": [1, 2]}, "two fits of Restless on the same rows predict otherwise"),
        (KNeighborsClassifier(500), {"p": [1, 2]}, "cannot be fitted with .*n_neighbors"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_written(
    tmp_path: Path, estimator: Any, space: dict[str, Any], words: str
) -> None:
    with pytest.raises(hpo.HpoError, match=words) as caught:
        run(tmp_path, estimator, space)
    assert (caught.value.exit_code, len(str(caught.value).splitlines())) == (2, 1)
    assert list(tmp_path.iterdir()) == []


def test_class_of_a_script_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Restless, "__module__", "__main__")
    with pytest.raises(hpo.HpoError, match="Restless is defined in a notebook or script") as caught:
        run(tmp_path, Restless(), {"a": [1, 2]})
    assert caught.value.hint == "move it to a module: from my_steps import Restless"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"estimator.name": "SVC"}, "the definition names SVC"),
        ({"search_space.C": 1.0}, "search_space: the definition has one"),
        ({"fixed.fit_intercept": False}, "fixed: the definition has one"),
        ({"data.numeric": ["petal width (cm)"]}, "gets the table as it is"),
        ({"selection.rule": "one_standard_error"}, "nobody knows what is simpler"),
    ],
)
def test_definition_with_an_estimator_of_its_own_is_refused(
    tmp_path: Path, overrides: dict[str, Any], words: str
) -> None:
    with pytest.raises(hpo.HpoError, match=words):
        run(tmp_path, scaled_svc(), SPACE, definition=define(**overrides))
    with pytest.raises(hpo.HpoError, match="none was given"):
        hpo.run_study(define(), space=SPACE)


def test_resuming_with_another_estimator_or_space_is_refused(directory: Path) -> None:
    run(directory, scaled_svc(), SPACE, definition=define(1))
    wider = {**SPACE, "svc__C": hpo.Range(1e-3, 1e4, log=True)}
    changed = [
        (scaled_svc(gamma=0.1), SPACE, "estimator.params.svc__gamma scale -> 0.1"),
        (make_pipeline(MinMaxScaler(), SVC()), SPACE, "estimator.params.minmaxscaler absent"),
        (scaled_svc(), wider, "search_space.svc__C.high 1000 -> 10000"),
        (SVC(), {"C": [1.0, 2.0]}, "estimator.name sklearn.pipeline.Pipeline -> sklearn.svm"),
    ]
    for estimator, space, words in changed:
        with pytest.raises(hpo.HpoError, match=re.escape(words)):
            run(directory, estimator, space)
    reversed_space = dict(reversed(SPACE.items()))
    assert run(directory, scaled_svc(), reversed_space).n_new_trials == 2


KILLED = """
import sys
import hpo
from hpo.tracking.inline import InlineTracking
from tests.support.stores import stores_of
from tests.tables.test_own_estimator import SPACE, define, iris, scaled_svc

if __name__ == "__main__":
    settings = hpo.ServiceSettings(**stores_of(sys.argv[1]), workers=2, plots=False)
    hpo.run_study(
        define(2000), settings, data=iris(), estimator=scaled_svc(), space=SPACE,
        tracking=InlineTracking(),
    )
"""


def test_killed_script_goes_on_with_the_same_trials_on_any_number_of_workers(
    directory: Path, make_directory: Any
) -> None:
    script = directory / "mine.py"
    script.write_text(KILLED, encoding="utf-8")
    here = str(Path(__file__).parents[2])
    process = start_python(directory, str(script), str(directory), PYTHONPATH=here)
    wait_until(lambda: count_told(directory) >= 3, process)
    process.kill()
    process.communicate(timeout=COMMAND_SECONDS)
    n_trials = count_told(directory) + 3
    undisturbed = make_directory("undisturbed")
    for place in (directory, undisturbed):
        run(place, scaled_svc(), SPACE, definition=define(n_trials))
    ours, expected = (
        [(trial.params, trial.user_attrs["hpo.scores"]) for trial in trials]
        for trials in (
            read_trials(stores_of(place)["storage"], "own") for place in (directory, undisturbed)
        )
    )
    assert ours == expected


def test_regression_is_searched_with_nested_folds_and_a_champion(directory: Path) -> None:
    frame = load_diabetes(as_frame=True).frame
    space = {"ridge__alpha": hpo.Range(1e-3, 1e3, log=True)}
    definition = define(2, **{"study.nested": 2})
    own = make_pipeline(StandardScaler(), Ridge())
    result = run(directory, own, space, definition=definition, frame=frame, register="m")
    assert (result.metric, len(result.estimates.nested.scores)) == ("r2", 2)
    other = define(2, **{"study.name": "ordinary", "estimator.name": "Ridge"})
    hpo.run_study(
        other,
        hpo.ServiceSettings(**stores_of(directory), plots=False, register="m"),
        data=frame,
        tracking=InlineTracking(),
    )
    challenger = run(
        directory,
        own,
        space,
        definition=define(3, **{"study.name": "third"}),
        frame=frame,
        register="m",
    )
    assert challenger.tracking_problem is None
    client = MlflowClient(stores_of(directory)["tracking_uri"])
    said = [client.get_model_version("m", number).tags["hpo.comparison"] for number in "123"]
    assert "not comparable" not in "".join(said)
    assert said[0] == "there was no champion"
    assert all("on the same 89 held-out rows" in line for line in said[1:])
    assert challenger.tracking.registry.version == 3


def test_conditions_are_those_of_a_study_file(tmp_path: Path) -> None:
    space = {**SPACE, "svc__degree": hpo.Range(2, 5, when={"svc__kernel": "poly"})}
    definition = bring_estimator(define().for_frame(), scaled_svc(), space)
    plan = make_plan(definition, load_data(definition, iris()))
    assert plan.space.baseline() == {"svc__C": 1.0, "svc__kernel": "rbf"}
    asked = plan.space.suggest(FixedTrial({"svc__C": 1.0, "svc__kernel": "poly", "svc__degree": 3}))
    assert asked["svc__degree"] == 3
    assert isinstance(asked["svc__degree"], int)
    space["svc__degree"] = hpo.Range(2, 5, when={"svc__kernal": "poly"})
    with pytest.raises(hpo.HpoError, match="depends on svc__kernal, which is no other param"):
        run(tmp_path, scaled_svc(), space)


def test_values_that_a_param_may_have_are_stated_so_that_another_is_told_apart() -> None:
    def stated(**params: Any) -> dict[str, Any]:
        return describe_params(FunctionTransformer(**params))

    assert stated(func=np.log1p)["func"] == "numpy.log1p"
    assert stated(func=towns)["func"] == f"{__name__}.towns"
    arrays = [stated(kw_args={"by": np.arange(3) + shift}) for shift in (0, 0, 1)]
    assert arrays[0] == arrays[1] != arrays[2]
    for nested in (MinMaxScaler(), MinMaxScaler(clip=True)):
        assert repr(nested.clip) in stated(kw_args={"scaler": nested})["kw_args"]
    selectors = [stated(func=make_column_selector(dtype_include=kind)) for kind in ("str", "int")]
    assert selectors[0] != selectors[1]
    for value in (iter_rows(), "a".join, MinMaxScaler().fit):
        with pytest.raises(hpo.HpoError, match=r"kw_args is a .*, which cannot be told apart"):
            stated(kw_args={"value": value})


def iter_rows() -> Iterator[int]:
    yield 1


def test_table_from_a_file_or_json_gets_the_dtypes_of_the_training_rows() -> None:
    frame = pd.DataFrame(
        {
            "day": pd.to_datetime(["2024-01-31", None, "2024-02-29"]),
            "size": [1.5, np.nan, 3.0],
            "kind": pd.Categorical(["a", "b", "a"]),
            "n": [1, 2, 3],
            "code": ["007", "8", None],
            "is_new": [True, False, True],
        }
    )
    columns = keep_columns(frame)
    assert columns.features == tuple(frame.columns)
    text = frame.astype({"day": "str", "kind": "str"})
    lost = text.astype(object).where(frame.notna(), None)
    for given in (frame, text, lost):
        pd.testing.assert_frame_equal(columns.convert(given[sorted(frame)]), frame)
    with pytest.raises(hpo.HpoError, match=r"column 'day' should be datetime64\[\w+\], but"):
        columns.convert(text.assign(day="soon"))
    with pytest.raises(hpo.HpoError, match="'n' holds lists, records or bytes"):
        keep_columns(frame.assign(n=[[1], [2], [3]]))


def test_crafted_file_of_support_vectors_is_refused() -> None:
    model = scaled_svc().fit(*load_iris(return_X_y=True))
    read_own(skops.io.dumps(model))
    model[-1].support_vectors_ = model[-1].support_vectors_[:3]
    with pytest.raises(ValueError, match="support vectors do not fit together"):
        read_own(skops.io.dumps(model))


def test_a_crafted_tree_of_ones_own_is_refused() -> None:
    X, y = load_iris(return_X_y=True)
    model = RandomForestClassifier(n_estimators=1, random_state=0).fit(X, y)
    tree = model.estimators_[0].tree_
    state = tree.__getstate__()
    nodes = state["nodes"].copy()
    nodes["left_child"][0] = nodes["right_child"][0] = 10**8
    tree.__setstate__({**state, "nodes": nodes})
    with pytest.raises(ValueError, match="tree"):
        read_own(skops.io.dumps(model), ["sklearn.tree._tree.Tree"])


def test_a_param_that_would_not_be_asked_is_not_tried_before_the_first_trial() -> None:
    space = {
        "solver": ["lbfgs", "liblinear"],
        "dual": {"choices": [True], "when": {"solver": "liblinear"}},
    }
    definition = bring_estimator(define().for_frame(), LogisticRegression(max_iter=500), space)
    plan = make_plan(definition, load_data(definition, iris()))
    assert plan.space.given(0) == {"solver": "lbfgs"}
