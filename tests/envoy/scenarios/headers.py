"""Setting, appending and removing headers: order, position, single-valued headers, what is read of an edit."""

from __future__ import annotations

from extproc.wire.ext_proc_pb2 import CommonResponse, ProcessingResponse
from tests.envoy.answers import say
from tests.envoy.scenario import HEADERS, RQH, RSH, Scenario, get, on, post, reply

_TWICE = get("/a", ("x-a", b"1"), ("x-b", b"1"), ("x-a", b"2"))
_SINGLE = get("/a", ("user-agent", b"ua"), ("accept", b"a"), ("cookie", b"c=1"), ("x-a", b"1"))
_COOKIES = reply(200, ("set-cookie", b"a=1"), ("x-r", b"1"), ("set-cookie", b"b=2"), ("vary", b"accept"))


def _option(
    name: str, *, value: str = "", raw: bytes = b"", append: bool | None = None, action: int = 0
) -> ProcessingResponse:
    """One set_headers entry with every field at the caller's choice."""
    response = ProcessingResponse()
    common: CommonResponse = response.request_headers.response
    option = common.header_mutation.set_headers.add()
    option.header.key, option.header.value, option.header.raw_value = name, value, raw
    option.append_action = action  # type: ignore[assignment] # an open enum
    if append is not None:
        option.append.value = append
    return response


def _entry_without_header() -> ProcessingResponse:
    response = ProcessingResponse()
    response.request_headers.response.header_mutation.set_headers.add()
    return response


_ACTIONS = ("APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS")

