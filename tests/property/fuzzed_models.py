"""Loads and asks fuzzed model files of each family: ``python -m tests.property.fuzzed_models``.

A saved model is changed at random: bytes, arrays, values, names and places of its schema, so that
most changes are read. What becomes of it is to be a prediction or one line. It is loaded in a
process of its own, which says where it is before each file, since a file that is read out of bounds
ends that process; the next one goes on after it.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skops.io
from sklearn.pipeline import Pipeline

from hpo.data.columns import Columns
from hpo.definition import PreprocessingSection
from hpo.errors import HpoError
from hpo.estimators.final_model import build_pipeline
from hpo.estimators.loading import COLUMNS_FILE, MODEL_FILE, load_model
from hpo.estimators.recipe import TrainingShape
from hpo.estimators.recipes import recipe_named
from tests.property.loading_watched import BYTES, SECONDS, Watch
from tests.property.mutations import NAMES, PAYLOADS

FAMILIES = {
    "logistic": "LogisticRegression",
    "linear": "Ridge",
    "trees": "DecisionTreeClassifier",
    "forests": "RandomForestClassifier",
    "boosting": "HistGradientBoostingClassifier",
    "gradient boosting": "GradientBoostingClassifier",
    "SVC": "SVC",
    "KNN": "KNeighborsClassifier",
    "networks": "MLPClassifier",
}
FEW = {"n_estimators": 3, "max_iter": 3, "hidden_layer_sizes": 4, "max_depth": 4}
BATCH = 100
"""Files of a family before those of the next, so that what is done of each is as much."""

NUMBERS: tuple[Any, ...] = (-1, 0, 1, 2, 7, 255, 2**31 - 1, -(2**31), 2**63 - 1, 1e308, -0.5)
TEXTS = ("precomputed", "poly", "nan", "minkowski", "seuclidean", "distance", "chi2", "zero", "")


def fitted(family: str) -> tuple[Pipeline, Columns, pd.DataFrame]:
    """A small model of a family, and rows that it predicts."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "size": rng.normal(size=90),
            "age": rng.normal(size=90),
            "town": rng.choice(list("xyz"), 90),
        }
    )
    columns = Columns(numeric=("size", "age"), categorical=("town",))
    recipe = recipe_named(FAMILIES[family])
    y = rows["size"] * 3 + (rows["town"] == "x")
    if recipe.task == "classification":
        y = pd.cut(y, [-np.inf, -1, 2, np.inf], labels=["low", "middle", "high"]).astype(str)
    shape = TrainingShape(90, 5, 3, 450, is_sparse=False)
    params = recipe.derive(recipe.defaults, shape, 0)
    params |= {name: value for name, value in FEW.items() if name in params}
    model = build_pipeline(recipe, columns, PreprocessingSection(min_frequency=1), params)
    return model.fit(rows, y), columns, rows.head(10)


def mutate(content: bytes, chance: random.Random) -> bytes:
    """Change one to three places of a skops file."""
    if chance.random() < 0.05:
        return flip(content, chance)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members.pop("schema.json"))
    arrays = sorted(members)
    for _ in range(chance.choice((1, 1, 2, 3))):
        if arrays and chance.random() < 0.5:
            name = arrays.pop(chance.randrange(len(arrays)))
            members[name] = change_array(members[name], chance)
        else:
            chance.choice(CHANGES)(list(iter_nodes(schema)), chance)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, member in {**members, "schema.json": json.dumps(schema).encode()}.items():
            archive.writestr(name, member)
    return written.getvalue()


