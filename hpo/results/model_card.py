"""The model card: what a person who did not make the model should know before using it.

After Mitchell et al. 2019, "Model Cards for Model Reporting", FAT*. It says what the report, the
definition and the data say; the time of writing has no part in it, so a run that adds nothing
changes nothing.
"""

from typing import TYPE_CHECKING

import numpy as np

from hpo.results.rendering import render

if TYPE_CHECKING:  # tracking needs only the mark below, and these would load scikit-learn there
    from hpo.data.dataset import Dataset
    from hpo.definition import StudyDefinition
    from hpo.estimators.recipe import Recipe
    from hpo.results.result import StudyResult

MODEL_URI_MARK = "MODEL-URI"
"""Stands for the model's URI, which is not known before the model is logged."""

MAX_ROWS = 50
"""Columns and classes that the card lists."""


def make_card(
    result: "StudyResult",
    definition: "StudyDefinition",
    dataset: "Dataset",
    recipe: "Recipe",
) -> str:
    """Write the card, with :data:`MODEL_URI_MARK` in place of the model's URI.

    Args:
        result: Study and model.
        definition: What was searched.
        dataset: The rows.
        recipe: Of the estimator.
    """
    y = np.concatenate([dataset.y_train, dataset.y_test])
    is_numeric = dataset.task == "regression"
    labels, counts = np.unique(y[:0] if is_numeric else y, return_counts=True)
    card = render(
        "model_card.md.jinja",
        result=result,
        definition=definition,
        dataset=dataset,
        recipe=recipe,
        space=definition.search_space.flat(),
        numbers=np.quantile(y, [0, 0.25, 0.5, 0.75, 1]).tolist() if is_numeric else None,
        counts=dict(zip(labels, counts, strict=True)),
        columns=[(name, kind) for kind, names in result.columns.items() for name in names],
        uri=MODEL_URI_MARK,
        max_rows=MAX_ROWS,
    )
    return card + "\n"
