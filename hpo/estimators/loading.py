"""The safe loader, the only one: a model's files may be somebody else's, so none is trusted.

Three files are read. ``MLmodel`` is to name what hpo logs: MLflow's own loader runs whatever it
names. ``hpo_columns.json`` says how raw rows are converted. ``model.skops`` may hold a constant
list of types: MLflow would take that list from ``MLmodel``, where a crafted model can trust itself.
Code that lies beside them is never touched: classes of ours are those of this package.
"""

import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import Pipeline

from hpo.conversion import ColumnConverter
from hpo.data.columns import COLUMNS_FILE, Columns
from hpo.errors import ModelError, first_line
from hpo.estimators.decision import replace_pipeline, without_decision
from hpo.estimators.own.saving import read_own
from hpo.estimators.recipe import Recipe
from hpo.estimators.recipes import find_recipe
from hpo.estimators.skops_file import MAX_BYTES, read_skops

DESCRIPTION_FILE = "MLmodel"
MODEL_FILE = "model.skops"
LARGEST_FILES = {DESCRIPTION_FILE: 2**26, COLUMNS_FILE: 2**26, MODEL_FILE: MAX_BYTES}
"""What is read of a model, and how many bytes of each file at most."""

_DESCRIBED = {
    ("python_function", "loader_module"): ("hpo.serving", "mlflow.sklearn"),
    ("python_function", "code"): ("code", None),
    ("sklearn", "code"): ("code", None),
    ("sklearn", "pickled_model"): (MODEL_FILE,),
    ("sklearn", "serialization_format"): ("skops",),
}
"""What the flavours of ``MLmodel`` may say; hpo 0.1.0 named MLflow's loader."""

FROM_ODD_FILES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    yaml.YAMLError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class ShippedModel:
    """A fitted pipeline and how raw rows become its input.

    Attributes:
        pipeline: Preprocessing and an estimator of a recipe, with the decision around them where
            there is one; takes converted rows. Of one's own, the estimator itself.
        columns: The features by kind.
        recipe: Of the estimator.
        whole: The pipeline as it was saved; takes raw rows.
    """

    pipeline: Pipeline
    columns: Columns
    recipe: Recipe
    whole: Pipeline = field(repr=False)

    def predict(self, rows: pd.DataFrame, method: str) -> np.ndarray:
        """Predict raw rows by a method of the estimator.

        Raises:
            ModelError: It cannot.
        """
        if self.columns.as_read:
            rows = self.columns.convert(rows)
        with refusing("it does not predict"):
            return np.asarray(getattr(self.whole, method)(rows))


def load_model(directory: Path, trusted: Sequence[str] = ()) -> ShippedModel:
    """Load a model's files.

    Args:
        directory: Where they are.
        trusted: Types that an estimator of one's own may hold, beside those that skops trusts.

    Raises:
        ModelError: It is no model of ours, or holds a type that is not trusted; nothing of it was
            run.
    """
    with refusing("its files cannot be listed"):
        found = {path.name for path in directory.iterdir()}
    if MODEL_FILE not in found:
        pickles = sorted(
            name for name in found if name.endswith((".pkl", ".pickle", ".joblib", ".cloudpickle"))
        )
        what = (
            f"only {pickles[0]}, and loading a pickle runs whatever code it holds"
            if pickles
            else "nothing of the kind"
        )
        raise ModelError(
            f"model: this should hold {MODEL_FILE}, but got {what}",
            hint="use a model that python -m hpo.run logged",
        )
    if COLUMNS_FILE not in found:
        raise ModelError(
            f"model: how its rows are converted is not with it ({COLUMNS_FILE})",
            hint="log it anew with hpo.run",
        )
    with (
        refusing("its files are damaged"),
        warnings.catch_warnings(action="ignore", category=InconsistentVersionWarning),
    ):
        if DESCRIPTION_FILE in found:
            _check_description(_read(directory, DESCRIPTION_FILE))
        columns = Columns.model_validate_json(_read(directory, COLUMNS_FILE))
        content = _read(directory, MODEL_FILE)
        if columns.as_read:
            own, recipe = read_own(content, trusted)
            return ShippedModel(own, columns, recipe, own)
        whole = read_skops(content)
        inner = _take_off_conversion(without_decision(whole), columns)
        pipeline, recipe = _check_parts(inner)
        recipe.check_loaded(pipeline[-1])
        pipeline = replace_pipeline(whole, pipeline)
    return ShippedModel(pipeline, columns, recipe, whole)


