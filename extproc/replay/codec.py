"""The lines of a capture: between the values of `capture` and JSON.

Each line is one JSON object in ASCII. The header is the one with ``format``, the footer the one with ``closed``, all
others are exchanges. Fields at their default are left out; fields that a reader does not know are for others.

Bytes (header values, bodies) are a JSON string where they are UTF-8 without control characters other than tab and line
breaks, else ``{"base64": ...}``. Headers are ``[name, value]`` pairs in wire order.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

from extproc.exchange import Ended
from extproc.filter import Needs, OnError
from extproc.messages import Abort, Answer, Continue, HeaderEdit, Immediate, Message, Protocol
from extproc.phases import BodyMode, Phase
from extproc.replay.capture import FORMAT, VERSION, CapturedExchange, CapturedMessage, Footer, Header, Redaction
from extproc.trace import Change, Event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from extproc.messages import RawHeaders

__all__ = [
    "decode_exchange",
    "decode_footer",
    "decode_header",
    "encode_exchange",
    "encode_footer",
    "encode_header",
    "json_bytes",
]

_T = TypeVar("_T")
_Object = dict[str, Any]

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_ACTIONS = ("edit", "respond", "skip", "deny", "swallow")


# Writing


def encode_header(header: Header) -> bytes:
    """The first line of a capture."""
    redaction = header.redaction
    return _line(
        {
            "format": FORMAT,
            "version": VERSION,
            "created": header.created,
            "tool": header.tool,
            "chain": {"filters": dict(header.filters), "needs": _needs(header.needs)},
            "redaction": redaction and {"key": redaction.key, "headers": sorted(redaction.headers)},
        }
    )


def encode_exchange(exchange: CapturedExchange) -> bytes:
    """The line of one exchange.

    Raises:
        TypeError: metadata or an attribute is not JSON-like.
    """
    return _line(
        {
            "id": exchange.id,
            "started": exchange.started,
            "ended": exchange.ended,
            "messages": [_message(item) for item in exchange.messages],
            "trace": [_event(event) for event in exchange.events],
        }
    )


def encode_footer(footer: Footer) -> bytes:
    """The last line of a capture."""
    return _line({"closed": footer.closed, "exchanges": footer.exchanges, "dropped": footer.dropped})


def _line(value: _Object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def json_bytes(value: bytes) -> str | dict[str, str]:
    """Bytes as JSON: text where they are printable UTF-8, else base64."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\x00"
    if _UNPRINTABLE.search(text):
        return {"base64": base64.b64encode(value).decode()}
    return text


def _set(**values: Any) -> _Object:
    """The values that are not empty."""
    return {name: value for name, value in values.items() if value not in (None, False, [], {}, "")}


def _message(item: CapturedMessage) -> _Object:
    message = item.message
    protocol = message.protocol
    return {
        "number": item.number,
        "now": item.now,
        "phase": message.phase.value,
        **_set(
            headers=[[name, json_bytes(value)] for name, value in message.headers],
            body=json_bytes(message.body),
            end_of_stream=message.end_of_stream,
            attributes=dict(message.attributes),
            metadata=dict(message.metadata),
            observability=message.observability,
            protocol=protocol
            and {
                "request_body": protocol.request_body.name,
                "response_body": protocol.response_body.name,
                "send_body_without_waiting": protocol.send_body_without_waiting,
            },
        ),
        "answer": None if item.answer is None else _answer(item.answer),
    }


def _answer(answer: Answer) -> _Object:
    if isinstance(answer, Abort):
        return {"abort": answer.code, "reason": answer.reason}
    edits = [[edit.name, json_bytes(edit.value), *(["append"] if edit.append else [])] for edit in answer.set_headers]
    if isinstance(answer, Immediate):
        return {
            "immediate": answer.status,
            **_set(
                set_headers=edits, body=json_bytes(answer.body), details=answer.details, metadata=dict(answer.metadata)
            ),
            **({} if answer.grpc_status is None else {"grpc_status": answer.grpc_status}),
        }
    return {
        "continue": answer.phase.value,
        **_set(
            set_headers=edits,
            remove_headers=list(answer.remove_headers),
            replace=answer.replace,
            clear_route_cache=answer.clear_route_cache,
            metadata=dict(answer.metadata),
        ),
        **({} if answer.body is None else {"body": json_bytes(answer.body)}),
    }


def _event(event: Event) -> _Object:
    changes = [
        [change.what, [json_bytes(value) for value in change.before], [json_bytes(value) for value in change.after]]
        for change in event.changes
    ]
    return {
        "filter": event.filter,
        "phase": event.phase.value,
        "action": event.action,
        **_set(changes=changes, note=event.note),
    }


def _needs(needs: Needs) -> _Object:
    return {
        f.name: sorted(item.value if isinstance(item, Phase) else item for item in getattr(needs, f.name))
        for f in fields(needs)
    }


# Reading: every decoder raises KeyError, TypeError or ValueError for what is not as written above


def decode_header(value: Mapping[str, Any]) -> Header:
    """The header in a line of JSON."""
    chain = _mapping(value["chain"])
    redaction: _Object | None = value.get("redaction")
    return Header(
        created=_number(value, "created"),
        tool=_get(value, "tool", str),
        filters={name: _policy(value) for name, value in _mapping(chain["filters"]).items()},
        needs=_decode_needs(_mapping(chain["needs"])),
        redaction=None
        if redaction is None
        else Redaction(_get(redaction, "key", str), frozenset(_strings(redaction["headers"]))),
    )


