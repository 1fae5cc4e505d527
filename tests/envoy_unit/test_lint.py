"""An Envoy configuration is held against what a chain needs."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import Any, ClassVar

import pytest

from extproc import Chain, Exchange, Filter
from extproc.config.document import parse_document
from extproc.envoy.config import EnvoyOptions, bootstrap
from extproc.envoy.lint import lint


class Guard(Filter):
    request_attributes: ClassVar = frozenset({"source.address"})
    response_attributes: ClassVar = frozenset({"upstream.address"})
    metadata_in: ClassVar = frozenset({"from.envoy"})
    metadata_out: ClassVar = frozenset({"to.envoy"})
    requires: ClassVar = frozenset({"routing", "envoy_headers"})

    def on_request_body(self, exchange: Exchange) -> None: ...
    def on_request_trailers(self, exchange: Exchange) -> None: ...
    def on_response_headers(self, exchange: Exchange) -> None: ...


class Optional(Filter):
    on_error: ClassVar = "skip"

    def on_request_headers(self, exchange: Exchange) -> None: ...


class Reader(Filter):
    def on_request_body(self, exchange: Exchange) -> None: ...


GUARDED = Chain([Guard()], timeout=0.5)
OPTIONAL = Chain([Optional()], timeout=0.1)
EMPTY = Chain([])

PACKAGE = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3"
PROCESSING_MODE = {"request_body_mode": "BUFFERED", "request_trailer_mode": "SEND"}
FILTER = {
    "@type": f"{PACKAGE}.ExternalProcessor",
    "grpc_service": {"envoy_grpc": {"cluster_name": "processor"}},
    "message_timeout": "0.75s",
    "processing_mode": PROCESSING_MODE,
    "request_attributes": ["source.address", "request.id"],
    "response_attributes": ["upstream.address"],
    "mutation_rules": {"allow_all_routing": True, "allow_envoy": {"value": True}},
    "metadata_options": {
        "forwarding_namespaces": {"untyped": ["from.envoy"]},
        "receiving_namespaces": {"typed": ["to.envoy"]},
    },
}
THRESHOLDS = {"thresholds": [{"max_requests": 5000}]}
CLUSTER = {"name": "processor", "type": "STATIC", "circuit_breakers": THRESHOLDS}


def findings(chain: Chain, config: object) -> dict[str, str]:
    """What is found, by field."""
    return {problem.field: problem.message for problem in lint(chain, parse_document(json.dumps(config), "envoy.json"))}


def without(config: dict[str, Any], *path: str) -> dict[str, Any]:
    """A copy in which the field at `path` is missing."""
    changed = deepcopy(config)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return changed


def with_value(config: dict[str, Any], value: object, *path: str) -> dict[str, Any]:
    """A copy in which the field at `path` has another value."""
    changed = deepcopy(config)
    inner = changed
    for name in path[:-1]:
        inner = inner.setdefault(name, {})
    inner[path[-1]] = value
    return changed


def camel(value: Any) -> Any:
    """The same with its fields in camel case, as protobuf's JSON is printed by default."""
    if isinstance(value, dict):
        return {re.sub(r"_(.)", lambda match: match[1].upper(), key): camel(item) for key, item in value.items()}
    return [camel(item) for item in value] if isinstance(value, list) else value


WHOLE = {"listeners": [{"http_filters": [{"typed_config": FILTER}]}], "clusters": [CLUSTER]}


@pytest.mark.parametrize("config", [FILTER, WHOLE, camel(WHOLE)])
def test_nothing_is_found_where_nothing_is_wrong(config: object) -> None:
    assert findings(GUARDED, config) == {}


def test_trailers_go_with_a_body_since_they_may_come_without_one() -> None:
    config = without(FILTER, "processing_mode", "request_trailer_mode")
    assert findings(Chain([Reader()], timeout=0.5), config) == {
        "processing_mode.request_trailer_mode": "is DEFAULT by default, but trailers that come without a body pass "
        "every filter that wants one: set request_trailer_mode: SEND"
    }


@pytest.mark.parametrize("chain", [GUARDED, OPTIONAL, EMPTY, Chain([Reader()])], ids=repr)
@pytest.mark.parametrize("options", [EnvoyOptions(), EnvoyOptions(layout="central", processors=("processor:9002",))])
def test_what_we_generate_is_what_a_chain_needs(chain: Chain, options: EnvoyOptions) -> None:
    assert lint(chain, parse_document(bootstrap(chain, options), "envoy.yaml")) == []


