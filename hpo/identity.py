"""The identity of a definition: the keys that may not change while a study goes on.

Two runs with the same identity continue one study. Everything belongs to the identity but the
study's name, its stop rules, where the data lies (the data's own digest stands for that), and what
changes no trial: the rule that chooses among them, and nested searches. Which labels are gaps and
what becomes of rare classes shows in the data's digest too. The limits of a fit are no part of it
either: they are raised for a study that is stuck, and a trial that one ended says which. Of a
decision only the cost is, and that where trials are scored by it.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from hpo.decision_section import COST

STOP_RULES = frozenset(
    {"study.n_trials", "study.timeout_seconds", "study.patience", "study.max_failed"}
)

NOT_IDENTITY = STOP_RULES | {
    "study.name",
    "study.nested",
    "data.source",
    "data.keep_labels",
    "data.rare",
    "limits.fit_seconds",
    "limits.fit_memory",
    "selection.rule",
    "selection.refit",
    "registry.rule",
}

VALUES_BEFORE: Mapping[str, tuple[Any, ...]] = {
    "data.positive": (None,),
    "data.text": (None, []),
    "data.time": (None,),
    "cv.gap": (0,),
    "preprocessing.max_words": (1000,),
    "estimator.name": (None, "LogisticRegression"),
    "estimator.rule": (None, 1),
}
"""Keys that older studies do not have, with the values that those have in effect.

With such a value a key is not part of the identity.
"""


def identity_of(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten the part of a definition that belongs to the identity.

    Args:
        definition: Section to key to plain value.

    Returns:
        Dotted key to plain value, for example ``{"search_space.C.low": 1e-4}``.
    """
    decision = definition.get("decision", {})
    study = definition["study"]
    is_scored = COST in (study["metric"], *study["metrics"])
    definition = {**definition, "decision": {"cost": decision["cost"]} if is_scored else {}}
    return {
        key: value
        for key, value in _flatten(definition).items()
        if key not in NOT_IDENTITY and value not in VALUES_BEFORE.get(key, ())
    }


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of a nested dict, each under the keys that lead to it, joined by dots."""
    if not isinstance(value, dict):
        return {prefix: value}
    parts = (_flatten(inner, f"{prefix}.{key}".lstrip(".")) for key, inner in value.items())
    return {key: leaf for part in parts for key, leaf in part.items()}


def digest_of(identity: Mapping[str, Any]) -> str:
    """A short hexadecimal digest of :meth:`StudyDefinition.identity`."""
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
