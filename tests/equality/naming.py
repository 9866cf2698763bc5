"""Gives a name to everything that two equal runs cannot share: ids, places, times.

Nothing is dropped for being different: a run id becomes the name of its run, wherever it stands, so
a link to the wrong run still shows. Only what has a name here is replaced.
"""

from __future__ import annotations

import json
import re
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

DURATIONS = (
    (re.compile(r'("(?:search|total)": )(?!0\.0\b)\d[\d.e+-]*'), r"\1<seconds>"),
    (re.compile(r"\d[\d.e+-]* ms a fold"), "<milliseconds> a fold"),
    (re.compile(r"about \d[\d.e+-]* s for the search"), "about <seconds> for the search"),
)
"""Durations that a command prints. A search of exactly no time had nothing to do, so it stays."""

PROGRESS = re.compile(r"hpo: \d+ of \d+ trials.*; MLflow has \d+\n")
"""The line a minute that a run longer than that prints."""

MLMODEL = (
    (re.compile(r"(model_size_bytes: )[1-9]\d*"), r"\1<size>"),
    (re.compile(r"(model_uuid: )[0-9a-f]{32}"), r"\1<uuid>"),
    (re.compile(r"(utc_time_created: )'[\d :.-]+'"), r"\1<time>"),
)
"""The size counts the digits of object ids in ``model.skops``."""

SETS = ("text", "thousands", "decimal_comma")
"""Of ``hpo_columns.json``; the order of its other lists is that of the features."""


class Names:
    """Values that differ between two runs, and what they are called."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._pattern = re.compile("(?!)")

    def call(self, value: object, name: str) -> None:
        """Call a value by a name from now on; the first name stays."""
        self._names.setdefault(str(value), f"<{name}>")
        longest_first = sorted(self._names, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def apply(self, text: str) -> str:
        """A text with every known value replaced by its name."""
        return self._pattern.sub(lambda match: self._names[match[0]], text)


def printed(text: str) -> str:
    """What a command printed, without the time it took."""
    for pattern, name in DURATIONS:
        text = pattern.sub(name, text)
    return PROGRESS.sub("", text)


def read_artifact(path: Path) -> str:
    """The content of an artifact as it compares; of pictures and pages, that there is some."""
    if path.suffix in {".png", ".html"}:
        return "not empty" if path.stat().st_size else "empty"
    if path.suffix == ".skops":
        return _read_skops(path)
    text = path.read_text(encoding="utf-8")
    if path.name == "optuna_journal.log":
        return "\n".join(map(_read_journal_line, text.splitlines()))
    if path.name == "hpo_columns.json":
        columns = json.loads(text)
        # Sets: their order is that of the process's random hashes.
        sets = {name: sorted(columns[name]) for name in SETS if name in columns}
        return json.dumps({**columns, **sets})
    if path.name == "traceback.txt":
        return last_line(text)
    if path.name == "MLmodel":
        for pattern, name in MLMODEL:
            text = pattern.sub(name, text)
    return text


def last_line(traceback: str) -> str:
    """What was raised; where from is another line in a file that moved."""
    return traceback.rstrip().rpartition("\n")[2]


def judged(attributes: dict[str, Any]) -> dict[str, Any]:
    """A trial's user attributes, of its traceback the last line."""
    return {
        name: last_line(value) if name == "hpo.traceback" else value
        for name, value in attributes.items()
    }


def _read_skops(path: Path) -> str:
    """A model, its arrays by their digest instead of by a memory address."""
    with zipfile.ZipFile(path) as archive:
        digests = {
            name: sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if name.endswith(".npy")
        }
        schema = json.loads(archive.read("schema.json"))
    return json.dumps(_without_addresses(schema, digests), indent=1)


def _without_addresses(node: Any, digests: dict[str, str]) -> Any:
    if isinstance(node, list):
        return [_without_addresses(child, digests) for child in node]
    if isinstance(node, dict):
        return {
            key: digests.get(value, value) if key == "file" else _without_addresses(value, digests)
            for key, value in node.items()
            if key != "__id__"
        }
    return node


def _read_journal_line(line: str) -> str:
    """A line of Optuna's journal, its worker and its times by name."""
    entry = json.loads(line)
    for key in ("worker_id", "datetime_start", "datetime_complete"):
        if entry.get(key) is not None:
            entry[key] = f"<{key}>"
    if "user_attrs" in entry:
        entry["user_attrs"] = judged(entry["user_attrs"])
    return json.dumps(entry)
