"""A processor that does what a script says, legal or not: our guard does not stand between it and Envoy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeAlias

import grpc
import grpc.aio

from extproc.envoy.model import Close, Reply, Unhandled
from extproc.messages import Abort, Continue, HeaderEdit, Immediate, Message
from extproc.phases import Part, Phase
from extproc.wire import PROCESS, SERVICE, decode
from extproc.wire.ext_proc_pb2 import CommonResponse, HeaderMutation, ImmediateResponse, ProcessingResponse

Action: TypeAlias = "ProcessingResponse | Abort | Close"
"""One thing that a processor does."""

Behaviour: TypeAlias = "Callable[[Message], Awaitable[Sequence[Action]]]"
"""What a processor does about each message of an exchange; nothing at all is an empty list."""

_MAX_MESSAGE = 64 * 1024 * 1024


class RawProcessor:
    """Behaves as it is told; Envoy must run one exchange at a time.

    Attributes:
        address: where it listens.
        heard: what Envoy has said since `play`.
    """

    def __init__(self) -> None:
        self.address = ""
        self.heard: list[Message] = []
        self._behaviour: Behaviour | None = None
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", _MAX_MESSAGE)])

    async def __aenter__(self) -> Self:
        handler: Any = grpc.stream_stream_rpc_method_handler(self._process)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {PROCESS: handler}),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop(None)

    def play(self, behaviour: Behaviour) -> None:
        """In the next exchange, behaves like this."""
        self._behaviour = behaviour
        self.heard = []

    async def _process(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        behaviour, heard = self._behaviour, self.heard
        assert behaviour is not None
        async for data in requests:
            message = decode(data)
            assert message is not None
            heard.append(message)
            for action in await behaviour(message):
                if isinstance(action, Close):
                    return
                if isinstance(action, Abort):
                    await context.abort(grpc.StatusCode[action.code], action.reason)
                else:
                    yield action.SerializeToString()


def unchanged(phase: Phase) -> ProcessingResponse:
    """The answer that changes nothing."""
    response = ProcessingResponse()
    getattr(response, phase.value).SetInParent()
    return response


# What Envoy sees in the bytes


def as_read(action: Action) -> Reply:
    """What Envoy makes of an action: of a header only `raw_value` and the deprecated `append` count."""
    if not isinstance(action, ProcessingResponse):
        return action
    arm = action.WhichOneof("response")
    if arm is None:
        return Unhandled()
    if arm == "immediate_response":
        return _immediate(action.immediate_response)
    phase = Phase(arm)
    part: Any = getattr(action, arm)
    if phase.part is Part.TRAILERS:
        return Continue(phase, _edits(part.header_mutation), tuple(part.header_mutation.remove_headers))
    return _common(phase, part.response)


def _common(phase: Phase, common: CommonResponse) -> Continue:
    mutation = common.body_mutation.WhichOneof("mutation")
    return Continue(
        phase,
        set_headers=_edits(common.header_mutation),
        remove_headers=tuple(common.header_mutation.remove_headers),
        body=None if mutation is None else common.body_mutation.body,
        replace=common.status == CommonResponse.CONTINUE_AND_REPLACE,
        clear_route_cache=common.clear_route_cache,
    )


def _immediate(response: ImmediateResponse) -> Immediate:
    return Immediate(
        status=response.status.code,
        set_headers=_edits(response.headers),
        body=response.body,
        details=response.details,
        grpc_status=response.grpc_status.status if response.HasField("grpc_status") else None,
    )


def _edits(mutation: HeaderMutation) -> tuple[HeaderEdit, ...]:
    options = [option for option in mutation.set_headers if option.HasField("header")]
    return tuple(HeaderEdit(o.header.key, o.header.raw_value, o.append.value) for o in options)
