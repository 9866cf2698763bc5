"""Records as MLflow's entities, cut to the lengths that it takes."""

import json
from collections.abc import Mapping
from itertools import accumulate

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

from hpo.escaping import hide_passwords, show
from hpo.tracking import keys
from hpo.tracking.run_records import DatasetRecord

PARAM_LENGTH = 6000
NAME_LENGTH = 500
SCHEMA_LENGTH = 1_000_000
"""Of a table's columns as JSON."""
TAG_LENGTH = 8000


def make_metrics(metrics: Mapping[str, float], time_ms: int, step: int = 0) -> list[Metric]:
    """One point of each metric, at one time and step."""
    return [Metric(name, value, time_ms, step) for name, value in metrics.items()]


def make_text(text: str, length: int | None = None) -> str:
    """Text of any source as the value of a param or tag: no longer than MLflow takes.

    What a database refuses (NUL, halves of characters) or a page would not show is escaped, and
    passwords of URLs are hidden; lines stay lines.
    """
    return "\n".join(map(show, text.split("\n")))[:length]


def make_params(params: Mapping[str, str]) -> list[Param]:
    """Params, each no longer than MLflow takes."""
    return [Param(name, make_text(value, PARAM_LENGTH)) for name, value in params.items()]


def make_tags(tags: Mapping[str, str]) -> list[RunTag]:
    """Tags, each no longer than MLflow takes."""
    # A description is rendered, and what a person added to it stays as it is.
    return [
        RunTag(
            name,
            value[:TAG_LENGTH] if name == keys.DESCRIPTION else make_text(value, TAG_LENGTH),
        )
        for name, value in tags.items()
    ]


def make_dataset_input(record: DatasetRecord) -> DatasetInput:
    """The table that a run was trained on."""
    columns = [
        {"type": kind, "name": name, "required": True} for name, kind in record.columns.items()
    ]
    profile = {"num_rows": record.n_rows, "num_elements": record.n_rows * len(columns)}
    tags = [InputTag(keys.DATASET_CONTEXT, "training")]
    # MLflow refuses a longer schema; the artifact has all columns.
    ends = accumulate(len(json.dumps(column)) + 2 for column in columns)
    n_shown = sum(end < SCHEMA_LENGTH for end in ends)
    if n_shown < len(columns):
        shown = f"the first {n_shown} of {len(columns)}; all are in {keys.COLUMN_KINDS_FILE}"
        tags.append(InputTag(keys.COLUMNS, shown))
    dataset = Dataset(
        name=make_text(record.name, NAME_LENGTH),
        digest=record.digest,
        source_type="local",
        source=json.dumps({"uri": hide_passwords(record.source)}),
        schema=json.dumps({"mlflow_colspec": columns[:n_shown]}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, tags=tags)
