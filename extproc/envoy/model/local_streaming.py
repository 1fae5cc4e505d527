"""`LocalStreaming`: a streamed immediate response, by which the processor answers the client itself, piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.envoy.model.errors import MutationFailedError, SpuriousError
from extproc.envoy.model.fields import Fields, Kind
from extproc.envoy.model.mutation import Mutation, plausible
from extproc.envoy.model.state import CallbackState
from extproc.envoy.model.values import StreamedBody, StreamedHeaders, StreamedTrailers
from extproc.messages import HeaderEdit
from extproc.phases import BodyMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from extproc.envoy.model.asking import Asking
    from extproc.envoy.model.state import ProcessorState
    from extproc.envoy.model.values import Streamed

__all__ = ["LocalStreaming"]

_MODES = "streaming local response body is only supported in NONE or FULL_DUPLEX_STREAMED modes"


class LocalStreaming:
    """It starts in answer to request headers, and the upstream's response has no chance any more."""

    def __init__(
        self,
        asking: Asking,
        request: ProcessorState,
        response: ProcessorState,
        send: Callable[[Streamed], None],
    ) -> None:
        """Not begun.

        Args:
            asking: what the filter shares.
            request: the state of the request.
            response: that of the response.
            send: sends a piece to the client.
        """
        self._asking = asking
        self._request = request
        self._response = response
        self._send = send

    def take(self, piece: Streamed) -> None:
        """The processor says a piece.

        Raises:
            SpuriousError: it is not its turn.
            MutationFailedError: the headers cannot be sent.
        """
        if isinstance(piece, StreamedHeaders):
            self._start(piece)
        elif not self._asking.stream.replying:
            what = "body" if isinstance(piece, StreamedBody) else "trailers"
            raise SpuriousError(f"local response {what} received before headers")
        else:
            self._send(piece)
        if isinstance(piece, StreamedTrailers) or piece.end_of_stream:
            self._asking.stream.close()

    def _start(self, piece: StreamedHeaders) -> None:
        request = self._request
        self._response.body_begun = False  # made ready for another one, before it is seen that this may be too late
        if request.callback is not CallbackState.HEADERS:
            raise SpuriousError("spurious message")
        if not piece.end_of_stream and request.body_mode not in (BodyMode.NONE, BodyMode.FULL_DUPLEX_STREAMED):
            raise SpuriousError(_MODES)
        headers = self._made(piece)
        self._asking.stream.replying = True
        request.finish_call()
        self._abandon_request()
        self._send(StreamedHeaders(headers.items, piece.end_of_stream))

    def _abandon_request(self) -> None:
        """Nobody will end it; yet of some of it somebody still hears."""
        request = self._request
        if request.duplex and not request.body_here:
            request.go_on()  # the upstream sees its headers
        elif not request.duplex and request.body_mode is not BodyMode.NONE and request.leg.held is not None:
            self._asking.ask_body(request, request.leg.held, CallbackState.BUFFERED_BODY, end=True)
        request.paused = False

    def _made(self, piece: StreamedHeaders) -> Fields:
        """The headers of a response: set one after the other, as by a mutation."""
        for name, value in piece.headers:
            if name == ":status" and not plausible(name, value):
                self._asking.stream.counters["rejected_header_mutations"] += 1
                raise MutationFailedError("header_mutation_set_headers_failed")
        headers = Fields(Kind.RESPONSE, [])
        edits = tuple(HeaderEdit(name, value) for name, value in piece.headers)
        Mutation(edits, (), self._asking.config.rules, self._asking.stream.counters).apply(headers)
        return headers
