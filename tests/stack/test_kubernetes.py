"""The Kubernetes manifest: valid by the API's own schemas, hardened, without a secret."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import pytest
import yaml

import hpo
from hpo.commands.flags import make_parser

from .composing import ROOT, VARIABLES, read_compose

MANIFEST = ROOT / "docs" / "kubernetes.yaml"
OBJECTS = list(yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8")))
PODS = {
    each["metadata"]["name"]: each["spec"]["template"]["spec"]
    for each in OBJECTS
    if "template" in each["spec"]
}
VERSIONS = ("1.30", "1.37")
"""The oldest and the newest whose schemas it is held to."""


def by_kind(kind: str) -> dict[str, Any]:
    (found,) = [each for each in OBJECTS if each["kind"] == kind]
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("content", OBJECTS, ids=lambda content: content["kind"])
def test_object_is_valid(content: dict[str, Any], version: str) -> None:
    if find_spec("kubernetes_validate") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no kubernetes-validate")
    from kubernetes_validate import ValidationError, validate  # noqa: PLC0415 - see above

    assert validate(content, version, strict=True) == version
    with pytest.raises(ValidationError):
        validate({**content, "spec": {**content["spec"], "replikas": 2}}, version, strict=True)


@pytest.mark.parametrize("name", PODS)
def test_pod_is_hardened(name: str) -> None:
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]
        assert container["image"] == f"hpo:{hpo.__version__}"
        assert container["envFrom"] == [{"secretRef": {"name": "hpo"}}]


def test_there_is_no_secret_in_it() -> None:
    assert "Secret" not in {each["kind"] for each in OBJECTS}
    text = MANIFEST.read_text(encoding="utf-8")
    assert not [name for name in ("password:", "HPO_TOKEN, value", "://") if name in text]


def test_commands_are_those_that_there_are() -> None:
    (server,) = PODS["hpo-server"]["containers"]
    options = make_parser().parse_args([*server["command"][1:], *server["args"]])
    assert (options.command, options.http, options.slots) == ("serve", "0.0.0.0:8070", 2)
    (job,) = PODS["hpo-iris"]["containers"]
    assert make_parser().parse_args(["run", *job["args"]]).trials == 50


def test_service_leads_to_the_servers() -> None:
    deployment, service = by_kind("Deployment"), by_kind("Service")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert service["spec"]["selector"] == labels
    (server,) = PODS["hpo-server"]["containers"]
    (port,) = server["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"] == "http"
    assert f":{port['containerPort']}" in server["args"][0]
    for probe in ("startupProbe", "readinessProbe"):
        assert server[probe]["httpGet"] == {"path": "/health", "port": "http"}


def test_compose_and_kubernetes_serve_the_same() -> None:
    server = read_compose(VARIABLES)["services"]["server"]
    assert server["deploy"]["replicas"] == by_kind("Deployment")["spec"]["replicas"] == 2
    (container,) = PODS["hpo-server"]["containers"]
    assert server["entrypoint"] == container["command"]
    assert server["command"][0] == container["args"][0]
