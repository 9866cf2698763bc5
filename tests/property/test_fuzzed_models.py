"""Fuzzed model files of each family are refused in one line, or predict; no process ends by one.

``python -m tests.property.fuzzed_models`` does the same for 10,000 files of each.
"""

from __future__ import annotations

import pytest

from tests.property.fuzzed_models import FAMILIES, run

N_FILES = 25

pytestmark = pytest.mark.slow


def test_fuzzed_files_are_refused_in_one_line_or_predict() -> None:
    outcomes, wrong = run(N_FILES, 0, [*FAMILIES])
    assert wrong == []
    assert {sum(counts.values()) for counts in outcomes.values()} == {N_FILES}
    assert all(counts["refused"] and counts["predicts"] for counts in outcomes.values())