@pytest.mark.parametrize(
    ("config", "field", "said"),
    [
        (
            without(FILTER, "processing_mode"),
            "processing_mode.request_body_mode",
            "is NONE by default, but guard wants the body whole, and fails without: set request_body_mode: BUFFERED",
        ),
        (
            with_value(FILTER, "BUFFERED_PARTIAL", "processing_mode", "request_body_mode"),
            "processing_mode.request_body_mode",
            "is BUFFERED_PARTIAL, but guard wants the body whole",
        ),
        (
            with_value(FILTER, 1, "processing_mode", "request_body_mode"),
            "processing_mode.request_body_mode",
            "STREAMED",
        ),
        (
            without(FILTER, "processing_mode", "request_trailer_mode"),
            "processing_mode.request_trailer_mode",
            "is DEFAULT by default, but guard wants the trailers",
        ),
        (
            with_value(FILTER, "SKIP", "processing_mode", "request_header_mode"),
            "processing_mode.request_header_mode",
            "every exchange of the chain begins with them",
        ),
        (
            with_value(FILTER, 2, "processing_mode", "response_header_mode"),
            "processing_mode.response_header_mode",
            "is SKIP, but guard works on the response: set response_header_mode: SEND",
        ),
        (
            without(FILTER, "request_attributes"),
            "request_attributes",
            "lacks source.address, which guard reads: add it",
        ),
        (with_value(FILTER, [], "response_attributes"), "response_attributes", "lacks upstream.address"),
        (
            without(FILTER, "mutation_rules"),
            "mutation_rules.allow_all_routing",
            "is off, so Envoy silently drops what guard does to method, scheme and host: set allow_all_routing: true",
        ),
        (with_value(FILTER, False, "mutation_rules", "allow_envoy"), "mutation_rules.allow_envoy", "x-envoy-* headers"),
        (with_value(FILTER, True, "mutation_rules", "disallow_all"), "mutation_rules.disallow_all", "drops every edit"),
        (with_value(FILTER, True, "disable_clear_route_cache"), "disable_clear_route_cache", "keeps the route"),
        (with_value(FILTER, "RETAIN", "route_cache_action"), "route_cache_action", "keeps the route"),
        (
            without(FILTER, "metadata_options"),
            "metadata_options.forwarding_namespaces.untyped",
            "lacks from.envoy, which guard reads: add it to untyped",
        ),
        (
            without(FILTER, "metadata_options", "receiving_namespaces"),
            "metadata_options.receiving_namespaces.untyped",
            "lacks to.envoy, which guard writes",
        ),
        (with_value(FILTER, True, "failure_mode_allow"), "failure_mode_allow", "lets requests through without guard"),
        (with_value(FILTER, "yes", "failure_mode_allow"), "failure_mode_allow", "set it to false"),
        (with_value(FILTER, True, "disable_immediate_response"), "disable_immediate_response", "into a 500"),
        (with_value(FILTER, True, "observability_mode"), "observability_mode", "can watch but not act"),
        (
            without(FILTER, "message_timeout"),
            "message_timeout",
            "Envoy gives up after 0.2s by default, but the chain may take 0.5s: set it to 0.75s, lower",
        ),
        (with_value(FILTER, "0.5s", "message_timeout"), "message_timeout", "Envoy gives up after 0.5s, but"),
        ([FILTER, without(CLUSTER, "circuit_breakers")], "circuit_breakers", "beyond 1024 at a time"),
        (
            [FILTER, with_value(CLUSTER, [{}], "circuit_breakers", "thresholds")],
            "circuit_breakers",
            "max_requests: 65536",
        ),
        (
            [FILTER, with_value(CLUSTER, [{"priority": "HIGH", "max_requests": 9}], "circuit_breakers", "thresholds")],
            "circuit_breakers",
            "max_requests",
        ),
        (
            [FILTER, with_value(CLUSTER, [{"max_requests": 1024}], "circuit_breakers", "thresholds")],
            "circuit_breakers",
            "answers 500 to every exchange beyond 1024 at a time, or fewer",
        ),
        (
            with_value(
                with_value(FILTER, "SKIP", "processing_mode", "response_header_mode"),
                "BUFFERED",
                *("processing_mode", "response_body_mode"),
            ),
            "processing_mode.response_header_mode",
            "is SKIP, but response_body_mode is BUFFERED: a body that becomes larger than Envoy's buffer limit crashes",
        ),
        (
            with_value(FILTER, "FULL_DUPLEX_STREAMED", "processing_mode", "response_body_mode"),
            "processing_mode.response_trailer_mode",
            "is DEFAULT by default, but response_body_mode is FULL_DUPLEX_STREAMED, and Envoy refuses",
        ),
        (with_value(FILTER, True, "observability_mode"), "observability_mode", "set failure_mode_allow: true, for"),
        ({"routes": []}, "", "there is no ext_proc filter in this file"),
        (
            [FILTER, {"@type": f"{PACKAGE}.ExtProcPerRoute", "overrides": {"failure_mode_allow": True}}],
            "failure_mode_allow",
            "lets requests through",
        ),
    ],
)
def test_what_is_missing_is_found_and_cured(config: object, field: str, said: str) -> None:
    for written in (config, camel(config)):
        found = findings(GUARDED, written)
        assert said in found[field]


