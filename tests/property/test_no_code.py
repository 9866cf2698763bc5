"""A study definition is data: whatever a file or a flag says, no name in it is imported and nothing
of it is run.

A module and a pickle lie where they would be found; each says so when it is run. What the
interpreter itself reports (PEP 578) is
watched besides: a process that is started, a pickle that looks a name up.
"""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.errors import InputError
from hpo.estimators.recipe import TrainingShape
from hpo.estimators.recipes import find_recipe
from hpo.estimators.several import search_space
from hpo.estimators.tasks import complete
from hpo.search.plan import load_data
from hpo.study_file import StudyDefinition, load_definition
from tests.property.strategies import known_keys, to_toml

CANARY = "canary_that_sings"
STARTED = frozenset(
    {
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.fork",
        "subprocess.Popen",
        "pickle.find_class",
        "ctypes.dlopen",
    }
)


@dataclass
class Watch:
    """What was run while it is on; an audit hook cannot be taken off again.

    Attributes:
        directory: Where the canaries are, and where one that was run leaves a file.
    """

    directory: Path
    is_on: bool = False
    seen: list[str] = field(default_factory=list)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_on and event in STARTED:
            self.seen.append(f"{event} {arguments[:1]}")

    @contextmanager
    def on(self) -> Iterator[None]:
        self.is_on = True
        try:
            yield
        finally:
            self.is_on = False

    def songs(self) -> list[str]:
        return [*self.seen, *sorted(path.name for path in self.directory.glob("sung*"))]


class _Singing:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.place,)

    def __init__(self, place: str) -> None:
        self.place = place


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        directory = Path(name)
        song = directory / "sung by the module"
        (directory / f"{CANARY}.py").write_text(
            f"from pathlib import Path\nPath({str(song)!r}).touch()\ndef run(*_): pass\n"
        )
        for ending in ("pkl", "csv", "parquet", "feather"):
            (directory / f"{CANARY}.{ending}").write_bytes(
                pickle.dumps(_Singing(str(directory / "sung by a pickle")))
            )
        patch.syspath_prepend(directory)
        patch.chdir(directory)
        # What a first load imports is not to be heard.
        load_data(StudyDefinition())
        find_recipe("Lasso")
        watch = Watch(directory)
        sys.addaudithook(watch.hear)
        yield watch


payloads = st.sampled_from(
    [
        CANARY,
        f"{CANARY}:run",
        f"{CANARY}.run",
        f"python:{CANARY}.run",
        f"__import__('{CANARY}')",
        f"{{{CANARY}.run}}",
        f"!!python/object/apply:{CANARY}.run []",
        "$(touch 'sung by a shell')",
        "`touch 'sung by a shell'`",
        "os:system",
        "os.system",
        "builtins.exec",
        "sklearn.metrics.accuracy_score",
        *(f"{CANARY}.{ending}" for ending in ("py", "pkl", "csv", "parquet", "feather")),
        "iris",
    ]
)
values = (
    payloads
    | st.lists(payloads, min_size=1, max_size=2)
    | st.dictionaries(known_keys, payloads, max_size=2)
)
contents = st.dictionaries(
    st.sampled_from(sorted(StudyDefinition.model_fields)),
    st.dictionaries(known_keys, values, max_size=3),
)
# Every place that takes text, so that nothing else refuses the file before the payload is looked
# at.
text_places = st.fixed_dictionaries(
    {},
    optional={
        "study": st.fixed_dictionaries(
            {}, optional={"metric": payloads, "metrics": st.lists(payloads, max_size=2)}
        ),
        "data": st.fixed_dictionaries(
            {},
            optional={
                "source": payloads,
                "target": payloads,
                "drop": st.lists(payloads, max_size=2),
                "group": payloads,
            },
        ),
    },
)


@given(contents | text_places)
def test_no_name_in_a_definition_is_run(watch: Watch, content: dict[str, Any]) -> None:
    path = watch.directory / "study.toml"
    path.write_bytes(to_toml(content).encode())
    with watch.on(), suppress(InputError):
        load_data(load_definition(path))
    assert watch.songs() == []


