"""`Exchange`: one exchange in a modelled Envoy, driven from outside: things come, time passes, and things go out."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING

from extproc.envoy.model.buffer import Buffer
from extproc.envoy.model.clock import VirtualClock
from extproc.envoy.model.ext_proc import ExtProc
from extproc.envoy.model.leg import Leg
from extproc.envoy.model.local_reply import local_reply
from extproc.envoy.model.per_route import routed
from extproc.envoy.model.stop import lined_up
from extproc.envoy.model.stream import Stream
from extproc.envoy.model.values import Later, Outcome, StreamedBody, StreamedTrailers
from extproc.phases import Direction

if TYPE_CHECKING:
    from extproc.envoy.model.config import ExtProcConfig
    from extproc.envoy.model.fields import Fields
    from extproc.envoy.model.values import Ask, Context, Deed, HttpMessage, Replies, Reply, Streamed
    from extproc.messages import RawHeaders

__all__ = ["Exchange"]


class Exchange:
    """An HTTP stream in Envoy: a request and its response, with ext_proc filters between them and the world.

    Attributes:
        said: what Envoy has said to processors. Take it out from the left.
        filters: in the order in which a request meets them; a response meets the last one first.
        request: the request, on its way to the upstream.
        response: the response, on its way to the client.
        details: ``%RESPONSE_CODE_DETAILS%`` as they would be now.
        over: the response is with the client, or will never be.
        reset: the response broke off.
    """

    def __init__(self, configs: Sequence[ExtProcConfig], context: Context) -> None:
        """Nothing has come yet.

        Args:
            configs: of the filters, in the order in which a request meets them. What belongs to all of Envoy is taken
                from the first.
            context: what Envoy knows beside the HTTP messages.
        """
        self._clock = VirtualClock()
        self._metadata = dict(context.metadata)
        self._buffers = [Buffer(direction, configs[0].buffer_limit, self._too_large) for direction in Direction]
        self.said: deque[Ask] = deque()
        self.filters = [self._filter(index, config, context) for index, config in enumerate(configs)]
        self._stops = {
            Direction.REQUEST: lined_up(self.filters, Direction.REQUEST),
            Direction.RESPONSE: lined_up(self.filters[::-1], Direction.RESPONSE),
        }
        self.request = self._stops[Direction.REQUEST][-1].leg
        self.response = self._stops[Direction.RESPONSE][-1].leg
        self.details = "via_upstream"
        self.over = False
        self.reset = False
        self._replied = False
        self._request_here = False
        self._expected: list[tuple[float, int, int, Deed]] = []
        """What the processors will do, by when."""
        self._number = count()
        self._progress: tuple[bool, int, bool] = self.response.sent.progress
        self._idle_since = 0.0
        self._idle_timeout = configs[0].stream_idle_timeout

    def _filter(self, index: int, config: ExtProcConfig, context: Context) -> ExtProc:
        configured, config = config.mode, routed(config)
        legs = tuple(map(Leg, self._buffers))
        return ExtProc(
            config,
            context,
            legs,
            self._clock,
            Stream(self.said, index),
            configured=configured,
            metadata=self._metadata,
            request_headers=self._request_headers,
            reply=self._reply_instead,
            send=self._reply_in_pieces,
        )

    # What comes

    def hung_up(self, filter_: int = 0) -> bool:
        """Whether the stream to a filter's processor has been opened and is no more."""
        stream = self.filters[filter_].stream
        return bool(stream.counters["streams_started"]) and not stream.is_open

    def headers(self, direction: Direction, headers: RawHeaders, *, end: bool) -> None:
        """Headers come, from the client or from the upstream; `end`: nothing follows."""
        if self._takes(direction, end=end):
            self._stops[direction][0].headers(headers, end=end)
            self._look()

    def data(self, direction: Direction, data: bytes, *, end: bool) -> None:
        """Some of a body comes; `end`: nothing follows."""
        if self._takes(direction, end=end):
            self._stops[direction][0].data(data, end=end)
            self._look()

    def trailers(self, direction: Direction, trailers: RawHeaders) -> None:
        """Trailers come, and nothing follows."""
        if self._takes(direction, end=True):
            self._stops[direction][0].trailers(trailers)
            self._look()

    @property
    def ends_early(self) -> bool:
        """The response has ended before the request: over HTTP/1.1, Envoy closes the client's connection then."""
        return self.response.sent.ended and not self._request_here

    def _takes(self, direction: Direction, *, end: bool) -> bool:
        """Whether this goes on: not where it has been ended, or where another response has taken its place."""
        if self.over:
            return False
        if direction is Direction.REQUEST:
            self._idle_since = self._clock.now
            self._request_here = self._request_here or end
        closed = self.arriving(direction).closed
        return not (closed or (direction is Direction.RESPONSE and self._replied))

    def arriving(self, direction: Direction) -> Leg:
        """A message as it comes to the first filter that it meets."""
        return self._stops[direction][0].leg

    def _close(self, direction: Direction) -> None:
        """Nothing of a message passes any filter any more."""
        for stop in self._stops[direction]:
            stop.leg.closed = True

    def answer(self, replies: Replies, filter_: int = 0) -> None:
        """A filter's processor does something, or several things; what it does later comes with the time."""
        at = self._clock.now
        for reply in _listed(replies):
            if isinstance(reply, Later):
                at += reply.seconds
            deed = reply.deed if isinstance(reply, Later) else reply
            heapq.heappush(self._expected, (at, next(self._number), filter_, deed))
        while self._expected and self._expected[0][0] <= self._clock.now and not self.over:
            self._do_expected()

    def _do_expected(self) -> None:
        _, _, filter_, deed = heapq.heappop(self._expected)
        self.filters[filter_].receive(deed)
        self._look()

    def reads(self, direction: Direction) -> bool:
        """Whether Envoy takes more of a message; at its buffer limit it may stop until an answer makes room."""
        return not any(stop.chokes for stop in self._stops[direction])

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
        times = [passed.deadline for passed in self.filters if passed.deadline is not None]
        if self._expected:
            times.append(self._expected[0][0])
        if self.arriving(Direction.REQUEST).headers is not None:
            times.append(self._idle_since + self._idle_timeout)
        return min(times, default=None)

    def _pass(self, until: float) -> None:
        self._clock.now = until
        if self._expected and self._expected[0][0] <= until:
            self._do_expected()
        elif late := [passed for passed in self.filters if passed.deadline == until]:
            late[0].time_out()
            self._look()
        else:
            self._idle_too_long()

    def _idle_too_long(self) -> None:
        """``stream_idle_timeout``: the client has neither said nor heard anything for a while."""
        status = 504 if self._request_here else 408
        self._reply_instead(self._local_reply(status, b"stream timeout"), "stream_idle_timeout")
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
            http2: that was its protocol. In HTTP/1.1 a response that breaks off is malformed, but for a 101.
        """
        response = self.arriving(Direction.RESPONSE)
        begun = response.headers is not None
        if self.over or self.request.sent.headers is None or response.arrived:
            return
        malformed = response.headers is not None and not http2 and response.headers.get(":status") != b"101"
        status, reason = (502, "protocol error") if malformed else (503, "connection termination")
        body = f"upstream connect error or disconnect/reset before headers. reset reason: {reason}"
        details = f"upstream_reset_{'after' if begun else 'before'}_response_started{{{reason.replace(' ', '_')}}}"
        self._reply_instead(self._local_reply(status, body.encode()), details)
        self._look()

    # Responses in place of the upstream's

    def _too_large(self, direction: Direction) -> None:
        if direction is Direction.REQUEST:
            self._reply_instead(self._local_reply(413, b"Payload Too Large"), "request_payload_too_large")
        else:
            self._reply_instead(self._local_reply(500, b"Internal Server Error"), "response_payload_too_large")

    def _local_reply(self, status: int, body: bytes) -> HttpMessage:
        return local_reply(self._request_headers(), status, body)

    def _request_headers(self) -> Fields:
        headers = self.arriving(Direction.REQUEST).headers
        assert headers is not None  # noqa: S101 (an exchange begins with them)
        return headers

    def _reply_instead(self, response: HttpMessage, details: str) -> None:
        """``sendLocalReply``: through the filters, unless the upstream's response is among them already."""
        self.details = details
        self._replied = True
        self._close(Direction.REQUEST)
        if self.arriving(Direction.RESPONSE).headers is None:
            self._send_through(response)
        elif self.response.sent.headers is None:
            self._send_past(response)
        elif not self.response.sent.ended:
            self._break_off()

    def _reply_in_pieces(self, piece: Streamed) -> None:
        """A response that the processor makes itself."""
        first, *_ = self._stops[Direction.RESPONSE]
        if isinstance(piece, StreamedBody):
            first.data(piece.body, end=piece.end_of_stream)
        elif isinstance(piece, StreamedTrailers):
            first.trailers(piece.trailers)
        elif any(name == ":status" for name, _ in piece.headers):
            self.details = "ext_proc_local_response"
            self._replied = True
            first.headers(piece.headers, end=piece.end_of_stream)
        else:
            reply = self._local_reply(502, b"missing required header: :status")
            self._reply_instead(reply, "filter_removed_required_response_headers{missing_required_header:_:status}")

    @property
    def rerouted(self) -> HttpMessage | None:
        """The request by which its route was chosen anew: as it left the last filter that wanted it; None: none did."""
        wanted = [passed for passed in self.filters if passed.answers.edits.route_cleared]
        return wanted[-1].states[Direction.REQUEST].leg.sent.message() if wanted else None

    def _break_off(self) -> None:
        self.reset = True
        self._close(Direction.REQUEST)
        self._close(Direction.RESPONSE)
        self._end()

    def _send_through(self, response: HttpMessage) -> None:
        first, *_ = self._stops[Direction.RESPONSE]
        first.headers(response.headers, end=response.ends_with_headers)
        if not response.ends_with_headers:
            first.data(response.body, end=True)
        self._look()

    def _send_past(self, response: HttpMessage) -> None:
        sent = self.response.sent
        sent.headers, sent.chunks, sent.ended = response.headers, list(response.chunks), True
        self._close(Direction.RESPONSE)

    # The end

    def _look(self) -> None:
        """When the client has its response the exchange is over, whatever has become of the request.

        A response that is here to its end ends the request where it is.
        """
        if self.arriving(Direction.RESPONSE).arrived:
            self._close(Direction.REQUEST)
        if self.response.sent.progress != self._progress:
            self._progress, self._idle_since = self.response.sent.progress, self._clock.now
        if self.response.sent.ended:
            self._end()

    def _end(self) -> None:
        """``onDestroy``: with the exchange the stream is closed; in observability mode, some seconds later."""
        self.over = True
        for passed in self.filters:
            passed.leave()

    def outcome(self) -> Outcome:
        """What has come of it; nothing more will."""
        self._end()
        request, response = self.request.sent, self.response.sent
        return Outcome(
            upstream=request.message() if request.ended else None,
            client=response.message(),
            details=self.details,
            counters=dict(self.filters[0].stream.counters),
            route_cleared=any(passed.answers.edits.route_cleared for passed in self.filters),
            metadata=self._metadata,
            reset=self.reset,
        )


def _listed(replies: Replies) -> Sequence[Reply]:
    if replies is None:
        return ()
    return replies if isinstance(replies, Sequence) else (replies,)
