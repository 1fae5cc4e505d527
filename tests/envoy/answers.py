"""What a processor says, as Envoy's API has it; legal or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import text_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.json_format import ParseDict

from extproc.envoy.model import ModeOverride
from extproc.messages import RawHeaders
from extproc.phases import Part, Phase
from extproc.wire.ext_proc_pb2 import CommonResponse, HeaderMutation, ProcessingResponse
from tests.envoy.raw_processor import unchanged

__all__ = [
    "answer_now",
    "beside",
    "more_time",
    "mutate",
    "parsed",
    "say",
    "stream",
    "stream_now",
    "unchanged",
]


def say(
    phase: Phase,
    *sets: tuple[str, bytes],
    add: Sequence[tuple[str, bytes]] = (),
    remove: Sequence[str] = (),
    body: bytes | None = None,
    clear_body: bool = False,
    replace: bool = False,
    clear_route: bool = False,
) -> ProcessingResponse:
    """An answer to `phase`: sets, then adds (with append), and removes headers; see the proto for the rest."""
    response = ProcessingResponse()
    part: Any = getattr(response, phase.value)
    part.SetInParent()
    common = CommonResponse() if phase.part is Part.TRAILERS else part.response
    mutation: HeaderMutation = part.header_mutation if phase.part is Part.TRAILERS else common.header_mutation
    if sets or add or remove:
        mutate(mutation, *sets, add=add, remove=remove)
    if body is not None:
        common.body_mutation.body = body
    if clear_body:
        common.body_mutation.clear_body = True
    if replace:
        common.status = CommonResponse.CONTINUE_AND_REPLACE
    common.clear_route_cache = clear_route
    if clear_route:
        common.header_mutation.SetInParent()  # Envoy ignores it in an answer without, which is not what we send
    return response


def mutate(
    mutation: HeaderMutation,
    *sets: tuple[str, bytes],
    add: Sequence[tuple[str, bytes]] = (),
    remove: Sequence[str] = (),
) -> None:
    """Fills in a header mutation."""
    for index, (name, value) in enumerate([*sets, *add]):
        option = mutation.set_headers.add()
        option.header.key = name
        option.header.raw_value = value
        if index >= len(sets):
            option.append.value = True
    mutation.remove_headers.extend(remove)


def answer_now(
    status: int | None,
    *sets: tuple[str, bytes],
    add: Sequence[tuple[str, bytes]] = (),
    body: bytes = b"",
    details: str = "",
    grpc_status: int | None = None,
) -> ProcessingResponse:
    """An immediate response."""
    response = ProcessingResponse()
    immediate = response.immediate_response
    immediate.SetInParent()
    if status is not None:
        immediate.status.code = status  # type: ignore[assignment] # an open enum
    if sets or add:
        mutate(immediate.headers, *sets, add=add)
    immediate.body = body
    immediate.details = details
    if grpc_status is not None:
        immediate.grpc_status.status = grpc_status
    return response


def stream(
    phase: Phase, body: bytes = b"", *, end: bool = False, without_message: bool = False, drained: bool = False
) -> ProcessingResponse:
    """A piece of the new body, as FULL_DUPLEX_STREAMED and GRPC want it."""
    response = ProcessingResponse()
    piece = getattr(response, phase.value).response.body_mutation.streamed_response
    piece.SetInParent()
    piece.body = body
    piece.end_of_stream = end
    piece.end_of_stream_without_message = without_message
    piece.drain_complete = drained
    return response


def parsed(text: str) -> ProcessingResponse:
    """A response in protobuf's text format, as `tests.envoy.source` writes it."""
    return text_format.Parse(text, ProcessingResponse())


def beside(
    response: ProcessingResponse,
    *,
    mode: ModeOverride | None = None,
    timeout: float | None = None,
    metadata: Mapping[str, Mapping[str, Any]] | None = None,
    typed_metadata: Mapping[str, AnyMessage] | None = None,
    drain_requests: bool = False,
    drain_responses: bool = False,
    drain: bool = False,
    window: tuple[int, int] | None = None,
) -> ProcessingResponse:
    """The answer, with what stands beside answers; see the proto."""
    if mode is not None:
        response.mode_override.SetInParent()
        for direction in ("request", "response"):
            for part in ("header", "trailer"):
                setattr(response.mode_override, f"{direction}_{part}_mode", getattr(mode, f"{direction}_{part}s").value)
            setattr(response.mode_override, f"{direction}_body_mode", getattr(mode, f"{direction}_body").value)
    if timeout is not None:
        response.override_message_timeout.FromNanoseconds(round(timeout * 1e9))
    if metadata is not None:
        ParseDict(dict(metadata), response.dynamic_metadata)
    for namespace, value in (typed_metadata or {}).items():
        response.typed_dynamic_metadata[namespace].CopyFrom(value)
    response.request_drain_requests = drain_requests
    response.request_drain_responses = drain_responses
    response.request_drain = drain
    if window is not None:
        update = response.server_window_update
        update.window_increment_downstream_to_sidestream, update.window_increment_upstream_to_sidestream = window
    return response


def more_time(seconds: float) -> ProcessingResponse:
    """Asks for more time for the message at hand."""
    return beside(ProcessingResponse(), timeout=seconds)


def stream_now(piece: RawHeaders | bytes, *, end: bool = False, trailers: bool = False) -> ProcessingResponse:
    """A piece of a streamed immediate response: headers, bytes of the body, or trailers."""
    response = ProcessingResponse()
    streamed = response.streamed_immediate_response
    if isinstance(piece, bytes):
        streamed.body_response.body = piece
        streamed.body_response.end_of_stream = end
        return response
    fields = streamed.trailers_response if trailers else streamed.headers_response.headers
    fields.SetInParent()
    for name, value in piece:
        fields.headers.add(key=name, raw_value=value)
    if not trailers:
        streamed.headers_response.end_of_stream = end
    return response