def _policy(value: Any) -> OnError:
    if value not in get_args(OnError):
        raise ValueError(f"{value!r} is no failure policy")
    return cast("OnError", value)


def decode_footer(value: Mapping[str, Any]) -> Footer:
    """The footer in a line of JSON."""
    return Footer(_number(value, "closed"), _get(value, "exchanges", int), _get(value, "dropped", int))


def decode_exchange(value: Mapping[str, Any]) -> CapturedExchange:
    """The exchange in a line of JSON."""
    messages = tuple(_decode_message(item) for item in _list(value["messages"]))
    if not messages:
        raise ValueError("an exchange has at least one message")
    ended = value["ended"]
    if ended not in get_args(Ended):
        raise ValueError(f"{ended!r} is no way to end")
    events = tuple(_decode_event(item) for item in _list(value.get("trace", [])))
    return CapturedExchange(_get(value, "id", str), messages, events, cast("Ended", ended))


def _get(value: Mapping[str, Any], name: str, kind: type[_T]) -> _T:
    item = value[name]
    if not isinstance(item, kind) or (isinstance(item, bool) and kind is int):
        raise TypeError(f"{name!r} is not {kind.__name__}")
    return item


def _number(value: Mapping[str, Any], name: str) -> float:
    number = value[name]
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise TypeError(f"{name!r} is no number of seconds")
    return number


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list was expected")
    return [*cast("list[object]", value)]


def _strings(value: Any) -> list[str]:
    return [_text(item) for item in _list(value)]


def _from_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    try:
        return base64.b64decode(value["base64"], validate=True)
    except binascii.Error as error:
        raise ValueError(f"base64: {error}") from None


def _flag(value: Mapping[str, Any], name: str) -> bool:
    return _get(value, name, bool) if name in value else False


def _mapping(value: Any) -> _Object:
    if not isinstance(value, dict):
        raise TypeError("an object was expected")
    return cast("_Object", value)


def _namespaced(value: Any) -> dict[str, Mapping[str, Any]]:
    return {name: _mapping(item) for name, item in _mapping(value).items()}


def _decode_headers(value: Any) -> RawHeaders:
    return [(_text(name), _from_bytes(raw)) for name, raw in _list(value)]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _decode_message(value: Mapping[str, Any]) -> CapturedMessage:
    message = Message(
        Phase(value["phase"]),
        headers=_decode_headers(value.get("headers", [])),
        body=_from_bytes(value.get("body", "")),
        end_of_stream=_flag(value, "end_of_stream"),
        attributes=_mapping(value.get("attributes", {})),
        metadata=_namespaced(value.get("metadata", {})),
        protocol=_decode_protocol(value["protocol"]) if "protocol" in value else None,
        observability=_flag(value, "observability"),
    )
    answer = value["answer"]
    return CapturedMessage(
        message, None if answer is None else _decode_answer(answer), _number(value, "now"), _get(value, "number", int)
    )


def _decode_protocol(value: Mapping[str, Any]) -> Protocol:
    return Protocol(
        BodyMode[value["request_body"]], BodyMode[value["response_body"]], _flag(value, "send_body_without_waiting")
    )


def _decode_answer(value: Mapping[str, Any]) -> Answer:
    if "abort" in value:
        return Abort(_get(value, "abort", str), _get(value, "reason", str))
    edits = _decode_edits(value.get("set_headers", []))
    metadata = _namespaced(value.get("metadata", {}))
    if "immediate" in value:
        return Immediate(
            _get(value, "immediate", int),
            set_headers=edits,
            body=_from_bytes(value.get("body", "")),
            details=_text(value.get("details", "")),
            grpc_status=_get(value, "grpc_status", int) if "grpc_status" in value else None,
            metadata=metadata,
        )
    return Continue(
        Phase(value["continue"]),
        set_headers=edits,
        remove_headers=tuple(_strings(value.get("remove_headers", []))),
        body=_from_bytes(value["body"]) if "body" in value else None,
        replace=_flag(value, "replace"),
        clear_route_cache=_flag(value, "clear_route_cache"),
        metadata=metadata,
    )


def _decode_edits(value: Any) -> tuple[HeaderEdit, ...]:
    return tuple(
        HeaderEdit(_text(name), _from_bytes(raw), append=rest == ["append"]) for name, raw, *rest in _list(value)
    )


def _decode_event(value: Mapping[str, Any]) -> Event:
    if value["action"] not in _ACTIONS:
        raise ValueError(f"{value['action']!r} is no action of a filter")
    changes = tuple(
        Change(_text(what), tuple(map(_from_bytes, before)), tuple(map(_from_bytes, after)))
        for what, before, after in _list(value.get("changes", []))
    )
    return Event(
        _get(value, "filter", str), Phase(value["phase"]), value["action"], changes, _text(value.get("note", ""))
    )


def _decode_needs(value: Mapping[str, Any]) -> Needs:
    known = {f.name: _strings(value[f.name]) for f in fields(Needs) if f.name in value}
    phases, pieces = (frozenset(Phase(item) for item in known.pop(name, [])) for name in ("phases", "pieces"))
    others: dict[str, Any] = {name: frozenset(items) for name, items in known.items()}
    return Needs(phases, pieces=pieces, **others)