def flip(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def change_array(member: bytes, chance: random.Random) -> bytes:
    """Flip bytes, put an extreme value somewhere, or another shape or kind in its place."""
    array = np.load(io.BytesIO(member), allow_pickle=False)
    how = chance.randrange(4)
    if how == 0 or array.size == 0:
        return flip(member, chance)
    if how == 1:
        array = array.copy()
        flat = array.reshape(-1)
        where, value = chance.randrange(len(flat)), chance.choice(NUMBERS)
        name = chance.choice(array.dtype.names) if array.dtype.names else None
        field = flat if name is None else flat[name]
        with np.errstate(all="ignore"):
            field[where] = np.array(value).astype(field.dtype)
    elif how == 2:
        changes: list[Callable[[np.ndarray], np.ndarray]] = [
            lambda each: each[: len(each) // 2] if each.ndim else each,
            lambda each: each[:0] if each.ndim else each,
            lambda each: np.concatenate([each, each]) if each.ndim else each,
            lambda each: each.reshape(-1),
            lambda each: each.T.copy(),
            lambda each: each[np.newaxis],
            lambda each: each[..., :1].copy() if each.ndim > 1 else each,
        ]
        array = chance.choice(changes)(array)
    elif array.dtype.names is None and array.dtype.kind in "iufb":
        array = array.astype(chance.choice(("f4", "f8", "i4", "i8", "u1", "c16", "?", "U3")))
    written = io.BytesIO()
    np.save(written, array, allow_pickle=False)
    return written.getvalue()


def iter_nodes(value: Any) -> Any:
    if isinstance(value, dict):
        if "__loader__" in value:
            yield value
        for inner in value.values():
            yield from iter_nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from iter_nodes(inner)


def change_value(nodes: list[dict[str, Any]], chance: random.Random) -> None:
    plain = [each for each in nodes if each["__loader__"] == "JsonNode"]
    if not plain:  # those before it took them out
        return
    node = chance.choice(plain)
    node["content"] = json.dumps(chance.choice((*NUMBERS, *TEXTS, *PAYLOADS)))


def change_name(nodes: list[dict[str, Any]], chance: random.Random) -> None:
    node, other = chance.choice(nodes), chance.choice(nodes)
    node["__module__"], node["__class__"] = chance.choice(
        (*NAMES, (other["__module__"], other["__class__"]))
    )


def swap(nodes: list[dict[str, Any]], chance: random.Random) -> None:
    """Exchange two nodes; where one is within the other, nothing changes but the inner one."""
    one, other = chance.choice(nodes), chance.choice(nodes)
    before = json.loads(json.dumps((one, other)))
    one.clear()
    one.update(before[1])
    if other is not one:
        other.clear()
        other.update(before[0])


def drop(nodes: list[dict[str, Any]], chance: random.Random) -> None:
    """Leave something out, or give it another's name."""
    holding = [each for each in nodes if isinstance(each.get("content"), dict | list)]
    if not holding:
        return
    inner = chance.choice(holding)["content"]
    if isinstance(inner, list) and inner:
        inner.pop(chance.randrange(len(inner)))
    elif isinstance(inner, dict) and inner:
        name, other = chance.choice(sorted(inner)), chance.choice(sorted(inner))
        inner[other] = inner.pop(name)


def change_file(nodes: list[dict[str, Any]], chance: random.Random) -> None:
    arrays = [each for each in nodes if "file" in each]
    if arrays:
        chance.choice(arrays)["file"] = chance.choice(arrays)["file"]


CHANGES = (change_value, change_value, change_name, swap, drop, change_file)


def judge(place: Path, rows: pd.DataFrame) -> tuple[str, str]:
    """What became of the model of a directory, and what is wrong with that."""
    try:
        shipped = load_model(place)
        methods = ["predict", *(["predict_proba"] * hasattr(shipped.whole, "predict_proba"))]
        for method in methods:
            shipped.predict(rows, method)
    except HpoError as error:
        is_one_line = "\n" not in f"{error}{error.hint}" and len(str(error)) < 1000
        return "refused", "" if is_one_line else f"refused: {error}"
    except Exception as error:  # noqa: BLE001 - what it is is what is judged
        return "raises", f"{type(error).__name__}: {error}"
    return "predicts", ""


def load_all(tasks: list[tuple[str, int, int]], seed: int) -> None:
    """Load files of families from a number to another; prints a line of JSON after each batch."""
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    warnings.simplefilter("ignore")
    place = Path(tempfile.mkdtemp(prefix="fuzzed-")).resolve()
    os.chdir(place)
    models = {family: fitted(family) for family in {family for family, _, _ in tasks}}
    contents = {family: skops.io.dumps(model) for family, (model, _, _) in models.items()}
    watch = Watch(place)
    for family, (_, columns, rows) in models.items():
        (place / COLUMNS_FILE).write_text(columns.model_dump_json())
        (place / MODEL_FILE).write_bytes(contents[family])
        assert judge(place, rows) == ("predicts", ""), (family, judge(place, rows))
        repr(models[family][0])  # as an error may show it, which imports once
    sys.addaudithook(watch.hear)
    for family, start, end in tasks:
        _, columns, rows = models[family]
        outcomes: Counter[str] = Counter()
        wrong = []
        for number in range(start, end):
            changed = mutate(contents[family], random.Random(f"{seed} {family} {number}"))
            (place / MODEL_FILE).write_bytes(changed)
            os.write(2, f"{family} {number}\n".encode())
            watch.seen.clear()
            # Of processor time: on a busy machine the clock says nothing.
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            with watch.on():
                outcome, line = judge(place, rows)
            signal.setitimer(signal.ITIMER_PROF, 0)
            outcomes[outcome] += 1
            wrong += [f"{family} {number}: {each}" for each in (line, *watch.seen) if each]
        print(json.dumps({"family": family, "outcomes": outcomes, "wrong": wrong}), flush=True)


def run(n_files: int, seed: int, families: list[str]) -> tuple[dict[str, Counter[str]], list[str]]:
    """How many files of each family had which outcome, and what was wrong."""
    tasks = [
        (family, start, min(start + BATCH, n_files))
        for start in range(0, n_files, BATCH)
        for family in families
    ]
    outcomes: dict[str, Counter[str]] = {family: Counter() for family in families}
    wrong: list[str] = []
    while tasks:
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            __spec__.name,
            "--tasks",
            json.dumps(tasks),
        ]
        said = []
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(
                [*command, "--seed", str(seed)],
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as process,
        ):
            for line in process.stdout or ():
                said.append(line)
                batch = json.loads(line)
                outcomes[batch["family"]].update(batch["outcomes"])
                wrong += batch["wrong"]
                print(line[:2000].strip(), flush=True)
            process.wait()
            errors.seek(0)
            last = errors.read().splitlines()[-20:]
        tasks = tasks[len(said) :]
        if process.returncode == 0:
            break
        family, _, number = last[-1].rpartition(" ")
        if not tasks or family != tasks[0][0]:
            raise RuntimeError("\n".join(last))
        wrong.append(f"{family} {number}: ended with {process.returncode}")
        print(wrong[-1], flush=True)
        outcomes[family]["crashes"] += 1
        _, start, end = tasks[0]
        done, rest = (family, start, int(number)), (family, int(number) + 1, end)
        tasks = [each for each in (done, rest) if each[1] < each[2]] + tasks[1:]
    return outcomes, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000, help="of each family")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--families", nargs="*", default=[*FAMILIES])
    parser.add_argument("--tasks", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tasks:
        load_all(json.loads(options.tasks), options.seed)
        return 0
    outcomes, wrong = run(options.files, options.seed, options.families)
    print(*wrong, sep="\n")
    for family, counts in outcomes.items():
        print(f"{family}: {', '.join(f'{n} {outcome}' for outcome, n in sorted(counts.items()))}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
