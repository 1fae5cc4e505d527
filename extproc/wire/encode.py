"""From an answer to a serialized ``ProcessingResponse``.

What is sent for every exchange is put together byte by byte: through the generated classes it takes three times as
long. The field numbers are those of ``proto/extproc/wire/ext_proc.proto``; the tests read the bytes back with its
classes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from google.protobuf.struct_pb2 import Struct

from extproc.answers import UNCHANGED
from extproc.messages import Continue, HeaderEdit, Immediate
from extproc.phases import Part, Phase
from extproc.wire.ext_proc_pb2 import ProcessingResponse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["encode"]

_ARM = {phase: getattr(ProcessingResponse, f"{phase.value.upper()}_FIELD_NUMBER") for phase in Phase}


def encode(answer: Continue | Immediate) -> bytes:
    """The answer as Envoy reads it: `raw_value` only, since Envoy takes nothing else for a header's value."""
    if isinstance(answer, Immediate):
        return _immediate(answer)
    return _CONSTANTS[answer.phase] if answer is UNCHANGED[answer.phase] else _continue(answer)


def _continue(answer: Continue) -> bytes:
    """A ``ProcessingResponse`` with a HeadersResponse, BodyResponse or TrailersResponse."""
    mutation = b""
    for edit in answer.set_headers:
        mutation += _field(1, _option(edit))
    for name in answer.remove_headers:
        mutation += _field(2, name.encode())
    part = _field(1, mutation) if answer.phase.part is Part.TRAILERS else _field(1, _common(answer, mutation))
    response = _field(_ARM[answer.phase], part)
    return response + _field(8, _struct(answer.metadata)) if answer.metadata else response


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


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= _SHORT:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _struct(values: Mapping[str, Any]) -> bytes:
    struct = Struct()
    struct.update(values)
    return struct.SerializeToString()


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
    if answer.metadata:
        response.dynamic_metadata.update(answer.metadata)
    return response.SerializeToString()


_SHORT = 128
_BYTES = [bytes((value,)) for value in range(_SHORT)]
_CONSTANTS = {phase: _continue(answer) for phase, answer in UNCHANGED.items()}
