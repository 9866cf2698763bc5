"""The model card: what a person who did not make the model should know before it is used, in Markdown.

Says nothing that the report, the definition and the data do not say: it puts them in words (Mitchell et al. 2019, "Model Cards for
Model Reporting", FAT*), which stand in ``model_card.md.jinja``. The model's URI is not known when it is written:
``names.MODEL_URI_MARK`` stands for it.
"""

from __future__ import annotations

import numpy as np

from hpo.data import Dataset
from hpo.definition import StudyDefinition
from hpo.report import StudyResult, describe_gain, describe_optimism, describe_ties, render
from hpo.tracking.names import MODEL_URI_MARK

MAX_ROWS = 50
"""Columns and classes that are listed."""


def make_card(result: StudyResult, definition: StudyDefinition, dataset: Dataset) -> str:
    """The card's text.

    Args:
        result: What is known of study and model.
        definition: What was searched.
        dataset: The rows.
    """
    labels, counts = np.unique(np.concatenate([dataset.y_train, dataset.y_test]), return_counts=True)
    card = render(
        "model_card.md.jinja",
        result=result,
        definition=definition,
        dataset=dataset,
        counts=dict(zip(labels, counts, strict=True)),
        columns=[(name, kind) for kind, names in result.columns.items() for name in names],
        gain=describe_gain(result.gain, result.n_holdout_rows),
        optimism=describe_optimism(result.optimism),
        ties=describe_ties(result.n_ties, result.n_trials["complete"]),
        uri=MODEL_URI_MARK,
        max_rows=MAX_ROWS,
        code=_code,
    )
    return card + "\n"


def _code(value: object) -> str:
    """Text of the data's as code, on one line: nothing in it is taken as Markdown or HTML."""
    text = " ".join(str(value).split()).replace("`", "'").replace("|", "\\|")
    return f"`{text or ' '}`"
