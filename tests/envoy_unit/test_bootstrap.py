from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from extproc import Chain, Exchange, Filter, Needs, Phase, Use
from extproc.envoy.config import EnvoyOptions, Route, bootstrap
from extproc.envoy.config import types as v3
from extproc.envoy.config.text import to_yaml
from extproc.errors import EnvoyError
from extproc.phases import BodyMode
from extproc.timing import Timing


class Watcher(Filter):
    on_error = "skip"

    def on_complete(self, exchange: Exchange) -> None: ...


class Asker(Filter):
    phases: frozenset[Phase] = frozenset()

    def needs(self) -> Needs:
        return Needs(phases=self.phases)


def config_of(chain: Chain | Needs, options: EnvoyOptions | None = None) -> Any:
    return yaml.safe_load(bootstrap(chain, options or EnvoyOptions()))


def http(config: Any) -> Any:
    return config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]


def ext_proc(config: Any) -> Any:
    return http(config)["http_filters"][0]["typed_config"]


def cluster(config: Any, name: str) -> Any:
    return next(item for item in config["static_resources"]["clusters"] if item["name"] == name)


@pytest.mark.parametrize(
    ("phases", "mode"),
    [
        ([Phase.REQUEST_HEADERS], {}),
        ([Phase.REQUEST_BODY], {"request_body_mode": "BUFFERED", "request_trailer_mode": "SEND"}),
        ([Phase.REQUEST_TRAILERS], {"request_trailer_mode": "SEND"}),
        ([Phase.RESPONSE_HEADERS], {"response_header_mode": "SEND"}),
        (
            [Phase.RESPONSE_BODY],
            {"response_header_mode": "SEND", "response_body_mode": "BUFFERED", "response_trailer_mode": "SEND"},
        ),
        ([Phase.RESPONSE_TRAILERS], {"response_header_mode": "SEND", "response_trailer_mode": "SEND"}),
    ],
    ids=lambda value: value[0].value if isinstance(value, list) else "",
)
def test_envoy_is_asked_for_what_the_chain_needs_and_no_more(phases: list[Phase], mode: dict[str, str]) -> None:
    nothing_but_request_headers = {
        "request_header_mode": "SEND",
        "response_header_mode": "SKIP",
        "request_trailer_mode": "SKIP",
        "response_trailer_mode": "SKIP",
    }

    written = ext_proc(config_of(Chain([Asker(phases=frozenset(phases))])))["processing_mode"]

    assert written == nothing_but_request_headers | mode


class Whole(Filter):
    def on_request_body(self, exchange: Exchange) -> None: ...


class Pieces(Filter):
    def on_request_chunk(self, exchange: Exchange, chunk: bytes) -> None: ...


class Headers(Filter):
    def on_request_headers(self, exchange: Exchange) -> None: ...


class Response(Filter):
    def on_response_headers(self, exchange: Exchange) -> None: ...


FDS = "FULL_DUPLEX_STREAMED"


@pytest.mark.parametrize(
    ("filters", "chosen", "mode"),
    [
        ([Headers()], None, None),
        ([Headers()], BodyMode.STREAMED, None),
        ([Whole()], None, "BUFFERED"),
        ([Pieces()], None, FDS),
        ([Pieces(), Whole()], None, "BUFFERED"),
        ([Whole()], BodyMode.FULL_DUPLEX_STREAMED, FDS),
        ([Pieces()], BodyMode.STREAMED, "STREAMED"),
        ([Pieces()], BodyMode.BUFFERED, "BUFFERED"),
    ],
    ids=str,
)
def test_a_body_comes_whole_if_a_filter_wants_it_whole_and_is_handed_over_if_none_does(
    filters: list[Filter], chosen: BodyMode | None, mode: str | None
) -> None:
    written = ext_proc(config_of(Chain(filters), EnvoyOptions(request_body_mode=chosen)))["processing_mode"]

    assert (written.get("request_body_mode"), "response_body_mode" in written) == (mode, False)
    assert written["request_trailer_mode"] == ("SEND" if mode else "SKIP")


def test_a_body_that_is_wanted_whole_does_not_come_when_its_headers_have_left() -> None:
    with pytest.raises(EnvoyError, match="use FULL_DUPLEX_STREAMED"):
        bootstrap(Chain([Whole()]), EnvoyOptions(request_body_mode=BodyMode.STREAMED))


WHEN = {"path": ["/a"]}


@pytest.mark.parametrize(
    ("filters", "allowed"),
    [
        ([Use(Headers(), when=WHEN)], False),  # after its one phase there is nothing to leave out
        ([Response()], True),  # it may fail and be left out
        ([Whole()], True),  # it may call skip_body()
        ([Use(Pieces(), when=WHEN)], False),  # Envoy does not listen then
    ],
    ids=str,
)
def test_modes_may_be_changed_where_less_may_come_to_be_wanted(filters: list[Any], allowed: bool) -> None:
    assert ext_proc(config_of(Chain(filters))).get("allow_mode_override", False) is allowed


