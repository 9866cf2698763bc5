"""Ways to change a logged model, file by file, each by itself.

A mutation has a name, what a loader may make of it, and changes a copy of the model in its place.
"""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import yaml
from skops.io._audit import NODE_TYPE_MAPPING

T = TypeVar("T")

MARK = "executed"
CODE = f"import os\nos.system('touch {MARK}')\ndef _load_pyfunc(path): ...\n"
SECRET = "secret.txt"
READ = ("MLmodel", "hpo_columns.json", "model.skops")

Outcome = Literal["same", "same or refused", "refused", "any"]
"""``same``: the predictions of the model that was changed. ``any`` is for a change that makes
another sound model, of which nobody can tell that it is not the one that was logged.
"""

PAYLOADS: tuple[Any, ...] = (
    "canary",
    "canary.run",
    "os.system",
    f"!!python/object/apply:os.system ['touch {MARK}']",
    f"../../{SECRET}",
    f"/tmp/../{SECRET}",
    "/etc/passwd",
    f"$(touch {MARK})",
    "mlflow.pyfunc.model",
    "cloudpickle",
    None,
    -1,
    2**70,
    {},
    [],
    {"canary": ["os.system"]},
)
VALUES = (
    *("null", "-1", "1e308", "NaN", "true", "[]", "[[[1]]]", '{"a": 1}', '""', "[", "{" * 9000),
    *('"polars"', '"pandas"', '"passthrough"', '"drop"', '"os.system"', f'"../{SECRET}"'),
)
"""What may stand in the place of a parameter."""

NAMES = (
    ("os", "system"),
    ("posix", "system"),
    ("subprocess", "Popen"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "getattr"),
    ("importlib", "import_module"),
    ("canary", "Trap"),
    ("numpy", "load"),
    ("numpy.lib._npyio_impl", "DataSource"),
    ("operator", "methodcaller"),
    ("joblib.memory", "Memory"),
    ("sklearn.datasets._openml", "fetch_openml"),
    ("sklearn.preprocessing._function_transformer", "FunctionTransformer"),
    ("hpo.errors", "HpoError"),
)


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {MARK}",)


@dataclass(frozen=True)
class Mutation:
    name: str
    outcome: Outcome
    apply: Callable[[Path], object]


class Chance(random.Random):
    """Draws what is changed and to what.

    Args:
        seed: Of the draws.
        share: Of the draws that there may be.
    """

    def __init__(self, seed: int, share: float = 1.0) -> None:
        super().__init__(seed)
        self._share = share

    def some(self, values: Sequence[T], most: int) -> list[T]:
        """Different values, this share of the most; one at least."""
        return self.sample(values, max(1, round(most * self._share)))


def all_mutations(model: Path, seed: int, share: float) -> Iterator[Mutation]:
    """Every kind of change; of those that are drawn, this share."""
    chance = Chance(seed, share)
    yield Mutation("nothing", "same", lambda _: None)
    yield from of_files(model, chance)
    yield from of_strangers()
    yield from of_description(model, chance)
    yield from of_columns(model, chance)
    yield from of_schema(model, chance)
    yield from of_archive(model)
    yield from harms()


def of_files(model: Path, chance: Chance) -> Iterator[Mutation]:
    """What may become of any file."""
    for path in sorted(each for each in model.rglob("*") if each.is_file()):
        name = str(path.relative_to(model))
        is_read = name in READ
        content = path.read_bytes()
        odd: Outcome = "same or refused" if is_read else "same"
        gone: Outcome = "refused" if is_read and name != "MLmodel" else "same"
        contents = {
            "empty": b"",
            "cut": content[: chance.randrange(len(content) or 1)],
            "code": CODE.encode(),
            "a pickle": pickle.dumps(Trap()),
            **{f"flipped {n}": flip(content, chance) for n in range(6 if is_read else 1)},
        }
        # A flipped bit of these may make another number, which is as good as this one.
        flipped: Outcome = "any" if name == "hpo_columns.json" else odd
        for what, changed in contents.items():
            outcome = flipped if what.startswith("flipped") else odd
            yield Mutation(f"{name} {what}", outcome, writing(name, changed))
        changes: dict[str, Callable[[Path], object]] = {
            "a directory": lambda place: place.mkdir(),
            "a pipe": os.mkfifo,
            "a link to a secret": lambda place: place.symlink_to(f"../{SECRET}"),
            "a link to zeros": lambda place: place.symlink_to("/dev/zero"),
            "a link to itself": lambda place: place.symlink_to(place.name),
            "a link to the same outside": link_outside,
            "huge": lambda place: os.truncate(os.open(place, os.O_CREAT | os.O_WRONLY), 2**40),
        }
        yield Mutation(f"{name} gone", gone, lambda copied, name=name: (copied / name).unlink())
        for what, change in changes.items():
            outcome = "refused" if is_read else "same"
            yield Mutation(f"{name} {what}", outcome, replacing(name, change))


