"""The service over HTTP: studies in and out, who may ask, what is refused and how."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psutil
import pytest
import requests
from mlflow import MlflowClient
from prometheus_client.parser import text_string_to_metric_families

from hpo.errors import (
    DataError,
    HpoError,
    IdentityError,
    InputError,
    MissingStudyError,
    SettingsError,
)
from hpo.service.client import Client
from hpo.service.http.guard import COOKIE
from hpo.service.http.settings import HttpSettings, read_http_settings
from hpo.service.http.uploads import PREFIX
from hpo.study_file import load_definition
from tests.support.commands import WITHOUT_WORKERS
from tests.support.here import call_main, run_here_well
from tests.support.http_service import TOKEN, Service, serving
from tests.support.servers import free_port

TABLE = pd.DataFrame({"age": [index * index % 47 for index in range(80)]})
TABLE["plan"] = ["basic" if age % 3 else "pro" for age in TABLE["age"]]
TABLE["churned"] = ["yes" if age > 20 else "no" for age in TABLE["age"]]
CSV = TABLE.to_csv(index=False)
CUSTOMERS = '[study]\nname = "customers"\nn_trials = 3\n[data]\ntarget = "churned"\n'
PROBLEM = {"type", "title", "status", "detail", "hint", "kind", "exit_code"}


@pytest.fixture
def service(directory: Path) -> Iterator[Service]:
    with serving(directory) as running:
        yield running


@pytest.fixture(scope="module")
def refusing(make_directory: Callable[[str], Path]) -> Iterator[Service]:
    """For tests in which nothing is submitted."""
    with serving(make_directory("refusing")) as running:
        yield running
        assert running.get("/studies").json() == {"studies": []}


def problem(answer: requests.Response, status: int) -> dict:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    content = answer.json()
    assert content.keys() == PROBLEM
    assert content["status"] == status
    assert "\n" not in content["detail"]
    return content


def kept_uploads() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))


def test_study_goes_in_and_out(service):
    sent = service.post(CUSTOMERS, ("customers.csv", CSV), priority="2")
    assert sent.status_code == 202
    study = sent.json()
    assert sent.headers["Location"] == "/studies/customers"
    assert (study["name"], study["state"], study["n_wanted"]) == ("customers", "queued", 3)
    assert service.get("/studies/customers").json() == study
    assert service.get("/studies").json() == {"studies": [study]}
    assert service.post(CUSTOMERS, ("customers.csv", CSV), priority="2").json() == study
    more = service.post(CUSTOMERS.replace("3", "7"), ("customers.csv", CSV), priority="2")
    assert more.json() == {**study, "n_wanted": 7}
    assert service.ask("DELETE", "/studies/customers").json()["state"] == "cancelled"
    assert kept_uploads() == []
    assert service.notes == []


def test_definition_is_json_or_toml_as_text_or_file(service):
    as_json = json.dumps(
        {"study": {"name": "customers", "n_trials": 3}, "data": {"target": "churned"}}
    )
    first = service.post(as_json, ("c.csv", CSV)).json()
    parts = {"definition": ("study.toml", CUSTOMERS), "table": ("c.csv", CSV)}
    assert service.ask("POST", "/studies", files=parts).json() == first
    assert service.post("").json()["name"] == "iris"


def test_refusals_are_those_of_the_command(service, directory):
    (directory / "customers.csv").write_text(CSV, encoding="utf-8")
    flags = ("submit", "--data", "customers.csv", "--target", "chrned", "--json")
    told = json.loads(call_main(directory, *flags).stdout)
    answer = service.post('[data]\ntarget = "chrned"', ("customers.csv", CSV))
    content = problem(answer, 422)
    assert {"kind": content["kind"], "message": content["detail"], "hint": content["hint"]} == told[
        "error"
    ]
    assert content["exit_code"] == told["exit_code"] == 2


@pytest.mark.parametrize(
    ("definition", "detail"),
    [
        ("[study]\nn_trails = 3", "definition: study.n_trails: unknown key"),
        (
            "[study]\nn_trials = 0",
            "definition: study.n_trials: should be greater than or equal to 1",
        ),
        ("[study", "definition: this is not TOML"),
        ('{"study": ', "definition: this is not JSON"),
        ('{"study": 3}', "definition: study: should be a table"),
        ('{"data": [1]}', "definition: data: should be a table"),
        ("[" * 5000, "definition: this is not"),
        (b"\xff\xfe", "definition"),
        ('[study]\nmetric = "acuracy"', "acuracy"),
    ],
)
def test_definition_that_cannot_be_is_refused(refusing, definition, detail):
    assert detail in problem(refusing.post(definition), 422)["detail"]
    assert refusing.get("/studies").json() == {"studies": []}


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"priority": "high"}, "priority: should be a valid integer"),
        ({"priority": "1001"}, "priority: should be less than or equal to 1000"),
        ({"storage": "sqlite:///x.db"}, "form: unknown field 'storage'"),
    ],
)
def test_field_that_cannot_be_is_refused(refusing, fields, detail):
    assert detail in problem(refusing.post("", **fields), 422)["detail"]


def test_table_that_is_no_file_is_refused(refusing):
    answer = refusing.ask("POST", "/studies", files={"table": (None, CSV)})
    assert "table: this should be a file with a name" in problem(answer, 422)["detail"]
    both = [("definition", (None, ""))] * 2
    twice = problem(refusing.ask("POST", "/studies", files=both), 422)
    assert twice["detail"] == "form: the field 'definition' is there twice"


def test_another_table_under_the_same_name_is_a_conflict(service):
    service.post(CUSTOMERS, ("customers.csv", CSV))
    answer = service.post(CUSTOMERS, ("customers.csv", TABLE[1:].to_csv(index=False)))
    content = problem(answer, 409)
    assert "study 'customers' was begun with something else" in content["detail"]
    assert content["kind"] == "IdentityError"


def test_nothing_is_found_where_nothing_is(service):
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events"), ("GET", "/model")):
        assert (
            problem(service.ask(method, f"/studies/none{path}"), 404)["kind"] == "MissingStudyError"
        )
    problem(service.get("/studies/%00%2e%2e"), 404)
    problem(service.get("/nothing"), 404)
    problem(service.ask("PUT", "/studies"), 405)
    problem(service.ask("POST", "/studies", json={"study": {}}), 415)
    problem(
        service.ask("POST", "/studies", data=b"x", headers={"Content-Type": "multipart/form-data"}),
        400,
    )
    service.post("[study]\nn_trials = 3")
    assert "has no model yet" in problem(service.get("/studies/iris/model"), 404)["detail"]


NAMES = {
    "../../evil.csv": 202,
    "/etc/evil.csv": 202,
    "..\\evil.csv": 202,
    "C:\\evil.csv": 202,
    "..csv": 202,
    "customers.v2.csv": 202,
    "evil\x1b[31m.csv": 202,
    "nul\0.csv": 202,
    "evil.csv/..": 415,
    "evil.zip": 415,
    "evil.tar.gz": 415,
    "evil.pkl": 415,
    "evil.csv.exe": 415,
    "evil": 415,
}


def test_name_of_an_upload_leads_nowhere(service, directory, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    for number, (name, status) in enumerate(NAMES.items()):
        head = f'--b\r\nContent-Disposition: form-data; name="table"; filename="{name}"\r\n\r\n'
        definition = CUSTOMERS.replace('"customers"', f'"customers-{number}"')
        text = f'--b\r\nContent-Disposition: form-data; name="definition"\r\n\r\n{definition}\r\n'
        answer = service.ask(
            "POST",
            "/studies",
            data=f"{text}{head}{CSV}{number},pro,yes\r\n--b--\r\n".encode(),
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        )
        assert answer.status_code == status, (name, answer.text)
        assert answer.text.isprintable()
        assert list(folder.iterdir()) == []
    names = {path.name for path in (directory / "mlruns").rglob("*") if path.is_file()}
    assert names >= {"table.csv", "customers.v2.csv"}
    places = [path.parent for path in directory.parent.rglob("*evil*")]
    assert {place.name for place in places} <= {"table"}  # MLflow's folder of one
    assert all(place.is_relative_to(directory / "mlruns") for place in places)
    assert list(Path("/etc").glob("*evil*")) == []


def test_upload_of_a_server_that_was_killed_is_removed(directory, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, others = (directory / f"{PREFIX}{pid}-x" for pid in (ended.pid, psutil.Process().ppid()))
    for folder in (left, others):
        folder.mkdir()
    with serving(directory):
        assert not left.exists()
        assert others.exists()


def test_only_a_table_is_read_as_one(refusing):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../evil.csv", CSV)
    code = pickle.dumps(TABLE)
    for name, content in (
        ("a.csv", archive.getvalue()),
        ("a.csv.gz", b"\x1f\x8bnot"),
        ("a.parquet", code),
        ("a.feather", code),
        ("a.csv", code),
    ):
        found = problem(refusing.post(CUSTOMERS, (name, content)), 422)
        assert found["kind"] == "DataError"
        assert tempfile.gettempdir() not in found["detail"]
        assert name in found["detail"]
    assert refusing.get("/studies").json() == {"studies": []}


@pytest.mark.parametrize(
    "source", ["/etc/passwd", "customers.csv", "http://127.0.0.1/x.csv", "", "x\0"]
)
def test_file_of_the_server_cannot_be_named(service, directory, source):
    (directory / "customers.csv").write_text(CSV, encoding="utf-8")
    definition = json.dumps({"data": {"source": source, "target": "churned"}})
    assert (
        "data.source should be one of iris, wine"
        in problem(service.post(definition), 422)["detail"]
    )
    assert "leave data.source out" in problem(service.post(definition, ("c.csv", CSV)), 422)["hint"]


def test_table_in_the_allowed_folder_stays_in_place(directory):
    folder = directory / "tables"
    folder.mkdir()
    (folder / "customers.csv").write_text(CSV, encoding="utf-8")
    (directory / "secret.csv").write_text(CSV, encoding="utf-8")
    (folder / "link.csv").symlink_to(directory / "secret.csv")
    with serving(directory, folder=folder) as service:
        definition = {"study": {"n_trials": 3}, "data": {"target": "churned"}}
        for source in ("customers.csv", str(folder / "customers.csv")):
            definition["data"]["source"] = source
            assert service.post(json.dumps(definition)).status_code == 202
        for source in ("../secret.csv", "link.csv", str(directory / "secret.csv"), "/etc/passwd"):
            definition["data"]["source"] = source
            assert "should lie in" in problem(service.post(json.dumps(definition)), 422)["detail"]


def test_larger_bodies_than_allowed_are_refused_unread(directory):
    most = 1_000_000
    with serving(directory, http=HttpSettings(max_upload_bytes=most)) as service:
        memory = psutil.Process().memory_info().rss
        large = CSV + "1,basic,no\n" * 200_000
        content = problem(service.post(CUSTOMERS, ("customers.csv", large)), 413)
        assert f"{most} bytes" in content["detail"]
        assert "--max-upload" in content["hint"]

        def without_length() -> Iterator[bytes]:
            yield b'--b\r\nContent-Disposition: form-data; name="table"; filename="a.csv"\r\n\r\n'
            for _ in range(3000):
                yield b"x" * 100_000

        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = service.ask("POST", "/studies", data=without_length(), headers=headers)
        problem(answer, 413)
        assert psutil.Process().memory_info().rss - memory < 200e6
        problem(service.post("x" * 300_000), 400)


def test_chunked_body_without_an_end_is_answered_with_413(directory):
    with serving(directory, http=HttpSettings(max_upload_bytes=1_000_000)) as service:
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            client.sendall(
                b"POST /studies HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
                b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            )
            part = b'--b\r\nContent-Disposition: form-data; name="table"; filename="a.csv"\r\n\r\n'
            body = part + b"x" * 1_000_001
            client.sendall(f"{len(body):x}\r\n".encode() + body + b"\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_table_that_unpacks_to_more_than_allowed_is_refused(directory):
    bomb = gzip.compress(CSV.encode() + b"1,basic,no\n" * 1_000_000)
    frame = pd.DataFrame({"age": [1] * 2_000_000, "churned": ["no"] * 2_000_000})
    parquet, feather = io.BytesIO(), io.BytesIO()
    frame.to_parquet(parquet)
    frame.to_feather(feather)
    with serving(directory, max_table_bytes=5_000_000) as service:
        for name, content in (
            ("a.csv.gz", bomb),
            ("a.parquet", parquet.getvalue()),
            ("a.feather", feather.getvalue()),
            ("a.csv", CSV.encode() + b"1,basic,no\n" * 1_000_000),
        ):
            refused = problem(service.post(CUSTOMERS, (name, content)), 413)
            assert "holds more than 5000000 bytes" in refused["detail"]
            assert "HPO_MAX_TABLE_BYTES" in refused["hint"]
        assert service.post(CUSTOMERS, ("a.csv.gz", gzip.compress(CSV.encode()))).status_code == 202


def test_full_queue_is_said(directory):
    with serving(directory, max_queued=1) as service:
        assert service.post("[study]\nn_trials = 3").status_code == 202
        answer = service.post('[data]\nsource = "wine"')
        assert "the queue is full" in problem(answer, 429)["detail"]
        assert int(answer.headers["Retry-After"]) > 0
        assert service.post("[study]\nn_trials = 4").status_code == 202


def test_storage_that_is_away_is_said(directory):
    url = f"postgresql://hpo:s3cr3t@127.0.0.1:{free_port()}/optuna"
    with serving(directory, storage=url) as service:
        assert problem(service.get("/health"), 503)["detail"] == "the storage does not answer"
        for path in ("/studies", "/studies/iris", "/metrics"):
            answer = service.get(path)
            assert problem(answer, 503)["kind"] == "LedgerError"
            assert "s3cr3t" not in answer.text
        problem(service.get("/"), 503)


def test_health_and_metrics(service):
    assert service.get("/health").json() == {"status": "ok"}
    service.post("[study]\nn_trials = 3")
    service.post('[data]\nsource = "wine"')
    service.end("wine")
    answer = service.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert found["hpo_studies", "queued"] == found["hpo_queue_length",] == 1
    assert found["hpo_studies", "done"] == 1
    assert found["hpo_trials_told_total",] == found["hpo_trials_failed_total",] == 0
    assert found["hpo_mlflow_behind_seconds",] == 0


def behind(service: Service) -> dict[str, float]:
    families = text_string_to_metric_families(service.get("/metrics").text)
    found = {sample.name: sample.value for family in families for sample in family.samples}
    return {name: value for name, value in found.items() if name.startswith("hpo_mlflow_")}


def test_metrics_say_how_far_mlflow_is_behind(directory):
    with serving(directory) as service:
        service.client.submit({"study": {"n_trials": 5}})
        run_here_well(directory, "--trials", "3", **WITHOUT_WORKERS)
        assert behind(service) == {"hpo_mlflow_up": 1, "hpo_mlflow_behind_seconds": 0}
        client = MlflowClient(service.settings.tracking_uri)
        first, second, *_ = client.search_runs(["1"], "tags.mlflow.parentRunId != ''")
        client.delete_tag(first.info.run_id, "hpo.key")
        client.set_tag(second.info.run_id, "hpo.key", "mine")
        time.sleep(1)
        found = behind(service)
        assert 1 <= found["hpo_mlflow_behind_seconds"] < 300
    away = f"http://127.0.0.1:{free_port()}"
    with serving(directory, tracking_uri=away) as service:
        assert behind(service) == {"hpo_mlflow_up": 0}


def test_events_end_with_the_study(service):
    service.post("[study]\nn_trials = 3")
    seen = []
    with service.ask(
        "GET", "/studies/iris/events", stream=True, headers={"Last-Event-ID": "7"}
    ) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith(b"data: "):
                seen.append(json.loads(line[6:])["state"])
                if len(seen) == 1:
                    service.ask("DELETE", "/studies/iris")
    assert seen == ["queued", "cancelled"]


def test_server_stops_in_seconds_while_streams_are_open(directory):
    with serving(directory) as service:
        service.post("[study]\nn_trials = 3")
        streams = [
            service.ask("GET", path, stream=True)
            for path in ("/studies/iris/events", "/page/events") * 5
        ]
        started = time.monotonic()
    assert time.monotonic() - started < 5
    for stream in streams:
        assert stream.content  # to its end
    with pytest.raises(requests.ConnectionError):
        service.get("/health")


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:80", "some.example:80"])
def test_beyond_this_machine_a_token_is_a_must(address):
    with pytest.raises(SettingsError, match="beyond this machine a token is a must"):
        read_http_settings(address, environment={})
    settings = read_http_settings(address, environment={"HPO_TOKEN": TOKEN})
    assert TOKEN not in repr(settings)


def test_port_alone_is_on_loopback(tmp_path):
    assert read_http_settings("8070", environment={}).host == "127.0.0.1"
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n", encoding="utf-8")
    assert (
        read_http_settings("8070", token_file=path, environment={"HPO_TOKEN": "x"}).token == TOKEN
    )


@pytest.mark.parametrize(
    "address", ["", "x", "host", "host:x", "host:70000", "http://a:1", "a@b:1", "a:1/b"]
)
def test_address_that_is_none_is_refused(address):
    with pytest.raises(SettingsError, match="--http: this should be HOST:PORT"):
        read_http_settings(address, environment={"HPO_TOKEN": TOKEN})


@pytest.mark.parametrize("token", ["short", "with blanks in the middle", "ümlaut-ümlaut-ümlaut"])
def test_weak_token_is_refused(token):
    with pytest.raises(SettingsError, match="token: this should be 16 or more") as caught:
        read_http_settings("0", environment={"HPO_TOKEN": token})
    assert token not in str(caught.value)


def test_nothing_listens_off_loopback_by_default(service):
    port = int(service.url.rpartition(":")[2])
    listening = {
        connection.laddr.ip
        for connection in psutil.Process().net_connections("inet")
        if connection.status == "LISTEN" and connection.laddr.port == port
    }
    assert listening == {"127.0.0.1"}
    taken = HttpSettings(port=port)
    with (
        pytest.raises(SettingsError, match="cannot be listened on"),
        serving(Path.cwd(), http=taken),
    ):
        pytest.fail("two servers on one port")


CLOSED = (
    ("GET", "/studies"),
    ("POST", "/studies"),
    ("GET", "/studies/iris"),
    ("DELETE", "/studies/iris"),
    ("GET", "/studies/iris/events"),
    ("GET", "/studies/iris/model"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/page/update"),
    ("GET", "/page/events"),
    ("GET", "//studies"),
    ("GET", "/nothing"),
)


def test_without_the_token_nothing_is_told(directory):
    with serving(directory, http=HttpSettings(token=TOKEN)) as service:
        for given in (
            None,
            "Bearer wrong",
            f"Basic {TOKEN}",
            f"Bearer {TOKEN[:-1]}",
            "Bearer ",
            TOKEN,
        ):
            headers = {} if given is None else {"Authorization": given}
            for method, path in CLOSED:
                request = requests.Request(method, service.url, headers=headers).prepare()
                request.url = service.url + path  # as it is, with its dots
                answer = requests.Session().send(request, timeout=30)
                assert problem(answer, 401)["hint"].startswith("Authorization: Bearer")
                assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert service.get("/health").status_code == 200
        assert service.get("/studies", Authorization=f"bearer {TOKEN}").status_code == 200
        page = service.get("/")
        assert page.status_code == 401
        assert "Token of this service" in page.text


def test_page_takes_the_token_once_and_keeps_a_cookie_that_is_another(directory):
    with serving(directory, http=HttpSettings(token=TOKEN)) as service:
        origin = {"Origin": service.url}
        wrong = service.ask("POST", "/session", data={"token": "wrong"}, headers=origin)
        assert wrong.status_code == 401
        assert "That is not the token" in wrong.text
        assert "Set-Cookie" not in wrong.headers
        right = service.ask("POST", "/session", data={"token": TOKEN}, headers=origin)
        assert (right.status_code, right.headers["Location"]) == (303, "/")
        cookie = right.headers["Set-Cookie"]
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {
            part.strip() for part in cookie.split(";")
        }
        assert TOKEN not in cookie
        assert "Secure" not in cookie
        given = {"Cookie": cookie.partition(";")[0]}
        assert "Sign out" in service.ask("GET", "/", headers=given).text
        assert service.ask("GET", "/studies", headers=given).status_code == 200
        problem(service.ask("GET", "/studies", headers={"Cookie": f"{COOKIE}={TOKEN}"}), 401)
        foreign = {**given, "Origin": "http://127.0.0.1:1"}
        problem(service.ask("DELETE", "/studies/iris", headers=foreign), 403)
        out = service.ask("POST", "/session", data={"token": ""}, headers={**given, **origin})
        assert 'hpo_session=""' in out.headers["Set-Cookie"]
        secure = service.ask(
            "POST",
            "/session",
            data={"token": TOKEN},
            headers={"Origin": service.url.replace("http:", "https:")},
        )
        assert "Secure" in secure.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::2]", "192.0.2.1"]
)
def test_name_that_was_made_to_lead_here_is_refused(refusing, host):
    assert "for its own machine" in problem(refusing.get("/studies", Host=host), 403)["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_page_of_another_site_changes_nothing(service, headers):
    service.post("[study]\nn_trials = 3")
    problem(service.ask("DELETE", "/studies/iris", headers=headers), 403)
    problem(service.post('[data]\nsource = "wine"', headers=headers), 403)
    assert [study["state"] for study in service.get("/studies").json()["studies"]] == ["queued"]
    assert (
        service.ask("DELETE", "/studies/iris", headers={"Origin": service.url}).status_code == 200
    )


def test_headers_keep_browsers_in(refusing):
    for path in ("/", "/studies", "/static/page.js", "/nothing"):
        headers = refusing.get(path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none';")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in headers
    page = refusing.get("/").text
    assert "style=" not in page
    assert "<script>" not in page


def test_client_submits_a_frame_or_a_file(service, directory):
    definition = load_definition(
        overrides={"study.name": "customers", "data.target": "churned", "study.n_trials": 3}
    )
    of_frame = service.client.submit(definition, TABLE, priority=1)
    assert (of_frame.state, of_frame.n_wanted, of_frame.priority) == ("queued", 3, 1)
    (directory / "customers.csv").write_text(CSV, encoding="utf-8")
    with pytest.raises(IdentityError, match="begun with something else") as caught:
        service.client.submit(definition, pd.read_csv(directory / "customers.csv")[1:])
    assert caught.value.exit_code == 2
    content = {
        "study": {"n_trials": 3},
        "data": {"target": "churned", "source": str(directory / "customers.csv")},
    }
    with pytest.raises(IdentityError):
        service.client.submit({**content, "study": {"seed": 3}})
    assert service.client.submit(content, priority=1).uid == of_frame.uid
    assert service.client.submit(load_definition(overrides={"study.n_trials": 3})).name == "iris"
    assert {study.name for study in service.client.studies()} == {"customers", "iris"}
    assert service.client.status("iris").uid != of_frame.uid
    assert service.client.cancel("iris").state == "cancelled"
    assert service.client.wait("iris").state == "cancelled"


def test_commands_ask_a_service_as_they_ask_a_storage(directory):
    (directory / "customers.csv").write_text(CSV, encoding="utf-8")
    study = ("--data", "customers.csv", "--target", "churned", "--trials", "3", "--no-plots")
    with serving(directory, http=HttpSettings(token=TOKEN)) as service:

        def ask(*arguments: str) -> dict:
            flags = (*arguments, "--server", service.url, "--json")
            ended = call_main(directory, *flags, HPO_TOKEN=TOKEN)
            assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
            return json.loads(ended.stdout)

        sent = ask("submit", *study)
        assert (sent["name"], sent["state"], sent["n_wanted"]) == ("customers", "queued", 3)
        assert ask("status") == ask("status", "customers") == {"studies": [sent]}
        (here,) = json.loads(call_main(directory, "status", "--json").stdout)["studies"]
        # The command that opens MLflow's page names the store as each of the two knows it.
        assert {**here, "mlflow_url": sent["mlflow_url"]} == sent
        assert ask("cancel", "customers")["state"] == "cancelled"
        refused = call_main(
            directory, "submit", *study, "--seed", "1", "--server", service.url, HPO_TOKEN=TOKEN
        )
        assert refused.returncode == 2
        assert refused.stderr == call_main(directory, "submit", *study, "--seed", "1").stderr
        without = call_main(directory, "status", "--server", service.url)
        assert (without.returncode, without.stdout) == (2, "")
        assert without.stderr.startswith("hpo: a token is needed")
        both = call_main(
            directory, "status", "--server", service.url, "--storage", "sqlite:///x.db"
        )
        assert "the service has a storage" in both.stderr


def test_client_raises_what_the_command_would_say(service, directory):
    with pytest.raises(MissingStudyError, match="study 'none' was not submitted"):
        service.client.status("none")
    with pytest.raises(DataError, match=r"nothing\.csv cannot be read"):
        service.client.submit({"data": {"target": "y"}}, directory / "nothing.csv")
    with pytest.raises(SettingsError, match="server: this should be an http"):
        Client("ftp://127.0.0.1")
    with pytest.raises(HpoError, match="does not answer: Connection refused") as caught:
        Client(f"http://127.0.0.1:{free_port()}").studies()
    assert caught.value.exit_code == 1


def test_client_sends_its_token_and_nothing_of_netrc(directory, monkeypatch):
    (directory / "netrc").write_text("machine 127.0.0.1 login a password b\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(directory / "netrc"))
    with serving(directory, http=HttpSettings(token=TOKEN)) as service:
        assert Client(service.url, token=TOKEN).studies() == []
        with pytest.raises(InputError, match="a token is needed"):
            service.client.studies()


def test_model_comes_as_a_zip_that_loads(directory):
    (directory / "customers.csv").write_text(CSV, encoding="utf-8")
    with serving(directory) as service:
        study = service.client.submit(
            {"study": {"n_trials": 3}, "data": {"target": "churned"}}, directory / "customers.csv"
        )
        flags = ("--data", "customers.csv", "--target", "churned", "--trials", "3", "--json")
        run = json.loads(run_here_well(directory, *flags, **WITHOUT_WORKERS))
        service.end("customers", model_uri=run["model_uri"])
        assert service.client.wait(study.name).model_uri == run["model_uri"]
        answer = service.get("/studies/customers/model")
        assert answer.headers["Content-Type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.testzip() is None
            assert {"MLmodel", "model.skops", "hpo_columns.json"} <= set(archive.namelist())
        model = service.client.model("customers")
        assert set(model.predict(TABLE[["age", "plan"]], "predict")) <= {"yes", "no"}


def test_four_clients_submit_at_once(service):
    answers = []

    def submit(number: int) -> None:
        answers.extend(
            service.post(f'[study]\nname = "s{(number + each) % 5}"\nn_trials = 3').status_code
            for each in range(5)
        )

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [202] * 20
    assert len(service.client.studies()) == 5


def test_settings_of_http_are_no_secret_in_what_is_shown():
    assert TOKEN not in repr(replace(HttpSettings(), token=TOKEN))