def test_an_envoy_that_waits_less_than_the_chain_may_take_can_be_asked_for_more() -> None:
    chain = Chain([Watcher()], timeout=0.9)
    text = bootstrap(chain, EnvoyOptions(message_timeout=0.2))
    filter_ = ext_proc(yaml.safe_load(text))

    assert (filter_["message_timeout"], filter_["max_message_timeout"]) == ("0.200s", "1s")
    assert "extproc serve … --message-timeout 0.2s --max-message-timeout 1s" in text
    assert Timing(0.2, 1.0).budget(chain.timeout) == chain.timeout


def test_an_envoy_that_waits_long_enough_need_not_be_asked() -> None:
    filter_ = ext_proc(config_of(Chain([Watcher()], timeout=0.5), EnvoyOptions(message_timeout=2)))

    assert filter_["message_timeout"] == "2s"
    assert "max_message_timeout" not in filter_


def test_a_filter_that_only_watches_still_gets_its_exchanges() -> None:
    assert ext_proc(config_of(Chain([Watcher()])))["processing_mode"]["request_header_mode"] == "SEND"


@pytest.mark.parametrize("nothing", [Chain([]), Needs()], ids=["chain", "needs"])
def test_an_empty_chain_is_not_asked_at_all(nothing: Chain | Needs) -> None:
    assert set(ext_proc(config_of(nothing))["processing_mode"].values()) == {"SKIP"}


@pytest.mark.parametrize(
    ("policies", "allowed"), [(["skip"], True), (["skip", "skip"], True), (["skip", "deny"], False), ([], False)]
)
def test_envoy_goes_on_without_the_processor_only_if_every_filter_may_be_skipped(policies: Any, allowed: bool) -> None:
    chain = Chain([Use(Watcher(), on_error=policy) for policy in policies])

    assert ext_proc(config_of(chain)).get("failure_mode_allow", False) is allowed


def test_bare_needs_are_never_gone_on_without() -> None:
    assert "failure_mode_allow" not in ext_proc(config_of(Needs(phases=frozenset({Phase.REQUEST_HEADERS}))))


def test_envoy_waits_longer_than_the_chain_may_take() -> None:
    filter_ = ext_proc(config_of(Chain([Watcher()], timeout=0.4), EnvoyOptions(margin=0.1)))

    assert filter_["message_timeout"] == "0.500s"


@pytest.mark.parametrize(
    ("requires", "rules"),
    [
        (frozenset(), {}),
        (frozenset({"routing"}), {"allow_all_routing": True}),
        (frozenset({"envoy_headers"}), {"allow_envoy": True}),
    ],
    ids=["nothing", "routing", "envoy_headers"],
)
def test_privileges_are_given_only_where_they_are_required(requires: Any, rules: dict[str, bool]) -> None:
    written = ext_proc(config_of(Needs(requires=requires)))["mutation_rules"]
    written.pop("disallow_expression")

    assert written == rules


@pytest.mark.parametrize(
    ("phases", "listed"),
    [({Phase.REQUEST_HEADERS}, True), ({Phase.REQUEST_BODY}, False), ({Phase.RESPONSE_BODY}, False)],
    ids=["headers", "request_body", "response_body"],
)
def test_content_length_may_be_touched_only_where_a_body_may_change(phases: set[Phase], listed: bool) -> None:
    rules = ext_proc(config_of(Needs(phases=frozenset(phases))))["mutation_rules"]

    assert ("content-length" in rules["disallow_expression"]["regex"].split("|")) is listed


@pytest.mark.parametrize("phase", [Phase.REQUEST_TRAILERS, Phase.RESPONSE_TRAILERS])
def test_http_1_trailers_are_switched_on_at_both_ends_when_wanted(phase: Phase) -> None:
    config = config_of(Needs(phases=frozenset({phase})))
    options = cluster(config, "upstream")["typed_extension_protocol_options"]

    assert http(config)["http_protocol_options"] == {"enable_trailers": True}
    assert next(iter(options.values()))["explicit_http_config"]["http_protocol_options"] == {"enable_trailers": True}


def test_a_central_processor_is_found_by_dns_checked_and_taken_out_of_rotation() -> None:
    config = config_of(Chain([Watcher()]), EnvoyOptions(layout="central", processors=("processor.mesh.svc:9002",)))
    processor = cluster(config, "processor")

    assert processor["type"] == "STRICT_DNS"
    assert "grpc_health_check" in processor["health_checks"][0]
    assert "outlier_detection" in processor


