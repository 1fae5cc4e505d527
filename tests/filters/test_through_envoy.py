"""The four filters behind a real Envoy: that what they ask of it is what they get."""

from __future__ import annotations

import re
from typing import Any

import pytest

from extproc import Chain, Filter
from extproc.envoy.config import EnvoyOptions, Route
from extproc.envoy.plain_http import PlainReply, Upstream
from extproc.testing import Gateway
from extproc_filters import AbTag, ApiKey, EditHeaders, RateLimit

pytestmark = pytest.mark.envoy

CALLERS = {"alice": "alice-key", "bob": "bob-key"}
THEIRS = PlainReply(headers=[(b"set-cookie", b"theirs=1"), (b"x-internal-node", b"7"), (b"x-envoy-theirs", b"1")])


def behind(*filters: Filter, **options: Any) -> Gateway:
    return Gateway(Chain(filters), upstream=THEIRS, options=EnvoyOptions(**options))


async def test_api_key() -> None:
    sources = ("header:x-api-key", "query:key", "cookie:key")
    chain = ApiKey.model_validate({"callers": CALLERS, "sources": sources})
    async with behind(chain, edge=False) as envoy:
        forged = [(b"X-Caller", b"root"), (b"x_caller", b"root"), (b"X-Api-Key", b"alice-key")]
        assert (await envoy.send("GET", "/p?key=bob-key&q=%20", headers=forged)).status == 200
        refused = await envoy.send("GET", "/", headers=[(b"x-api-key", b"alice-key"), (b"x-api-key", b"alice-key")])
        [seen] = envoy.upstream.requests
        log = await envoy.access_log(2)
    assert (seen.target, seen.values("x-caller"), seen.values("x_caller")) == ("/p?q=%20", [b"alice"], [])
    assert seen.value("x-api-key") is None
    assert (refused.status, refused.value("www-authenticate")) == (401, b'ApiKey realm="api"')
    assert log[1]["response_code_details"] == "extproc.api_key.duplicate"


async def test_rate_limit_by_the_address_that_envoy_saw() -> None:
    async with behind(RateLimit(limit="2/hour", key="ip", on_missing="deny")) as envoy:
        replies = [await envoy.send("GET", "/") for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert [reply.value("ratelimit-policy") for reply in replies] == [b'"default";q=2;w=3600'] * 3
    assert replies[0].value("ratelimit") == b'"default";r=1;t=1800'
    assert int(replies[2].value("retry-after") or 0) in range(1, 1801)


async def test_a_grpc_client_over_the_limit_hears_resource_exhausted() -> None:
    async with behind(RateLimit(limit="1/hour", key="global")) as envoy:
        headers = {"content-type": "application/grpc", "te": "trailers"}
        await envoy.send("POST", "/service/Method", headers=headers)
        refused = await envoy.send("POST", "/service/Method", headers=headers)
    assert (refused.status, refused.value("grpc-status")) == (200, b"8")


async def test_ab_tag_chooses_the_route_and_keeps_the_user_in_it() -> None:
    async with Upstream(PlainReply(headers=[(b"x-from", b"canary")])) as canary:
        tag = AbTag(salt="s", variants={"stable": 50, "canary": 50}, mirror=True)
        routes = (Route(name="canary", upstream=canary.address, headers={"x-variant": "canary"}),)
        async with behind(tag, routes=routes) as envoy:
            for _ in range(8):
                first = await envoy.send("GET", "/", headers={"x-variant": "canary"})
                found = re.search(rb"ab-id=([0-9a-f]{32}); Path=/;", b" ".join(first.values("set-cookie")))
                assert found is not None
                again = await envoy.send("GET", "/", headers={"cookie": f"ab-id={found[1].decode()}"})
                for reply in (first, again):
                    assert (reply.value("x-from") == b"canary") == (reply.value("x-variant") == b"canary")
                assert first.value("x-variant") == again.value("x-variant")
                assert not any(b"ab-id" in value for value in again.values("set-cookie"))


async def test_headers_with_every_privilege() -> None:
    edits = {
        "request": {
            "rewrite_path": [{"pattern": "^/api(/.*)?$", "substitution": r"\1"}],
            "host": "inner.example",
            "remove": ["x-internal-*"],
            "rename": {"x-old": "x-new"},
            "set": {"x-from": "{request.host}{request.path} {attribute.source.address}", "x-envoy-ours": "1"},
            "append": {"x-many": ["2", "3"]},
            "add_if_absent": {"x-many": "never", "x-some": "1"},
        },
        "response": {
            "remove": ["x-internal-*", "x-envoy-theirs"],
            "set": {"x-was": "{request.method} {request.path} {response.status}"},
            "append": {"set-cookie": ["a=1", "b=2"]},
        },
    }
    async with behind(EditHeaders.model_validate(edits)) as envoy:
        sent = {"host": "outer.example", "x-internal-a": "1", "x-old": "1", "x-many": "1"}
        reply = await envoy.send("GET", "/api/users?q=/api", headers=sent)
        [seen] = envoy.upstream.requests
        stats = await envoy.stats()
    assert (seen.target, seen.value("host"), seen.value("x-internal-a")) == ("/users?q=/api", b"inner.example", None)
    assert re.fullmatch(rb"outer\.example/api/users 127\.0\.0\.1:\d+", seen.value("x-from") or b"")
    assert (seen.values("x-many"), seen.value("x-new"), seen.value("x-envoy-ours")) == ([b"1", b"2", b"3"], b"1", b"1")
    assert seen.value("x-some") == b"1"
    assert reply.values("set-cookie") == [b"theirs=1", b"a=1", b"b=2"]
    assert (reply.value("x-was"), reply.value("x-internal-node")) == (b"GET /users 200", None)
    assert reply.value("x-envoy-theirs") is None
    assert stats.get("rejected_header_mutations", 0) == 0
