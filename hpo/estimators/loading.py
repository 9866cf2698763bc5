"""The safe loader: a model's files may be somebody else's, so nothing in them is trusted.

Two files are read. ``model.skops`` may hold what skops knows and a constant list of types, nothing
else: MLflow's own loader would take that list from the model's ``MLmodel`` file, where a crafted
model can trust itself. ``hpo_columns.json`` says how raw rows are converted. A pickle, or code that
lies beside them, is never touched.
"""

import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import Pipeline
from skops.io.exceptions import UntrustedTypesFoundException

from hpo.conversion import ColumnConverter
from hpo.data.columns import Columns
from hpo.errors import ModelError, first_line
from hpo.estimators.preprocessing import TRUSTED_TYPES
from hpo.estimators.recipe import Recipe
from hpo.estimators.recipes import RECIPES

MODEL_FILE = "model.skops"
COLUMNS_FILE = "hpo_columns.json"

_TRUSTED_TYPES = [
    *TRUSTED_TYPES,
    *(name for recipe in RECIPES.values() for name in recipe.trusted_types),
]
"""Types that a model may hold beside those that skops trusts; no file can add to them."""

_FROM_ODD_FILES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class ShippedModel:
    """A fitted pipeline and how raw rows become its input.

    Attributes:
        pipeline: Preprocessing and an estimator of a recipe; takes converted rows.
        columns: The features by kind.
        recipe: Of the estimator.
    """

    pipeline: Pipeline
    columns: Columns
    recipe: Recipe


def load_model(directory: Path) -> ShippedModel:
    """Load a model's files.

    Args:
        directory: Where they are.

    Raises:
        ModelError: It is no model of ours, or holds a type that is not trusted; nothing of it was
            run.
    """
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
        text = (directory / COLUMNS_FILE).read_text(encoding="utf-8")
        columns = Columns.model_validate_json(text)
        pipeline = skops.io.load(directory / MODEL_FILE, trusted=_TRUSTED_TYPES)
    pipeline = _check_parts(_take_off_conversion(pipeline, columns))
    return ShippedModel(pipeline, columns, RECIPES[type(pipeline[-1]).__name__])


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


def _check_parts(pipeline: object) -> Pipeline:
    """Give the pipeline back, if it is preprocessing and an estimator with a recipe here.

    Raises:
        ModelError: It is something else.
    """
    steps = [step for _, step in pipeline.steps] if isinstance(pipeline, Pipeline) else []
    kinds = [type(step) for step in steps or [pipeline]]
    is_known = kinds[-1].__name__ in RECIPES and kinds[-1].__module__.startswith("sklearn.")
    is_ours = kinds[:-1] == [ColumnTransformer] and is_known
    if not is_ours or not isinstance(pipeline, Pipeline):
        raise ModelError(
            f"model: this should be preprocessing and {' or '.join(RECIPES)},"
            f" but got {kinds[-1].__name__}"
        )
    return pipeline


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn whatever reading or using odd files raises into one line."""
    try:
        yield
    except UntrustedTypesFoundException as error:
        line = str(error).splitlines()[0].rpartition("file: ")[2].rstrip(".")
        raise ModelError(
            f"model: it holds types that are not trusted: {line}", hint="nothing of it was run"
        ) from error
    except _FROM_ODD_FILES as error:
        raise ModelError(
            f"model: {what} ({type(error).__name__}: {first_line(error)[:200]})",
            hint="nothing was predicted",
        ) from error
