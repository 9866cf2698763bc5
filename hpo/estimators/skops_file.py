"""Reads a skops file that may be somebody else's: it holds what our models hold, or is refused.

skops itself trusts every estimator and some functions, and finds the classes it is told of by
importing their modules. Here the kinds of nodes, their classes, the names and sizes of the members
and the settings that start processes or write files are looked at first, in the schema, which is
plain JSON.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import skops.io

from hpo.errors import DefinitionError, ModelError
from hpo.escaping import name as shown
from hpo.estimators import (
    decision,
    named,  # noqa: F401 - reading a file is to import nothing more
)
from hpo.estimators.class_arguments import why_missing
from hpo.estimators.free_text import VECTORIZER, check_vectorizer
from hpo.estimators.loaded_trees import check_tree_node
from hpo.estimators.preprocessing import SAVED_TYPES, TRUSTED_TYPES
from hpo.estimators.recipe import Recipe
from hpo.estimators.recipes import find_recipe

MAX_BYTES = 2**29
"""Of all that is read of a model, unpacked: a coefficient takes 8, a category 100."""

MAX_SHOWN = 10
"""Types that an error names."""

_SCHEMA = "schema.json"
_MEMBER = re.compile(r"[0-9]+\.npy")
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

_SCALARS = {
    f"numpy.{kind.__name__}"
    for kind in np.sctypeDict.values()
    if issubclass(kind, np.number | np.bool_ | np.str_)
}
_CLASSES_OF_NODE = {
    "DTypeNode": {"numpy.dtype"},
    "DictNode": {"builtins.dict"},
    "JsonNode": {"builtins.str"},
    "ListNode": {"builtins.list"},
    "NdArrayNode": {"numpy.ndarray", *_SCALARS},
    "ObjectNode": {*SAVED_TYPES, *TRUSTED_TYPES, *decision.SAVED_TYPES, *decision.TRUSTED_TYPES},
    "SliceNode": {"builtins.slice"},
    "TupleNode": {"builtins.tuple"},
    "TypeNode": {"builtins.bool", "builtins.float", "builtins.int", "builtins.str", *_SCALARS},
}
"""The nodes of preprocessing and plain values, and the classes of each kind."""

_MADE_ANEW = ("DTypeNode", "RandomGeneratorNode", "RandomStateNode")
"""Nodes whose arrays are made each time that the object is saved."""

_HARMLESS = {"n_jobs": ("null", "1"), "memory": ("null",)}
"""What settings may be: with others predicting would start processes or write files."""


def read_skops(content: bytes) -> Any:
    """Load a file's content.

    Raises:
        ModelError: It holds what no model of ours holds; nothing of it was run.
        Exception: Of many kinds, where it is damaged.
    """
    # No file can add to these.
    recipe = check_skops(content)
    of_recipe = recipe.trusted_types if recipe else ()
    trusted = [*TRUSTED_TYPES, *decision.TRUSTED_TYPES, *of_recipe]
    return skops.io.loads(content, trusted=trusted)


def check_skops(content: bytes) -> Recipe | None:
    """Refuse, without loading anything, what no model of ours holds.

    Returns:
        The recipe of its estimator; None where it has none.

    Raises:
        ModelError: A type is not trusted, or the file is not as ours are.
        Exception: Of many kinds, where it is damaged.
    """
    nodes = check_archive(content)
    estimator = _find_estimator(nodes[0])
    recipe = _recipe_of(estimator)
    # What one family is made of has no place in the model of another.
    of_family = () if recipe is None else recipe.saved_types
    strange = set()
    for node in nodes:
        kind, name = node["__loader__"], f"{node['__module__']}.{node['__class__']}"
        is_known = name in _CLASSES_OF_NODE.get(kind, ()) or (kind, name) in of_family
        # The estimator is there twice where its probabilities are mended.
        if not is_known and not (recipe and node.get("__id__") == estimator.get("__id__")):
            strange.add(name)
        if name == VECTORIZER:
            check_vectorizer(_attributes(node))
    if strange:
        names = sorted(map(shown, strange))[:MAX_SHOWN]
        raise ModelError(
            f"model: it holds types that are not trusted: {names}",
            hint="nothing of it was run",
        )
    if recipe and (problem := recipe.package and why_missing(recipe.package)):
        raise ModelError(f"model: it needs {problem}", hint=f"pip install hpo[{recipe.package}]")
    return recipe


def _check_repeated(nodes: Iterable[dict[str, Any]]) -> None:
    """Refuse two nodes of one identity that differ: skops takes the first for both."""
    known: dict[Any, dict[str, Any]] = {}
    for node in nodes:
        if "__id__" in node and not _is_same(known.setdefault(node["__id__"], node), node):
            raise ModelError(
                "model: two of its parts that should be one differ", hint="nothing of it was run"
            )


def _is_same(one: Any, other: Any) -> bool:
    """Whether two nodes say the same, whatever identity skops gave what it made to save them."""
    if one is other:
        return True
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if not isinstance(one, dict) or not isinstance(other, dict):
        return bool(one == other)
    if one.get("__loader__") in _MADE_ANEW and one["__loader__"] == other.get("__loader__"):
        return True
    return one.keys() == other.keys() and all(
        _is_same(one[key], other[key]) for key in one if key != "__id__"
    )


def _find_estimator(schema: dict[str, Any]) -> dict[str, Any]:
    """The last step of a pipeline, or what stands alone, within a decision."""
    for path in decision.AROUND:
        if f"{schema['__module__']}.{schema['__class__']}" == path:
            schema = schema["content"]["content"]["estimator"]
    if schema["__class__"] != "Pipeline":
        return schema
    steps: list[dict[str, Any]] = schema["content"]["content"]["steps"]["content"]
    estimator: dict[str, Any] = steps[-1]["content"][1]
    return estimator


def _recipe_of(estimator: dict[str, Any]) -> Recipe | None:
    """The recipe of a class; one that cannot be searched is in no model of ours."""
    is_ours = str(estimator["__module__"]).partition(".")[0] in {"sklearn", "hpo"}
    if estimator["__loader__"] != "ObjectNode" or not is_ours:
        return None
    with suppress(DefinitionError):
        recipe = find_recipe(estimator["__class__"])
        path = f"{estimator['__module__']}.{estimator['__class__']}"
        return recipe if recipe is not None and recipe.is_of(path) else None
    return None


def check_archive(content: bytes) -> list[dict[str, Any]]:
    """Refuse an archive of odd members, or of objects that would start processes or write files.

    Returns:
        The nodes of its schema, the whole first; their types are not looked at.

    Raises:
        ModelError: It is not as ours are.
        Exception: Of many kinds, where it is damaged.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sizes = _member_sizes(archive)
        nodes = list(_iter_nodes(json.loads(archive.read(_SCHEMA))))
        for node in nodes:
            if node["__loader__"] == "TreeNode":
                check_tree_node(node, archive)
    _check_repeated(nodes)
    for node in nodes:
        if node["__loader__"] == "ObjectNode":
            _check_settings(f"{node['__module__']}.{node['__class__']}", node)
    # A member that is named twice is read twice.
    _check_size(sum(sizes[node["file"]] for node in nodes if "file" in node))
    return nodes


