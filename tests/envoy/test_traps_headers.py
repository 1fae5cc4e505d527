"""Traps 2, 3 and 7: what a filter does to headers arrives, or the filter hears why it may not."""

from __future__ import annotations

import pytest

from extproc import Exchange, Filter, Headers, Response, Use
from extproc.envoy.plain_http import PlainReply, PlainRequest
from extproc.filter import OnError
from tests.envoy.behind import behind_envoy, one_after_the_other

POST = PlainRequest(method="POST", body=[b"hello"])


def values_of(message: PlainRequest | PlainReply, name: str, separator: bytes = b",") -> list[bytes]:
    """The values of a header, be they on one line or on several: to a recipient that is the same."""
    return [part.strip() for line in message.values(name) for part in line.split(separator)]


# Trap 2: `value` instead of `raw_value` arrives empty


VALUES: dict[str | bytes, bytes] = {
    "plain": b"plain",
    "café ☕": "café ☕".encode(),
    b"\xff\x80 no utf-8": b"\xff\x80 no utf-8",
    "": b"",
    "  padded\t": b"padded",
    'a="b\tc"; d=%0A, \\': b'a="b\tc"; d=%0A, \\',
}
"""What is set, and what is sent."""


class Set(Filter):
    def edit(self, headers: Headers) -> None:
        for number, value in enumerate(VALUES):
            headers[f"x-set-{number}"] = value


class SetOnRequest(Set):
    def on_request_headers(self, exchange: Exchange) -> None:
        self.edit(exchange.request.headers)


class SetOnRequestBody(Set):
    def on_request_body(self, exchange: Exchange) -> None:
        self.edit(exchange.request.headers)


class SetOnResponse(Set):
    def on_response_headers(self, exchange: Exchange) -> None:
        self.edit(exchange.response.headers)


class SetOnResponseBody(Set):
    def on_response_body(self, exchange: Exchange) -> None:
        self.edit(exchange.response.headers)


class SetInAnswer(Set):
    def on_request_headers(self, exchange: Exchange) -> Response:
        response = Response(200)
        self.edit(response.headers)
        return response


@pytest.mark.parametrize("kind", [SetOnRequest, SetOnRequestBody, SetOnResponse, SetOnResponseBody, SetInAnswer])
async def test_trap_2_values_arrive_as_they_were_set(kind: type[Set]) -> None:
    async with behind_envoy(kind()) as gateway:
        reply = await gateway.send("POST", "/", body=b"hello")

        message = gateway.upstream.requests[0] if kind in (SetOnRequest, SetOnRequestBody) else reply
        assert [message.value(f"x-set-{number}") for number in range(len(VALUES))] == list(VALUES.values())


