"""Another protocol instead of HTTP, such as WebSocket: to the filter its bytes are bodies, which have no end."""

from __future__ import annotations

from dataclasses import replace

from extproc.envoy.model import Close, HttpMessage
from extproc.messages import Abort, Message
from extproc.phases import BodyMode
from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.envoy.answers import answer_now, say, stream
from tests.envoy.moves import Leave, Move, Reply, Send
from tests.envoy.raw_processor import Action
from tests.envoy.scenario import RQB, RQH, RSB, RSH, Scenario, Second, config, get, on, reply, turns

_UPGRADE = [("connection", b"Upgrade"), ("upgrade", b"websocket")]
_ASKED = HttpMessage([*get().headers[:-1], *_UPGRADE, get().headers[-1]], (b"one", b"two"))
_AGREED = HttpMessage([(":status", b"101"), *_UPGRADE], (b"uno", b"due"))
_HANDSHAKE: tuple[Move, ...] = (Send(), Reply(1, early=True))
_EACH: tuple[Move, ...] = (Send(), Reply(1, early=True))
_TALK = (*_HANDSHAKE, *_EACH, *_EACH)
_STREAMED = config("all", body=BodyMode.STREAMED)
_DUPLEX = config("all", body=BodyMode.FULL_DUPLEX_STREAMED)
_ABORT = Abort("INTERNAL", "failed")


def _upper(message: Message) -> list[ProcessingResponse]:
    return [say(message.phase, body=message.body.upper())]


def _upper_pieces(message: Message) -> list[ProcessingResponse]:
    return [stream(message.phase, message.body.upper(), end=message.end_of_stream)]


_FAULTS: dict[str, Action] = {"aborted": _ABORT, "closed": Close(), "immediate": answer_now(403, body=b"no")}

SCENARIOS = [
    Scenario("upgrade-headers-only", request=_ASKED, response=_AGREED, moves=_TALK),
    *(
        Scenario(f"upgrade-{mode.name.lower()}", config("all", body=mode), {}, _ASKED, _AGREED, moves=_TALK)
        for mode in BodyMode
    ),
    *(
        Scenario(
            f"upgrade-{mode.name.lower()}-of-the-response",
            config("headers response_body", body=mode),
            {},
            _ASKED,
            _AGREED,
            moves=_TALK,
        )
        for mode in (BodyMode.BUFFERED, BodyMode.BUFFERED_PARTIAL, BodyMode.STREAMED)
    ),
    *(
        Scenario(f"upgrade-{how}-edited", where, {RQB: does, RSB: does}, _ASKED, _AGREED, moves=_TALK)
        for how, where, does in (("streamed", _STREAMED, _upper), ("duplex", _DUPLEX, _upper_pieces))
    ),
    *(
        Scenario(
            f"upgrade-observed-{how}",
            config("all", body=BodyMode.STREAMED, observability_mode=True),
            {},
            _ASKED,
            _AGREED,
            moves=_TALK,
            second=second,
        )
        for how, second in {"alone": None, "before-another-filter": Second()}.items()
    ),
    *(
        Scenario(
            f"upgrade-two-filters-the-second-{mode.name.lower()}",
            config("all", body=BodyMode.STREAMED),
            {},
            _ASKED,
            _AGREED,
            moves=_TALK,
            second=Second(config("all", body=mode)),
        )
        for mode in BodyMode
    ),
    *(
        Scenario(
            f"upgrade-ended-by-the-processor-in-the-{where}",
            _DUPLEX,
            {phase: [stream(phase, b"last", end=True)]},
            _ASKED,
            _AGREED,
            moves=_TALK,
        )
        for where, phase in {"request": RQB, "response": RSB}.items()
    ),
    Scenario(
        "upgrade-with-more-than-is-held",
        config("headers request_body", buffer_limit=5),
        {},
        replace(_ASKED, chunks=(b"one", b"two")),
        _AGREED,
        moves=_TALK,
    ),
    Scenario(
        "upgrade-handshake-edited",
        script={RQH: [say(RQH, ("x-n", b"1"))], RSH: [say(RSH, ("x-n", b"1"))]},
        request=_ASKED,
        response=_AGREED,
        moves=_TALK,
    ),
    Scenario(
        "upgrade-denied",
        script=on(RQH, answer_now(403, body=b"no")),
        request=replace(_ASKED, chunks=()),
        moves=(Send(),),
    ),
    *(
        Scenario(
            f"upgrade-refused{how}", request=_ASKED, response=reply(403), moves=(Send(parts), Reply(2, early=True))
        )
        for how, parts in {"": 1, "-with-bytes-ahead": 2}.items()
    ),
    Scenario(
        "upgrade-denied-when-agreed",
        script=on(RSH, answer_now(403, body=b"no")),
        request=replace(_ASKED, chunks=()),
        response=_AGREED,
        moves=_HANDSHAKE,
    ),
    *(
        Scenario(
            f"upgrade-{what}-in-the-{where}-{how}",
            config("all", body=BodyMode.STREAMED, failure_mode_allow=allow),
            {phase: turns(None, [fault])},
            _ASKED,
            _AGREED,
            moves=_TALK,
        )
        for what, fault in _FAULTS.items()
        for where, phase in {"request": RQB, "response": RSB}.items()
        for how, allow in {"shut": False, "open": True}.items()
    ),
    Scenario("upgrade-broken-by-the-upstream", _STREAMED, {}, _ASKED, _AGREED, moves=(*_TALK, Leave(upstream=True))),
    Scenario(
        "upgrade-bytes-ahead-of-the-agreement",
        _STREAMED,
        {},
        _ASKED,
        _AGREED,
        moves=(Send(2), Reply(2, early=True), Send(), Reply(1, early=True)),
    ),
]
