"""Versions that equal trials depend on: packages, the interpreter, the BLAS kernel."""

import platform
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from threadpoolctl import threadpool_info

RECORDED_PACKAGES = ("optuna", "mlflow", "scikit-learn", "numpy", "scipy", "pandas")


def version_of(module: str) -> str:
    """The version of a library by its module's name; xgboost-cpu is xgboost too."""
    try:
        return version(module)
    except PackageNotFoundError:
        return str(import_module(module).__version__)


@cache
def recorded_versions() -> dict[str, str]:
    """Package name to version; ``python`` and ``blas`` too."""
    kernels = {
        f"{info['internal_api']} {info.get('architecture', '')}".strip()
        for info in threadpool_info()
        if info["user_api"] == "blas"
    }
    packages = {package: version(package) for package in RECORDED_PACKAGES}
    return {**packages, "python": platform.python_version(), "blas": ", ".join(sorted(kernels))}


def describe_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """List the differences, one text a name."""
    changed = [name for name in sorted({*old, *new}) if old.get(name, ...) != new.get(name, ...)]
    return [f"{name} {_shown(old, name)} -> {_shown(new, name)}" for name in changed]


def _shown(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name, "absent")
    return f"{value:g}" if isinstance(value, float) else str(value)
