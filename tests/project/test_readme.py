"""README and docs are what a user follows: commands are run, tables are compared with the code."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hpo
from hpo.commands.flags import COMMANDS
from hpo.errors import HpoError
from hpo.results import sampling
from hpo.search import giveaways, leaks, repeats
from hpo.study_file import StudyDefinition
from tests.support.commands import environment, run_python
from tests.support.here import call_main, run_here

ROOT = Path(__file__).parents[2]
PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
README, REFERENCE = PAGES["README.md"], PAGES["reference.md"]


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(text: str) -> list[str]:
    return [line for block in blocks("sh", text) for line in block.strip().splitlines()]


MAIN_COMMAND, TEST_COMMAND, *OTHER_COMMANDS = [
    command for text in PAGES.values() for command in commands(text)
]


def checkout(to: Path) -> Path:
    """A bare checkout: what git has, as it stands in the work tree."""
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    return to


def test_main_command_runs_from_a_bare_checkout(tmp_path: Path) -> None:
    process = subprocess.run(
        ["bash", "-c", MAIN_COMMAND],
        cwd=checkout(tmp_path),
        # Compiling what no run imports takes longer than installing it.
        env=environment(PIP_NO_WARN_SCRIPT_LOCATION="1", PIP_COMPILE="0"),
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert "iris: 50 trials (50 complete)" in process.stdout
    # pip's own complaints about this machine's indexes are not ours; a slow machine takes more than
    # a minute to compile what it imports, and then there is the line a minute of a log.
    expected = re.compile(r"WARNING: Location|Looking in|hpo: \d+ of 50 trials, best ")
    assert [line for line in process.stderr.splitlines() if not expected.match(line)] == []


def test_test_command_is_the_one_that_ci_runs() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    found = subprocess.run(
        ["bash", "-c", "grep -m 1 -- '-m pytest' README.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert "grep -m 1 -- '-m pytest' README.md" in script
    assert found == TEST_COMMAND


@pytest.fixture
def customers(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"age": rng.integers(18, 80, 200), "plan": rng.choice(["basic", "plus", "pro"], 200)}
    )
    table["churned"] = np.where(table["age"] + rng.normal(0, 20, 200) > 50, "yes", "no")
    table.to_csv(tmp_path / "customers.csv", index=False)
    return tmp_path


def test_other_commands_run(customers: Path) -> None:
    assert OTHER_COMMANDS
    for command in OTHER_COMMANDS:
        program, *arguments = command.split()
        assert program == "hpo"
        ended = call_main(customers, *arguments)
        assert (ended.returncode, ended.stderr) == (0, ""), command
    script = run_python(customers, str(Path(sys.executable).with_name("hpo")), "--version")
    assert script.stdout == f"hpo {hpo.__version__}\n"


def test_the_error_it_shows_is_the_one_printed(customers: Path) -> None:
    shown = next(
        line for line in README.splitlines() if line.startswith("hpo: data: customers.csv line")
    )
    lines = (customers / "customers.csv").read_text(encoding="utf-8").splitlines()
    lines[2] += ",one more"
    (customers / "customers.csv").write_text("\n".join(lines), encoding="utf-8")
    process = run_python(
        customers, "-m", "hpo.run", "--data", "customers.csv", "--target", "churned"
    )
    assert process.returncode == 2
    assert process.stderr.strip() == shown


def test_study_file_names_every_section_and_key() -> None:
    (text,) = blocks("toml", REFERENCE)
    for section, model in StudyDefinition.model_fields.items():
        line = next(line for line in text.splitlines() if line.startswith(f"[{section}]"))
        if section != "search_space":
            keys = re.findall(r"\w+", line.partition("#")[2])
            assert [key for key in model.annotation.model_fields if key not in keys] == []


def test_study_file_of_the_reference_is_the_built_in_study(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(blocks("toml", REFERENCE)[0], encoding="utf-8")
    assert hpo.load_definition(path).identity() == StudyDefinition().identity()


def test_study_file_of_the_readme_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    (text,) = blocks("toml", README)
    path.write_text(text, encoding="utf-8")
    assert hpo.load_definition(path).name == "customers"


def test_study_file_of_time_and_leaks_goes_forward(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    (text,) = blocks("toml", PAGES["time_and_leaks.md"])
    path.write_text(text, encoding="utf-8")
    assert hpo.load_definition(path).data.time == "ordered_at"


def test_thresholds_of_leaks_are_those_of_the_code() -> None:
    page = PAGES["time_and_leaks.md"]
    assert f"an AUC or R2 of {giveaways.TELLS}" in page
    assert f"reaches {giveaways.SUSPECT}, and all others together have three times" in page
    assert giveaways.FAR_BELOW == 3
    assert f"at most {giveaways.MAX_ROWS:,} of them" in page
    assert f"wider than {giveaways.MAX_COLUMNS} columns" in page
    assert f"{100 * leaks.ALMOST_ALL:g} % of the rows of each" in page
    assert f"{repeats.MIN_COPIES} rows and {100 * repeats.MIN_SHARE:g} % at least" in page
    assert f"{sampling.WAVES} times the rows to the power of 2/3" in page


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    folder = ROOT if page == "README.md" else ROOT / "docs"
    links = re.findall(r"\]\((?!https?:)([^)#]+)", PAGES[page])
    assert [link for link in links if not (folder / link).exists()] == []


def test_readme_is_as_long_as_a_first_user_reads() -> None:
    assert len(README.splitlines()) < 192


def test_python_examples_run(directory: Path) -> None:
    pages = (README, REFERENCE, PAGES["reliability.md"], PAGES["migrating.md"])
    examples = [example for text in pages for example in blocks("python", text)]
    assert len(examples) == 7
    (directory / "studies").mkdir()
    wine = (ROOT / "studies" / "wine.toml").read_text(encoding="utf-8")
    shorter = wine.replace("n_trials = 50", "n_trials = 12")
    (directory / "studies" / "wine.toml").write_text(shorter, encoding="utf-8")
    before = (
        "import optuna, hpo, pandas as pd\nfrom sklearn.datasets import load_wine\ntable = load_wine(as_frame=True).frame\n"
        "rows = table.drop(columns='target').head()\n"
    )
    assert run_here(directory, "--trials", "3").returncode == 0
    (journal,) = (directory / "mlruns").rglob("optuna_journal.log")
    shutil.copy(journal, directory)
    before += "study = optuna.create_study(study_name='mine')\n"
    before += "objective = lambda trial: trial.suggest_float('x', 0, 1)\n"
    # One after the other, as in a notebook, but none has the names of another.
    script = "".join(f"exec({before + example!r}, {{}})\n" for example in examples)
    (directory / "examples.py").write_text(script, encoding="utf-8")
    process = run_python(directory, "examples.py")
    assert process.returncode == 0, process.stderr


def test_help_is_the_one_printed(tmp_path: Path) -> None:
    process = run_python(tmp_path, "-m", "hpo.run", "--help", COLUMNS="120")
    assert (process.returncode, process.stderr) == (0, "")
    (shown,) = blocks("text", REFERENCE)
    assert process.stdout == shown
    assert max(map(len, shown.splitlines())) <= 118
    assert len(shown.splitlines()) < 45


def test_exit_codes_are_those_of_the_errors() -> None:
    line = REFERENCE[REFERENCE.index("Exit codes:") :].split("\n\n")[0]
    listed = {
        int(code) for code in re.findall(r"\b(\d+)\b(?: and (\d+))?", line) for code in code if code
    }
    classes = [HpoError]
    for cls in classes:
        classes.extend(cls.__subclasses__())
    used = {cls.exit_code for cls in classes}
    assert used - {1} <= listed


def test_defaults_table_is_that_of_the_settings() -> None:
    settings = hpo.ServiceSettings()
    for value in (settings.storage, settings.tracking_uri):
        assert f"`{value}`" in REFERENCE


def test_commands_table_names_every_command() -> None:
    assert re.findall(r"^\| `hpo (\w+)", REFERENCE, flags=re.MULTILINE) == [*COMMANDS]


@pytest.mark.parametrize("requirements", ["requirements.txt", "tests/requirements.txt"])
def test_requirements_pin_every_dependency_with_hashes(requirements: str) -> None:
    text = (ROOT / requirements).read_text(encoding="utf-8")
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = re.findall(
        r'^    "([a-z-]+)[>=]',
        pyproject.split("[project.optional-dependencies]")[0],
        flags=re.MULTILINE,
    )
    assert len(wanted) > 10
    for name in wanted:
        assert re.search(rf"^{name}==\S+ \\\n    --hash=sha256:", text, flags=re.MULTILINE), name
