"""The model card: what a person who did not make the model should know before it is used, in Markdown.

Says nothing that the report, the definition and the data do not say: it puts them in words (Mitchell et al. 2019, "Model Cards for
Model Reporting", FAT*). The model's URI is not known when it is written: ``names.MODEL_URI_MARK`` stands for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from hpo.data import Dataset
from hpo.definition import StudyDefinition
from hpo.report import StudyResult, describe_gain, describe_optimism, describe_ties
from hpo.tracking.names import MODEL_URI_MARK

MAX_ROWS = 50
"""Columns, classes and params that are listed."""

_TREATMENT = {
    "numeric": "a gap becomes the median and an indicator; scaled",
    "boolean": "a gap becomes the commonest; scaled",
    "categorical": "a column a category; a gap is one, rare and unseen ones are pooled",
    "datetime": "year, month, day, day of the week, hour; scaled",
}


def make_card(result: StudyResult, definition: StudyDefinition, dataset: Dataset) -> str:
    """The card's text.

    Args:
        result: What is known of study and model.
        definition: What was searched.
        dataset: The rows.
    """
    labels, counts = np.unique(np.concatenate([dataset.y_train, dataset.y_test]), return_counts=True)
    n_train, n_test, cv = len(dataset.y_train), len(dataset.y_test), definition.cv
    n_folds = f"{cv.n_splits} folds" + (f" repeated {cv.n_repeats} times" if cv.n_repeats > 1 else "")
    kinds = [(name, kind) for kind, names in result.columns.items() for name in names]
    space = definition.search_space.model_dump(mode="json", exclude_none=True)
    parts = [
        f"# {result.study}: a model card",
        (
            f"Logistic regression that tells {_code(dataset.target)}, one of {len(labels)} classes, from {len(kinds)} columns. "
            f"Its hyperparameters were searched by hpo; {_fitted(result, n_train, n_test)}"
        ),
        "## How good it is",
        _table(("score", "on", "value", "95 % interval"), _scores(result, n_folds)),
        "\n".join(
            f"- {line}"
            for line in (
                f"Gain over scikit-learn's defaults: {describe_gain(result.gain, result.n_holdout_rows)}.",
                f"Optimism: {describe_optimism(result.optimism)}.",
                f"Ties: {describe_ties(result.n_ties, result.n_trials['complete'])}.",
            )
        ),
        "## Limits",
        "\n".join(f"- {line}" for line in _limits(result, dataset.target, labels, counts)),
        "## Data",
        f"{_code(dataset.name)}, digest `{dataset.digest}`: {n_train} training rows and {n_test} held-out ones.",
        _table(
            ("class", "rows", "share"),
            [(_code(name), n, f"{n / counts.sum():.1%}") for name, n in zip(labels, counts, strict=True)],
        ),
        _table(("column", "kind", "what is done with it"), [(_code(name), kind, _TREATMENT[kind]) for name, kind in kinds]),
        *(["Of the table:", "\n".join(f"- {note}" for note in result.notes)] if result.notes else []),
        "## Search",
        (
            f"{', '.join(f'{n} {state}' for state, n in result.n_trials.items())} trials of the sampler {definition.sampler.kind}, "
            f"seed {definition.study.seed}, judged by {result.metric} on {n_folds}. Chosen: trial {result.best_number}, by "
            f"the rule `{result.rule}`."
        ),
        _table(
            ("param", "searched", "chosen"),
            [(_code(name), _searched(space.get(name)), _code(value)) for name, value in result.best_params.items()],
        ),
        "## Use",
        f"```sh\npython -m hpo.predict {MODEL_URI_MARK} rows.csv\nmlflow models serve -m {MODEL_URI_MARK} --env-manager local\n```",
        (
            "The first converts and checks a table as the training rows were; the second takes rows in the types of the model's "
            "signature. `MLFLOW_TRACKING_URI` says where MLflow is. In Python:"
        ),
        f'```python\nimport mlflow\n\nmodel = mlflow.sklearn.load_model("{MODEL_URI_MARK}")\nmodel.predict_proba(rows)\n```',
    ]
    return "\n\n".join(parts) + "\n"


def _fitted(result: StudyResult, n_train: int, n_test: int) -> str:
    if result.refit == "all":
        return (
            f"it was fitted on all {n_train + n_test} rows. Its scores are those of the same recipe fitted without the "
            f"{n_test} held-out rows: if anything, a little low."
        )
    return f"it was fitted on {n_train} rows and scored on {n_test} others."


def _searched(entry: Any) -> str:
    if isinstance(entry, dict):
        return f"{entry['low']:g} to {entry['high']:g}" + (", log scale" if entry["log"] else "")
    return "derived" if entry is None else _code(", ".join(map(str, entry)) if isinstance(entry, list) else entry)


def _scores(result: StudyResult, n_folds: str) -> list[tuple[str, str, str, str]]:
    judged = result.holdout_score
    rows = [(result.metric, "held-out rows", f"{judged.value:.4f}", f"{judged.low:.4f} to {judged.high:.4f}")]
    rows += [(name, "held-out rows", f"{score:.4f}", "") for name, score in result.holdout.items() if name != result.metric]
    if result.nested is not None and result.nested.estimate is not None:
        nested = result.nested.estimate
        rows.append((result.metric, "search and refit", f"{nested.value:.4f}", f"{nested.low:.4f} to {nested.high:.4f}"))
    return [*rows, (result.metric, f"{n_folds} (flatters: the best of many)", f"{result.best_value:.4f}", "")]


def _limits(result: StudyResult, target: str, labels: np.ndarray, counts: np.ndarray) -> list[str]:
    judged, fewest = result.holdout_score, int(counts.argmin())
    return [
        (
            f"It was scored on {result.n_holdout_rows} rows: on many more from the same source its {result.metric} may well be "
            f"anything from {judged.low:.4f} to {judged.high:.4f}. On rows of another place or time it is not known."
        ),
        f"The rarest class, {_code(labels[fewest])}, has {counts[fewest]} rows: what is said of it is the least sure.",
        "Coefficients say what goes with the target in these rows, not what causes it; interactions of columns are not seen.",
        "Nobody has looked at whether it treats groups of people alike. Do so before it decides about people.",
        f"It always names one of the {len(labels)} classes of {_code(target)}, for a row unlike all it has seen too.",
    ]


def _table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; of many rows the first ones, and how many there are."""
    lines = [" | ".join(map(str, row)) for row in rows]
    head = list(head)
    shown = [" | ".join(map(str, head)), " | ".join("---" for _ in head), *lines[:MAX_ROWS]]
    text = "\n".join(f"| {line} |" for line in shown)
    return text if len(lines) <= MAX_ROWS else f"{text}\n\nand {len(lines) - MAX_ROWS} more."


def _code(value: object) -> str:
    """Text of the data's as code, on one line: nothing in it is taken as Markdown or HTML."""
    text = " ".join(str(value).split()).replace("`", "'").replace("|", "\\|")
    return f"`{text or ' '}`"
