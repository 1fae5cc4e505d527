"""What the generated configuration makes a real Envoy do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from extproc import Chain, Exchange, Filter, Phase, Response, Use
from extproc.envoy.binary import RunningEnvoy, validate
from extproc.envoy.config import EnvoyOptions, Layout, Route, bootstrap
from extproc.envoy.plain_http import PlainReply, PlainRequest, Upstream, send
from extproc.messages import Abort
from extproc.server import new_front
from extproc.testing import Gateway
from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.envoy.behind import Recorder
from tests.envoy.raw_processor import RawProcessor
from tests.envoy.scenario import scripted


class OnRequest(Filter):
    def on_request_headers(self, exchange: Exchange) -> None: ...


class OnResponse(Filter):
    def on_response_headers(self, exchange: Exchange) -> None: ...


class OnRequestBody(Filter):
    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.body += b" and more"


class OnResponseBody(Filter):
    def on_response_body(self, exchange: Exchange) -> None:
        exchange.response.body += b" and more"


class OnTrailers(Filter):
    def on_request_trailers(self, exchange: Exchange) -> None:
        exchange.request.trailers["x-seen"] = "request"

    def on_response_trailers(self, exchange: Exchange) -> None:
        exchange.response.trailers["x-seen"] = "response"


class OnComplete(Filter):
    on_error = "skip"

    def on_complete(self, exchange: Exchange) -> None: ...


class Tagging(Filter):
    """Asks for everything that is not a phase."""

    request_attributes = frozenset({"source.address", "request.path"})
    response_attributes = frozenset({"response.code"})
    metadata_in = frozenset({"tests.tag"})
    metadata_out = frozenset({"tests.tag"})
    requires = frozenset({"routing", "envoy_headers"})
    seen: ClassVar[list[Any]] = []

    def on_request_headers(self, exchange: Exchange) -> None:
        type(self).seen = [dict(exchange.attributes)]
        exchange.metadata.emit("tests.tag", {"variant": "canary"})
        exchange.request.host = "elsewhere.test"
        exchange.request.headers["x-envoy-upstream-rq-timeout-ms"] = "5000"
        exchange.request.headers["x-variant"] = "canary"
        exchange.clear_route_cache()

    def on_response_headers(self, exchange: Exchange) -> None:
        self.seen.append(exchange.attributes.get("response.code"))
        self.seen.append({name: dict(values) for name, values in exchange.metadata.items()})


CHAINS: dict[str, Sequence[Filter | Use]] = {
    "nothing": [],
    "request headers": [OnRequest()],
    "response headers": [OnResponse()],
    "request body": [OnRequestBody()],
    "response body": [OnResponseBody()],
    "trailers": [OnTrailers()],
    "completion": [OnComplete()],
    "attributes": [Tagging()],
    "everything": [OnRequest(), OnResponse(), OnRequestBody(), OnResponseBody(), OnTrailers(), OnComplete(), Tagging()],
}
SIDECAR = ("unix:/run/extproc/0.sock", "unix:/run/extproc/1.sock")
CENTRAL = ("processor.extproc.svc.cluster.local:9002",)
CANARY = Route(name="canary", upstream="http://localhost:8001", headers={"x-variant": "canary"})
HEALTH = Route(name="health", upstream="[::1]:8002", prefix="/healthz", processed=False)
OPTIONS: dict[str, EnvoyOptions] = {
    "defaults": EnvoyOptions(),
    "sockets": EnvoyOptions(processors=SIDECAR),
    "routes": EnvoyOptions(routes=(CANARY, HEALTH), upstream="http://app.internal"),
    "ipv6": EnvoyOptions(listen="[::]:10000", admin="[::1]:9901", processors=("[::1]:9002",)),
    "inside": EnvoyOptions(edge=False, access_log="/var/log/envoy.jsonl", buffer_limit=32768, stat_prefix="guard"),
    "central": EnvoyOptions(layout="central", processors=CENTRAL),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("filters", CHAINS.values(), ids=CHAINS)
def test_envoy_accepts_the_file_for_every_chain(filters: Sequence[Filter], options: EnvoyOptions) -> None:
    validate(bootstrap(Chain(filters), options))


@pytest.mark.parametrize(
    ("filters", "phases"),
    [
        ([], ""),
        ([OnComplete()], "request_headers"),
        ([OnRequest()], "request_headers"),
        ([OnResponse()], "request_headers response_headers"),
        ([OnRequestBody()], "request_headers request_body"),
        ([OnResponseBody()], "request_headers response_headers response_body"),
        ([OnTrailers()], "request_headers request_trailers response_headers response_trailers"),
    ],
    ids=lambda value: value.replace(" ", "+") if isinstance(value, str) else "",
)
async def test_envoy_sends_what_the_chain_needs_and_no_more(filters: list[Filter], phases: str) -> None:
    recorder = Recorder()
    everything = PlainReply(body=[b"r1", b"r2"], trailers=[(b"x-t", b"1")])

    async with Gateway(Chain(filters), upstream=everything, observer=recorder) as gateway:
        await gateway.send("POST", "/", body=[b"q1", b"q2"], trailers=[(b"x-t", b"1")])

    assert [phase.value for phase in recorder.phases] == phases.split()


async def test_trailers_are_edited_in_both_directions() -> None:
    reply_with_trailers = PlainReply(body=[b"r"], trailers=[(b"x-t", b"1")])

    async with Gateway(Chain([OnTrailers()]), upstream=reply_with_trailers) as gateway:
        reply = await gateway.send("POST", "/", body=[b"q"], trailers=[(b"x-t", b"1")])

    assert dict(gateway.upstream.requests[0].trailers) == {b"x-t": b"1", b"x-seen": b"request"}
    assert dict(reply.trailers) == {b"x-t": b"1", b"x-seen": b"response"}


async def test_attributes_metadata_privileges_and_routes_do_what_the_chain_asked_for() -> None:
    async with Upstream() as canary:
        route = Route(name="canary", upstream=canary.address, headers={"x-variant": "canary"})
        async with Gateway(Chain([Tagging()]), options=EnvoyOptions(routes=(route,))) as gateway:
            await gateway.send("GET", "/a?b")
            (entry,) = await gateway.access_log(1)
            stats = await gateway.stats()

    attributes, code, metadata = Tagging.seen
    assert attributes["source.address"].startswith("127.0.0.1:")
    assert attributes["request.path"] == "/a?b"
    assert code == 200
    assert metadata["tests.tag"] == {"variant": "canary"}
    assert (entry["metadata"], entry["upstream_cluster"]) == ({"tests.tag": {"variant": "canary"}}, "canary")
    assert canary.requests[0].value("host") == b"elsewhere.test"
    assert canary.requests[0].value("x-envoy-expected-rq-timeout-ms") == b"5000"
    assert stats["rejected_header_mutations"] == 0


@pytest.mark.parametrize("body", [b"whole", [b"in ", b"chunks"]], ids=["counted", "chunked"])
@pytest.mark.parametrize("filter_", [OnRequestBody(), OnResponseBody()], ids=["request", "response"])
async def test_the_second_line_of_defence_lets_a_changed_body_keep_its_length_true(filter_: Filter, body: Any) -> None:
    async def echo(request: PlainRequest) -> PlainReply:
        return PlainReply(body=request.body)

    async with Gateway(Chain([filter_]), upstream=echo) as gateway:
        reply = await gateway.send("POST", "/", body=body)
        stats = await gateway.stats()

    assert reply.content == b"".join(body if isinstance(body, list) else [body]) + b" and more"
    assert (stats["rejected_header_mutations"], gateway.upstream.errors) == (0, [])


class Replacing(Filter):
    """Replaces bodies that it has not seen, without any body phase."""

    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.body = b"another request"

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.body = b"another response"


@pytest.mark.parametrize("body", [b"", b"whole", [b"in ", b"chunks"]], ids=["none", "counted", "chunked"])
async def test_a_body_that_is_replaced_with_the_headers_is_framed_by_envoy_itself(body: Any) -> None:
    async with Gateway(Chain([Replacing()]), upstream=PlainReply(body=[b"original"])) as gateway:
        reply = await gateway.send("POST", "/", body=body)

    assert (gateway.upstream.requests[0].content, reply.content) == (b"another request", b"another response")
    assert (reply.complete, gateway.upstream.errors) == (True, [])


def edit(phase: Phase, **headers: str) -> ProcessingResponse:
    """An answer that no filter could make."""
    answer = ProcessingResponse()
    common = getattr(answer, phase.value).response
    for name, value in headers.items():
        option = common.header_mutation.set_headers.add()
        option.header.key = name.replace("_", "-")
        option.header.raw_value = value.encode()
    return answer


FRAMING = {
    "content_length": "3",
    "transfer_encoding": "chunked",
    "connection": "upgrade",
    "upgrade": "websocket",
    "te": "trailers",
    "trailer": "x-t",
    "keep_alive": "timeout=5",
    "http2_settings": "AAMAAABkAAQAoAAAAAIAAAAA",
}


@pytest.mark.parametrize("name", FRAMING)
async def test_the_second_line_of_defence_drops_framing_headers_that_the_sdk_would_never_send(name: str) -> None:
    async with RawProcessor() as processor, Upstream() as upstream:
        processor.play(scripted({Phase.REQUEST_HEADERS: [edit(Phase.REQUEST_HEADERS, **{name: FRAMING[name]})]}))
        options = EnvoyOptions(
            listen="127.0.0.1:0", admin="127.0.0.1:0", upstream=upstream.address, processors=(processor.address,)
        )
        async with RunningEnvoy(bootstrap(Chain([OnRequest()]), options)) as envoy:
            await send(f"127.0.0.1:{envoy.port('ingress')}", PlainRequest(method="POST", body=[b"0123456789"]))
            stats = await envoy.stats("http.ingress.ext_proc.extproc.rejected")

    assert [request.content for request in upstream.requests] == [b"0123456789"]
    assert upstream.requests[0].values(name.replace("_", "-")) == ([b"10"] if name == "content_length" else [])
    assert (list(stats.values()), upstream.errors) == ([1], [])


async def test_a_route_can_leave_the_processor_out() -> None:
    class Refusing(Filter):
        def on_request_headers(self, exchange: Exchange) -> Response:
            return Response(403)

    async with Upstream() as health:
        route = Route(name="health", upstream=health.address, prefix="/healthz", processed=False)
        async with Gateway(Chain([Refusing()]), options=EnvoyOptions(routes=(route,))) as gateway:
            statuses = [(await gateway.send("GET", path)).status for path in ("/", "/healthz")]

    assert statuses == [403, 200]


@pytest.mark.parametrize(("policy", "status"), [("deny", 500), ("skip", 200)])
async def test_without_a_processor_the_filters_policies_decide(policy: Any, status: int) -> None:
    chain = Chain([Use(OnRequest(), on_error=policy)])
    nobody = socket.socket()
    nobody.bind(("127.0.0.1", 0))

    async with Upstream() as upstream:
        options = EnvoyOptions(
            listen="127.0.0.1:0",
            admin="127.0.0.1:0",
            upstream=upstream.address,
            processors=(f"127.0.0.1:{nobody.getsockname()[1]}",),
        )
        async with RunningEnvoy(bootstrap(chain, options)) as envoy:
            reply = await send(f"127.0.0.1:{envoy.port('ingress')}", PlainRequest())
    nobody.close()

    assert reply.status == status


@pytest.mark.parametrize(("policy", "status"), [("deny", 504), ("skip", 200)])
async def test_a_filter_that_takes_too_long_meets_its_own_policy_before_envoys_timer(policy: Any, status: int) -> None:
    class Slow(Filter):
        async def on_request_headers(self, exchange: Exchange) -> None:
            await asyncio.Event().wait()

    async with Gateway(Chain([Use(Slow(), on_error=policy)], timeout=0.05)) as gateway:
        reply = await gateway.send("GET", "/")
        stats = await gateway.stats()

    assert (reply.status, stats["message_timeouts"]) == (status, 0)


class Reading(Filter):
    def on_request_body(self, exchange: Exchange) -> None: ...


@pytest.mark.parametrize(
    ("filter_", "size", "status"),
    [(Reading(), 1024, 200), (Reading(), 1025, 413), (OnRequestBody(), 1015, 200), (OnRequestBody(), 1016, 413)],
    ids=["at the limit", "over it", "grown to the limit", "grown over it"],
)
async def test_bodies_are_held_up_to_the_buffer_limit(filter_: Filter, size: int, status: int) -> None:
    async with Gateway(Chain([filter_]), options=EnvoyOptions(buffer_limit=1024)) as gateway:
        reply = await gateway.send("POST", "/", body=b"x" * size)

    assert reply.status == status


async def test_streams_are_spread_over_the_sockets_of_the_workers(tmp_path: Path) -> None:
    sockets = [f"unix:{tmp_path}/{number}.sock" for number in range(3)]
    served = dict.fromkeys(sockets, 0)

    class Counting(Filter):
        address: str

        def on_request_headers(self, exchange: Exchange) -> None:
            served[self.address] += 1

    chains = {address: Chain([Counting(address=address)]) for address in sockets}
    async with Upstream() as upstream:
        fronts = [new_front(chain, [address]) for address, chain in chains.items()]
        async with fronts[0], fronts[1], fronts[2]:
            options = EnvoyOptions(
                listen="127.0.0.1:0", admin="127.0.0.1:0", upstream=upstream.address, processors=tuple(sockets)
            )
            async with RunningEnvoy(bootstrap(chains[sockets[0]], options)) as envoy:
                for _ in range(9):
                    await send(f"127.0.0.1:{envoy.port('ingress')}", PlainRequest())

    assert list(served.values()) == [3, 3, 3]


async def test_a_processor_that_breaks_streams_off_is_tried_again() -> None:
    async with RawProcessor() as processor, Upstream() as upstream:
        processor.play(scripted({Phase.REQUEST_HEADERS: [Abort("UNAVAILABLE", "restarting")]}))
        options = EnvoyOptions(
            listen="127.0.0.1:0", admin="127.0.0.1:0", upstream=upstream.address, processors=(processor.address,)
        )
        async with RunningEnvoy(bootstrap(Chain([OnRequest()]), options)) as envoy:
            reply = await send(f"127.0.0.1:{envoy.port('ingress')}", PlainRequest())

    assert (reply.status, len(processor.heard)) == (500, 4)


STRANGER = {"x-forwarded-for": "203.0.113.9", "x-request-id": "mine", "x-envoy-upstream-alt-stat-name": "a"}


@pytest.mark.parametrize("edge", [True, False], ids=["edge", "inside"])
async def test_what_strangers_say_about_themselves_is_replaced_at_the_edge(edge: bool) -> None:
    async with Gateway(Chain([OnRequest()]), options=EnvoyOptions(edge=edge)) as gateway:
        await gateway.send("GET", "/", headers=STRANGER)
        (request,) = gateway.upstream.requests

    assert (request.value("x-request-id") == b"mine") is not edge
    assert (request.value("x-forwarded-for") == b"203.0.113.9") is not edge


@pytest.mark.parametrize(("edge", "status"), [(True, 400), (False, 200)], ids=["edge", "inside"])
async def test_a_header_that_cgi_would_mistake_for_another_is_refused_at_the_edge(edge: bool, status: int) -> None:
    async with Gateway(Chain([OnRequest()]), options=EnvoyOptions(edge=edge)) as gateway:
        assert (await gateway.send("GET", "/", headers={"x_caller": "root"})).status == status


async def test_filters_see_the_path_that_the_upstream_will_see() -> None:
    async with Gateway(Chain([OnRequest()])) as gateway:
        await gateway.send("GET", "/public/.././/admin?next=%2F")
        redirected = await gateway.send("GET", "/public/..%2Fadmin")

    assert [request.target for request in gateway.upstream.requests] == ["/admin?next=%2F"]
    assert (redirected.status, redirected.value("location")) == (307, b"/admin")


async def test_the_access_log_says_what_each_step_took() -> None:
    async with Gateway(Chain([OnRequest()])) as gateway:
        await gateway.send("GET", "/")
        (entry,) = await gateway.access_log(1)

    assert entry["ext_proc"].startswith("rh:")
    assert entry["request_id"]


@pytest.mark.parametrize("layout", ["sidecar", "central"])
async def test_a_central_processor_is_used_once_its_health_check_succeeds(layout: Layout) -> None:
    async with new_front(Chain([OnResponseBody()])) as front, Upstream(PlainReply(body=[b"ok"])) as upstream:
        options = EnvoyOptions(
            layout=layout,
            listen="127.0.0.1:0",
            admin="127.0.0.1:0",
            upstream=upstream.address,
            processors=(front.addresses[0],),
        )
        async with RunningEnvoy(bootstrap(Chain([OnResponseBody()]), options)) as envoy:
            reply = await send(f"127.0.0.1:{envoy.port('ingress')}", PlainRequest())
            health = await envoy.stats("cluster.processor.health_check.")

    assert reply.content == b"ok and more"
    assert health.get("cluster.processor.health_check.failure", 0) == 0
    assert health.get("cluster.processor.health_check.success", 0) == (1 if layout == "central" else 0)
