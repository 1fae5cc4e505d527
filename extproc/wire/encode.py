"""From an answer to a serialized ``ProcessingResponse``.

What is sent for every exchange is put together byte by byte: through the generated classes it takes three times as
long. The field numbers are those of ``proto/extproc/wire/ext_proc.proto``; the tests read the bytes back with its
classes.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from extproc.messages import Continue, HeaderEdit, Immediate, MoreTime, Piece, ReplyHeaders
from extproc.phases import Part, Phase
from extproc.wire.ext_proc_pb2 import ProcessingMode, ProcessingResponse

if TYPE_CHECKING:
    from typing import TypeAlias

    from extproc.messages import ModeChange, ReplyBody

    _Answer: TypeAlias = Continue | Immediate | Piece | ReplyHeaders | ReplyBody | MoreTime

__all__ = ["before_body", "encode", "encode_apart"]

_ARM = {phase: getattr(ProcessingResponse, f"{phase.value.upper()}_FIELD_NUMBER") for phase in Phase}


def encode(answer: _Answer) -> bytes:
    """The answer as Envoy reads it: `raw_value` only, since Envoy takes nothing else for a header's value."""
    if isinstance(answer, Continue):
        if not answer.encoded:
            answer.encoded.append(_continue(answer))
        return answer.encoded[0]
    if isinstance(answer, Piece):
        return _piece(answer)
    if isinstance(answer, Immediate):
        return _immediate(answer)
    return _rare(answer)


def encode_apart(answer: _Answer) -> tuple[bytes, bytes]:
    """The same in two: a body that can be its end stands by itself, as it may be large and need not be copied."""
    if isinstance(answer, Continue):
        if answer.body and _is_body_alone(answer):
            return before_body(answer.phase, len(answer.body), carried=False), answer.body
    elif isinstance(answer, Piece) and answer.body:
        return _before_piece(answer), answer.body
    return encode(answer), b""


@lru_cache(maxsize=256)  # most pieces of a body are of one size
def before_body(phase: Phase, size: int, *, carried: bool) -> bytes:
    """What stands before a body of so many bytes, at least one, where that is all of the answer.

    Args:
        phase: that of a body.
        size: of the body.
        carried: it is a piece that goes on, as a `Piece`, rather than the answer to a message.
    """
    return _nesting(
        (_STREAMED_RESPONSE, _BODY_MUTATION, 1, _ARM[phase]) if carried else (_BODY_MUTATION, 1, _ARM[phase]), size, b""
    )


def _continue(answer: Continue) -> bytes:
    """A ``ProcessingResponse`` with a HeadersResponse, BodyResponse or TrailersResponse."""
    if answer.body and _is_body_alone(answer):
        return before_body(answer.phase, len(answer.body), carried=False) + answer.body
    mutation = b""
    for edit in answer.set_headers:
        mutation += _field(1, _option(edit))
    for name in answer.remove_headers:
        mutation += _field(2, name.encode())
    part = _field(1, mutation) if answer.phase.part is Part.TRAILERS else _field(1, _common(answer, mutation))
    response = _field(_ARM[answer.phase], part)
    if answer.mode is not None:
        response += _field(9, _mode(answer.mode))
    return response + _metadata(answer) if answer.metadata or answer.typed_metadata else response


def _piece(answer: Piece) -> bytes:
    """A ``ProcessingResponse`` with a BodyResponse > CommonResponse > BodyMutation > StreamedBodyResponse."""
    return _before_piece(answer) + answer.body


def _before_piece(answer: Piece) -> bytes:
    """The same but for its end, the body. Fields may come in any order."""
    end = b"\x10\x01" if answer.end_of_stream else b""
    head = _nesting((_STREAMED_RESPONSE, _BODY_MUTATION, 1, _ARM[answer.phase]), len(answer.body), end)
    return _metadata(answer) + head if answer.metadata or answer.typed_metadata else head


def _metadata(answer: Continue | Immediate | Piece) -> bytes:
    """Dynamic metadata, which stands beside what is answered."""
    response = ProcessingResponse()
    if answer.metadata:
        response.dynamic_metadata.update(answer.metadata)
    for namespace, value in answer.typed_metadata.items():
        response.typed_dynamic_metadata[namespace].type_url = value.type_url
        response.typed_dynamic_metadata[namespace].value = value.value
    return response.SerializeToString()


