"""The rules that hold the project together: layers, types, style, size, and what importing costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.metrics import get_scorer_names

import hpo
from hpo.estimators.metrics import USUAL_METRICS
from hpo.study_file import load_definition

ROOT = Path(__file__).parents[2]


def run(*command: str, cwd: Path = ROOT) -> str:
    """The output of a command, which is shown where it does not end with 0."""
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, (
        f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    return done.stdout


def tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def loaded_by(statement: str) -> set[str]:
    """The top-level packages that a statement loads in a new interpreter."""
    listing = run(
        sys.executable,
        "-c",
        f"{statement}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})",
    )
    return set(listing.split())


def test_layers_are_kept():
    run(tool("lint-imports"), "--no-cache")


def test_code_is_clean():
    run(tool("ruff"), "check", "--no-cache", ".")


def test_code_is_formatted():
    run(tool("ruff"), "format", "--check", "--no-cache", ".")


def test_types_hold():
    run(tool("mypy"))


def test_importing_the_package_loads_nothing_heavy():
    heavy = {"mlflow", "optuna", "sklearn", "numpy", "pandas", "sqlalchemy", "pydantic", "rich"}
    assert loaded_by("import hpo").isdisjoint(heavy)


def test_help_and_wrong_flags_load_nothing_heavy():
    heavy = {
        "mlflow",
        "optuna",
        "sklearn",
        "numpy",
        "pandas",
        "sqlalchemy",
        "pydantic",
        "rich",
        "jinja2",
    }
    assert loaded_by("from hpo.commands.main import main; main(['run', '--bogus'])").isdisjoint(
        heavy
    )
    assert loaded_by(
        "from hpo.commands.flags import make_parser; make_parser().format_help()"
    ).isdisjoint(heavy)


def test_wrong_key_of_a_study_file_loads_only_what_reads_the_file(tmp_path):
    (tmp_path / "wrong.toml").write_text("[study]\nn_trails = 3\n", encoding="utf-8")
    loaded = loaded_by(
        "from hpo.commands.main import main;"
        f" main(['run', '--study', {str(tmp_path / 'wrong.toml')!r}])"
    )
    assert "pydantic" in loaded
    assert loaded.isdisjoint({"mlflow", "optuna", "sklearn", "numpy", "pandas", "sqlalchemy"})


def test_usual_metrics_are_scorers_of_scikit_learn():
    assert set(get_scorer_names()) > USUAL_METRICS


@pytest.mark.parametrize("module", ["hpo.study_run", "hpo.commands.main", "hpo.tracking.process"])
def test_driver_never_loads_mlflow(module):
    assert "mlflow" not in loaded_by(f"import {module}")


def test_only_a_server_of_http_loads_what_serves_it():
    modules = "hpo.commands.serve, hpo.service.server, hpo.service.submitting, hpo.service.client"
    web = {"fastapi", "starlette", "uvicorn", "prometheus_client", "python_multipart"}
    assert loaded_by(f"import {modules}").isdisjoint(web)


def test_tracking_process_is_started_before_anything_heavy_is_loaded():
    heavy = {"mlflow", "optuna", "sklearn", "numpy", "pandas"}
    assert loaded_by("import hpo.commands.main, hpo.tracking.process").isdisjoint(heavy)


@pytest.mark.parametrize("name", hpo.__all__)
def test_public_name_resolves(name):
    assert getattr(hpo, name).__name__ == name
    assert name in dir(hpo)


def test_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'hpo' has no attribute 'nothing'"):
        hpo.nothing  # noqa: B018 - looking it up is the test


def test_iris_file_is_the_built_in_study():
    assert (
        load_definition(ROOT / "studies" / "iris.toml").identity() == load_definition().identity()
    )


@pytest.mark.parametrize(
    "path", sorted((ROOT / "studies").glob("*.toml")), ids=lambda path: path.stem
)
def test_study_file_is_valid_and_named_like_its_study(path):
    assert load_definition(path).name == path.stem


def test_help_names_every_flag(tmp_path):
    text = run(sys.executable, "-m", "hpo.run", "--help", cwd=tmp_path)
    flags = (
        "--study",
        "--name",
        "--trials",
        "--timeout",
        "--data",
        "--metric",
        "--seed",
        "--storage",
        "--tracking-uri",
        "--json",
    )
    assert all(flag in text for flag in flags)
    assert list(tmp_path.iterdir()) == []


def test_version_is_said(tmp_path):
    assert (
        run(sys.executable, "-m", "hpo.run", "--version", cwd=tmp_path)
        == f"hpo {hpo.__version__}\n"
    )


def test_console_script_is_the_same_command(tmp_path):
    assert run(tool("hpo"), "--version", cwd=tmp_path) == f"hpo {hpo.__version__}\n"
    assert "--study" in run(tool("hpo"), "run", "--help", cwd=tmp_path)
