"""Small tables and spaces for any estimator that scikit-learn lists, and how a run of it ends."""

import inspect
import re
import traceback
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.utils import all_estimators

from .here import run_here

N_TRIALS = 3
TABLE = "customers.csv"

End: TypeAlias = Literal["model", "one line", "anything else"]


def listed() -> dict[str, type]:
    """Every classifier and regressor that scikit-learn lists, by name."""
    return dict(all_estimators(type_filter=["classifier", "regressor"]))


def write_customers(path: Path, n_rows: int) -> pd.DataFrame:
    """A table with gaps, categories, truth values and dates; ``churned`` and ``spent`` are targets."""
    rng = np.random.default_rng(0)
    days = pd.date_range("2020-01-01", periods=n_rows, freq="D")
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 12, n_rows).round(1),
            "town": rng.choice(["Bern", "Basel", "Zug", "Chur"], n_rows),
            "plan": rng.choice(list("abcdefgh"), n_rows),
            "member": rng.choice(["true", "false"], n_rows),
            "since": days.strftime("%Y-%m-%d"),
        }
    )
    for name in ("age", "town", "since"):
        frame.loc[rng.choice(n_rows, n_rows // 10), name] = np.nan
    signal = frame["age"].fillna(40) / 12 + (frame["town"] == "Bern") + rng.normal(size=n_rows)
    frame["churned"] = np.where(signal > signal.median(), "yes", "no")
    frame["spent"] = (100 + 20 * signal).round(2)
    frame.to_csv(path, index=False)
    return frame


def usual_space(kind: type) -> str:
    """A search space of one entry: the first number around its default, else a truth value."""
    parameters = inspect.signature(kind).parameters
    defaults = {
        name: each.default
        for name, each in parameters.items()
        if name not in ("verbose", "random_state")
    }
    for name, default in defaults.items():
        if isinstance(default, int | float) and not isinstance(default, bool) and default > 0:
            low = max(1, default // 2) if isinstance(default, int) else default / 2
            high = default if low < default else default + 1
            return f"{name} = {{ low = {low}, high = {high} }}"
    names = [name for name, default in defaults.items() if isinstance(default, bool)]
    return f"{names[0]} = [true, false]" if names else ""


def run_estimator(directory: Path, name: str, space: str, more: str = "") -> tuple[End, str]:
    """How a run of an estimator on the table of a directory ends, and what it says.

    Args:
        directory: Has the table, and databases with their tables.
        name: Of the estimator.
        space: The content of ``[search_space]``.
        more: Other sections.
    """
    kind = listed().get(name)
    is_classifier = kind is not None and issubclass(kind, ClassifierMixin)
    target, other = ("churned", "spent") if is_classifier else ("spent", "churned")
    (directory / "study.toml").write_text(
        f'[study]\nname = "{name.lower()}"\nn_trials = {N_TRIALS}\n[estimator]\nname = "{name}"\n'
        f'[data]\nsource = "{TABLE}"\ntarget = "{target}"\ndrop = ["{other}"]\n'
        f"[cv]\nn_splits = 3\n[search_space]\n{space}\n{more}"
    )
    try:
        ended = run_here(directory, "--study", "study.toml", "--quiet")
    except Exception:  # noqa: BLE001 - whatever comes is what is looked for
        return "anything else", traceback.format_exc()
    has_model = re.search("^model +models:/", ended.stdout, re.MULTILINE)
    if (ended.returncode, ended.stderr) == (0, "") and has_model:
        return "model", ended.stdout
    if not ended.stdout and re.fullmatch("hpo: .*\n", ended.stderr):
        return "one line", f"exit {ended.returncode}: {ended.stderr.removeprefix('hpo: ').strip()}"
    return "anything else", f"exit {ended.returncode}\n{ended.stdout}{ended.stderr}"