SCENARIOS = [
    Scenario("nothing-changes", request=_TWICE, response=_COOKIES),
    Scenario("a-body-passes-unasked", request=post(), response=reply(body=b"hello", chunked=True)),
    Scenario("set-replaces-every-occurrence-and-goes-last", HEADERS, on(RQH, say(RQH, ("x-a", b"new"))), _TWICE),
    Scenario("append-goes-last", HEADERS, on(RQH, say(RQH, add=[("x-a", b"3"), ("x-c", b"1")])), _TWICE),
    Scenario("set-then-append-in-one-mutation", HEADERS, on(RQH, say(RQH, ("x-a", b"n"), add=[("x-a", b"m")])), _TWICE),
    Scenario(
        "removes-come-before-sets",
        HEADERS,
        on(RQH, say(RQH, ("x-a", b"new"), ("x-c", b"new"), remove=["x-c", "x-a"])),
        _TWICE,
    ),
    Scenario("remove-takes-every-occurrence", HEADERS, on(RQH, say(RQH, remove=["x-a", "not-there"])), _TWICE),
    Scenario(
        "names-are-lower-cased", HEADERS, on(RQH, say(RQH, ("X-A", b"2"), ("X-New", b"3"), remove=["X-B"])), _TWICE
    ),
    Scenario("set-cookie-set-replaces-both", HEADERS, on(RSH, say(RSH, ("set-cookie", b"c=3"))), response=_COOKIES),
    Scenario(
        "set-cookie-set-twice-leaves-the-last",
        HEADERS,
        on(RSH, say(RSH, ("set-cookie", b"c=3"), ("set-cookie", b"d=4"))),
    ),
    Scenario("set-cookie-append", HEADERS, on(RSH, say(RSH, add=[("set-cookie", b"c=3")])), response=_COOKIES),
    Scenario("set-cookie-remove", HEADERS, on(RSH, say(RSH, remove=["set-cookie"])), response=_COOKIES),
    Scenario(
        "append-to-single-valued-headers-joins-with-a-comma-but-not-cookie",
        HEADERS,
        on(
            RQH,
            say(RQH, add=[(name, b"2") for name in ("cookie", "accept", "user-agent", "x-forwarded-for", "referer")]),
        ),
        _SINGLE,
    ),
    Scenario(
        "append-twice-to-an-absent-single-valued-header",
        HEADERS,
        on(RQH, say(RQH, add=[("x-forwarded-for", b"1.1.1.1"), ("x-forwarded-for", b"2.2.2.2")])),
        _SINGLE,
    ),
    Scenario(
        "set-of-a-single-valued-header-goes-last-too",
        HEADERS,
        on(RQH, say(RQH, ("user-agent", b"2"), ("accept", b"3"))),
        _SINGLE,
    ),
    Scenario(
        "append-to-single-valued-response-headers",
        HEADERS,
        on(RSH, say(RSH, add=[(name, b"2") for name in ("vary", "server", "x-r", "location", "link")])),
        response=_COOKIES,
    ),
    Scenario(
        "append-empty-to-a-single-valued-header-changes-nothing",
        HEADERS,
        on(RQH, say(RQH, add=[("accept", b"")])),
        _SINGLE,
    ),
    Scenario(
        "append-to-an-empty-single-valued-header-has-no-comma",
        HEADERS,
        on(RQH, say(RQH, add=[("accept", b"b")])),
        get("/a", ("accept", b"")),
    ),
    Scenario("append-empty-to-a-plain-header-adds-it", HEADERS, on(RQH, say(RQH, add=[("x-a", b"")])), _TWICE),
    Scenario("set-to-empty-keeps-the-header", HEADERS, on(RQH, say(RQH, ("x-a", b""), ("accept", b""))), _SINGLE),
    Scenario("x-forwarded-proto-can-be-set", HEADERS, on(RQH, say(RQH, ("x-forwarded-proto", b"https")))),
    Scenario("x-forwarded-proto-can-be-removed", HEADERS, on(RQH, say(RQH, remove=["x-forwarded-proto"]))),
    Scenario("date-of-a-processor-stays", HEADERS, on(RSH, say(RSH, ("date", b"today"), ("server", b"me")))),
    # What is read of a HeaderValueOption
    Scenario("value-alone-is-not-read", HEADERS, on(RQH, _option("x-a", value="v")), _TWICE),
    Scenario("raw-value-wins-over-value", HEADERS, on(RQH, _option("x-a", value="v", raw=b"r")), _TWICE),
    Scenario("an-entry-without-header-is-passed-over", HEADERS, on(RQH, _entry_without_header()), _TWICE),
    Scenario("append-false-is-set", HEADERS, on(RQH, _option("x-a", raw=b"2", append=False)), _TWICE),
    *(
        Scenario(f"append-action-{_ACTIONS[action].lower()}-is-not-read{suffix}", HEADERS, on(RQH, edit), _TWICE)
        for action in range(4)
        for suffix, edit in (
            ("", _option("x-a", raw=b"2", action=action)),
            ("-where-absent", _option("x-c", raw=b"2", action=action)),
            ("-beside-append", _option("x-a", raw=b"2", action=action, append=True)),
        )
    ),
    # Characters
    Scenario("bytes-above-ascii-pass", HEADERS, on(RQH, say(RQH, ("x-a", b"\xc3\x28\xff"))), _TWICE),
    Scenario("white-space-and-tabs-pass", HEADERS, on(RQH, say(RQH, ("x-a", b"a\tb"), ("x_b", b"1"))), _TWICE),
    *(
        Scenario(f"set-fails-for-{what}", HEADERS, on(RQH, say(RQH, ("x-ok", b"1"), edit)), _TWICE)
        for what, edit in {
            "cr-lf-in-the-value": ("x-n", b"a\r\nb"),
            "nul-in-the-value": ("x-n", b"a\0b"),
            "control-in-the-value": ("x-n", b"a\x01b"),
            "del-in-the-value": ("x-n", b"\x7f"),
            "space-in-the-name": ("x n", b"1"),
            "space-before-the-name": (" x", b"1"),
            "colon-in-the-name": ("x:n", b"1"),
            "name-beyond-ascii": ("xé", b"1"),
            "cr-lf-in-the-path": (":path", b"/a\r\nb"),
        }.items()
    ),
    *(
        Scenario(f"remove-fails-for-{what}", HEADERS, on(RQH, say(RQH, ("x-ok", b"1"), remove=[name])), _TWICE)
        for what, name in {"a-space-in-the-name": "x n", "a-colon-alone": ":"}.items()
    ),
    Scenario("removing-the-empty-name-does-nothing", HEADERS, on(RQH, say(RQH, ("x-n", b"1"), remove=[""])), _TWICE),
    Scenario("response-set-fails-after-the-upstream-acted", HEADERS, on(RSH, say(RSH, ("x-n", b"a\r\nb")))),
]
