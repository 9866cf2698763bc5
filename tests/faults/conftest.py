"""One undisturbed run of each command a session, one MLflow server, and a proxy in front of it for
each test.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from .converging import Place, Reference, make_reference, place_in
from .disturbing import PAUSES
from .proxy import Proxy
from .server import Server

MakeReference = Callable[..., Reference]


@pytest.fixture(scope="session")
def undisturbed(make_directory: Callable[[str], Path]) -> MakeReference:
    """What a command leaves where nobody disturbs it; run once a session."""
    known: dict[tuple[str, ...], Reference] = {}

    def get(*flags: str, study: str = "iris", exit_code: int = 0) -> Reference:
        if flags not in known:
            known[flags] = make_reference(make_directory("undisturbed"), flags, study, exit_code)
        return known[flags]

    return get


@pytest.fixture(scope="session")
def reference(undisturbed: MakeReference) -> Reference:
    """Twelve trials of Iris: the last two are asked by what the others gave."""
    return undisturbed("--trials", "12")


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in this process make shorter pauses between attempts to write to MLflow."""
    for path, seconds in PAUSES.items():
        monkeypatch.setattr(path.replace(":", "."), seconds)


@pytest.fixture
def place(make_directory: Callable[[str], Path]) -> Place:
    """Both stores in a directory, their tables made."""
    return place_in(make_directory("disturbed"))


@pytest.fixture(scope="session")
def _server(empty_databases: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("server")
    shutil.copy(empty_databases / "mlflow.db", directory / "server.db")
    server = Server(directory)
    yield server
    server.stop()


@pytest.fixture
def server(_server: Server) -> Iterator[Server]:
    """The session's server, running and thawed before and after each test."""
    _server.start()
    yield _server
    if _server.is_running:
        _server.thaw()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def study(request: pytest.FixtureRequest, _server: Server) -> Iterator[str]:
    """A name of the test's own on the shared server; what the study left there is in nobody's way."""
    name = "".join(mark if mark.isalnum() else "-" for mark in request.node.name)
    yield name
    _server.start()
    _server.thaw()
    client = MlflowClient(_server.address)
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        client.delete_experiment(experiment.experiment_id)


@pytest.fixture
def served(make_directory: Callable[[str], Path], server: Server) -> Place:
    """The ledger in a directory, MLflow a server."""
    return Place(make_directory("disturbed"), server.directory / "server.db", server.address)


@pytest.fixture
def proxied(served: Place, proxy: Proxy) -> Place:
    """The same, and the command reaches the server through a proxy."""
    return Place(served.directory, served.database, served.address, proxy.address)