def _read(directory: Path, name: str) -> bytes:
    """Read a file of a model.

    Raises:
        ModelError: It is no plain file of this directory, or too large.
    """
    path = directory / name
    if not path.is_file() or not path.resolve().is_relative_to(directory.resolve()):
        raise ModelError(
            f"model: {name} should be a plain file in its directory",
            hint="download the model anew",
        )
    if path.stat().st_size > LARGEST_FILES[name]:
        raise too_large(name)
    return path.read_bytes()


def too_large(name: str) -> ModelError:
    """The error for a file of a model that is larger than any of ours."""
    return ModelError(
        f"model: {name} should have {LARGEST_FILES[name]} bytes at most, but got more",
        hint="use a model that python -m hpo.run logged",
    )


class _PlainLoader(yaml.SafeLoader):
    """YAML without merge keys, which a few lines can let grow without bound."""

    def flatten_mapping(self, node: Any) -> None:
        """Leave a mapping as it is."""


def _check_description(text: bytes) -> None:
    """Refuse what MLflow would load otherwise than hpo logs it.

    Raises:
        ModelError: A flavour, or what it names, is none of ours.
    """
    flavors = yaml.load(text, _PlainLoader)["flavors"]  # noqa: S506 - a safe loader
    others = sorted(map(str, flavors.keys() - {flavor for flavor, _ in _DESCRIBED}))
    odd = [f"flavour {name}" for name in others]
    for (flavor, key), allowed in _DESCRIBED.items():
        said = (flavors.get(flavor) or {}).get(key)
        if said not in allowed:
            odd.append(f"{key} {said!r}")
    if odd:
        raise ModelError(
            f"model: its {DESCRIPTION_FILE} names {', '.join(odd)[:200]}, which hpo never logs",
            hint="nothing of it was run",
        )


def _take_off_conversion(pipeline: object, columns: Columns) -> object:
    """Give the steps behind the conversion; the caller converts, so that errors can say where.

    Raises:
        ModelError: The model and the file beside it convert differently.
    """
    steps = pipeline.steps if isinstance(pipeline, Pipeline) else []
    if not steps or type(steps[0][1]) is not ColumnConverter:
        return pipeline
    if steps[0][1].get_params() != columns.converter().get_params():
        raise ModelError(
            f"model: {COLUMNS_FILE} and the model convert rows differently",
            hint="log it anew with hpo.run",
        )
    return Pipeline(steps[1:])


def _check_parts(pipeline: object) -> tuple[Pipeline, Recipe]:
    """Give the pipeline and its estimator's recipe, if it is preprocessing and an estimator.

    Raises:
        ModelError: It is something else.
    """
    steps = [step for _, step in pipeline.steps] if isinstance(pipeline, Pipeline) else []
    kinds = [type(step) for step in steps or [pipeline]]
    recipe, path = find_recipe(kinds[-1].__name__), f"{kinds[-1].__module__}.{kinds[-1].__name__}"
    is_ours = kinds[:-1] == [ColumnTransformer] and recipe is not None and recipe.is_of(path)
    if recipe is None or not is_ours or not isinstance(pipeline, Pipeline):
        raise ModelError(
            "model: this should be preprocessing and an estimator that hpo searches,"
            f" but got {kinds[-1].__name__}"
        )
    return pipeline, recipe


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn whatever reading or using odd files raises into one line."""
    try:
        yield
    except FROM_ODD_FILES as error:
        raise ModelError(
            f"model: {what} ({type(error).__name__}: {first_line(error)[:200]})",
            hint="nothing was predicted",
        ) from error