def _member_sizes(archive: zipfile.ZipFile) -> dict[str, int]:
    """Give the size of each member, unpacked.

    Raises:
        ModelError: A member has a name or a size that none of ours has.
    """
    members = archive.infolist()
    _check_size(sum(member.file_size for member in members))
    for member in members:
        is_named = member.filename == _SCHEMA or _MEMBER.fullmatch(member.filename)
        if not is_named or member.compress_type not in _COMPRESSIONS:
            raise ModelError(
                f"model: it holds a member that no model of ours has: '{member.filename[:100]}'",
                hint="nothing of it was run",
            )
    return {member.filename: member.file_size for member in members}


def _check_size(n_bytes: int) -> None:
    if n_bytes > MAX_BYTES:
        raise ModelError(
            f"model: it should unpack to {MAX_BYTES} bytes at most, but got {n_bytes}",
            hint="nothing of it was run",
        )


def _iter_nodes(schema: Any) -> Iterator[dict[str, Any]]:
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("__loader__"), str):  # else a word of a text
                yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _attributes(node: dict[str, Any]) -> dict[str, Any]:
    """Name to node; a value without attributes has none."""
    state = node.get("content") or {}
    attributes = state.get("content") if isinstance(state, dict) else None
    return attributes if isinstance(attributes, dict) else {}


def _check_settings(name: str, node: dict[str, Any]) -> None:
    attributes = _attributes(node)
    for setting, allowed in _HARMLESS.items():
        value = attributes.get(setting, {"content": "null"})["content"]
        if value not in allowed:
            raise ModelError(
                f"model: {setting} of {name} should be {' or '.join(allowed)},"
                f" but got {str(value)[:100]}",
                hint="nothing of it was run",
            )
