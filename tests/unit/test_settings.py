"""Where ledger and tracking are, and that no password is printed."""

from __future__ import annotations

import pytest

from hpo.errors import SettingsError
from hpo.escaping import hide_password
from hpo.settings import MAX_WORKERS, ServiceSettings, read_settings, sqlite_path

STORAGE = "postgresql+psycopg://me:secret@db:5432/optuna"


def test_defaults_lie_in_the_working_directory():
    settings = read_settings(environment={})
    assert settings == ServiceSettings(
        storage="sqlite:///optuna.db", tracking_uri="sqlite:///mlflow.db", register=None
    )


def test_environment_wins_over_default():
    settings = read_settings(
        environment={"HPO_STORAGE": STORAGE, "MLFLOW_TRACKING_URI": "http://tracking:5000"}
    )
    assert (settings.storage, settings.tracking_uri) == (STORAGE, "http://tracking:5000")


def test_flag_wins_over_environment():
    environment = {"HPO_STORAGE": "mysql://never/looked-at", "MLFLOW_TRACKING_URI": "file:///never"}
    settings = read_settings(
        storage=STORAGE, tracking_uri="https://tracking", register="iris", environment=environment
    )
    assert (settings.storage, settings.tracking_uri, settings.register) == (
        STORAGE,
        "https://tracking",
        "iris",
    )


def test_empty_variable_counts_as_unset():
    assert (
        read_settings(environment={"HPO_STORAGE": "", "MLFLOW_TRACKING_URI": ""})
        == ServiceSettings()
    )


def test_sqlite_path_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sqlite_path("sqlite:///optuna.db") == tmp_path / "optuna.db"
    assert sqlite_path("sqlite:////srv/optuna.db").as_posix() == "/srv/optuna.db"
    assert sqlite_path(STORAGE) is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@db:5432/optuna", "postgresql://me:***@db:5432/optuna"),
        ("postgresql+psycopg://me:secret@db/optuna", "postgresql+psycopg://me:***@db/optuna"),
        ("https://me:secret@host/path?query=1", "https://me:***@host/path?query=1"),
        ("postgresql://me:sec/ret@db/optuna", "postgresql://me:***@db/optuna"),
        ("postgresql://me:sec@ret@db/optuna", "postgresql://me:***@db/optuna"),
        ("postgresql://me:sec:ret@db/optuna", "postgresql://me:***@db/optuna"),
        ("postgresql://:secret@db/optuna", "postgresql://:***@db/optuna"),
        ("postgresql://me@db/optuna", "postgresql://me@db/optuna"),
        ("http://localhost:5000", "http://localhost:5000"),
        ("sqlite:////srv/optuna.db", "sqlite:////srv/optuna.db"),
        ("no url at all", "no url at all"),
        ("", ""),
    ],
)
def test_hide_password(url, shown):
    assert hide_password(url) == shown


def test_hide_password_with_an_at_before_a_slash():
    assert "ret" not in hide_password("postgresql://me:sec@/ret@db/optuna")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db/optuna?user=me&password=secret",
        "postgresql://db:5432/optuna?user=me&password=p@secret",
        "postgresql://db/optuna?password=p@secret",
        "postgresql://me:secret?password=x@db/optuna",
    ],
)
def test_hide_password_in_the_query(url):
    assert "secret" not in hide_password(url)


def test_settings_do_not_show_a_password():
    shown = repr(ServiceSettings(storage=STORAGE, tracking_uri="http://me:secret@tracking:5000"))
    assert "secret" not in shown


def test_path_that_is_too_long_is_no_directory(tmp_path):
    with pytest.raises(SettingsError, match="storage should lie in a directory that exists"):
        ServiceSettings(storage=f"sqlite:///{tmp_path}/{'x' * 300}/optuna.db")


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:secret@db/optuna",
        "redis://:secret@db",
        "optuna.db",
        "sqlite:optuna.db",
        "journal.log",
    ],
)
def test_storage_of_another_kind_is_refused_without_its_password(url):
    with pytest.raises(
        SettingsError, match="storage should start with sqlite:// or postgresql://, but got '"
    ) as caught:
        ServiceSettings(storage=url)
    assert "secret" not in str(caught.value)
    assert caught.value.hint == "for example sqlite:///optuna.db"


