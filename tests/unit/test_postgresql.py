"""The storage on a real PostgreSQL that is silent, cut off, or having its tables made."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import psycopg
import pytest

import hpo.ledger.bounded
import hpo.ledger.failures
from hpo.errors import InterruptedBySignal, LedgerError
from hpo.ledger.inspection import read_maker
from hpo.ledger.postgresql import SCHEMA_KEY
from hpo.ledger.storage import open_storage
from tests.support.postgres import Cluster
from tests.unit.driving import drive, facts, numbers_of_trials_asked_at_once, open_study
from tests.unit.relay import Relay


@pytest.fixture
def url(cluster: Cluster, request: pytest.FixtureRequest) -> str:
    """The URL of a new database."""
    return cluster.make_database(request.node.name[:60])


@pytest.fixture
def relay(cluster: Cluster) -> Iterator[Relay]:
    with Relay(cluster.port) as running:
        yield running


def setting(url: str, name: str) -> str:
    """What a session of the ledger has."""
    storage = open_storage(url)
    with storage.engine.connect() as connection:
        value = str(connection.exec_driver_sql(f"SHOW {name}").scalar())
    storage.engine.dispose()
    return value


def as_milliseconds(url: str, name: str) -> int:
    units = {"ms": 1, "s": 1000, "min": 60_000}
    text = setting(url, name)
    number = text.rstrip("mins")
    return int(number) * units[text[len(number) :] or "ms"]


def test_server_drops_a_client_that_is_cut_off_within_a_minute(url):
    idle = int(setting(url, "tcp_keepalives_idle"))
    interval = int(setting(url, "tcp_keepalives_interval"))
    count = int(setting(url, "tcp_keepalives_count"))
    assert 0 < idle + interval * count <= 60
    assert 0 < as_milliseconds(url, "tcp_user_timeout") <= 60_000
    assert 0 < as_milliseconds(url, "lock_timeout") <= 5_000


@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        ("options=-c%20tcp_keepalives_idle%3D77", "tcp_keepalives_idle", "77"),
        ("options=-c%20tcp_keepalives_idle%3D77", "tcp_keepalives_interval", "10"),
        ("application_name=mine", "application_name", "mine"),
    ],
)
def test_what_the_url_sets_stays(cluster, query, name, value):
    url = cluster.make_database(f"{name}-{value}")
    assert setting(f"{url}?{query}", name) == value


def test_server_that_is_silent_is_asked_again(url, cluster, relay, monkeypatch):
    monkeypatch.setattr(hpo.ledger.bounded, "ANSWER_SECONDS", 0.5)
    with open_study(url) as whole:
        drive(whole, 4)
        expected = facts(whole.trials())
    through = url.replace(str(cluster.port), str(relay.port)) + "2"
    cluster.make_database(url.rpartition("/")[2] + "2")
    notes: list[str] = []
    with open_study(through, note=notes.append) as study:
        drive(study, 2)
        relay.freeze()
        monkeypatch.setattr(hpo.ledger.failures, "NOTE_SECONDS", 0.0)
        monkeypatch.setattr(time, "sleep", lambda _: relay.thaw())
        drive(study, 4)
        monkeypatch.undo()
        assert facts(study.trials()) == expected
    assert [note.partition(" postgresql")[0] for note in notes] == ["waiting: the storage"]


def test_session_that_the_server_still_has_is_ended_not_taken_for_another_driver(
    url, cluster, relay
):
    with open_study(url.replace(str(cluster.port), str(relay.port))) as study:
        drive(study, 2)
        relay.cut()
        drive(study, 4)
        assert [trial.number for trial in study.trials()] == [0, 1, 2, 3]


def test_signal_ends_the_wait_for_a_server_that_is_silent(url, cluster, relay):
    received: list[int] = []
    through = url.replace(str(cluster.port), str(relay.port))
    with open_study(through, stop_signal=lambda: received[-1] if received else None) as study:
        drive(study, 2)
        relay.freeze()
        received.append(signal.SIGTERM)
        started = time.monotonic()
        with pytest.raises(InterruptedBySignal, match=r"^stopped while the storage ") as caught:
            drive(study, 4)
        assert caught.value.exit_code == 143
        assert time.monotonic() - started < 10
    assert time.monotonic() - started < 10


def address(url: str) -> str:
    return url.replace("+psycopg", "")


def test_maker_of_the_tables_is_named_and_the_wait_for_it_ends(url, monkeypatch):
    monkeypatch.setattr(hpo.ledger.failures, "RETRY_SECONDS", 0.3)
    monkeypatch.setattr(hpo.ledger.failures, "NOTE_SECONDS", 0.1)
    notes: list[str] = []
    line = r"^the tables of \S+:\*\*\*@\S+ are being made by another process \(a start, since 20"
    with psycopg.connect(address(url), application_name="a start", autocommit=True) as maker:
        maker.execute("SELECT pg_advisory_lock(%s)", (SCHEMA_KEY,))
        with pytest.raises(LedgerError, match=line):
            open_storage(url, note=notes.append)
        with pytest.raises(InterruptedBySignal, match=r"^stopped while the tables of "):
            open_storage(url, lambda: signal.SIGINT)
        assert len(notes) == 1
        assert notes[0].startswith("waiting: the tables of ")
        assert read_maker(url).startswith("a start, since 20")
    open_storage(url).engine.dispose()
    assert read_maker(url) is None


def test_lock_of_the_tables_is_not_asked_where_they_are(url):
    open_storage(url).engine.dispose()
    with psycopg.connect(address(url), autocommit=True) as maker:
        maker.execute("SELECT pg_advisory_lock(%s)", (SCHEMA_KEY,))
        with open_study(url) as study:
            drive(study, 1)


def test_rows_that_another_client_locks_are_waited_for_within_bounds(url, monkeypatch):
    """Optuna locks the study's row when it adds a trial."""
    monkeypatch.setattr(hpo.ledger.failures, "RETRY_SECONDS", 0.1)
    with open_study(url) as study, psycopg.connect(address(url)) as other:
        other.execute("LOCK TABLE studies IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(LedgerError, match="lock timeout"):
            drive(study, 1)
        other.rollback()
        drive(study, 1)


def test_trials_that_are_asked_at_once_get_numbers_of_their_own(url):
    assert numbers_of_trials_asked_at_once(url, 40) == [*range(40)]
