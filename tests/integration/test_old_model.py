"""A model that version 0.1.0 logged still predicts, to the last row as it did then.

``tests/data/model_of_0_1_0`` holds what ``hpo.predict`` reads of it: ``model.skops``, which names
classes of ours by their module, and ``hpo_columns.json``. It was logged by commit b558f92 for a
table of numbers with gaps, numbers as text, a truth value, categories and dates. ``rows.csv`` is
that table without its target, followed by rows with gaps only, unseen categories and odd dates;
``expected.csv`` is what ``python -m hpo.predict`` of that commit printed.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import skops.io

from hpo.commands.main import main

MODEL = Path(__file__).parents[1] / "data" / "model_of_0_1_0"
TOLERANCE = 1e-12
"""The last digits of a probability are those of the BLAS kernel."""


@pytest.fixture(autouse=True)
def _unsteered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No stores from the environment; logging as it was before the command."""
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    disabled = logging.root.manager.disable
    yield
    logging.disable(disabled)


def test_model_of_0_1_0_predicts_as_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(MODEL), str(MODEL / "rows.csv")]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    table, expected = pd.read_csv(io.StringIO(printed.out)), pd.read_csv(MODEL / "expected.csv")
    pd.testing.assert_frame_equal(table, expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_model_of_0_1_0_names_a_class_of_ours() -> None:
    untrusted = skops.io.get_untrusted_types(file=MODEL / "model.skops")
    assert "hpo.calendar.CalendarParts" in untrusted
