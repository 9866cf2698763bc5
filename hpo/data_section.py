"""The sections of a study file that say which rows there are: the table, and how it is split."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from hpo.estimator_section import Names
from hpo.search_space import Section


def _as_text(label: Any) -> Any:
    """Take a label that TOML has as a number or a boolean."""
    return str(label) if isinstance(label, int) else label


class DataSection(Section):
    """``[data]``: the table, its target, how much is held out, the kinds of its columns.

    ``source`` is a bundled table's name or a file, relative to the study file. ``text`` names the
    columns of free text in the place of those that are found; of an empty list there are none. The
    rows of one ``group`` are never split. With ``time``, a column of dates or numbers that is then
    no feature, the last rows are held out and folds go forward. Texts such as NA are gaps in the
    target, too, but for ``keep_labels``. ``rare`` says what becomes of classes with too few rows
    for the hold-out or a fold: the table is refused, their rows are dropped, or they are pooled
    into one class. ``positive`` is the class of two that metrics such as f1 are of; by default the
    greater of two whole numbers, of two words ``yes``, ``true`` or the like, else the rarer one.
    """

    source: str = Field("iris", min_length=1)
    target: str | None = None
    test_size: float = Field(0.2, gt=0, lt=1)
    drop: Names = ()
    numeric: Names = ()
    categorical: Names = ()
    text: Names | None = None
    group: str | None = None
    time: str | None = None
    keep_labels: Names = ()
    rare: Literal["refuse", "drop", "pool"] = "refuse"
    positive: Annotated[str, BeforeValidator(_as_text, str | int | bool)] | None = None


class CvSection(Section):
    """``[cv]``: stratified folds, repeated with other shuffles where ``n_repeats`` is above 1.

    With ``data.time`` a fold is fitted on all rows before those it scores, but for the last
    ``gap`` of them; the hold-out has the same gap before it.
    """

    n_splits: int = Field(5, ge=2, le=100)
    n_repeats: int = Field(1, ge=1, le=100)
    gap: int = Field(0, ge=0)