def test_a_sidecar_is_not_taken_out_of_rotation_for_there_is_no_other() -> None:
    processor = cluster(config_of(Chain([Watcher()])), "processor")

    assert processor["type"] == "STATIC"
    assert not {"health_checks", "outlier_detection"} & set(processor)


def test_each_worker_is_an_endpoint() -> None:
    config = config_of(Chain([Watcher()]), EnvoyOptions(processors=("unix:/run/a.sock", "unix:/run/b.sock")))
    hosts = cluster(config, "processor")["load_assignment"]["endpoints"][0]["lb_endpoints"]

    assert [host["endpoint"]["address"]["pipe"]["path"] for host in hosts] == ["/run/a.sock", "/run/b.sock"]


def test_routes_come_before_the_default_and_may_leave_the_processor_out() -> None:
    canary = Route(name="canary", upstream="http://canary:8000", headers={"x-variant": "canary"})
    health = Route(name="health", upstream="127.0.0.1:1", prefix="/healthz", processed=False)
    config = config_of(Chain([Watcher()]), EnvoyOptions(routes=(canary, health)))
    routes = http(config)["route_config"]["virtual_hosts"][0]["routes"]

    assert [route["route"]["cluster"] for route in routes] == ["canary", "health", "upstream"]
    assert ["typed_per_filter_config" in route for route in routes] == [False, True, False]
    assert cluster(config, "canary")["type"] == "STRICT_DNS"


def test_the_heading_names_chain_and_command() -> None:
    text = bootstrap(Chain([Watcher()]), command="extproc envoy config chain.yaml")

    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# Envoy with the processor of Chain(watcher) as a sidecar.",
        "# Generated: change the chain and run this again, extproc envoy config chain.yaml",
    ]


@pytest.mark.parametrize("text", ["n", "y", "No", "on", "TRUE", "null", "~", "1", "0.2s", "1e3", "a: b", "a #b", ""])
def test_no_text_can_be_taken_for_something_else(text: str) -> None:
    assert f'id: "{text}"' in to_yaml(v3.core.Node(id=text, cluster="c")) or text == ""


@given(st.text())
def test_any_text_survives_yaml(text: str) -> None:
    written = yaml.safe_load(to_yaml(v3.core.Node(id="a", cluster=text)))

    assert written.get("cluster", "") == text


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({"listen": "localhost:80"}, "use 127.0.0.1 or 0.0.0.0"),
        ({"listen": "80"}, "use HOST:PORT"),
        ({"admin": "127.0.0.1"}, "use HOST:PORT"),
        ({"upstream": "https://a"}, "http://HOST:PORT"),
        ({"upstream": "http://a/path"}, "http://HOST:PORT"),
        ({"upstream": "a"}, "http://HOST:PORT"),
        ({"upstream": "http://a:port"}, "http://HOST:PORT"),
        ({"routes": (Route(name="a", upstream="nowhere"),)}, "http://HOST:PORT"),
        ({"routes": (Route(name="upstream", upstream="a:1"),)}, "no name for a route"),
        ({"routes": (Route(name="a b", upstream="a:1"),)}, "no name for a route"),
        ({"routes": (Route(name="a", upstream="a:1", prefix="x"),)}, "begins with '/'"),
        ({"processors": ()}, "at least one"),
        ({"processors": ("processor:9002",)}, "use layout central"),
        ({"processors": ("10.0.0.1:9002",)}, "use layout central"),
        ({"layout": "central", "processors": ("unix:/run/a.sock",)}, "use layout sidecar"),
        ({"layout": "middle"}, "sidecar and central"),
        ({"margin": -1.0}, "margin"),
        ({"buffer_limit": 0}, "buffer_limit"),
        ({"message_timeout": 0}, "message_timeout"),
        ({"request_body_mode": BodyMode.GRPC}, "BUFFERED, FULL_DUPLEX_STREAMED, STREAMED"),
        ({"response_body_mode": BodyMode.BUFFERED_PARTIAL}, "BUFFERED, FULL_DUPLEX_STREAMED, STREAMED"),
    ],
    ids=str,
)
def test_what_envoy_would_refuse_or_misread_is_refused_with_the_cure(options: dict[str, Any], cure: str) -> None:
    with pytest.raises(EnvoyError, match=cure):
        EnvoyOptions(**options)


@pytest.mark.parametrize(
    ("upstream", "port"),
    [("http://a", 80), ("http://a/", 80), ("http://a:8080", 8080), ("http://a:8080/", 8080), ("a:1", 1)],
)
def test_an_upstream_is_a_url_or_an_address(upstream: str, port: int) -> None:
    endpoints = cluster(config_of(Needs(), EnvoyOptions(upstream=upstream)), "upstream")["load_assignment"]["endpoints"]

    assert endpoints[0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"] == {
        "address": "a",
        "port_value": port,
    }
