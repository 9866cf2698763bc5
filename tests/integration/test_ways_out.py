"""Whatever data, flags, study files and other clients hold: no line is forged on any way out, no
terminal is steered, no page takes a cell for markup, and no password leaves.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from mlflow import MlflowClient

from hpo.results.drawing import to_csv
from hpo.tracking import keys
from tests.support.here import Ended, call_main, run_here
from tests.support.nasty import ANY, NASTY, NUL, assert_lines, assert_no_password
from tests.support.stores import ask, close_stores

LABELS = {
    "verdict", "against", "warning", "study", "columns", "note", "best", "cv", "hold-out", "gain", "optimism",
    "model", "pages", "next", "",
}  # fmt: skip
N_ROWS = 120
CLASSES = [*NASTY.values()][:12]
FLAGS = ("--data", "nasty.parquet", "--target", "target")
SHORT = {name: text for name, text in ANY.items() if len(text) < 1000}


@pytest.fixture(scope="module")
def directory(make_directory) -> Path:
    """With a table whose names, cells and classes are all nasty."""
    directory = make_directory("nasty")
    rng = np.random.default_rng(0)
    columns = {"x": rng.normal(size=N_ROWS), NUL: rng.normal(size=N_ROWS)}
    for name, text in NASTY.items():
        columns[f"constant {name}"] = [text] * N_ROWS
        columns[text] = rng.normal(size=N_ROWS)
        columns[f"categories {name}"] = rng.choice([text, f"{text}2", "c"], N_ROWS)
    columns["target"] = CLASSES * (N_ROWS // len(CLASSES))
    pd.DataFrame(columns).to_parquet(directory / "nasty.parquet")
    return directory


@pytest.fixture(scope="module")
def ended(directory: Path) -> Ended:
    return run_here(directory, *FLAGS, "--trials", "2", plots=True)


@pytest.fixture(scope="module")
def client(directory: Path, ended: Ended) -> Iterator[MlflowClient]:
    assert ended.returncode == 0
    close_stores()
    yield MlflowClient(f"sqlite:///{directory}/mlflow.db")
    close_stores()


def assert_harmless_page(text: str) -> None:
    """Of what our own words do not link to, nothing is markup."""
    assert_no_password(text)
    assert all(line.isprintable() for line in text.split("\n"))
    rendered = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    assert "evil.example" not in [part.partition('"')[0] for part in rendered.split('href="')]
    for tag in ("<script", "<img", 'javascript:alert(1)"', "<s>"):
        assert tag not in rendered
    assert len(text) < 100_000


def test_report_has_the_lines_of_any_report(ended):
    assert (ended.returncode, ended.stderr) == (0, "")
    assert_lines(ended.stdout)
    labels = [line[:9].strip() for line in ended.stdout.splitlines()]
    assert set(labels) <= LABELS
    assert labels.count("model") == 1
    assert labels.count("note") == len(NASTY)


def test_tags_and_params(client):
    (experiment,) = [each for each in client.search_experiments() if each.name == "nasty"]
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 3
    for run in runs:
        for name, value in {**run.data.tags, **run.data.params}.items():
            assert_no_password(name, value)
            if name != keys.DESCRIPTION:
                assert value.isprintable(), (name, value)
    (parent,) = [run for run in runs if keys.BEST_TRIAL in run.data.tags]
    assert keys.DRAWN in parent.data.tags
    assert_harmless_page(parent.data.tags[keys.DESCRIPTION])
    (model,) = client.search_logged_models([experiment.experiment_id])
    assert all(value.isprintable() for value in {**model.tags, **model.params}.values())
    names = [name for name in parent.data.metrics if name.startswith("importance_")]
    assert len(names) == 2 + 2 * len(NASTY)


@pytest.mark.usefixtures("ended")
def test_model_card(directory):
    card, copy = (
        path.read_text(encoding="utf-8") for path in directory.glob("mlruns/**/model_card.md")
    )
    assert card == copy
    assert_harmless_page(card)
    assert card.count("\n- 'constant ") == len(NASTY)


@pytest.mark.usefixtures("ended")
def test_notes_of_the_dashboard(directory):
    query = "SELECT value_json FROM study_system_attributes WHERE key LIKE 'dashboard:note_str%'"
    notes = [json.loads(text) for (text,) in ask(directory / "optuna.db", query)]
    assert notes
    assert_harmless_page("".join(notes))


def test_dry_run(directory):
    ended = call_main(directory, "run", *FLAGS, "--dry-run")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert_lines(ended.stdout)
    assert all(
        line[:9].strip() in LABELS | {"data", "space", "splits", "trial 0", "time"}
        for line in ended.stdout.splitlines()
    )
    content = call_main(directory, "run", *FLAGS, "--dry-run", "--json").stdout
    assert_no_password(content)
    assert set(json.loads(content)["data"]["classes"]) >= {NASTY["escape"], NASTY["newline"]}


@pytest.mark.usefixtures("ended")
def test_json_of_a_run_is_one_line(directory):
    content = run_here(directory, *FLAGS, "--trials", "2", "--json")
    assert (content.returncode, content.stderr) == (0, "")
    assert_lines(content.stdout.removesuffix("\n"), longest=10_000)
    assert json.loads(content.stdout)["study"] == "nasty"


def test_predicted_rows_stay_cells(directory, ended):
    uri = next(line.split()[1] for line in ended.stdout.splitlines() if line.startswith("model "))
    text = f"constant {'formula'}"
    predicted = call_main(directory, "predict", uri, "nasty.parquet", "--keep", text, "--keep", "x")
    assert (predicted.returncode, predicted.stderr.count("\n")) == (0, 1)
    assert_lines(predicted.stderr.removesuffix("\n"))
    header, *rows = csv.reader(io.StringIO(predicted.stdout, newline=""))
    assert len(rows) == N_ROWS
    assert {row[0] for row in rows} == {f"'{NASTY['formula']}"}
    assert {len(row) for row in rows} == {len(header)}


@pytest.mark.parametrize(
    "name", ["newline", "escape", "bidirectional", "rich markup", "long", "password", "surrogate"]
)
def test_refusal_is_one_line(directory, name):
    text = ANY[name]
    for arguments in (
        ("run", *FLAGS[:2], "--target", f"no {text}"),
        ("run", *FLAGS, "--drop", f"no {text}"),
        ("run", "--data", f"{text[:200]}.csv", "--target", "y"),
        ("run", "--data", text),
        ("run", "--name", text),
        ("run", "--metric", text),
        ("run", "--workers", text),
        ("run", "--positive", text),
        ("run", "--register", f"a/{text}"),
        ("run", "--storage", text),
        ("list", "--tracking-uri", text),
        ("run", "--study", text[:200]),
        ("run", f"--{text}"),
        ("check", "--storage", f"sqlite:///no/{text[:200]}"),
        ("list", "--storage", f"postgresql://{text}@127.0.0.1:9/x"),
        ("export", text),
        ("export", text, "--debug"),
        (f"no {text}",),
    ):
        ended = call_main(directory, *arguments, "--json")
        assert ended.returncode in {2, 3, 4}, (arguments, ended)
        assert_lines(ended.stderr.removesuffix("\n"))
        assert_lines(ended.stdout.removesuffix("\n"), longest=10_000)


@pytest.fixture(scope="module")
def others(make_directory) -> Path:
    """A study that another client made, of nasty params, attributes and names."""
    directory = make_directory("others")
    storage = f"sqlite:///{directory}/optuna.db"
    for name, text in SHORT.items():
        if name == "surrogate":
            continue
        study = optuna.create_study(storage=storage, study_name=text)
        with pytest.warns(optuna.exceptions.ExperimentalWarning):
            study.set_metric_names([text])
        choices = {"p": optuna.distributions.CategoricalDistribution([text, *SHORT.values()])}
        for value in SHORT.values():
            trial = optuna.create_trial(
                value=1.0,
                params={"p": value},
                distributions=choices,
                user_attrs={"hpo.failure": value},
            )
            study.add_trial(trial)
    return directory


def test_list_of_studies_that_others_named(others):
    ended = call_main(others, "list")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert_lines(ended.stdout)
    assert len(ended.stdout.splitlines()) == len(SHORT)
    assert_no_password(call_main(others, "list", "--json").stdout)


def test_export_of_what_others_stored(others):
    ended = call_main(others, "export", NASTY["escape"])
    assert (ended.returncode, ended.stderr) == (0, "")
    _, *rows = csv.reader(io.StringIO(ended.stdout, newline=""))
    assert len(rows) == len(SHORT)
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row)
    for file in ("t.csv", "t.parquet"):
        ended = call_main(others, "export", NASTY["escape"], "--csv", file)
        assert (ended.returncode, ended.stderr) == (0, "")
    content = json.loads(call_main(others, "export", NASTY["escape"], "--json").stdout)
    assert [trial["params"]["p"] for trial in content["trials"][:2]] == [*SHORT.values()][:2]


def test_table_of_a_figure_is_that_of_any_file():
    assert to_csv(pd.DataFrame({"=a": ["=cmd()"]})) == b'"\'=a"\n"\'=cmd()"\n'


def test_address_of_data_is_refused_without_its_password(directory):
    (directory / "away.toml").write_text(
        '[data]\nsource = "https://u:s3cr3t@h/x.csv"\ntarget = "y"\n', encoding="utf-8"
    )
    for flags in (
        ("--data", "https://u:s3cr3t@h/x.csv", "--target", "y"),
        ("--data", "https://s3cr3t@h/x.csv", "--target", "y"),
        ("--study", "away.toml"),
    ):
        ended = run_here(directory, *flags)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "should be a file, but got the address https://" in ended.stderr
        assert "***@h/x.csv (download it, then give the file)" in ended.stderr
        assert_no_password(ended.stderr)


@pytest.mark.parametrize("credentials", ["s3cr3t", "me:s3cr3t"])
def test_password_of_a_server_is_nowhere(make_directory, server, credentials):
    directory = make_directory("secret")
    address = server.replace("//", f"//{credentials}@")
    name = f"secret-{len(credentials)}"
    flags = ("--trials", "2", "--name", name, "--tracking-uri", address, "--register", name)
    for more in ((), ("--json",)):
        ended = run_here(directory, *flags, *more, plots=True)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert_no_password(ended.stdout)
    for command in ("check", "list", "export"):
        arguments = (name,) if command == "export" else ()
        shown = call_main(directory, command, *arguments, "--tracking-uri", address)
        assert_no_password(shown.stdout, shown.stderr)
    away = call_main(directory, "list", "--tracking-uri", f"http://{credentials}@127.0.0.1:9")
    assert away.returncode == 3
    assert_no_password(away.stdout, away.stderr)
    for path in directory.rglob("*"):
        if path.is_file():
            assert_no_password(path.read_bytes())
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name(name)
    for run in client.search_runs([experiment.experiment_id]):
        assert_no_password(str(run.to_dictionary()))
        for item in client.list_artifacts(run.info.run_id):
            if item.path.endswith(".md"):
                assert_no_password(
                    Path(
                        client.download_artifacts(run.info.run_id, item.path, str(directory))
                    ).read_text()
                )
    assert_no_password(
        str(
            [
                model.to_dictionary()
                for model in client.search_logged_models([experiment.experiment_id])
            ]
        )
    )