class Copy(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-copy"] = exchange.request.headers.get("x-in", "none")

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.headers["x-copy"] = exchange.response.headers.get("x-out", "none")


@pytest.mark.parametrize("value", [b"a\xffb", "☕".encode(), b""], ids=["bytes", "unicode", "empty"])
async def test_trap_2_a_value_that_is_no_text_can_be_read_and_passed_on(value: bytes) -> None:
    async with behind_envoy(Copy(), upstream=PlainReply(headers=[(b"x-out", value)])) as gateway:
        reply = await gateway.send("GET", "/", headers=[(b"x-in", value)])

        assert gateway.upstream.requests[0].values("x-copy") == gateway.upstream.requests[0].values("x-in") == [value]
        assert reply.values("x-copy") == reply.values("x-out") == [value]


# Trap 3: `append_action` is ignored, everything overwrites


class Edit(Filter):
    header: str = "x-tag"

    def edit(self, headers: Headers) -> None:
        raise NotImplementedError

    def on_request_headers(self, exchange: Exchange) -> None:
        self.edit(exchange.request.headers)

    def on_response_headers(self, exchange: Exchange) -> None:
        self.edit(exchange.response.headers)


class Add(Edit):
    def edit(self, headers: Headers) -> None:
        headers.add(self.header, "new")


class Assign(Edit):
    def edit(self, headers: Headers) -> None:
        headers[self.header] = "new"


class Default(Edit):
    def edit(self, headers: Headers) -> None:
        headers.setdefault(self.header, "new")


class OverwriteIfThere(Edit):
    def edit(self, headers: Headers) -> None:
        if self.header in headers:
            headers[self.header] = "new"


class Remove(Edit):
    def edit(self, headers: Headers) -> None:
        headers.pop(self.header, None)


class Join(Edit):
    def edit(self, headers: Headers) -> None:
        headers[self.header] = ", ".join([*headers.get_all(self.header), "new"])


class ReplaceEach(Edit):
    def edit(self, headers: Headers) -> None:
        values = headers.get_all(self.header)
        headers.pop(self.header, None)
        for value in values:
            headers.add(self.header, value.upper())


EDITS: dict[type[Edit], list[list[bytes]]] = {
    # what became of        nothing    [a]              [a, b]
    Add: [[b"new"], [b"a", b"new"], [b"a", b"b", b"new"]],
    Assign: [[b"new"], [b"new"], [b"new"]],
    Default: [[b"new"], [b"a"], [b"a", b"b"]],
    OverwriteIfThere: [[], [b"new"], [b"new"]],
    Remove: [[], [], []],
    Join: [[b"new"], [b"a", b"new"], [b"a", b"b", b"new"]],
    ReplaceEach: [[], [b"A"], [b"A", b"B"]],
}


@pytest.mark.parametrize("kind", EDITS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("header", ["x-tag", "accept", "via"])  # Envoy keeps the latter two in fields of their own
async def test_trap_3_an_edit_means_what_it_says_whatever_was_there(kind: type[Edit], header: str) -> None:
    before: list[list[bytes]] = [[], [b"a"], [b"a", b"b"]]
    async with behind_envoy(kind(header=header)) as gateway:
        for there, expected in zip(before, EDITS[kind], strict=True):
            lines = [(header.encode(), value) for value in there]
            gateway.upstream.answer = PlainReply(headers=lines)
            reply = await gateway.send("GET", "/", headers=lines)

            assert values_of(gateway.upstream.requests[-1], header) == expected
            assert values_of(reply, header) == expected


@pytest.mark.parametrize("header", ["accept", "accept-encoding", "cache-control", "user-agent", "x-forwarded-for"])
async def test_trap_3_adding_to_a_header_that_envoy_knows_keeps_what_the_client_sent(header: str) -> None:
    async with behind_envoy(Add(header=header)) as gateway:
        await gateway.send("GET", "/", headers={header: "old"})

        values = values_of(gateway.upstream.requests[0], header)
        assert (values[0], values[-1]) == (b"old", b"new")


async def test_trap_3_adding_a_cookie_keeps_those_of_the_client() -> None:
    async with behind_envoy(Add(header="cookie")) as gateway:
        await gateway.send("GET", "/", headers=[(b"cookie", b"a=1; b=2"), (b"cookie", b"c=3")])

        assert values_of(gateway.upstream.requests[0], "cookie", b";") == [b"a=1", b"b=2", b"c=3", b"new"]


class TwoCookies(Filter):
    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.headers.add("set-cookie", "b=2; Path=/")
        exchange.response.headers.add("set-cookie", "c=3, with a comma")


async def test_trap_3_every_set_cookie_reaches_the_client_on_a_line_of_its_own() -> None:
    async with behind_envoy(TwoCookies(), upstream=PlainReply(headers=[(b"set-cookie", b"a=1")])) as gateway:
        reply = await gateway.send("GET", "/")

        assert reply.values("set-cookie") == [b"a=1", b"b=2; Path=/", b"c=3, with a comma"]


class LogIn(Filter):
    def on_request_headers(self, exchange: Exchange) -> Response:
        return Response(302, headers=[("location", "/"), ("set-cookie", "a=1"), ("set-cookie", "b=2")])


async def test_trap_3_an_immediate_response_may_set_several_cookies() -> None:
    async with behind_envoy(LogIn()) as gateway:
        assert (await gateway.send("GET", "/")).values("set-cookie") == [b"a=1", b"b=2"]


class AddInEveryPhase(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers.add("x-tag", "headers")

    def on_request_body(self, exchange: Exchange) -> None:
        exchange.request.headers.add("x-tag", "body")

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.headers.add("x-tag", "headers")

    def on_response_body(self, exchange: Exchange) -> None:
        exchange.response.headers.add("x-tag", "body")


@pytest.mark.parametrize("body", [b"", b"hello"], ids=["no body", "body"])
async def test_trap_3_edits_of_several_filters_and_phases_add_up(body: bytes) -> None:
    reply = PlainReply(headers=[(b"x-tag", b"there")], body=[body] if body else [])
    async with behind_envoy(AddInEveryPhase(), Assign(), AddInEveryPhase(), upstream=reply) as gateway:
        reply = await gateway.send("POST", "/", headers={"x-tag": "there"}, body=body)

        # `Assign` runs in the header phases only: what was there before it in these is gone.
        assert gateway.upstream.requests[0].values("x-tag") == [b"new", b"headers", b"body", b"body"]
        assert reply.values("x-tag") == [b"new", b"headers", b"body", b"body"]


# Trap 7, first half: framing headers are not protected by Envoy, and desynchronise connections


class Meddle(Filter):
    header: str
    value: str = "3"

    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers["x-before"] = "1"
        exchange.request.headers[self.header] = self.value


class MeddleWithResponse(Filter):
    header: str
    value: str = "3"

    def on_response_headers(self, exchange: Exchange) -> None:
        exchange.response.headers["x-before"] = "1"
        exchange.response.headers[self.header] = self.value


class MeddleWithAnswer(Filter):
    header: str
    value: str = "3"

    def on_request_headers(self, exchange: Exchange) -> Response:
        return Response(200, "whole", {self.header: self.value})


FRAMING = [
    ("content-length", "3"),
    ("Content-Length", "0"),
    ("transfer-encoding", "chunked"),
    ("connection", "close"),
    ("upgrade", "websocket"),
    ("te", "trailers"),
    ("trailer", "x-sum"),
    ("keep-alive", "timeout=5"),
    ("proxy-connection", "close"),
    ("http2-settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
]


@pytest.mark.parametrize(("header", "value"), FRAMING)
@pytest.mark.parametrize("kind", [Meddle, MeddleWithResponse])
async def test_trap_7_a_framing_header_goes_nowhere_and_connections_stay_in_step(
    kind: type[Meddle | MeddleWithResponse], header: str, value: str
) -> None:
    """The filter fails whole, its policy lets the exchanges go on, and they share connections unharmed."""
    skipped = Use(kind(header=header, value=value), on_error="skip")
    async with behind_envoy(skipped, upstream=PlainReply(body=[b"world"])) as gateway:
        replies = await one_after_the_other(gateway, POST, POST, PlainRequest())

        assert [reply.content for reply in replies] == [b"world"] * 3
        assert [request.content for request in gateway.upstream.requests] == [b"hello", b"hello", b""]
        assert not any(message.values("x-before") for message in [*replies, *gateway.upstream.requests])


@pytest.mark.parametrize("kind", [Meddle, MeddleWithResponse, MeddleWithAnswer])
async def test_trap_7_a_framing_header_makes_a_filter_that_guards_refuse(
    kind: type[Meddle | MeddleWithResponse | MeddleWithAnswer],
) -> None:
    async with behind_envoy(Use(kind(header="content-length"), name="meddle")) as gateway:
        replies = await one_after_the_other(gateway, POST, POST)
        log = await gateway.access_log(2)

        assert [reply.status for reply in replies] == [500, 500]
        assert {entry["response_code_details"] for entry in log} == {"extproc.meddle.error"}


class PassThrough(Filter):
    """What a proxy in Python would do: take all headers of one message over into another."""

    def on_request_headers(self, exchange: Exchange) -> Response:
        return Response(200, "echo", exchange.request.headers.multi_items())


@pytest.mark.parametrize("policy", ["deny", "skip"])
async def test_trap_7_taking_over_all_headers_does_not_take_over_the_framing(policy: OnError) -> None:
    async with behind_envoy(Use(PassThrough(), on_error=policy)) as gateway:
        replies = await one_after_the_other(gateway, POST, POST)

        assert [reply.status for reply in replies] == [500 if policy == "deny" else 200] * 2


class DropCredentials(Filter):
    def on_request_headers(self, exchange: Exchange) -> None:
        exchange.request.headers.pop("proxy-authorization", None)


async def test_trap_7_credentials_for_a_proxy_may_be_removed() -> None:
    async with behind_envoy(DropCredentials()) as gateway:
        await gateway.send("GET", "/", headers={"proxy-authorization": "Basic YTpi"})

        assert gateway.upstream.requests[0].values("proxy-authorization") == []
