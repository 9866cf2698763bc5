"""The versions that the promise of equal trials holds for: packages, the interpreter, the BLAS kernel."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version

from threadpoolctl import threadpool_info

RECORDED_PACKAGES = ("optuna", "mlflow", "scikit-learn", "numpy", "scipy", "pandas")


@cache
def recorded_versions() -> dict[str, str]:
    """Package name to version; ``python`` and ``blas`` too."""
    versions = {package: version(package) for package in RECORDED_PACKAGES}
    versions["python"] = platform.python_version()
    kernels = {
        f"{info['internal_api']} {info.get('architecture', '')}".strip() for info in threadpool_info() if info["user_api"] == "blas"
    }
    versions["blas"] = ", ".join(sorted(kernels))
    return versions


def describe_changes(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """What differs, one text a name."""
    names = sorted({*old, *new})
    return [f"{name} {old.get(name, 'absent')} -> {new.get(name, 'absent')}" for name in names if old.get(name) != new.get(name)]
