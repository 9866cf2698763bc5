"""The positive one of two classes: which it is, and that every score that is of one class is of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer, get_scorer_names

from hpo.data.dataset import load_dataset
from hpo.definition import DataSection
from hpo.errors import DataError, DefinitionError
from hpo.estimators.classification import CLASSIFICATION
from hpo.estimators.classification.positive import POSITIVE_METRICS, advise, find_positive
from hpo.estimators.classification.scores import Predicted
from hpo.results.classification_figures import draw

RNG = np.random.default_rng(3)
N = 400
X = RNG.normal(size=(N, 3))
IS_FRAUD = X[:, 0] + RNG.normal(size=N) > 1.2
TEXT = np.where(IS_FRAUD, "fraud", "honest")  # the positive class is the first of the two
MODEL = LogisticRegression().fit(X, TEXT)
NUMBERS = LogisticRegression().fit(X, IS_FRAUD.astype(int))


@pytest.mark.parametrize(
    ("labels", "positive"),
    [
        ([0, 1, 1, 1], 1),
        ([-1, 1, 1], 1),
        ([1, 2, 2], 2),  # as trials were scored before there was a choice
        ([False, True, True], True),
        (["0", "1", "1"], "1"),
        (["False", "True", "True"], "True"),
        (["FALSE", "TRUE", "TRUE"], "TRUE"),
        (["no", "yes", "yes"], "yes"),
        (["N", "Y", "Y"], "Y"),
        (["neg", "pos", "pos"], "pos"),
        (["bad", "good", "good"], "bad"),
        (["bad", "bad", "good"], "good"),
        (["bad", "good"], "good"),
        (["a", "b", "c"], None),
    ],
)
def test_rule_takes_yes_and_its_like_else_the_rarer(labels, positive):
    found = find_positive(np.array(labels), None)
    assert found == positive
    assert isinstance(found, np.generic | None)


@pytest.mark.parametrize(
    ("labels", "named", "positive"),
    [([0, 1], "0", 0), ([False, True], "False", False), (["no", "yes"], "no", "no")],
)
def test_named_class_is_taken(labels, named, positive):
    found = find_positive(np.array(labels), named)
    assert found == positive
    assert found in np.array(labels)


def test_name_that_is_no_class_is_refused_with_the_nearest():
    with pytest.raises(
        DataError, match=r"^data\.positive: the target has no class 'frawd'$"
    ) as caught:
        find_positive(TEXT, "frawd")
    assert caught.value.hint == "did you mean 'fraud'?"
    with pytest.raises(DataError, match="no class '7'") as caught:
        find_positive(np.array([0, 1]), "7")
    assert caught.value.hint == "its classes are '0' and '1'"


def test_positive_class_of_three_is_refused():
    with pytest.raises(DataError, match=r"one of two classes is positive, but the target has 3$"):
        find_positive(np.array(["a", "b", "c"]), "a")


def takes_text(metric: str) -> bool:
    """Whether scikit-learn's scorer takes these two labels without being told of one."""
    try:
        get_scorer(metric)(MODEL, X, TEXT)
    except ValueError:
        return False
    return True


@pytest.mark.filterwarnings("ignore:'k' .2. greater than:sklearn.exceptions.UndefinedMetricWarning")
def test_metrics_of_one_class_are_those_that_scikit_learn_must_be_told_of():
    judging_classes = set()
    for name in get_scorer_names():
        try:
            CLASSIFICATION.check_metrics([name], IS_FRAUD.astype(int))
        except DefinitionError:
            continue
        judging_classes.add(name)
    assert {name for name in judging_classes if not takes_text(name)} == POSITIVE_METRICS


@pytest.mark.parametrize("metric", sorted(POSITIVE_METRICS))
@pytest.mark.parametrize("positive", ["fraud", "honest"])
def test_score_is_scikit_learns_of_that_class(metric, positive):
    y = (positive == TEXT).astype(int)
    model = LogisticRegression().fit(X, y)
    expected = get_scorer(metric)(model, X, y)
    assert Predicted(MODEL, X, positive=positive).score(metric, TEXT) == pytest.approx(
        expected, rel=1e-6
    )


@pytest.mark.parametrize("positive", ["fraud", "honest"])
def test_score_is_that_of_the_function_given_the_label(positive):
    predicted = Predicted(MODEL, X, positive=positive)
    for name in ("f1", "precision", "recall", "jaccard"):
        function = getattr(metrics, f"{name}_score")
        expected = function(TEXT, MODEL.predict(X), pos_label=positive)
        assert predicted.score(name, TEXT) == expected
    column = MODEL.classes_.tolist().index(positive)
    assert predicted.score("average_precision", TEXT) == metrics.average_precision_score(
        positive == TEXT, MODEL.predict_proba(X)[:, column]
    )


