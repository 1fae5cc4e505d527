"""`Exchange`: one exchange in a modelled Envoy, driven from outside: things come, time passes, and things go out."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING

from extproc.envoy.model.clock import VirtualClock
from extproc.envoy.model.ext_proc import ExtProc
from extproc.envoy.model.leg import Leg
from extproc.envoy.model.local_reply import local_reply
from extproc.envoy.model.per_route import routed
from extproc.envoy.model.values import Later, Outcome, StreamedBody, StreamedTrailers
from extproc.phases import Direction

if TYPE_CHECKING:
    from collections import deque

    from extproc.envoy.model.config import ExtProcConfig
    from extproc.envoy.model.values import Context, Deed, HttpMessage, Replies, Reply, Streamed
    from extproc.messages import Message, RawHeaders

__all__ = ["Exchange"]


class Exchange:
    """An HTTP stream in Envoy: a request and its response, with the ext_proc filter between them and the world.

    Attributes:
        request: the request, on its way to the upstream.
        response: the response, on its way to the client.
        details: ``%RESPONSE_CODE_DETAILS%`` as they would be now.
        over: the response is with the client, or will never be.
        reset: the response broke off.
    """

    def __init__(self, config: ExtProcConfig, context: Context) -> None:
        """Nothing has come yet."""
        configured, config = config.mode, routed(config)
        self.request = Leg(Direction.REQUEST, config.buffer_limit, self._too_large)
        self.response = Leg(Direction.RESPONSE, config.buffer_limit, self._too_large)
        self.details = "via_upstream"
        self.over = False
        self.reset = False
        self._replied = False
        self._observing = config.observability_mode
        self._clock = VirtualClock()
        self._legs = {Direction.REQUEST: self.request, Direction.RESPONSE: self.response}
        legs = self.request, self.response
        self._filter = ExtProc(
            config,
            context,
            legs,
            self._clock,
            configured=configured,
            reply=self._reply_instead,
            send=self._reply_in_pieces,
        )
        self._expected: list[tuple[float, int, Deed]] = []
        """What the processor will do, by when."""
        self._number = count()
        self._progress: tuple[bool, int, bool] = self.response.sent.progress
        self._idle_since = 0.0
        self._idle_timeout = config.stream_idle_timeout

    # What comes

    @property
    def said(self) -> deque[Message]:
        """What Envoy has said to the processor. Take it out from the left."""
        return self._filter.stream.outbox

    @property
    def hung_up(self) -> bool:
        """Whether the stream to the processor has been opened and is no more."""
        stream = self._filter.stream
        return bool(stream.counters["streams_started"]) and not stream.is_open

    def headers(self, direction: Direction, headers: RawHeaders, *, end: bool) -> None:
        """Headers come, from the client or from the upstream; `end`: nothing follows."""
        if not self._ignores(direction):
            self._take_headers(self._legs[direction], headers, end=end)

    def data(self, direction: Direction, data: bytes, *, end: bool) -> None:
        """Some of a body comes; `end`: nothing follows."""
        if not self._ignores(direction):
            self._take_data(self._legs[direction], data, end=end)

    def trailers(self, direction: Direction, trailers: RawHeaders) -> None:
        """Trailers come, and nothing follows."""
        if not self._ignores(direction):
            self._take_trailers(self._legs[direction], trailers)

    def _ignores(self, direction: Direction) -> bool:
        """Whether this has come to its end, or another response has taken its place."""
        if direction is Direction.REQUEST:
            self._idle_since = self._clock.now
        return self.over or self._legs[direction].closed or (direction is Direction.RESPONSE and self._replied)

    def _take_headers(self, leg: Leg, headers: RawHeaders, *, end: bool) -> None:
        fields = leg.take_headers(headers, end=end)
        verdict = self._filter.arrivals.headers(self._filter.states[leg.direction], fields, end=end)
        leg.judge_headers(verdict, end=end)
        self._look()

    def _take_data(self, leg: Leg, data: bytes, *, end: bool) -> None:
        leg.arrived = end
        state = self._filter.states[leg.direction]
        leg.judge_data(self._filter.arrivals.data(state, data, end=end), data)
        state.choke_over_limit()
        self._look()

    def _take_trailers(self, leg: Leg, trailers: RawHeaders) -> None:
        fields = leg.take_trailers(trailers)
        leg.judge_trailers(self._filter.arrivals.trailers(self._filter.states[leg.direction], fields))
        self._look()

    def answer(self, replies: Replies) -> None:
        """The processor does something, or several things; what it does later comes with the time."""
        at = self._clock.now
        for reply in _listed(replies):
            if isinstance(reply, Later):
                at += reply.seconds
            deed = reply.deed if isinstance(reply, Later) else reply
            heapq.heappush(self._expected, (at, next(self._number), deed))
        while self._expected and self._expected[0][0] <= self._clock.now and not self.over:
            self._do(heapq.heappop(self._expected)[2])

    def _do(self, deed: Deed) -> None:
        self._filter.receive(deed)
        self._look()

    def reads(self, direction: Direction) -> bool:
        """Whether Envoy takes more of a message; at its buffer limit it may stop until an answer makes room."""
        return not (self._legs[direction].full or self._filter.states[direction].choked)

    # Time

    def wait(self) -> bool:
        """Lets time pass until something happens; False: nothing will."""
        due = self._due()
        if self.over or due is None:
            return False
        self._pass(due)
        return True

    def _due(self) -> float | None:
        """When something happens by itself; None: before anything comes, nothing does."""
        times = [state.deadline for state in self._filter.states.values() if state.deadline is not None]
        if self._expected:
            times.append(self._expected[0][0])
        if self.request.headers is not None:
            times.append(self._idle_since + self._idle_timeout)
        return min(times, default=None)

    def _pass(self, until: float) -> None:
        self._clock.now = until
        if self._expected and self._expected[0][0] <= until:
            self._do(heapq.heappop(self._expected)[2])
        elif any(state.deadline == until for state in self._filter.states.values()):
            self._filter.time_out()
            self._look()
        else:
            self._idle_too_long()

    def _idle_too_long(self) -> None:
        """``stream_idle_timeout``: the client has neither said nor heard anything for a while."""
        assert self.request.headers is not None  # noqa: S101 (the timer starts with them)
        status = 504 if self.request.arrived else 408
        self._reply_instead(local_reply(self.request.headers, status, b"stream timeout"), "stream_idle_timeout")
        self._idle_since = self._clock.now
        self._look()

    def pass_time(self, seconds: float) -> float:
        """Lets some time pass, until something happens in it; returns the seconds that are left then."""
        end, due = self._clock.now + seconds, self._due()
        if self.over or due is None or due > end:
            self._clock.now = end
            return 0.0
        self._pass(due)
        return end - due

    def client_left(self) -> None:
        """The client is gone."""
        if not self.over:
            self.details = "downstream_remote_disconnect"
            self._break_off()

    def upstream_left(self, *, http2: bool = False) -> None:
        """The connection to the upstream is gone; it makes no difference where the whole response is here.

        Args:
            http2: that was its protocol. In HTTP/1.1 a response that breaks off is malformed.
        """
        request, begun = self.request, self.response.headers is not None
        if self.over or request.headers is None or request.sent.headers is None or self.response.arrived:
            return
        status, reason = (502, "protocol error") if begun and not http2 else (503, "connection termination")
        body = f"upstream connect error or disconnect/reset before headers. reset reason: {reason}"
        details = f"upstream_reset_{'after' if begun else 'before'}_response_started{{{reason.replace(' ', '_')}}}"
        self._reply_instead(local_reply(request.headers, status, body.encode()), details)
        self._look()

    # Responses in place of the upstream's

    def _too_large(self, direction: Direction) -> None:
        request = self.request.headers
        assert request is not None  # noqa: S101 (an exchange begins with them)
        if direction is Direction.REQUEST:
            self._reply_instead(local_reply(request, 413, b"Payload Too Large"), "request_payload_too_large")
        else:
            self._reply_instead(local_reply(request, 500, b"Internal Server Error"), "response_payload_too_large")

    def _reply_instead(self, response: HttpMessage, details: str) -> None:
        """``sendLocalReply``: through the filters, unless the upstream's response is among them already."""
        self.details = details
        self.request.closed = self._replied = True
        if self.response.headers is None:
            self._send_through(response)
        elif self.response.sent.headers is None:
            self._send_past(response)
        elif not self.response.sent.ended:
            self._break_off()

    def _reply_in_pieces(self, piece: Streamed) -> None:
        """A response that the processor makes itself."""
        response = self.response
        if isinstance(piece, StreamedBody):
            self._take_data(response, piece.body, end=piece.end_of_stream)
        elif isinstance(piece, StreamedTrailers):
            self._take_trailers(response, piece.trailers)
        elif any(name == ":status" for name, _ in piece.headers):
            self.details = "ext_proc_local_response"
            self._replied = True
            self._take_headers(response, piece.headers, end=piece.end_of_stream)
        else:
            assert self.request.headers is not None  # noqa: S101 (they are being answered)
            reply = local_reply(self.request.headers, 502, b"missing required header: :status")
            self._reply_instead(reply, "filter_removed_required_response_headers{missing_required_header:_:status}")

    def _break_off(self) -> None:
        self.request.closed = self.response.closed = self.reset = True
        self._end()

    def _send_through(self, response: HttpMessage) -> None:
        ends = response.ends_with_headers
        self._take_headers(self.response, response.headers, end=ends)
        if not ends:
            self._take_data(self.response, response.body, end=True)

    def _send_past(self, response: HttpMessage) -> None:
        sent = self.response.sent
        sent.headers, sent.chunks, sent.ended = response.headers, list(response.chunks), True
        self.response.closed = True

    # The end

    def _look(self) -> None:
        """When the client has its response the exchange is over, whatever has become of the request.

        A response that is here to its end ends the request where it is.
        """
        if self.response.arrived:
            self.request.closed = True
        if self.response.sent.progress != self._progress:
            self._progress, self._idle_since = self.response.sent.progress, self._clock.now
        if self.response.sent.ended:
            self._end()

    def _end(self) -> None:
        """``onDestroy``: with the exchange the stream is closed; in observability mode, some seconds later."""
        self.over = True
        if not self._observing:
            self._filter.stream.close()

    def outcome(self) -> Outcome:
        """What has come of it; nothing more will."""
        self._end()
        request, response = self.request.sent, self.response.sent
        return Outcome(
            upstream=request.message() if request.ended else None,
            client=response.message(),
            details=self.details,
            counters=dict(self._filter.stream.counters),
            route_cleared=self._filter.answers.edits.route_cleared,
            metadata=self._filter.metadata(),
            reset=self.reset,
        )


def _listed(replies: Replies) -> Sequence[Reply]:
    if replies is None:
        return ()
    return replies if isinstance(replies, Sequence) else (replies,)
