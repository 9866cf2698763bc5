"""Figures and tables of a model: they open, they are not blank, and the numbers are the model's
own.
"""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from PIL import Image
from sklearn.metrics import accuracy_score

from hpo.data.columns import Columns
from hpo.definition import PreprocessingSection
from hpo.estimators.final_model import build_pipeline
from hpo.estimators.logistic_regression import LOGISTIC_REGRESSION, list_coefficients
from hpo.results.drawing import MAX_LABELS, draw_bars
from hpo.results.figures import draw_model, permute_columns

# Said by fits that end early, on purpose short here.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

PARAMS = {
    "penalty": "l2",
    "C": 1.0,
    "class_weight": "none",
    "solver": "lbfgs",
    "max_iter": 300,
    "tol": 1e-4,
    "random_state": 0,
}
FIGURES = {
    "confusion_matrix",
    "coefficients",
    "roc_curve",
    "precision_recall_curve",
    "calibration_curve",
    "permutation_importance",
}
COLUMNS = Columns(numeric=("size", "town_b"), categorical=("town",), datetime=("day",))


def make_rows(n: int, n_classes: int) -> tuple[pd.DataFrame, np.ndarray]:
    """One column that tells the classes apart, and others with names that are hard to draw."""
    rng = np.random.default_rng(0)
    size = rng.normal(size=n)
    X = pd.DataFrame({
        "size": size,
        "town_b": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
        "town": rng.choice(["b", "$5_a$", "a very long name of a town " * 3], n),
        "day": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(400, size=n), "D"),
    })  # fmt: skip
    edges = np.quantile(size, np.linspace(0, 1, n_classes + 1)[1:-1])
    return X, np.array([f"class ${label}_{{$" for label in np.searchsorted(edges, size)])


def fit(X, y):
    return build_pipeline(
        LOGISTIC_REGRESSION, COLUMNS, PreprocessingSection(min_frequency=1), PARAMS
    ).fit(X, y)


def check_picture(content: bytes) -> None:
    image = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
    assert min(image.shape) > 150
    assert np.ptp(image) > 100
    assert 0.01 < (image < 250).mean() < 0.99


@pytest.mark.parametrize("n_classes", [2, 3, 40])
def test_every_figure_opens_and_every_table_is_read(n_classes):
    X, y = make_rows(800, n_classes)
    files, importances = draw_model(
        LOGISTIC_REGRESSION, fit(X, y), fit(X, y), X, y, metric="accuracy", seed=0
    )
    assert {name for name in files if name.endswith(".png")} == {
        f"figures/{name}.png" for name in FIGURES
    }
    for name, content in files.items():
        if name.endswith(".png"):
            check_picture(content)
        else:
            assert len(pd.read_csv(io.BytesIO(content))) > 0
    assert max(importances, key=importances.get) == "size"
    assert plt.get_fignums() == []


def test_confusion_table_is_that_of_the_judged_model():
    X, y = make_rows(300, 3)
    judged = fit(X, y)
    files, _ = draw_model(
        LOGISTIC_REGRESSION, judged, fit(X, y[::-1]), X, y, metric="accuracy", seed=0
    )
    table = pd.read_csv(io.BytesIO(files["tables/confusion_matrix.csv"]), index_col=0)
    assert np.trace(table) / table.to_numpy().sum() == pytest.approx(
        accuracy_score(y, judged.predict(X))
    )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_coefficients_have_the_names_of_what_they_weigh(n_classes):
    X, y = make_rows(300, n_classes)
    pipeline = fit(X, y)
    table = list_coefficients(pipeline)
    assert len(table) == pipeline[-1].coef_.size
    assert (table["odds_ratio"] == np.exp(table["coefficient"])).all()
    assert table["coefficient"].abs().is_monotonic_decreasing
    assert table["feature"][0] == "size"
    # One standard deviation more of "size" adds its coefficients to the decision.
    more = X.assign(size=X["size"] + pipeline[0].named_transformers_["numeric"]["scale"].scale_[0])
    added = np.atleast_2d((pipeline.decision_function(more) - pipeline.decision_function(X)).T)[
        :, 0
    ]
    of_size = table[table["feature"] == "size"].set_index("class")["coefficient"]
    np.testing.assert_allclose(of_size[pipeline.classes_[-len(added) :]], added)


def test_importance_is_what_shuffling_costs():
    X, y = make_rows(500, 2)
    table = permute_columns(fit(X, y), X, y, scoring="accuracy", seed=0).set_index("column")["mean"]
    assert table["size"] > 0.3
    assert abs(table["town"]) < 0.05


def test_wide_table_is_not_permuted():
    rng = np.random.default_rng(0)
    names = tuple(f"x{number}" for number in range(120))
    X, y = pd.DataFrame(rng.normal(size=(200, 120)), columns=names), rng.integers(2, size=200)
    pipeline = build_pipeline(
        LOGISTIC_REGRESSION, Columns(numeric=names), PreprocessingSection(), PARAMS
    ).fit(X, y)
    files, importances = draw_model(
        LOGISTIC_REGRESSION, pipeline, pipeline, X, y, metric="accuracy", seed=0
    )
    assert importances == {}
    assert "figures/permutation_importance.png" not in files
    assert len(pd.read_csv(io.BytesIO(files["tables/coefficients.csv"]))) == 120 > MAX_LABELS


def test_class_without_held_out_rows_is_no_obstacle():
    X, y = make_rows(400, 4)
    pipeline, rows = fit(X, y), y != y[0]
    files, _ = draw_model(
        LOGISTIC_REGRESSION, pipeline, pipeline, X[rows], y[rows], metric="accuracy", seed=0
    )
    assert len([name for name in files if name.endswith(".png")]) == len(FIGURES)


def test_every_label_of_a_bar_chart_is_inside_the_picture():
    names = pd.Series(["x" * 40, "a short one"])
    figure = draw_bars(
        "Coefficients", names, pd.Series([2.0, -1.0]), LOGISTIC_REGRESSION.charts[0].xlabel
    )
    figure.draw_without_rendering()
    width = figure.bbox.width
    (ax,) = figure.axes
    # Ticks beyond the axes' ends exist, and are not drawn.
    texts = [figure._suptitle, figure._supxlabel, ax.xaxis.label, *ax.get_yticklabels()]
    assert LOGISTIC_REGRESSION.charts[0].xlabel in {text.get_text() for text in texts}
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= 0, text.get_text()
        assert box.x1 <= width, text.get_text()
