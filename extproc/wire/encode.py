"""From an answer to a serialized ``ProcessingResponse``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from extproc.answers import UNCHANGED
from extproc.messages import Continue, HeaderEdit, Immediate
from extproc.phases import Part
from extproc.wire.ext_proc_pb2 import CommonResponse, HeaderMutation, ProcessingResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["encode"]


def encode(answer: Continue | Immediate) -> bytes:
    """The answer as Envoy reads it: `raw_value` only, since Envoy takes nothing else for a header's value."""
    if isinstance(answer, Immediate):
        return _immediate(answer)
    return _CONSTANTS[answer.phase] if answer is UNCHANGED[answer.phase] else _continue(answer)


def _continue(answer: Continue) -> bytes:
    response = ProcessingResponse()
    part: Any = getattr(response, answer.phase.value)
    part.SetInParent()
    if answer.phase.part is Part.TRAILERS:
        _mutate(part.header_mutation, answer.set_headers, answer.remove_headers)
    else:
        _common(part.response, answer)
    if answer.metadata:
        response.dynamic_metadata.update(answer.metadata)
    return response.SerializeToString()


def _common(common: CommonResponse, answer: Continue) -> None:
    if answer.set_headers or answer.remove_headers:
        _mutate(common.header_mutation, answer.set_headers, answer.remove_headers)
    if answer.replace:
        common.status = CommonResponse.CONTINUE_AND_REPLACE
    if answer.body:
        common.body_mutation.body = answer.body
    elif answer.body is not None:
        common.body_mutation.clear_body = True
    if answer.clear_route_cache:
        common.clear_route_cache = True


def _immediate(answer: Immediate) -> bytes:
    response = ProcessingResponse()
    immediate = response.immediate_response
    immediate.status.code = answer.status  # type: ignore[assignment] # an open enum: any status code is a value of it
    immediate.body = answer.body
    immediate.details = answer.details
    if answer.set_headers:
        _mutate(immediate.headers, answer.set_headers, ())
    if answer.grpc_status is not None:
        immediate.grpc_status.status = answer.grpc_status
    if answer.metadata:
        response.dynamic_metadata.update(answer.metadata)
    return response.SerializeToString()


def _mutate(mutation: HeaderMutation, edits: Iterable[HeaderEdit], removals: Iterable[str]) -> None:
    for edit in edits:
        option = mutation.set_headers.add()
        option.header.key = edit.name
        option.header.raw_value = edit.value
        if edit.append:
            option.append.value = True  # deprecated, and the only thing Envoy's ext_proc looks at
    mutation.remove_headers.extend(removals)


_CONSTANTS = {phase: _continue(answer) for phase, answer in UNCHANGED.items()}
