"""What cannot work ends before anything is written: exit code 2, one line that says what to do, and
an empty directory.
"""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hpo.commands.main import main
from hpo.tracking.inline import InlineTracking
from tests.support.commands import run_hpo
from tests.support.here import run_here


@dataclass(frozen=True)
class Case:
    """Flags, a study file and the environment, and what the line says of them."""

    expected: str
    flags: tuple[str, ...] = ()
    study: str | bytes | None = None
    environment: dict[str, str] = field(default_factory=dict)


CASES = {
    "trials negative": Case(
        "flag --trials: should be greater than or equal to 1, but got -5", ("--trials", "-5")
    ),
    "trials no number": Case("argument --trials: invalid int value: 'x'", ("--trials", "x")),
    "trials zero": Case(
        "flag --trials: should be greater than or equal to 1, but got 0", ("--trials", "0")
    ),
    "unknown flag": Case("unrecognized arguments: --bogus (--help shows every flag)", ("--bogus",)),
    "misspelt flag": Case(
        "unrecognized arguments: --trails 3 (did you mean --trials?)", ("--trails", "3")
    ),
    "misspelt flag with its value": Case("(did you mean --trials?)", ("--trails=3",)),
    "one word too many": Case("unrecognized arguments: iris (--help shows every flag)", ("iris",)),
    "timeout zero": Case("flag --timeout: should be greater than 0, but got 0", ("--timeout", "0")),
    "timeout nan": Case("flag --timeout: should be", ("--timeout", "nan")),
    "seed negative": Case(
        "flag --seed: should be greater than or equal to 0, but got -1", ("--seed", "-1")
    ),
    "name is a path": Case(
        "flag --name: a study name should be 1 to 128 letters", ("--name", "../x")
    ),
    "unknown data": Case("but got 'irris' (did you mean 'iris'?)", ("--data", "irris")),
    "unknown target": Case(
        "data.target: iris has no column 'foo' (its columns are sepal length", ("--target", "foo")
    ),
    "continuous target": Case(
        "should be a class label, but got",
        ("--data", "wine", "--target", "alcohol", "--estimator", "LogisticRegression"),
    ),
    "unknown metric": Case("but got 'acuracy' (did you mean 'accuracy'", ("--metric", "acuracy")),
    "metric of two classes": Case("metric 'f1' cannot judge these classes", ("--metric", "f1")),
    "metric of numbers": Case("metric 'r2' judges numbers, not classes", ("--metric", "r2")),
    "storage with a typo": Case(
        "storage should start with sqlite:// or postgresql://", ("--storage", "sqlite:/optuna.db")
    ),
    "storage of another kind": Case(
        "but got 'mysql://u:***@h/db'", ("--storage", "mysql://u:secret@h/db")
    ),
    "storage nowhere": Case(
        "should lie in a directory that exists", ("--storage", "sqlite:///no/such/x.db")
    ),
    "storage a path": Case("storage should start with sqlite://", ("--storage", "optuna.db")),
    "storage in the environment": Case(
        "but got 'optuna.db'", environment={"HPO_STORAGE": "optuna.db"}
    ),
    "tracking a folder": Case("tracking URI should start with", ("--tracking-uri", "./mlruns")),
    "tracking with a typo": Case("tracking URI should start with", ("--tracking-uri", "htp://x")),
    "tracking without a host": Case(
        "tracking URI should name a host", ("--tracking-uri", "http://")
    ),
    "tracking in the environment": Case(
        "but got 'databricks'", environment={"MLFLOW_TRACKING_URI": "databricks"}
    ),
    "one database for both": Case(
        "two databases", ("--storage", "sqlite:///a.db", "--tracking-uri", "sqlite:///a.db")
    ),
    "model name with a slash": Case(
        "--register: a model name should have no slash", ("--register", "a/b")
    ),
    "no study file": Case(
        "nofile.toml: the study file cannot be read (No such file", ("--study", "nofile.toml")
    ),
    "study file a directory": Case(
        "the study file cannot be read (Is a directory)", ("--study", ".")
    ),
    "not TOML": Case("this is not TOML: ", study="[study\nname"),
    "not text": Case("a study file should be UTF-8 text", study=b'[study]\nname = "\xff"'),
    "unknown key": Case("unknown key; allowed here: name, metric, ", study="[study]\nn_trails = 5"),
    "near key": Case("did you mean 'n_trials'?", study="[study]\nn_trails = 5"),
    "unknown section": Case(
        "serch_space: unknown key; allowed here: study, data, ", study="[serch_space]\nC = 1.0"
    ),
    "a key for a section": Case("study: ", study="study = 5"),
    "wrong type": Case(
        "study.n_trials: should be a valid integer, but got '50'", study='[study]\nn_trials = "50"'
    ),
    "range upside down": Case(
        "search_space.l1_ratio: low should be below high, but got low = 0.9, high = 0.1",
        study="[search_space]\nl1_ratio = { low = 0.9, high = 0.1 }",
    ),
    "range beyond": Case(
        "search_space.l1_ratio: should be above 0 and below 1, but got 1.5",
        study="[search_space]\nl1_ratio = { low = 0.1, high = 1.5 }",
    ),
    "log of zero": Case(
        "search_space.C: low should be above 0 where log is true, but got low = 0",
        study="[search_space]\nC = { low = 0.0, high = 1.0, log = true }",
    ),
    "range half": Case("search_space.C", study="[search_space]\nC = { low = 0.1 }"),
    "unknown choice": Case("search_space.penalty", study='[search_space]\npenalty = ["l3"]'),
    "no choice": Case("search_space.penalty", study="[search_space]\npenalty = []"),
    "solver that cannot": Case(
        "solver should fit every penalty", study='[search_space]\nsolver = "lbfgs"'
    ),
    "solver for two classes": Case(
        "liblinear should be used with 2",
        study='[search_space]\nsolver = "liblinear"\npenalty = "l1"',
    ),
    "unknown sampler": Case("sampler.kind", study='[sampler]\nkind = "grid"'),
    "more folds than rows": Case(
        "training rows, but class '0' has 40 (set cv.n_splits to 40", study="[cv]\nn_splits = 60"
    ),
    "hold-out too small": Case("do not both hold every class", study="[data]\ntest_size = 0.001"),
    "dropped target": Case(
        "data.drop: 'target' is the target (take it out of drop)", study='[data]\ndrop = ["target"]'
    ),
    "unknown extra metric": Case("but got 'acuracy'", study='[study]\nmetrics = ["acuracy"]'),
    "unknown key, as JSON": Case("unknown key", ("--json",), study="[study]\nn_trails = 5"),
    "trials zero, as JSON": Case("flag --trials", ("--trials", "0", "--json")),
    "unknown flag, as JSON": Case("unrecognized arguments", ("--bogus", "--json")),
    "no study file, as JSON": Case("cannot be read", ("--study", "nofile.toml", "--json")),
}
Run = Callable[..., "subprocess.CompletedProcess[str]"]
AS_JSON = [name for name, case in CASES.items() if "--json" in case.flags]
FILE = "study-file.toml"


