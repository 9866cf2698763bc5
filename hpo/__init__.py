"""Hyperparameter optimisation of scikit-learn models: an Optuna study, projected to MLflow.

The public names are loaded when first used, so that ``import hpo`` costs nothing.
"""

import warnings
from importlib import import_module
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo.errors import HpoError
    from hpo.results.result import StudyResult
    from hpo.search_space import Range
    from hpo.service.client import Client
    from hpo.settings import ServiceSettings
    from hpo.study_file import StudyDefinition, load_definition
    from hpo.study_run import run_study
    from hpo.tracking.callback import MLflowCallback

# A model ships with this file and a few modules: a process that loads one before it imports hpo
# still finds the others where hpo is installed.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"

__all__ = [
    "Client",
    "HpoError",
    "MLflowCallback",
    "Range",
    "ServiceSettings",
    "StudyDefinition",
    "StudyResult",
    "load_definition",
    "run_study",
]

_HOMES = {
    "Client": "hpo.service.client",
    "HpoError": "hpo.errors",
    "MLflowCallback": "hpo.tracking.callback",
    "Range": "hpo.search_space",
    "ServiceSettings": "hpo.settings",
    "StudyDefinition": "hpo.study_file",
    "StudyResult": "hpo.results.result",
    "load_definition": "hpo.study_file",
    "run_study": "hpo.study_run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hpo' has no attribute {name!r}")
    with warnings.catch_warnings():
        # tqdm, which Optuna loads, warns in a notebook without widgets; none of its bars is shown.
        warnings.filterwarnings("ignore", "IProgress not found")
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