@pytest.mark.parametrize("metric", sorted({*POSITIVE_METRICS, "roc_auc", "f1_macro", "accuracy"}))
def test_labels_0_and_1_are_scored_as_before_to_the_last_bit(metric):
    y = IS_FRAUD.astype(int)
    expected = get_scorer(metric)(NUMBERS, X, y)
    assert Predicted(NUMBERS, X, positive=1).score(metric, y) == expected


@pytest.mark.parametrize("metric", ["roc_auc", "f1_macro", "f1_weighted", "balanced_accuracy"])
def test_other_metrics_do_not_depend_on_it_to_the_last_bit(metric):
    expected = get_scorer(metric)(MODEL, X, TEXT)
    for positive in (None, "fraud", "honest"):
        assert Predicted(MODEL, X, positive=positive).score(metric, TEXT) == expected


def test_resampled_rows_keep_it():
    rows = RNG.integers(N, size=N)
    predicted = Predicted(MODEL, X, positive="fraud")
    expected = metrics.f1_score(TEXT[rows], MODEL.predict(X[rows]), pos_label="fraud")
    assert predicted.take(rows).score("f1", TEXT[rows]) == expected


def test_metric_of_one_class_takes_text_and_the_hint_is_right():
    CLASSIFICATION.check_metrics(sorted(POSITIVE_METRICS), TEXT, "fraud")
    with pytest.raises(DefinitionError, match="metric 'f1' cannot judge") as caught:
        CLASSIFICATION.check_metrics(["f1"], TEXT)
    assert "more than two classes" not in caught.value.hint


def notes_of(metric: str, labels: list[object], named: str | None = None) -> list[str]:
    y = np.array(labels)
    return advise((metric,), y, find_positive(y, named), is_named=named is not None)


def test_class_that_is_guessed_is_said_where_the_metric_is_of_it():
    labels = ["bad"] * 4 + ["good"] * 6
    assert notes_of("f1", labels) == [
        "the positive class of f1 is 'bad': data.positive (--positive) names the other"
    ]
    assert notes_of("f1", labels, "good") == []
    assert notes_of("roc_auc", labels) == []
    assert notes_of("f1", ["no"] * 4 + ["yes"] * 6) == []
    assert notes_of("f1", [0] * 4 + [1] * 6) == []


@pytest.mark.parametrize(
    ("counts", "better"),
    [
        ({"bad": 19, "good": 81}, "average_precision"),
        ({"no": 10, "yes": 90}, "f1_macro"),
        ({"a": 10, "b": 45, "c": 45}, "f1_macro"),
        ({"bad": 20, "good": 80}, None),
        ({f"digit {n}": 10 for n in range(10)}, None),
    ],
)
def test_rare_class_has_a_metric_recommended(counts, better):
    labels = np.repeat(list(counts), list(counts.values())).tolist()
    rarest = min(counts, key=counts.__getitem__)
    share = 100 * counts[rarest] / len(labels)
    expected = (
        f"class '{rarest}' has {share:.1f}% of the rows, so accuracy hardly sees it:"
        f" --metric balanced_accuracy or {better} does"
    )
    assert notes_of("accuracy", labels) == ([] if better is None else [expected])
    assert notes_of("balanced_accuracy", labels) == []
    if better is not None:
        CLASSIFICATION.check_metrics([better], np.array(labels), find_positive(labels, None))


@pytest.mark.parametrize("positive", ["fraud", "honest"])
def test_curves_are_those_of_the_positive_class(positive):
    figures = draw(MODEL, pd.DataFrame(X), TEXT, positive)
    for name in ("roc_curve", "precision_recall_curve", "calibration_curve"):
        _, texts = figures[name].axes[0].get_legend_handles_labels()
        assert any(positive in text for text in texts)
        assert not any(
            other in text for text in texts for other in {"fraud", "honest"} - {positive}
        )


def test_dataset_names_it_after_rare_classes_are_gone():
    frame = pd.DataFrame({"x": X[:, 0], "y": np.where(np.arange(N) < 2, "odd", TEXT)})
    section = DataSection(source="t", target="y", rare="drop", positive="fraud")
    dataset = load_dataset(section, CLASSIFICATION, seed=0, n_splits=5, frame=frame)
    assert dataset.positive == "fraud"
    without = section.model_copy(update={"positive": "odd"})
    with pytest.raises(DataError, match="the target has no class 'odd'"):
        load_dataset(without, CLASSIFICATION, seed=0, n_splits=5, frame=frame)