ESTIMATORS = (
    *("Ridge", "SVC", "KNeighborsClassifier", "HistGradientBoostingClassifier"),
    *("SGDClassifier", "MLPClassifier", "Lasso", "DecisionTreeClassifier", "BaggingRegressor"),
    *("StackingClassifier", "GaussianProcessRegressor", "TransformedTargetRegressor", "KMeans"),
)
ARGUMENTS = (
    *("alpha", "C", "n_estimators", "max_depth", "max_iter", "tol", "kernel", "metric", "loss"),
    *("estimator", "estimators", "regressor", "func", "n_jobs", "random_state", "verbose", "cv"),
    *("class_weight", "hidden_layer_sizes", "max_features", "copy", "copy_X", "algorithm"),
)
mangled = st.sampled_from(
    [
        *("__class__", "__init__", "__reduce__", "_target_", "copy", "model_fields", "os.system"),
        *("estimator__C", "kernel.C", "a.b.c", "", " ", "größe", "\u202e", "x" * 5000, "alpha\n"),
    ]
)
numbers = st.sampled_from(
    [0, -1, 1, 0.5, 2**31, 2**63, 10**30, 10**400, 1e308, -1e308, 5e-324, 0.0, float("inf")]
) | st.floats(allow_nan=True)
plain = numbers | st.booleans() | payloads | mangled | st.sampled_from(["none", "rbf", "balanced"])
entries = (
    plain
    | st.lists(plain, max_size=3)
    | st.fixed_dictionaries({"low": numbers, "high": numbers}, optional={"log": st.booleans()})
    | st.dictionaries(mangled, plain, max_size=2)
    | st.lists(st.lists(plain, max_size=2), max_size=2)
)
tables = st.dictionaries(st.sampled_from(ARGUMENTS) | mangled, entries, max_size=3)
estimator_files = st.fixed_dictionaries(
    {"estimator": st.fixed_dictionaries({"name": st.sampled_from(ESTIMATORS) | mangled})},
    optional={
        "search_space": tables,
        "fixed": st.dictionaries(st.sampled_from(ARGUMENTS) | mangled, plain, max_size=2),
    },
)
FRAME = pd.DataFrame({"x": np.arange(60.0), "y": np.arange(60) % 3})
SHAPE = TrainingShape(n_samples=40, n_features=1, n_classes=3, n_values=40, is_sparse=False)


@given(estimator_files)
@settings(max_examples=300)
def test_mangled_names_and_arguments_are_refused_in_one_line_or_built(
    watch: Watch, content: dict[str, Any]
) -> None:
    path = watch.directory / "study.toml"
    path.write_bytes(to_toml({"study": {"name": "x"}, "data": {"target": "y"}, **content}).encode())
    refusal = ""
    try:
        with watch.on():
            definition = load_definition(path)
            dataset = load_data(definition, FRAME)
            definition, recipe = complete(definition, dataset.task)
            space, _ = search_space(
                recipe, definition.search_space, {recipe.recipes[0].preprocessing: SHAPE}, 0
            )
            params = space.complete(space.suggest(optuna.create_study().ask()))
            recipe.recipes[0].build(params, ())
    except InputError as error:
        refusal = f"{error}{error.hint}"
    assert "\n" not in refusal
    assert watch.songs() == []


def test_canaries_sing_when_they_are_run(watch: Watch) -> None:
    """Else the test above could not fail; it comes after it, since a module is run once."""
    with watch.on():
        importlib.import_module(CANARY)
        pickle.loads((watch.directory / f"{CANARY}.pkl").read_bytes())
        subprocess.run(["true"], check=True)
    heard = {song.split()[0] for song in watch.seen}
    assert heard >= {"pickle.find_class", "subprocess.Popen"}
    assert watch.songs()[len(watch.seen) :] == ["sung by a pickle", "sung by the module"]