def test_a_route_that_overrides_the_processing_mode_has_to_say_it_all() -> None:
    override = {
        "@type": f"{PACKAGE}.ExtProcPerRoute",
        "overrides": {"processing_mode": {"request_trailer_mode": "SEND"}},
    }
    assert [*findings(GUARDED, [FILTER, override])] == ["processing_mode.request_body_mode"]


@pytest.mark.parametrize("override", [{"disabled": True}, {"overrides": {}}, {"overrides": {"grpc_service": {}}}])
def test_a_route_that_overrides_nothing_of_it_is_left_alone(override: dict[str, object]) -> None:
    assert findings(GUARDED, [FILTER, {"@type": f"{PACKAGE}.ExtProcPerRoute", **override}]) == {}


def test_a_short_message_timeout_is_enough_where_envoy_can_be_asked_for_more() -> None:
    short = with_value(FILTER, "0.1s", "message_timeout")
    assert [*findings(GUARDED, with_value(short, "0.5s", "max_message_timeout"))] == ["message_timeout"]
    assert findings(GUARDED, with_value(short, "0.6s", "max_message_timeout")) == {}


def test_where_nothing_is_refused_failing_open_is_right() -> None:
    watching = with_value(with_value(FILTER, True, "observability_mode"), True, "failure_mode_allow")
    assert findings(GUARDED, watching) == {
        "observability_mode": "Envoy ignores every answer, so the chain can watch but not act: set it to false"
    }


def test_what_a_chain_does_not_need_it_does_not_miss() -> None:
    bare = {"@type": f"{PACKAGE}.ExternalProcessor", "failure_mode_allow": True}
    assert findings(OPTIONAL, bare) == {}


def test_a_cluster_of_something_else_is_left_alone() -> None:
    assert findings(GUARDED, [FILTER, {**without(CLUSTER, "circuit_breakers"), "name": "upstream"}]) == {}


def test_findings_are_placed_where_they_are_mended() -> None:
    """At the field, else at what it belongs into."""
    text = f"""
filter:
  "@type": {PACKAGE}.ExternalProcessor
  message_timeout: 1s
  processing_mode:
    request_header_mode: SKIP
    request_trailer_mode: SEND
"""
    places = {
        problem.field: (problem.line, problem.column) for problem in lint(GUARDED, parse_document(text, "e.yaml"))
    }
    assert places["processing_mode.request_header_mode"] == (6, 5)
    assert places["processing_mode.request_body_mode"] == (5, 3)
    assert places["request_attributes"] == (2, 1)


@pytest.mark.parametrize("odd", [None, 5, "text", [], {}, [[]], {"a": []}])
@pytest.mark.parametrize("field", [field for field in FILTER if field != "@type"])
def test_what_envoy_itself_would_refuse_does_not_stop_the_lint(field: str, odd: object) -> None:
    findings(GUARDED, [with_value(FILTER, odd, field), with_value(CLUSTER, odd, "circuit_breakers"), {"name": odd}])
