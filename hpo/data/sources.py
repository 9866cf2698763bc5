"""Where a table comes from: a bundled one, a file or a DataFrame, and its named columns."""

import os
from pathlib import Path

import pandas as pd
from sklearn import datasets

from hpo.data.tables import read_table, take_frame
from hpo.data_section import DataSection
from hpo.errors import DataError, did_you_mean

BUNDLED = ("iris", "wine", "breast_cancer", "digits")
"""Tables of ``sklearn.datasets``, by the part of its names after ``load_``."""


def load_table(
    section: DataSection, frame: pd.DataFrame | None
) -> tuple[pd.DataFrame, str, list[str]]:
    """Load the raw table, the target's name and notes; check the columns that are named.

    Args:
        section: Names the table and its columns.
        frame: A table to use instead of ``source``.

    Raises:
        DataError: There is no such table, or no such column in it.
    """
    path, target, notes = Path(section.source), section.target, list[str]()
    if "://" in section.source:
        raise DataError(
            f"data: this should be a file, but got the address {section.source}",
            hint="download it, then give the file",
        )
    if frame is not None:
        if target is None:
            raise DataError(
                "data: a DataFrame needs a target column", hint="name it in data.target"
            )
        table = take_frame(frame)
    elif section.source in BUNDLED:
        table, target = (
            getattr(datasets, f"load_{section.source}")(as_frame=True).frame,
            target or "target",
        )
    elif path.suffix or os.path.exists(path):
        if target is None:
            raise DataError(
                f"data: {section.source} needs a target column", hint="name it with --target COLUMN"
            )
        group = [section.group] if section.group else []
        table, notes = read_table(path, target, group, section.categorical)
    else:
        raise DataError(
            f"data: this should be a file or one of {', '.join(BUNDLED)},"
            f" but got '{section.source}'",
            hint=did_you_mean(section.source, BUNDLED, "give a file with --data FILE"),
        )
    table.columns = table.columns.map(str)
    _check_column_names(section, target, list(table.columns))
    return table, target, notes


_OTHER_KINDS = {"numeric": ("categorical",), "text": ("numeric", "categorical")}
"""Lists of columns, and those that may not name a column of them too."""


def _check_column_names(section: DataSection, target: str, names: list[str]) -> None:
    listed = [
        (key, name)
        for key in ("drop", "numeric", "categorical", "text")
        for name in getattr(section, key) or ()
    ]
    single = [("target", target), ("group", section.group), ("time", section.time)]
    for key, name in [*((key, name) for key, name in single if name is not None), *listed]:
        if name not in names:
            shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
            raise DataError(
                f"data.{key}: {section.source} has no column '{name}'",
                hint=did_you_mean(name, names, f"its columns are {shown}", n=3),
            )
        if key in ("drop", "group", "time") and name == target:
            raise DataError(f"data.{key}: '{name}' is the target", hint=f"take it out of {key}")
        for other in _OTHER_KINDS.get(key, ()):
            if name in getattr(section, other):
                raise DataError(f"data.{key}: '{name}' is in data.{other} too", hint="name it once")
