"""Streamed immediate responses, by the names of Envoy's own integration tests."""

from __future__ import annotations

from extproc.messages import RawHeaders
from extproc.phases import BodyMode
from tests.envoy.answers import stream_now, unchanged
from tests.envoy.moves import Say, Send
from tests.envoy.scenario import (
    RQB,
    RQH,
    RQT,
    RSH,
    TRAILED_POST,
    Scenario,
    config,
    on,
    post,
    split,
)

_HEAD: RawHeaders = [(":status", b"200"), ("x-local", b"1")]
_TRAILERS: RawHeaders = [("x-end", b"1")]
_ONLY = config("request_headers")
_BOTH = config("headers")
_DUPLEX = config("all", body=BodyMode.FULL_DUPLEX_STREAMED)
_BUFFERED = config("request_headers request_body")
_POST = split(post(b"onetwo", chunked=True), 3)

_head = stream_now(_HEAD)
_whole = (stream_now(_HEAD), stream_now(b"one"), stream_now(b"two", end=True))
_trailed = (stream_now(_HEAD), stream_now(b"one"), stream_now(_TRAILERS, trailers=True))

SCENARIOS = [
    Scenario("LocalHeadersOnlyRequestAndResponse", _ONLY, on(RQH, stream_now(_HEAD, end=True))),
    Scenario("LocalHeadersOnlyRequestAndResponseWithBody", _ONLY, on(RQH, *_whole)),
    Scenario("LocalHeadersOnlyRequestAndResponseWithBodyAndTrailers", _ONLY, on(RQH, *_trailed)),
    Scenario(
        "LocalHeadersOnlyRequestAndResponseWithBodyAndTrailers-piece-by-piece",
        _BOTH,
        {RQH: []},
        moves=(Send(), *(Say((piece,)) for piece in _trailed)),
    ),
    Scenario("LocalResponseIsAskedAbout", _BOTH, {RQH: _whole}),
    Scenario("RequestWithBodySkipAndLocalHeadersOnlyResponse", _ONLY, on(RQH, stream_now(_HEAD, end=True)), post()),
    Scenario("RequestWithBodySkipAndLocalResponseWithBody", _ONLY, on(RQH, *_whole), post()),
    Scenario(
        "RequestWithBodyAndTrailersSkipAndLocalResponseWithBody",
        _ONLY,
        {RQH: []},
        TRAILED_POST,
        moves=(*[Send()] * 3, *(Say((piece,)) for piece in _whole)),
    ),
    Scenario(
        "FinishLocalResponseWithIncomplereRequestWithBody",
        _ONLY,
        {RQH: []},
        _POST,
        moves=(*[Send()] * 2, *(Say((piece,)) for piece in _whole)),
    ),
    Scenario(
        "FinishLocalResponseWithIncomplereRequestWithBodyDuplex",
        _DUPLEX,
        {RQH: [], RQB: []},
        _POST,
        moves=(*[Send()] * 2, *(Say((piece,)) for piece in _whole)),
    ),
    Scenario(
        "RequestWithBodyDuplexAndLocalResponseWithBody",
        _DUPLEX,
        {RQH: [], RQB: []},
        _POST,
        moves=(*[Send()] * 3, *(Say((piece,)) for piece in _whole)),
    ),
    Scenario(
        "RequestWithBodyAndTrailersDuplexAndLocalResponseWithBodyAndTrailers",
        _DUPLEX,
        {RQH: [], RQB: [], RQT: []},
        TRAILED_POST,
        moves=(*[Send()] * 3, *(Say((piece,)) for piece in _trailed)),
    ),
    Scenario(
        "SpuriousResponse",
        _ONLY,
        {RQH: []},
        moves=(Send(), Say((_head,)), Say((unchanged(RQH),))),
    ),
    Scenario("SpuriousResponse-body-first", _ONLY, on(RQH, stream_now(b"one"))),
    Scenario("SpuriousResponse-trailers-first", _ONLY, on(RQH, stream_now(_TRAILERS, trailers=True))),
    Scenario("SpuriousResponse-headers-twice", _ONLY, on(RQH, _head, _head)),
    Scenario("SpuriousResponse-body-after-the-end", _ONLY, on(RQH, *_whole, stream_now(b"late"))),
    Scenario("SpuriousResponse-to-response-headers", _BOTH, on(RSH, *_whole)),
    Scenario("SpuriousResponse-after-the-request-went-on", _BOTH, on(RQH, unchanged(RQH), *_whole)),
    Scenario("LocalResponseWhereTheBodyIsBuffered", _BUFFERED, on(RQH, *_whole), post()),
    Scenario("LocalResponseToABufferedBody", _BUFFERED, on(RQB, *_whole), post()),
    Scenario(
        "LocalResponseThatIsNotFinished", _ONLY, {RQH: []}, moves=(Send(), Say((_head,)), Say((stream_now(b"one"),)))
    ),
    Scenario("LocalResponseWithoutAStatus", _ONLY, on(RQH, stream_now([("x-a", b"1")], end=True))),
    Scenario("LocalResponseWithAnIllegalHeader", _ONLY, on(RQH, stream_now([*_HEAD, ("x-a", b"1\n2")], end=True))),
]

NOT_HERE: dict[str, str] = {}
