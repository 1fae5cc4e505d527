"""What Envoy makes of what a processor says: of a header only `raw_value` and the deprecated `append` count."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict

from extproc.envoy.model import (
    Close,
    HeaderMode,
    Lost,
    ModeOverride,
    Reply,
    Said,
    Streamed,
    StreamedBody,
    StreamedHeaders,
    StreamedTrailers,
    Unhandled,
)
from extproc.messages import Abort, Continue, HeaderEdit, Immediate, RawHeaders
from extproc.phases import BodyMode, Part, Phase
from extproc.wire.ext_proc_pb2 import (
    CommonResponse,
    HeaderMutation,
    ImmediateResponse,
    ProcessingMode,
    ProcessingResponse,
    StreamedImmediateResponse,
)

__all__ = ["as_read"]


def as_read(action: ProcessingResponse | bytes | Abort | Close | Lost) -> Reply:
    """An action as the model takes it."""
    if isinstance(action, bytes):
        action = ProcessingResponse.FromString(action)
    if not isinstance(action, ProcessingResponse):
        return action
    answer = _answer(action)
    said = Said(answer, **_streamed(action), **_beside(action))
    if said != Said(answer):
        return said
    return Unhandled() if answer is None else said if isinstance(answer, Streamed) else answer


def _answer(response: ProcessingResponse) -> Continue | Immediate | Streamed | None:
    arm = response.WhichOneof("response")
    if arm is None:
        return None
    metadata = MessageToDict(response.dynamic_metadata) if response.HasField("dynamic_metadata") else {}
    if arm == "immediate_response":
        return _immediate(response.immediate_response, metadata)
    if arm == "streamed_immediate_response":
        return _streamed_immediate(response.streamed_immediate_response)
    phase = Phase(arm)
    part: Any = getattr(response, arm)
    if phase.part is Part.TRAILERS:
        removed = tuple(part.header_mutation.remove_headers)
        return Continue(phase, _edits(part.header_mutation), removed, metadata=metadata)
    return _common(phase, part.response, metadata)


def _common(phase: Phase, common: CommonResponse, metadata: dict[str, Any]) -> Continue:
    mutation = common.body_mutation.WhichOneof("mutation")
    body = common.body_mutation.body
    if mutation == "streamed_response":
        body = common.body_mutation.streamed_response.body
    return Continue(
        phase,
        set_headers=_edits(common.header_mutation),
        remove_headers=tuple(common.header_mutation.remove_headers),
        body=None if mutation is None else body,
        replace=common.status == CommonResponse.CONTINUE_AND_REPLACE,
        clear_route_cache=common.clear_route_cache,
        metadata=metadata,
    )


def _immediate(response: ImmediateResponse, metadata: dict[str, Any]) -> Immediate:
    return Immediate(
        status=response.status.code,
        set_headers=_edits(response.headers),
        body=response.body,
        details=response.details,
        grpc_status=response.grpc_status.status if response.HasField("grpc_status") else None,
        metadata=metadata,
    )


def _streamed_immediate(response: StreamedImmediateResponse) -> Streamed | None:
    arm = response.WhichOneof("response")
    if arm == "headers_response":
        head = response.headers_response
        return StreamedHeaders(_raw(head.headers.headers), head.end_of_stream)
    if arm == "body_response":
        return StreamedBody(response.body_response.body, response.body_response.end_of_stream)
    return None if arm is None else StreamedTrailers(_raw(response.trailers_response.headers))


def _streamed(response: ProcessingResponse) -> dict[str, Any]:
    """What a piece of a new body says beside its bytes."""
    arm = response.WhichOneof("response")
    if arm not in ("request_body", "response_body"):
        return {}
    mutation = getattr(response, arm).response.body_mutation
    if mutation.WhichOneof("mutation") != "streamed_response":
        return {}
    piece = mutation.streamed_response
    return {
        "streamed": True,
        "end_of_stream": piece.end_of_stream,
        "end_of_stream_without_message": piece.end_of_stream_without_message,
    }


def _beside(response: ProcessingResponse) -> dict[str, Any]:
    """What stands beside the answer."""
    more: dict[str, Any] = {
        "typed_metadata": dict(response.typed_dynamic_metadata),
        "drain_requests": response.request_drain_requests,
        "drain_responses": response.request_drain_responses,
    }
    if response.HasField("mode_override"):
        more["mode_override"] = _override(response.mode_override)
    if response.HasField("override_message_timeout"):
        more["timeout_override"] = response.override_message_timeout.ToMicroseconds() / 1e6
    if response.HasField("server_window_update"):
        update = response.server_window_update
        more["window_update"] = (
            update.window_increment_downstream_to_sidestream,
            update.window_increment_upstream_to_sidestream,
        )
    return more


def _override(mode: ProcessingMode) -> ModeOverride:
    return ModeOverride(
        request_headers=HeaderMode(mode.request_header_mode),
        response_headers=HeaderMode(mode.response_header_mode),
        request_body=BodyMode(mode.request_body_mode),
        response_body=BodyMode(mode.response_body_mode),
        request_trailers=HeaderMode(mode.request_trailer_mode),
        response_trailers=HeaderMode(mode.response_trailer_mode),
    )


def _edits(mutation: HeaderMutation) -> tuple[HeaderEdit, ...]:
    options = [option for option in mutation.set_headers if option.HasField("header")]
    return tuple(HeaderEdit(o.header.key, o.header.raw_value, o.append.value) for o in options)


def _raw(headers: Any) -> RawHeaders:
    return [(header.key, header.raw_value) for header in headers]