def of_strangers() -> Iterator[Mutation]:
    """Files that the model did not have, where something may look for them."""
    for name in ("canary", "hpo", "sklearn", "numpy", "yaml", "sitecustomize", "os"):
        for place in (f"{name}.py", f"code/{name}.py", f"code/{name}/__init__.py"):
            yield Mutation(f"{place} added", "same", writing(place, CODE.encode()))
    for name in ("model.pkl", "python_model.pkl", "data/model.pkl"):
        yield Mutation(f"{name} added", "same", writing(name, pickle.dumps(Trap())))


def of_description(model: Path, chance: Chance) -> Iterator[Mutation]:
    """Each value of ``MLmodel`` replaced: what MLflow acts on by more payloads than the rest."""
    said = yaml.safe_load((model / "MLmodel").read_text())
    for trail in trails(said):
        for payload in chance.some(PAYLOADS, len(PAYLOADS) if trail[0] == "flavors" else 3):
            changed = yaml.safe_dump(put(said, trail, payload))
            name = f"MLmodel {'.'.join(map(str, trail))} = {payload!r}"
            yield Mutation(name, "same or refused", writing("MLmodel", changed.encode()))
    text = (model / "MLmodel").read_text()
    bomb = "".join(
        f"a{n}: &a{n} {{{', '.join(f'<<: *a{n - 1}' for _ in range(9))}}}\n" for n in range(1, 12)
    )
    for name, more in {
        "a tag that calls": f"evil: !!python/object/apply:os.system ['touch {MARK}']\n",
        "a tag that imports": "evil: !!python/module:canary\n",
        "merge keys that grow": f"a0: &a0 {{x: 1}}\n{bomb}",
        "a second flavours": "flavors: {python_function: {loader_module: canary}}\n",
        "deep": f"deep: {'[' * 5000}{']' * 5000}\n",
    }.items():
        yield Mutation(
            f"MLmodel {name}", "same or refused", writing("MLmodel", f"{text}{more}".encode())
        )


def of_columns(model: Path, chance: Chance) -> Iterator[Mutation]:
    said = json.loads((model / "hpo_columns.json").read_text())
    for trail in trails(said):
        for payload in chance.some(PAYLOADS, 5):
            changed = json.dumps(put(said, trail, payload)).encode()
            name = f"hpo_columns.json {'.'.join(map(str, trail))} = {payload!r}"
            yield Mutation(name, "any", writing("hpo_columns.json", changed))


def of_schema(model: Path, chance: Chance) -> Iterator[Mutation]:
    """Nodes of ``schema.json`` that name another class, loader, file or content."""
    with zipfile.ZipFile(model / "model.skops") as archive:
        schema = json.loads(archive.read("schema.json"))
    nodes = [trail for trail in trails(schema, whole=True) if trail and trail[-1] == "__loader__"]
    loaders = sorted({name for name, _ in NODE_TYPE_MAPPING})

    def mutated(name: str, trail: tuple[Any, ...], value: Any) -> Mutation:
        changed = json.dumps(put(schema, trail, value)).encode()
        label = f"schema {'.'.join(map(str, trail))[-60:]} {name}"
        return Mutation(label, "any", rezipping({"schema.json": changed}))

    for trail in chance.some(nodes, 40):
        node = trail[:-1]
        yield mutated("loader", trail, chance.choice(loaders))
        module, kind = chance.choice(NAMES)
        changed = {**get(schema, node), "__module__": module, "__class__": kind}
        yield mutated(f"is {module}.{kind}", node, changed)
        yield mutated(f"is {module}.{kind} by another loader", node, {
            **changed, "__loader__": chance.choice(loaders)
        })  # fmt: skip
        name, attack = chance.choice(list(attacks().items()))
        yield mutated(f"is {name}", node, attack)
        yield mutated("is a payload", node, chance.choice(PAYLOADS))
    texts = [trail for trail in trails(schema) if trail[-1] == "content"]
    for trail in chance.some(texts, 80):
        value = chance.choice(VALUES)
        yield mutated(f"= {value}", trail, value)
    for name, attack in attacks().items():
        yield mutated(f"is {name}", ("content", "content", "steps", "content", 0), attack)
        yield mutated(f"is {name}", (), {**attack, "protocol": 2})
    files = [trail for trail in trails(schema) if trail[-1] == "file"]
    for value in ("../../secret.txt", "/etc/passwd", "schema.json", "", None, ["schema.json"]):
        yield mutated(f"= {value!r}", chance.choice(files), value)
    for value in (0, 1, -1, 99, True, "2", None, 2.5):
        yield mutated(f"= {value!r}", ("protocol",), value)
    for trail, value in settings(schema, nodes, f"{model.parent}/cache"):
        change = mutated(f"= {value}", trail, value)
        yield Mutation(change.name, "refused", change.apply)