def _mode(change: ModeChange) -> bytes:
    """A ``ProcessingMode``: DEFAULT leaves header and trailer modes as they are; body modes always count."""
    skip = ProcessingMode.SKIP
    mode = ProcessingMode()
    mode.request_body_mode = change.request_body.value  # type: ignore[assignment] # our enum has the wire's numbers
    mode.response_body_mode = change.response_body.value  # type: ignore[assignment]
    if change.skip_response_headers:
        mode.response_header_mode = skip
    if change.skip_request_trailers:
        mode.request_trailer_mode = skip
    if change.skip_response_trailers:
        mode.response_trailer_mode = skip
    return mode.SerializeToString()


def _rare(answer: ReplyHeaders | ReplyBody | MoreTime) -> bytes:
    response = ProcessingResponse()
    if isinstance(answer, MoreTime):
        response.override_message_timeout.FromTimedelta(timedelta(seconds=answer.seconds))
    elif isinstance(answer, ReplyHeaders):
        headers = response.streamed_immediate_response.headers_response.headers.headers
        for name, value in answer.headers:
            headers.add(key=name, raw_value=value)
    else:
        body = response.streamed_immediate_response.body_response
        body.body, body.end_of_stream = answer.body, answer.end_of_stream
    return response.SerializeToString()


def _common(answer: Continue, mutation: bytes) -> bytes:
    """A ``CommonResponse``; ``status`` 1 is CONTINUE_AND_REPLACE."""
    common = b"\x08\x01" if answer.replace else b""
    if mutation or answer.clear_route_cache:  # without a mutation, be it an empty one, Envoy keeps the route
        common += _field(2, mutation)
    if answer.body is not None:
        common += _field(3, _field(1, answer.body) if answer.body else b"\x10\x01")  # or clear_body
    return common + b"\x28\x01" if answer.clear_route_cache else common


def _option(edit: HeaderEdit) -> bytes:
    """A ``HeaderValueOption``. ``append``, a BoolValue, is deprecated, and the only thing Envoy's ext_proc looks at."""
    option = _field(1, _key(edit.name) + _field(3, edit.value))
    return option + b"\x12\x02\x08\x01" if edit.append else option


@lru_cache(maxsize=1024)  # filters use the same few names over and over
def _key(name: str) -> bytes:
    return _field(1, name.encode())


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited field, of a number below 16."""
    size = len(payload)
    return _BYTES[number << 3 | 2] + (_BYTES[size] if size < _SHORT else _varint(size)) + payload


@lru_cache(maxsize=256)  # most pieces of a body are of one size
def _nesting(numbers: tuple[int, ...], size: int, beside: bytes) -> bytes:
    """What stands before a body of `size` bytes, the first field of messages in messages.

    Args:
        numbers: of the fields that those messages are, the innermost first.
        size: of the body; where there is none, there is no field either.
        beside: the other fields of the innermost message.
    """
    head = beside + (_BYTES[1 << 3 | 2] + _varint(size) if size else b"")
    for number in numbers:
        head = _BYTES[number << 3 | 2] + _varint(len(head) + size) + head
    return head


def _is_body_alone(answer: Continue) -> bool:
    """Whether it answers a piece of a body, and there is nothing in it but the body."""
    edited = answer.set_headers or answer.remove_headers or answer.clear_route_cache
    more = edited or answer.replace or answer.metadata or answer.typed_metadata or answer.mode
    return answer.phase.part is Part.BODY and not more


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= _SHORT:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _immediate(answer: Immediate) -> bytes:
    response = ProcessingResponse()
    immediate = response.immediate_response
    immediate.status.code = answer.status  # type: ignore[assignment] # an open enum: any status code is a value of it
    immediate.body = answer.body
    immediate.details = answer.details
    for edit in answer.set_headers:
        immediate.headers.set_headers.add().MergeFromString(_option(edit))
    if answer.grpc_status is not None:
        immediate.grpc_status.status = answer.grpc_status
    return response.SerializeToString() + _metadata(answer)


_BODY_MUTATION = 3
_STREAMED_RESPONSE = 3
_SHORT = 128
_BYTES = [bytes((value,)) for value in range(_SHORT)]
