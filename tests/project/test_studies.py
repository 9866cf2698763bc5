"""The study files: what people copy, what editors know of it, and the notebook that walks through
it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from hpo.search_space import Range
from hpo.study_file import StudyDefinition, load_definition, make_schema
from tests.support.commands import environment, run_python
from tests.support.here import run_here

ROOT = Path(__file__).parents[2]
STUDIES = ROOT / "studies"
FILES = sorted(STUDIES.glob("*.toml"))
EXAMPLE = STUDIES / "example.toml"
COMMENTED_KEY = re.compile(r"^# (?=\w+ = )", flags=re.MULTILINE)
VALIDATOR = jsonschema.Draft202012Validator(make_schema())


def plain(value: Any) -> Any:
    """A default as TOML has it."""
    if isinstance(value, Range):
        return {key: inner for key, inner in value.model_dump().items() if key != "log" or inner}
    return list(value) if isinstance(value, tuple) else value


def test_example_has_every_key_with_its_default() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    given, every = tomllib.loads(text), tomllib.loads(COMMENTED_KEY.sub("", text))
    defaults = StudyDefinition()
    assert list(given) == list(StudyDefinition.model_fields)
    for section in StudyDefinition.model_fields:
        expected = {key: plain(value) for key, value in getattr(defaults, section)}
        assert list(every[section]) == list(expected)
        has_default = {key: value for key, value in expected.items() if value is not None}
        assert given[section] == {
            **has_default,
            **({"name": "example"} if section == "study" else {}),
        }


def test_example_is_the_default_study_and_loads_with_every_key(tmp_path: Path) -> None:
    assert load_definition(EXAMPLE).identity() == StudyDefinition().identity()
    whole = tmp_path / "whole.toml"
    text = EXAMPLE.read_text(encoding="utf-8")
    whole.write_text(
        COMMENTED_KEY.sub("", text).replace('"l1", "elasticnet"]', "]"), encoding="utf-8"
    )
    definition = load_definition(whole)
    assert all(
        value is not None
        for section in StudyDefinition.model_fields
        for _, value in getattr(definition, section)
    )


def test_example_explains_every_key() -> None:
    lines = [
        line
        for line in EXAMPLE.read_text(encoding="utf-8").splitlines()
        if re.match(r"(# )?\w+ = ", line)
    ]
    unexplained = [
        line
        for line in lines
        if "  # " not in line and not line.startswith(("class_weight", "# max_iter", "# tol"))
    ]
    assert unexplained == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_schema_takes_the_study_files_which_name_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    VALIDATOR.validate(tomllib.loads(text))
    assert text.startswith("#:schema ./schema.json\n")


def test_schema_takes_every_key() -> None:
    VALIDATOR.validate(tomllib.loads(COMMENTED_KEY.sub("", EXAMPLE.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[study]\nn_trails = 5", "'n_trails' was unexpected"),
        ("[serch_space]\nC = 1.0", "'serch_space' was unexpected"),
        ('[study]\nn_trials = "50"', "'50' is not of type 'integer'"),
        ("[study]\nn_trials = 0", "0 is less than the minimum of 1"),
        ('[search_space]\npenalty = "l3"', "'l3' is not valid"),
        ("[search_space]\nC = { low = 1.0 }", "is not valid"),
        ("[search_space]\nC = []", "is not valid"),
        ('[sampler]\nkind = "tpee"', "'tpee' is not one of"),
    ],
)
def test_schema_refuses_what_the_command_refuses(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(jsonschema.ValidationError, match=re.escape(said)):
        VALIDATOR.validate(tomllib.loads(text))
    (tmp_path / "wrong.toml").write_text(text, encoding="utf-8")
    assert run_here(tmp_path, "--study", "wrong.toml").returncode == 2


@pytest.mark.parametrize("command", [("hpo", "schema"), ("hpo.definition", "--schema")])
def test_schema_file_is_what_the_command_prints(command: tuple[str, ...], tmp_path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(make_schema())
    process = run_python(tmp_path, "-m", *command)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout == (STUDIES / "schema.json").read_text(encoding="utf-8")


def test_readme_names_every_study() -> None:
    text = (STUDIES / "README.md").read_text(encoding="utf-8")
    assert all(f"]({path.name})" in text for path in STUDIES.iterdir() if path.name != "README.md")
    for block in re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL):
        VALIDATOR.validate(tomllib.loads(block))


def test_notebook_is_stored_without_outputs() -> None:
    cells = json.loads((STUDIES / "tour.ipynb").read_text(encoding="utf-8"))["cells"]
    assert all(
        cell["outputs"] == [] and cell["execution_count"] is None
        for cell in cells
        if cell["cell_type"] == "code"
    )


def test_notebook_runs_and_shows_what_it_says(tmp_path: Path) -> None:
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "jupyter",
            "execute",
            str(STUDIES / "tour.ipynb"),
            f"--output={tmp_path}/done.ipynb",
        ],
        cwd=tmp_path,
        env=environment(TMPDIR=str(tmp_path), IPYTHONDIR=str(tmp_path / "ipython")),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    cells = json.loads((tmp_path / "done.ipynb").read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert [output for output in outputs if output["output_type"] != "execute_result"] == []
    html = ["".join(output["data"].get("text/html", "")) for output in outputs]
    texts = ["".join(output["data"]["text/plain"]) for output in outputs]
    assert "iris: 20 trials (20 complete)" in html[1]
    assert html[2].count("<tr") == 1 + 5
    assert texts[3] == "array([0, 1, 2])"
    assert texts[4].startswith("'models:/m-")
    assert texts[5] == "({'complete': 30, 'pruned': 0, 'failed': 0}, 10)"
    assert "my-wine: 10 trials (10 complete)" in html[6]


def test_study_file_of_the_page_on_decisions_is_accepted(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    VALIDATOR.validate(tomllib.loads(block))
    (tmp_path / "churn.toml").write_text(block, encoding="utf-8")
    definition = load_definition(tmp_path / "churn.toml")
    assert definition.decision.is_set
    assert not [key for key in definition.identity() if key.startswith("decision")]
    kept = load_definition(tmp_path / "churn.toml", {"study.metric": "cost"})
    assert kept.identity()["decision.cost.false_negative"] == 100