def settings(
    schema: Any, nodes: list[tuple[Any, ...]], cache: str
) -> Iterator[tuple[tuple[Any, ...], str]]:
    """The settings with which a model would start processes, write or read files, or hang."""
    for trail in nodes:
        attributes = get(schema, trail[:-1]).get("content")
        if isinstance(attributes, dict) and isinstance(attributes.get("content"), dict):
            values = {
                "n_jobs": "4",
                "memory": json.dumps(cache),
                "input": '"filename"',
                "token_pattern": json.dumps(r"(\w+\s?)+$"),
                "analyzer": '"char_wb"',
                "stop_words": '"english"',
            }
            for setting in values.keys() & attributes["content"].keys():
                yield (*trail[:-1], "content", "content", setting, "content"), values[setting]


def of_archive(model: Path) -> Iterator[Mutation]:
    """Members, their names and sizes, and what is in an array's file."""
    with zipfile.ZipFile(model / "model.skops") as archive:
        arrays = [name for name in archive.namelist() if name.endswith(".npy")]
    for name in (
        f"../../{MARK}",
        f"/tmp/{MARK}",
        "canary.py",
        "..",
        "a/../b.npy",
        "C:\\x.npy",
        "é",
    ):
        yield Mutation(f"member {name} added", "refused", rezipping({name: CODE.encode()}))
    as_object, as_numbers = io.BytesIO(), io.BytesIO()
    np.save(as_object, np.array([Trap()], dtype=object), allow_pickle=True)
    np.save(as_numbers, np.zeros(3))
    magic = np.lib.format.magic(1, 0)
    contents = {
        "an array of objects": as_object.getvalue(),
        "a pickle": pickle.dumps(Trap()),
        "other numbers": as_numbers.getvalue(),
        "an archive": (model / "model.skops").read_bytes(),
        **{
            f"header {text}": magic + len(text).to_bytes(2, "little") + text.encode()
            for text in (
                "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}\n",
                "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n",
                f"__import__('os').system('touch {MARK}')\n",
                "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (-1,)}\n",
                "{'descr': '<f8', 'fortran_order': False, 'shape': (",
            )
        },
    }
    for array in arrays[:6]:
        for what, content in contents.items():
            yield Mutation(f"{array} is {what}", "any", rezipping({array: content}))
        yield Mutation(f"{array} gone", "refused", rezipping({array: None}))
    yield Mutation("says it is huge", "refused", say_huge)
    yield Mutation("many members", "refused", rezipping({f"{n}x": b"" for n in range(300)}))
    for kind in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        yield Mutation(f"compressed by {kind}", "refused", rezipping({}, kind))
    yield Mutation("compressed", "same", rezipping({}, zipfile.ZIP_DEFLATED))


def harms() -> Iterator[Mutation]:
    """What MLflow's own loader runs."""

    def name_a_module(copied: Path) -> None:
        said = yaml.safe_load((copied / "MLmodel").read_text())
        said = put(said, ("flavors", "python_function", "loader_module"), "canary")
        (copied / "MLmodel").write_text(yaml.safe_dump(said))
        (copied / "code/canary.py").write_text(CODE)

    def name_a_pickle(copied: Path) -> None:
        said = yaml.safe_load((copied / "MLmodel").read_text())
        for trail, value in {
            ("flavors", "python_function", "loader_module"): "mlflow.sklearn",
            ("flavors", "sklearn", "pickled_model"): "model.pkl",
            ("flavors", "python_function", "model_path"): "model.pkl",
            ("flavors", "sklearn", "serialization_format"): "cloudpickle",
        }.items():
            said = put(said, trail, value)
        (copied / "MLmodel").write_text(yaml.safe_dump(said))
        (copied / "model.pkl").write_bytes(pickle.dumps(Trap()))

    yield Mutation("names a module", "refused", name_a_module)
    yield Mutation("names a pickle", "refused", name_a_pickle)