@dataclass(frozen=True)
class Ended:
    process: subprocess.CompletedProcess[str]
    left_behind: list[str]


def run_case(directory: Path, case: Case, run: Run = run_here) -> Ended:
    directory.mkdir()
    flags = list(case.flags)
    if case.study is not None:
        (directory / FILE).write_bytes(
            case.study if isinstance(case.study, bytes) else case.study.encode()
        )
        flags += ["--study", FILE]
    process = run(directory, *flags, **case.environment)
    return Ended(process, sorted({path.name for path in directory.iterdir()} - {FILE}))


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """All cases, in this process."""
    root = tmp_path_factory.mktemp("bad-input")
    return {name: run_case(root / name.replace(" ", "-"), case) for name, case in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_ends_in_one_line_and_leaves_nothing(ended: dict[str, Ended], name: str) -> None:
    process = ended[name].process
    assert process.returncode == 2, process.stderr
    assert process.stderr.startswith("hpo: ")
    assert process.stderr.count("\n") == 1, process.stderr
    assert CASES[name].expected in process.stderr
    assert "Traceback" not in process.stderr
    assert "secret" not in process.stderr
    assert ended[name].left_behind == []


@pytest.mark.parametrize(
    "flags",
    [
        ("--bogus",),
        ("--storage", "optuna.db"),
        ("--study", "nothing.toml"),
        ("--trials", "0"),
        ("--metric", "acuracy"),
    ],
)
def test_bad_definition_ends_before_tracking_is_started(
    flags: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    started: list[InlineTracking] = []

    def make_tracking() -> InlineTracking:
        started.append(InlineTracking())
        return started[-1]

    assert main(["run", *flags], make_tracking=make_tracking) == 2
    assert started == []


@pytest.mark.parametrize("name", [name for name in CASES if name not in AS_JSON])
def test_bad_input_prints_no_result(ended: dict[str, Ended], name: str) -> None:
    assert ended[name].process.stdout == ""


@pytest.mark.parametrize("name", AS_JSON)
def test_bad_input_is_one_json_object_too(ended: dict[str, Ended], name: str) -> None:
    process = ended[name].process
    assert process.stdout.count("\n") == 1
    content = json.loads(process.stdout)
    assert content.keys() == {"error", "exit_code"}
    assert content["exit_code"] == 2
    assert content["error"].keys() == {"kind", "message", "hint"}
    assert content["error"]["kind"] in ("InputError", "DefinitionError")
    assert CASES[name].expected in content["error"]["message"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unknown target", "unknown key, as JSON"])
def test_command_says_the_same_and_leaves_nothing(
    ended: dict[str, Ended], tmp_path: Path, name: str
) -> None:
    """As a process of its own, whose tracking process has been started by then."""
    real, here = run_case(tmp_path / "real", CASES[name], run_hpo), ended[name]
    assert (real.process.returncode, real.process.stdout, real.process.stderr) == (
        here.process.returncode,
        here.process.stdout,
        here.process.stderr,
    )
    assert real.left_behind == []
