"""What is looked at in a skops file before anything of it is made."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from hpo.errors import ModelError
from hpo.estimators.skops_file import read_skops

X = np.arange(20.0).reshape(10, 2)
y = np.arange(10) % 2

Nodes = list[dict[str, Any]]
Members = dict[str, bytes]


def nodes_of(value: Any) -> Nodes:
    """All nodes of a schema, the outer ones first."""
    if isinstance(value, list):
        return [node for inner in value for node in nodes_of(inner)]
    if not isinstance(value, dict):
        return []
    return [value] * ("__loader__" in value) + [n for v in value.values() for n in nodes_of(v)]


def changed(model: Any, change: Callable[[Nodes, Members], None]) -> bytes:
    """The file of a model, with changes in its schema or its arrays."""
    pipeline = Pipeline([("scale", StandardScaler().fit(X)), ("model", model.fit(X, y))])
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(pipeline))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members["schema.json"])
    change(nodes_of(schema), members)
    members["schema.json"] = json.dumps(schema).encode()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return written.getvalue()


def tree_of(nodes: Nodes) -> tuple[Nodes, dict[str, Any]]:
    """The arguments that a tree is made with, and its state."""
    (tree,) = (node for node in nodes if node["__loader__"] == "TreeNode")
    return tree["__reduce__"]["args"]["content"], tree["content"]["content"]


def put(members: Members, node: dict[str, Any], array: np.ndarray) -> None:
    written = io.BytesIO()
    np.save(written, array)
    members[node["file"]] = written.getvalue()


def without_rows(nodes: Nodes, members: Members) -> None:
    put(members, tree_of(nodes)[1]["nodes"], np.array(1.0))


def without_classes(nodes: Nodes, members: Members) -> None:
    put(members, tree_of(nodes)[0][1], np.zeros(0, dtype=np.int64))


def with_many_outputs(nodes: Nodes, _: Members) -> None:
    tree_of(nodes)[0][2] |= {"content": "100000000", "__id__": 1}


@pytest.mark.parametrize("change", [without_rows, without_classes, with_many_outputs])
def test_tree_that_would_be_read_out_of_bounds_is_never_made(
    change: Callable[[Nodes, Members], None],
) -> None:
    with pytest.raises(ModelError, match="a tree should have one output and arrays of its own"):
        read_skops(changed(DecisionTreeClassifier(), change))


def test_two_values_of_one_identity_are_refused() -> None:
    """The first is loaded for both: what is looked at would be another value."""

    def hide_n_jobs(nodes: Nodes, _: Members) -> None:
        (neighbors,) = (each for each in nodes if each["__class__"] == "KNeighborsClassifier")
        state = neighbors["content"]["content"]
        state["n_neighbors"]["__id__"] = state["n_jobs"]["__id__"] = 1
        state["n_neighbors"]["content"] = "4"

    with pytest.raises(ModelError, match="two of its parts that should be one differ"):
        read_skops(changed(KNeighborsClassifier(), hide_n_jobs))


def test_unchanged_file_is_read() -> None:
    for model in (KNeighborsClassifier(), DecisionTreeClassifier()):
        loaded = read_skops(changed(model, lambda *_: None))
        assert (loaded.predict(X) == model.predict(StandardScaler().fit_transform(X))).all()