def attacks() -> dict[str, dict[str, Any]]:
    """Nodes with which a file that is trusted as a whole runs what it likes."""

    def node(loader: str, module: str, kind: str, **more: Any) -> dict[str, Any]:
        return {"__loader__": loader, "__module__": module, "__class__": kind, **more}

    command = node("JsonNode", "builtins", "str", content=json.dumps(f"touch {MARK}"))
    arguments = node("TupleNode", "builtins", "tuple", content=[command])
    nothing = node("DictNode", "builtins", "dict", content={}, key_types=node("ListNode", "builtins", "list", content=[]))  # fmt: skip
    system = node("FunctionNode", "posix", "system")
    calling = node("ListNode", "builtins", "list", content=[system])
    return {
        "a constructor": node("ConstructorFromReduceNode", "posix", "system", content=arguments),
        "a reduced object": node("ReduceNode", "posix", "system", reduce={"args": arguments}),
        "an operator": node("OperatorFuncNode", "operator", "methodcaller", attrs=arguments),
        "a function": system,
        "a type": node("TypeNode", "canary", "Trap"),
        "a partial": node("PartialNode", "functools", "partial", content={
            "func": system, "args": arguments, "kwds": nothing, "namespace": nothing}),
        "a method": node("MethodNode", "builtins", "dict", content={"func": "pop", "obj": nothing}),
        "keys that are called": node("DictNode", "builtins", "dict", key_types=calling, content={
            f"touch {MARK}": command}),
        "a cached object": node("CachedNode", "builtins", "list", __id__=1),
        "a random state": node("RandomGeneratorNode", "numpy.random", "Generator", content={
            "bit_generator": nothing, "seed_seq": nothing}),
        "a list of another class": node("ListNode", "subprocess", "Popen", content=[command]),
    }  # fmt: skip


def flip(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(min(len(content), 3)):
        changed[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(changed)


def writing(name: str, content: bytes) -> Callable[[Path], object]:
    def write(copied: Path) -> None:
        (copied / name).parent.mkdir(parents=True, exist_ok=True)
        (copied / name).write_bytes(content)

    return write


def replacing(name: str, change: Callable[[Path], object]) -> Callable[[Path], object]:
    def replace(copied: Path) -> None:
        shutil.copy(copied / name, copied.parent / f"{Path(name).name}.outside")
        (copied / name).unlink()
        change(copied / name)

    return replace


def link_outside(place: Path) -> None:
    root = next(each for each in place.parents if (each / "code").is_dir())
    place.symlink_to(root.parent / f"{place.name}.outside")


def rezipping(
    changed: dict[str, bytes | None], compression: int = zipfile.ZIP_STORED
) -> Callable[[Path], object]:
    """Writes the archive again, with sound checksums."""

    def rezip(copied: Path) -> None:
        with zipfile.ZipFile(copied / "model.skops") as archive:
            members: dict[str, bytes | None] = {
                name: archive.read(name) for name in archive.namelist()
            }
        members.update(changed)
        with zipfile.ZipFile(copied / "model.skops", "w", compression) as archive:
            for name, content in members.items():
                if content is not None:
                    archive.writestr(name, content)

    return rezip


def say_huge(copied: Path) -> None:
    """A small archive that says to unpack to a lot."""
    with zipfile.ZipFile(copied / "model.skops", "a") as archive:
        archive.writestr("0.npy", b"")
        archive.getinfo("0.npy").file_size = 2**40


def trails(value: Any, *, whole: bool = False, before: tuple[Any, ...] = ()) -> list[Any]:
    """The way to every value, or only to those that hold no others."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    found = [before] if whole or not items else []
    for key, inner in items:
        found += trails(inner, whole=whole, before=(*before, key))
    return found


def get(value: Any, trail: tuple[Any, ...]) -> Any:
    for key in trail:
        value = value[key]
    return value


def put(value: Any, trail: tuple[Any, ...], new: Any) -> Any:
    if not trail:
        return new
    changed = copy.deepcopy(value)
    get(changed, trail[:-1])[trail[-1]] = new
    return changed
