"""From a serialized ``ProcessingRequest`` to a `Message`."""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from extproc.errors import PeerError
from extproc.messages import Message, Protocol, TypedValue
from extproc.phases import BodyMode, Part, Phase
from extproc.wire.ext_proc_pb2 import ProcessingRequest, ProtocolConfiguration
from extproc.wire.pieces import LARGE, large_piece
from extproc.wire.walk import walk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.struct_pb2 import Struct, Value

    from extproc.messages import Beside, HeadersMessage, RawHeaders

__all__ = ["decode", "decode_any", "decode_headers"]

_PHASES = {phase.value: phase for phase in Phase}
_ATTRIBUTES = "envoy.filters.http.ext_proc"
"""The one key under which Envoy sends the attributes."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})

_SILENT: Beside = (_NOTHING, _NOTHING, _NOTHING, None, False)
_MOST_KEPT = 64
_kept: dict[bytes, Beside] = {}


def decode(data: bytes) -> Message | None:
    """What Envoy says; None for a message that wants no answer (a flow-control window update).

    Raises:
        PeerError: the bytes are no ``ProcessingRequest``, or it is about a phase that only a newer Envoy knows; that
            cannot be answered, so the stream has to end with an error, and Envoy's failure mode decides.
    """
    parts = decode_headers(data)
    if parts is not None:
        phase, headers, _, end_of_stream, beside = parts
        return Message(phase, headers, b"", end_of_stream, *beside, len(data))
    if len(data) >= LARGE and (piece := large_piece((data,), len(data))) is not None:
        phase, body, end_of_stream = piece
        return Message(phase, [], body, end_of_stream, *_SILENT, len(data))
    return decode_any(data)


def decode_headers(data: bytes) -> HeadersMessage | None:
    """The same of headers, in parts; None: this is another message, or not in the form in which Envoy sends it."""
    walked = walk(data)
    if walked is None:
        return None
    phase, headers, by_name, end_of_stream, rest = walked
    beside = _SILENT if rest == len(data) else _kept.get(data[rest:]) or _beside(data[rest:])
    return None if beside is None else (phase, headers, by_name, end_of_stream, beside)


def decode_any(data: bytes) -> Message | None:
    """The same for any message, in any form that protobuf knows."""
    try:
        request = ProcessingRequest.FromString(data)
    except DecodeError as error:
        raise PeerError("INVALID_ARGUMENT", "extproc.undecodable", f"this is no ProcessingRequest: {error}") from None
    arm = request.WhichOneof("request")
    if arm is None:
        _check_unanswerable(request)
        return None
    phase = _PHASES[arm]
    part: Any = getattr(request, arm)
    headers: RawHeaders = []
    if phase.part is Part.HEADERS:  # Envoy fills `raw_value` only; others that speak the protocol may fill `value`
        headers = [(header.key, header.raw_value or header.value.encode()) for header in part.headers.headers]
    elif phase.part is Part.TRAILERS:
        headers = [(header.key, header.raw_value or header.value.encode()) for header in part.trailers.headers]
    return Message(
        phase,
        headers,
        part.body if phase.part is Part.BODY else b"",
        phase.part is Part.TRAILERS or part.end_of_stream,
        *_said_beside(request),
        len(data),
    )


def _beside(rest: bytes) -> Beside | None:
    """What a message says beside its headers; None: more headers, or nothing that can be read by itself."""
    try:
        request = ProcessingRequest.FromString(rest)
    except DecodeError:
        return None
    if request.WhichOneof("request") is not None:
        return None
    beside = attributes, metadata, typed, _, _ = _said_beside(request)
    if not (attributes or metadata or typed) and len(_kept) < _MOST_KEPT:
        _kept[rest] = beside  # a listener says the same on every stream
    return beside


def _said_beside(request: ProcessingRequest) -> Beside:
    return (
        _struct(request.attributes[_ATTRIBUTES]) if _ATTRIBUTES in request.attributes else _NOTHING,
        _metadata(request) if request.HasField("metadata_context") else _NOTHING,
        _typed(request) if request.HasField("metadata_context") else _NOTHING,
        _protocol(request.protocol_config.SerializeToString()) if request.HasField("protocol_config") else None,
        request.observability_mode,
    )


def _check_unanswerable(request: ProcessingRequest) -> None:
    unknown = UnknownFieldSet(request)
    if len(unknown):
        raise PeerError(
            "UNIMPLEMENTED",
            "extproc.unknown_phase",
            f"Envoy asks about a phase that this version does not know (field {unknown[0].field_number}): "
            "upgrade extproc-sdk, or switch that phase off in Envoy's processing_mode",
        )


@lru_cache(maxsize=128)  # a listener says the same on every stream
def _protocol(data: bytes) -> Protocol:
    config = ProtocolConfiguration.FromString(data)
    return Protocol(
        _body_mode(config.request_body_mode),
        _body_mode(config.response_body_mode),
        config.send_body_without_waiting_for_header_response,
    )


def _body_mode(number: int) -> BodyMode:
    try:
        return BodyMode(number)
    except ValueError:
        raise PeerError(
            "UNIMPLEMENTED",
            "extproc.unknown_body_mode",
            f"Envoy uses body mode {number}, which this version does not know",
        ) from None


def _metadata(request: ProcessingRequest) -> Mapping[str, Mapping[str, Any]]:
    return {namespace: _struct(value) for namespace, value in request.metadata_context.filter_metadata.items()}


def _typed(request: ProcessingRequest) -> Mapping[str, TypedValue]:
    typed = request.metadata_context.typed_filter_metadata
    return {namespace: TypedValue(value.type_url, value.value) for namespace, value in typed.items()}


def _struct(struct: Struct) -> dict[str, Any]:
    return {name: _plain(value) for name, value in struct.fields.items()}


def _plain(value: Value) -> Any:
    """A protobuf `Value` as what JSON would make of it."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _struct(value.struct_value)
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values]
    return None if kind in (None, "null_value") else getattr(value, kind)
