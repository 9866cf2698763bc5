"""Loads mutations of a model in a process of its own, where everything it does is watched.

    python -m tests.property.loading_watched MODEL ROWS SEED SHARE [mlflow]

It prints what was wrong, a line each, and how many mutations had which outcome. With ``mlflow`` as
a last argument MLflow's own loader loads what harms it: that shows that the watch sees what there
is to see.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any

import mlflow
import pandas as pd

from hpo.errors import HpoError
from hpo.estimators.batch_prediction import predict_table
from hpo.estimators.loading import load_model
from tests.property.mutations import SECRET, Mutation, all_mutations, harms

SECONDS = 120
BYTES = 2**33
STARTED = (
    "os.system",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "subprocess.Popen",
    "pickle.find_class",
    "ctypes.dlopen",
    "import",
)
WRITTEN = ("os.mkdir", "os.remove", "os.rename", "os.link", "os.symlink", "os.truncate", "os.chmod")


@dataclass
class Watch:
    """What happened while a model was loaded that should not.

    Attributes:
        model: The folder that may be read.
    """

    model: Path
    is_on: bool = False
    seen: list[str] = field(default_factory=list)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_on:
            self.is_on = False
            try:
                if self._is_wrong(event, arguments):
                    self.seen.append(f"{event} {arguments[:2]}"[:200])
            finally:
                self.is_on = True

    def _is_wrong(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "exec":
            code = arguments[0]
            return not isinstance(code, CodeType) or code.co_name == "<module>"
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            path, _, flags = arguments
            return bool(flags & (os.O_WRONLY | os.O_RDWR)) or not self._may_read(os.fsdecode(path))
        return event in STARTED or event in WRITTEN or event.startswith(("socket.", "shutil."))

    def _may_read(self, name: str) -> bool:
        return os.path.realpath(name).startswith((str(self.model), sys.prefix, sys.base_prefix))

    @contextmanager
    def on(self) -> Iterator[None]:
        self.is_on = True
        try:
            yield
        finally:
            self.is_on = False


def predict(model: Path, rows: Path) -> pd.DataFrame:
    return predict_table(load_model(model), rows)[0]


def predict_with_mlflow(model: Path, rows: Path) -> pd.DataFrame:
    return pd.DataFrame(mlflow.pyfunc.load_model(str(model)).predict(pd.read_csv(rows)))


def judge(mutation: Mutation, made: pd.DataFrame | Exception, right: pd.DataFrame) -> str:
    """What is wrong with an outcome; empty where nothing is."""
    if isinstance(made, HpoError):
        is_one_line = "\n" not in f"{made}{made.hint}" and len(str(made)) < 1000
        if not is_one_line or mutation.outcome == "same":
            return f"refused: {made}"
        return ""
    if isinstance(made, Exception):
        return f"{type(made).__name__}: {made}"
    if mutation.outcome == "refused":
        return "not refused"
    if mutation.outcome != "any" and not made.equals(right):
        return "another prediction"
    return ""


def main(model: Path, rows: Path, seed: int, share: float, *, is_mlflow: bool) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    warnings.simplefilter("ignore")
    load = predict_with_mlflow if is_mlflow else predict
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name).resolve()
        os.chdir(place)
        watch = Watch(place / "model")
        right = load(model, rows)
        sys.addaudithook(watch.hear)
        for mutation in harms() if is_mlflow else all_mutations(model, seed, share):
            shutil.rmtree(watch.model, ignore_errors=True)
            shutil.copytree(model, watch.model)
            shutil.copy(rows, watch.model / "rows_of_the_test.csv")
            (place / SECRET).write_text("a secret")
            mutation.apply(watch.model)
            made = try_one(mutation, watch, load, right)
            outcomes[type(made).__name__ if isinstance(made, Exception) else "predicts"] += 1
    print(json.dumps(outcomes))


def try_one(
    mutation: Mutation,
    watch: Watch,
    load: Callable[[Path, Path], pd.DataFrame],
    right: pd.DataFrame,
) -> pd.DataFrame | Exception:
    """Load a changed model and print what is wrong."""
    place = watch.model.parent
    before = {path.name for path in place.iterdir()}
    watch.seen.clear()
    made: pd.DataFrame | Exception
    signal.alarm(SECONDS)
    try:
        with watch.on():
            made = load(watch.model, watch.model / "rows_of_the_test.csv")
    except Exception as error:  # noqa: BLE001 - what it is is what is judged
        made = error
    signal.alarm(0)
    left = {path.name for path in place.iterdir()} - before
    for line in (judge(mutation, made, right), *watch.seen, *(f"left {name}" for name in left)):
        if line:
            print(f"{mutation.name}: {line}")
    return made


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        int(sys.argv[3]),
        float(sys.argv[4]),
        is_mlflow="mlflow" in sys.argv[5:],
    )
