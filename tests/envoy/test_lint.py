"""What the lint warns of is what a real Envoy does: the chain loses behind it what was found missing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, TypeAlias

import pytest
import yaml

from extproc import Chain, Exchange, Filter, Response
from extproc.config.document import parse_document
from extproc.envoy.config import EnvoyOptions, bootstrap
from extproc.envoy.lint import lint
from extproc.envoy.plain_http import PlainReply
from extproc.testing import Gateway
from extproc.testing import gateway as gateway_module

Edit: TypeAlias = Callable[[dict[str, Any], dict[str, Any]], None]
"""Spoils a configuration: of the HTTP connection manager, and of its ext_proc filter."""

PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute"


EVERYTHING = {"method", "source", "size", "refusal", "metadata"}


class Probe(Filter):
    """Leaves a trace of everything that it needs of Envoy."""

    requires: ClassVar = frozenset({"routing"})
    request_attributes: ClassVar = frozenset({"source.address"})
    metadata_out: ClassVar = frozenset({"probe"})

    def on_request_headers(self, exchange: Exchange) -> Response | None:
        if exchange.request.path == "/refuse":
            return Response(403, "refused")
        exchange.request.method = "PUT"
        exchange.request.headers["x-source"] = str(exchange.attributes.get("source.address", "unknown"))
        exchange.metadata.emit("probe", {"seen": True})
        return None

    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.headers["x-size"] = str(len(exchange.request.body))


def set_at(value: object, *path: str) -> Edit:
    """Sets one field of the ext_proc filter."""

    def edit(_: dict[str, Any], ext_proc: dict[str, Any]) -> None:
        inner = ext_proc
        for name in path[:-1]:
            inner = inner[name]
        if value is None:
            del inner[path[-1]]
        else:
            inner[path[-1]] = value

    return edit


def override_mode(manager: dict[str, Any], _: dict[str, Any]) -> None:
    """A processing mode of the route's own, in which only the trailers are named."""
    (route,) = manager["route_config"]["virtual_hosts"][0]["routes"]
    overrides = {"processing_mode": {"request_trailer_mode": "SEND"}}
    route["typed_per_filter_config"] = {"envoy.filters.http.ext_proc": {"@type": PER_ROUTE, "overrides": overrides}}


def spoiled(edit: Edit) -> Callable[[Chain, EnvoyOptions], str]:
    """Our own configuration, edited."""

    def generate(chain: Chain, options: EnvoyOptions) -> str:
        config = yaml.safe_load(bootstrap(chain, options))
        manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        edit(manager, manager["http_filters"][0]["typed_config"])
        return yaml.safe_dump(config)

    return generate


async def outcome() -> tuple[set[str], str]:
    """What is lost of the chain's work, and the configuration behind which it is."""
    lost: set[str] = set()
    async with Gateway(Chain([Probe()])) as gateway:
        refused = await gateway.send("POST", "/refuse", body=b"12345")
        reply = await gateway.send("POST", "/", body=b"12345")
        if refused.status != 403:
            lost.add("refusal")
        if reply.status != 200:
            return lost | {"request"}, gateway.config
        seen = gateway.upstream.requests[-1]
        if seen.method != "PUT":
            lost.add("method")
        if not (seen.value("x-source") or b"").startswith(b"127.0.0.1"):
            lost.add("source")
        if seen.value("x-size") != b"5":
            lost.add("size")
        if not (await gateway.access_log(2))[-1]["metadata"]["probe"]:
            lost.add("metadata")
        return lost, gateway.config


def found(config: str) -> list[str]:
    return [problem.field for problem in lint(Chain([Probe()]), parse_document(config, "envoy.yaml"))]


async def test_nothing_is_lost_and_nothing_found_behind_our_own_configuration() -> None:
    lost, config = await outcome()
    assert (lost, found(config)) == (set(), [])


@pytest.mark.parametrize(
    ("edit", "field", "expected"),
    [
        (set_at(None, "processing_mode", "request_body_mode"), "processing_mode.request_body_mode", {"request"}),
        (set_at("STREAMED", "processing_mode", "request_body_mode"), "processing_mode.request_body_mode", {"request"}),
        (override_mode, "processing_mode.request_body_mode", {"request"}),
        (
            set_at("SKIP", "processing_mode", "request_header_mode"),
            "processing_mode.request_header_mode",
            {"refusal", "request"},
        ),
        (set_at(None, "request_attributes"), "request_attributes", {"source"}),
        (set_at(None, "mutation_rules", "allow_all_routing"), "mutation_rules.allow_all_routing", {"method"}),
        (set_at(None, "metadata_options"), "metadata_options.receiving_namespaces.untyped", {"metadata"}),
        (set_at(True, "disable_immediate_response"), "disable_immediate_response", {"refusal"}),
        (set_at(True, "observability_mode"), "observability_mode", EVERYTHING),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_found_is_lost(
    monkeypatch: pytest.MonkeyPatch, edit: Edit, field: str, expected: set[str]
) -> None:
    monkeypatch.setattr(gateway_module, "bootstrap", spoiled(edit))
    lost, config = await outcome()
    assert (lost, found(config)) == (expected, [field])


class Grow(Filter):
    def on_response_body(self, exchange: Exchange) -> None:
        exchange.response.body = b"a" * 100_000


@pytest.mark.parametrize(
    ("mode", "end", "problems"),
    [
        ("SEND", "", []),
        ("SKIP", "it was stopped by SIGSEGV", ["processing_mode.response_header_mode"] * 2),
    ],
)
async def test_what_is_said_to_crash_envoy_does(
    monkeypatch: pytest.MonkeyPatch, mode: str, end: str, problems: list[str]
) -> None:
    chain = Chain([Grow()])
    monkeypatch.setattr(gateway_module, "bootstrap", spoiled(set_at(mode, "processing_mode", "response_header_mode")))
    options = EnvoyOptions(buffer_limit=64 * 1024)
    async with Gateway(chain, upstream=PlainReply(body=[b"small"]), options=options) as gateway:
        with suppress(ConnectionError):
            await gateway.send("GET", "/")
        ended = await gateway.envoy.wait() if end else ""
    assert ended == end
    assert [problem.field for problem in lint(chain, parse_document(gateway.config, "envoy.yaml"))] == problems
