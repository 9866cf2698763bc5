"""The score part by part in the order of time: values, words, figure."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hpo.data.dataset import load_dataset
from hpo.data.order import Order
from hpo.estimators.classification import CLASSIFICATION
from hpo.results.drawing import to_png
from hpo.results.intervals import Estimate, too_few_to_say
from hpo.results.over_time import OverTime, Period, score_over_time, show_time
from hpo.results.over_time_figure import draw_periods, tabulate_periods
from tests.unit.driving import define

HELD_OUT = Estimate(0.55, 0.5, 0.6)


def over_time(*scores: float) -> OverTime:
    first = np.datetime64("2024-01-01")
    periods = [
        Period(first + 30 * number, first + 30 * number + 29, 50 * number, 50, score)
        for number, score in enumerate(scores)
    ]
    return OverTime("day", tuple(periods), HELD_OUT)


@pytest.mark.parametrize(
    ("scores", "sign"),
    [
        ((0.9, 0.8, 0.71, 0.6, 0.5, 0.41), -1),
        ((0.4, 0.52, 0.6, 0.7, 0.81, 0.9), 1),
        ((0.9, 0.5, 0.8, 0.6, 0.9, 0.55), 0),
    ],
)
def test_change_is_said_only_where_its_interval_says_so(scores, sign):
    change = over_time(*scores).change
    assert change.value == pytest.approx(np.polyfit(range(6), scores, 1)[0])
    assert np.sign(change.low) + np.sign(change.high) == 2 * sign


def test_parts_have_the_times_of_their_rows():
    dataset = load_dataset(define().data, CLASSIFICATION, seed=0, n_splits=5)
    assert score_over_time(dataset, [], [], HELD_OUT) is None
    days = np.datetime64("2024-01-01") + np.arange(150)
    dataset = replace(dataset, order=Order("day", days[:120]), order_test=Order("day", days[120:]))
    splits = dataset.order.split(3, None)
    found = score_over_time(dataset, splits, [0.7, 0.8, 0.9], HELD_OUT)
    content = json.loads(json.dumps(found.to_json()))
    assert content["folds"][0] == {
        "from": "2024-01-31",
        "to": "2024-02-29",
        "n_fitted": 30,
        "n_scored": 30,
        "score": 0.7,
    }
    assert content["holdout"]["from"] == "2024-04-30"
    assert (content["holdout"]["n_fitted"], content["holdout"]["n_scored"]) == (120, 30)
    assert list(tabulate_periods(found)["part"]) == [
        "fold 0",
        "fold 1",
        "fold 2",
        "hold-out",
    ]


def test_times_are_shown_as_they_are_written():
    assert show_time(np.datetime64("2024-01-31T00:00")) == "2024-01-31"
    assert show_time(np.datetime64("2024-01-31T13:05:00")) == "2024-01-31 13:05:00"
    assert show_time(np.float64(7)) == 7.0


@pytest.mark.parametrize("held_out", [HELD_OUT, too_few_to_say(0.55)])
def test_figure_is_drawn_of_dates_and_of_numbers(held_out):
    of_dates = replace(over_time(0.9, 0.8, 0.7, 0.55), holdout_score=held_out)
    numbers = tuple(
        replace(period, first=float(n), last=float(n + 1))
        for n, period in enumerate(of_dates.periods)
    )
    for found in (of_dates, replace(of_dates, periods=numbers)):
        picture = Image.open(io.BytesIO(to_png(draw_periods(found, "accuracy"))))
        assert picture.size == (650, 500)
