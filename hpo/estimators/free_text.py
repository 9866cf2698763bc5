"""Free text as numbers for a linear model: TF-IDF of the commonest words of the training rows.

A word is two or more letters or digits in a row, in lower case. One that a text has n times counts
``1 + log(n)`` times its inverse document frequency; a row has length 1, or 0 where its text has no
word that is known (scikit-learn's ``TfidfVectorizer``).
"""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer

from hpo.data.columns import Columns
from hpo.data.kinds import has_words
from hpo.errors import DataError, ModelError

VECTORIZER = "sklearn.feature_extraction.text.TfidfVectorizer"

SAVED_TYPES = (VECTORIZER, "sklearn.feature_extraction.text.TfidfTransformer")
"""The classes that read text, by the paths that skops saves."""

_NOT_READ = ("dtype", "max_features")
"""Params that change nothing, or no more than a number's width, when a fitted one reads a text."""


def build_vectorizer(max_words: int) -> TfidfVectorizer:
    """The unfitted transformer of one column of free text."""
    return TfidfVectorizer(max_features=max_words, sublinear_tf=True)


def check_words(X: pd.DataFrame, columns: Columns) -> None:
    """Refuse training rows that leave a column of free text without a word.

    Raises:
        DataError: A column has none.
    """
    for name in columns.free_text:
        if not has_words(X[name]):
            raise DataError(
                f"data: column '{name}' holds no words in the training rows of a fold",
                hint="name it in data.drop",
            )


def make_plain(preprocessing: ColumnTransformer) -> None:
    """Make the positions of words Python's integers: skops writes a file for each of NumPy's.

    Args:
        preprocessing: Fitted; it is changed.
    """
    for _, step, _ in preprocessing.transformers_:
        if isinstance(step, TfidfVectorizer):
            step.vocabulary_ = {word: int(position) for word, position in step.vocabulary_.items()}


def check_vectorizer(attributes: Mapping[str, Any]) -> None:
    """Refuse a saved vectorizer that reads text otherwise than ours do.

    Another one could take a text for the name of a file, or search it for hours; positions of words
    that are not there would be written beyond the ends of an array.

    Args:
        attributes: Name to node, of the file's schema.

    Raises:
        ModelError: It does.
    """
    for name, value in build_vectorizer(1).get_params().items():
        said = _read(attributes[name])
        if name not in _NOT_READ and said != value:
            raise ModelError(
                f"model: {name} of {VECTORIZER} should be {value!r}, but got {repr(said)[:100]}",
                hint="nothing of it was run",
            )
    # One that is not fitted has no words, and refuses to read.
    words = attributes["vocabulary_"]["content"] if "vocabulary_" in attributes else {}
    positions = [_read(node) for node in words.values()]
    if sorted(map(str, positions)) != sorted(map(str, range(len(positions)))):
        raise ModelError(
            f"model: the words of {VECTORIZER} should have the positions 0 to {len(positions) - 1}",
            hint="nothing of it was run",
        )


def check_reader(reader: CountVectorizer | HashingVectorizer) -> None:
    """Refuse what reads text in a model of one's own, where it would read files or out of bounds.

    Raises:
        ValueError: It would.
    """
    if reader.input != "content":
        raise ValueError("it takes a text for the name of a file")
    positions = [*getattr(reader, "vocabulary_", {}).values()]
    if sorted(positions) != [*range(len(positions))]:
        raise ValueError("its words have positions that are not there")


def _read(node: Any) -> Any:
    """The plain value of a node; a node that has none is given back."""
    if node["__loader__"] == "JsonNode":
        return json.loads(node["content"])
    return tuple(map(_read, node["content"])) if node["__loader__"] == "TupleNode" else node
