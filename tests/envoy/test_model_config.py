"""The configuration that the model takes for a chain is the one that we write for a real Envoy."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import yaml

from extproc import Chain, Exchange, Filter, Use
from extproc.envoy.config import EnvoyOptions, bootstrap
from extproc.envoy.model import ExtProcConfig
from extproc.envoy.model.options import Namespaces
from extproc.filter import Privilege
from extproc.guard import Limits


class OnlyHeaders(Filter):
    def on_request_headers(self, exchange: Exchange) -> None: ...


class Privileged(Filter):
    requires: ClassVar[frozenset[Privilege]] = frozenset({"routing", "envoy_headers"})

    def on_request_headers(self, exchange: Exchange) -> None: ...


class OnlyResponseBody(Filter):
    on_error: ClassVar = "skip"

    def on_response_body(self, exchange: Exchange) -> None: ...


class RequestBody(Filter):
    def on_request_body(self, exchange: Exchange) -> None: ...


class Tagging(Filter):
    metadata_in: ClassVar = frozenset({"tests.in"})
    metadata_out: ClassVar = frozenset({"tests.out"})

    def on_request_headers(self, exchange: Exchange) -> None: ...


class RequestChunks(Filter):
    def on_request_chunk(self, exchange: Exchange, chunk: bytes) -> None: ...


class Trailers(Filter):
    def on_request_trailers(self, exchange: Exchange) -> None: ...

    def on_response_trailers(self, exchange: Exchange) -> None: ...


CHAINS = [
    Chain([]),
    Chain([OnlyHeaders()]),
    Chain([Privileged()], timeout=0.5),
    Chain([OnlyResponseBody()]),
    Chain([OnlyResponseBody(), OnlyHeaders()]),
    Chain([RequestBody(), Trailers()]),
    Chain([RequestChunks()]),
    Chain([RequestChunks(), RequestBody(), OnlyResponseBody()]),
    Chain([Use(OnlyHeaders(), when={"path": ["/a"]}), Use(Trailers(), when={"path": ["/a"]})]),
    Chain([Tagging()]),
]


@pytest.mark.parametrize("chain", CHAINS, ids=repr)
def test_the_model_is_configured_as_the_bootstrap_says(chain: Chain) -> None:
    config = ExtProcConfig.for_chain(chain)
    listener = _listener(chain)
    filter_config = _ext_proc(listener)
    mode = filter_config["processing_mode"]
    rules = filter_config["mutation_rules"]
    assert {
        "request_headers": _sent(mode, "request_header_mode"),
        "response_headers": _sent(mode, "response_header_mode"),
        "request_body": mode.get("request_body_mode", "NONE"),
        "response_body": mode.get("response_body_mode", "NONE"),
        "request_trailers": _sent(mode, "request_trailer_mode"),
        "response_trailers": _sent(mode, "response_trailer_mode"),
    } == {
        "request_headers": config.mode.request_headers,
        "response_headers": config.mode.response_headers,
        "request_body": config.mode.request_body.name,
        "response_body": config.mode.response_body.name,
        "request_trailers": config.mode.request_trailers,
        "response_trailers": config.mode.response_trailers,
    }
    assert config.rules.disallow_expression == rules["disallow_expression"]["regex"]
    assert config.rules.allow_all_routing == rules.get("allow_all_routing", False)
    assert config.rules.allow_envoy == rules.get("allow_envoy", False)
    assert config.failure_mode_allow == filter_config.get("failure_mode_allow", False)
    assert config.allow_mode_override == filter_config.get("allow_mode_override", False)
    assert f"{config.message_timeout:g}s" == f"{float(filter_config['message_timeout'].rstrip('s')):g}s"
    assert _listed(config.metadata_options.forwarding) == _namespaces(filter_config, "forwarding_namespaces")
    assert _listed(config.metadata_options.receiving) == _namespaces(filter_config, "receiving_namespaces")
    assert config.buffer_limit == listener["per_connection_buffer_limit_bytes"]


@pytest.mark.parametrize("chain", CHAINS, ids=repr)
def test_the_bootstrap_sets_nothing_that_the_model_does_not_know(chain: Chain) -> None:
    modelled = {
        "@type",
        "allow_mode_override",
        "failure_mode_allow",
        "grpc_service",
        "message_timeout",
        "metadata_options",
        "mutation_rules",
        "processing_mode",
        "request_attributes",
        "response_attributes",
        "stat_prefix",
    }
    assert set(_ext_proc(_listener(chain))) <= modelled


def test_limits_are_envoys_own_where_the_bootstrap_sets_none() -> None:
    assert ExtProcConfig().request_limits == Limits(100, 60 * 1024)
    assert ExtProcConfig().response_limits == Limits(100, 80 * 1024)


def _listener(chain: Chain) -> dict[str, Any]:
    written: dict[str, Any] = yaml.safe_load(bootstrap(chain, EnvoyOptions()))
    listener: dict[str, Any] = written["static_resources"]["listeners"][0]
    return listener


def _ext_proc(listener: dict[str, Any]) -> dict[str, Any]:
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    assert "max_request_headers_kb" not in manager
    assert "max_headers_count" not in manager.get("common_http_protocol_options", {})
    filters: dict[str, dict[str, Any]] = {item["name"]: item["typed_config"] for item in manager["http_filters"]}
    return filters["envoy.filters.http.ext_proc"]


def _sent(mode: dict[str, Any], name: str) -> bool:
    assert mode[name] in ("SEND", "SKIP")
    return bool(mode[name] == "SEND")


def _listed(namespaces: Namespaces | None) -> dict[str, list[str]]:
    return {} if namespaces is None else {"untyped": list(namespaces.untyped), "typed": list(namespaces.typed)}


def _namespaces(filter_config: dict[str, Any], name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = filter_config.get("metadata_options", {}).get(name, {})
    return found