@pytest.mark.parametrize(
    "url", ["file:///mlruns", "./mlruns", "databricks", "ftp://me:secret@host"]
)
def test_tracking_store_of_another_kind_is_refused_without_its_password(url):
    with pytest.raises(
        SettingsError, match=r"tracking URI should start with sqlite://.* or https://, but got '"
    ) as caught:
        ServiceSettings(tracking_uri=url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:////tmp"])
def test_sqlite_needs_a_file(url):
    with pytest.raises(
        SettingsError, match="storage should name a file after 'sqlite:///', but got"
    ):
        ServiceSettings(storage=url)


def test_sqlite_needs_a_directory_that_exists(tmp_path):
    with pytest.raises(
        SettingsError, match="storage should lie in a directory that exists"
    ) as caught:
        ServiceSettings(storage=f"sqlite:///{tmp_path}/missing/optuna.db")
    assert caught.value.hint == f"make {tmp_path}/missing first"


def test_server_needs_a_host():
    with pytest.raises(
        SettingsError, match="tracking URI should name a host and a port, but got 'http:///path'"
    ):
        ServiceSettings(tracking_uri="http:///path")


def test_one_file_for_both_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="should be two databases"):
        ServiceSettings(storage="sqlite:///both.db", tracking_uri=f"sqlite:///{tmp_path}/both.db")


@pytest.mark.parametrize("name", ["", " ", "a/b", "a:b", "a'b", "a..b", "`a`"])
def test_model_name_that_mlflow_refuses_is_refused(name):
    with pytest.raises(
        SettingsError, match=r"a model name should have no slash, colon, quote or '\.\.', but got '"
    ):
        ServiceSettings(register=name)


def test_brace_in_a_url_is_refused_since_optuna_would_format_it(tmp_path):
    (tmp_path / "{x}").mkdir()
    with pytest.raises(
        SettingsError,
        match=r"storage should have no brace, but got 'sqlite:///\S+/\{x\}/optuna\.db'$",
    ):
        ServiceSettings(storage=f"sqlite:///{tmp_path}/{{x}}/optuna.db")


def test_query_of_an_sqlite_url_is_refused(tmp_path):
    with pytest.raises(
        SettingsError,
        match=r"storage should name a file after 'sqlite:///', but got '\S+optuna\.db\?timeout=5'$",
    ):
        ServiceSettings(storage=f"sqlite:///{tmp_path}/optuna.db?timeout=5")


@pytest.mark.parametrize(
    ("text", "workers"),
    [(None, "auto"), ("auto", "auto"), ("1", 1), ("12", 12), (str(MAX_WORKERS), MAX_WORKERS)],
)
def test_workers_are_a_number_or_auto(text, workers):
    assert read_settings(workers=text, environment={}).workers == workers
    assert (
        ServiceSettings(workers=text or "auto").workers
        == ServiceSettings(workers=workers).workers
        == workers
    )


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "two", "", str(MAX_WORKERS + 1)])
def test_workers_that_are_no_number_are_refused(text):
    with pytest.raises(
        SettingsError,
        match=rf"--workers: this should be 'auto', a number .* {MAX_WORKERS} or .*, but got '{text}'$",
    ):
        read_settings(workers=text, environment={})
    with pytest.raises(SettingsError, match="--workers"):
        ServiceSettings(workers=text)


def test_url_that_cannot_be_split_is_refused():
    with pytest.raises(SettingsError, match="storage"):
        ServiceSettings(storage="postgresql://[me:secret@db/optuna")


@pytest.mark.parametrize(
    "url", ["sqlite://me:secret@host/x", "sqlite+pysqlite://me:secret@host/x.db"]
)
def test_sqlite_url_with_credentials_is_refused_without_its_password(url):
    with pytest.raises(SettingsError, match="storage should name a file") as caught:
        ServiceSettings(storage=url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["postgresql://me:secret@db/optuna", "postgres://me:secret@db/optuna"]
)
def test_postgresql_gets_the_driver_that_is_installed(url):
    assert (
        read_settings(storage=url, environment={}).storage
        == "postgresql+psycopg://me:secret@db/optuna"
    )
    named = "postgresql+psycopg2://me@db/optuna"
    assert read_settings(storage=named, environment={}).storage == named


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_tracking_wait_is_a_time(seconds):
    with pytest.raises(
        SettingsError, match=r"^--tracking-wait: this should be 0 or more seconds, but got "
    ):
        read_settings(tracking_wait_seconds=seconds, environment={})


def test_working_directory_that_is_gone(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SettingsError, match="the working directory is gone"):
        read_settings(environment={})
