"""Whatever a table holds, the CSV that is written of it holds nothing that a spreadsheet runs, and
loses nothing.
"""

from __future__ import annotations

import csv
import io
from itertools import chain

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from hpo.data.tables import write_table

RUNNABLE = tuple("=+-@\t\r\n\0＝＋－＠")  # noqa: RUF001 - full-width on purpose
odd = st.text(alphabet="=+-@\t\r\n\0 '\";,|aé1.＝", max_size=8) | st.text(max_size=8)  # noqa: RUF001 - the same
numbers = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    names = draw(st.lists(odd, min_size=2, max_size=3, unique=True))
    n_rows = draw(st.integers(1, 4))
    columns = {name: draw(st.lists(odd, min_size=n_rows, max_size=n_rows)) for name in names}
    return pd.DataFrame(
        {**columns, "number": draw(st.lists(numbers, min_size=n_rows, max_size=n_rows))},
        dtype=object,
    )


@given(tables())
def test_no_cell_is_runnable_and_none_is_lost(table: pd.DataFrame) -> None:
    text = io.StringIO(newline="")
    write_table(table, text)
    header, *rows = csv.reader(io.StringIO(text.getvalue(), newline=""))
    written = [header[:-1], *(row[:-1] for row in rows)]
    given = [table.columns[:-1].tolist(), *table.iloc[:, :-1].to_numpy().tolist()]
    assert [len(row) for row in written] == [len(row) for row in given]
    for cell, original in zip(chain(*written), chain(*given), strict=True):
        assert not cell.lstrip(" ").startswith(RUNNABLE)
        assert cell.removeprefix("'") == original if cell != original else True
    assert [float(row[-1]) for row in rows] == table["number"].tolist()
