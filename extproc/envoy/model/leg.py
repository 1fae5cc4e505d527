"""`Leg`: one direction of an exchange at one filter, as Envoy's filter manager sees it."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

from extproc.envoy.model.fields import Fields, Kind
from extproc.envoy.model.values import HttpMessage
from extproc.phases import Direction

if TYPE_CHECKING:
    from extproc.envoy.model.buffer import Buffer
    from extproc.messages import RawHeaders

__all__ = ["Leg", "Onward", "Sent", "Verdict"]

_KINDS = {
    Direction.REQUEST: (Kind.REQUEST, Kind.REQUEST_TRAILERS),
    Direction.RESPONSE: (Kind.RESPONSE, Kind.RESPONSE_TRAILERS),
}


class Verdict(Enum):
    """What a filter says about headers, data or trailers: ``FilterHeadersStatus`` and its like."""

    CONTINUE = "Continue"
    STOP = "StopIteration"
    BUFFER = "StopIterationAndBuffer"
    """Data is held; more than the buffer limit of it fails the exchange."""
    WATERMARK = "StopIterationAndWatermark"
    """Data is held; at the buffer limit Envoy stops reading."""
    NO_BUFFER = "StopIterationNoBuffer"
    """The filter has taken the data."""
    DRAIN = "Continue, with nothing of the data"


class Onward(Protocol):
    """What is next on the way of a message, and takes its parts."""

    def headers(self, headers: RawHeaders, *, end: bool) -> None:
        """Headers come; `end`: nothing follows."""

    def data(self, data: bytes, *, end: bool) -> None:
        """Some of the body comes."""

    def trailers(self, trailers: RawHeaders) -> None:
        """Trailers come, and nothing follows."""


class Sent:
    """A message as far as it has gone on to its receiver.

    Attributes:
        headers: as they went; None: they have not.
        chunks: the body in the pieces in which it went.
        trailers: as they went.
        ended: nothing more comes.
    """

    def __init__(self) -> None:
        self.headers: RawHeaders | None = None
        self.chunks: list[bytes] = []
        self.trailers: RawHeaders | None = None
        self.ended = False

    @property
    def progress(self) -> tuple[bool, int, bool]:
        """Something that changes whenever more has gone."""
        return self.headers is not None, len(self.chunks), self.ended

    def message(self) -> HttpMessage | None:
        """What has gone; None: not even headers. An empty piece stands for what would still have come."""
        if self.headers is None:
            return None
        nothing_yet = not self.ended and not self.chunks
        return HttpMessage(self.headers, (b"",) if nothing_yet else tuple(self.chunks), self.trailers)


class Leg:
    """A request or a response on its way through one ext_proc filter.

    Attributes:
        direction: which of the two.
        buffer: where body is held, by this filter or another one.
        headers: as they stand; None: they have not come.
        trailers: as they stand; None: there are none, or not yet.
        arrived: the message has come to this filter to its end.
        sent: what has gone on.
        onward: where it has gone; None: to the upstream, or to the client.
        closed: nothing goes on any more.
    """

    def __init__(self, buffer: Buffer) -> None:
        """Nothing has come yet; what is held will be in `buffer`."""
        self.direction = buffer.direction
        self.buffer = buffer
        self.headers: Fields | None = None
        self.trailers: Fields | None = None
        self.arrived = False
        self.sent = Sent()
        self.onward: Onward | None = None
        self.closed = False
        self._stopped = False
        """The filter's last verdict was to hold; until all goes on, whatever passes goes with what is held."""
        self._headers_only = False

    @property
    def held(self) -> bytes | None:
        """The body that waits; None: none has been held."""
        return self.buffer.held

    # What the filter manager does with a filter's verdict

    def take_headers(self, headers: RawHeaders, *, end: bool) -> Fields:
        """Headers have come."""
        self.headers = Fields(_KINDS[self.direction][0], headers)
        self.arrived = self._headers_only = end
        self.buffer.ended = self.buffer.ended or end
        return self.headers

    def take_data(self, *, end: bool) -> None:
        """Some of the body has come."""
        self.arrived = end
        self.buffer.ended = self.buffer.ended or end

    def take_trailers(self, trailers: RawHeaders) -> Fields:
        """Trailers have come, and with them the end."""
        if self.buffer.trailers is None:
            self.buffer.trailers = Fields(_KINDS[self.direction][1], trailers)
        self.trailers = self.buffer.trailers
        self.arrived = True
        return self.trailers

    def judge_headers(self, verdict: Verdict, *, end: bool) -> None:
        """Lets headers pass, or holds them."""
        self._stopped = verdict is not Verdict.CONTINUE
        if not self._stopped:
            self._pass_headers(end=end)

    def judge_data(self, verdict: Verdict, data: bytes, *, end: bool) -> None:
        """Lets data pass, and with it whatever was held before it; or holds it too.

        Args:
            verdict: of the filter.
            data: what has come.
            end: nothing follows it, whether the filter has been told so or hears of trailers yet.
        """
        if verdict is Verdict.DRAIN:
            verdict, data = Verdict.CONTINUE, b""
        if verdict is not Verdict.CONTINUE:
            self._stopped = True
            if verdict in (Verdict.BUFFER, Verdict.WATERMARK):
                self.buffer.streaming = verdict is Verdict.WATERMARK
                self.buffer.hold((self.held or b"") + data)
        elif self._stopped:
            self.buffer.held = (self.held or b"") + data
            self.go_on()
        else:
            self._pass_data(data, end=end)

    def judge_trailers(self, verdict: Verdict) -> None:
        """Lets trailers pass, and with them whatever was held before them."""
        if verdict is not Verdict.CONTINUE:
            self._stopped = True
        elif self._stopped:
            self.go_on()
        elif self.trailers is not None:
            self._pass_trailers(self.trailers)

    # What a filter may ask of the filter manager

    def go_on(self) -> None:
        """``continueDecoding``, ``continueEncoding``: all that is held passes, as it stands, whoever held it.

        The end that came with data passes too, unless more has been injected since; then it had to come with that.
        """
        if self.closed:
            return
        self._stopped = False
        if self.sent.headers is None:
            self._pass_headers(end=self._headers_only and self.held is None)
        if not self.sent.ended:
            self._hand_on()
        if self.buffer.trailers is not None:
            self._pass_trailers(self.buffer.trailers)

    def _hand_on(self) -> None:
        ends_with_data = self.buffer.ended and self.buffer.trailers is None
        if self.held is not None or (self.arrived and ends_with_data):
            held, self.buffer.handing_on = self.release(), True
            self._pass_data(held, end=ends_with_data)
            self.buffer.handing_on = False

    def let_headers_go(self) -> None:
        """Headers that still wait pass, and nothing else."""
        if self.sent.headers is None:
            self._pass_headers(end=False)

    def inject(self, data: bytes, *, end: bool) -> None:
        """``inject*DataToFilterChain``: data passes before anything that is held; headers that still wait go first."""
        if self.closed:
            return
        self.buffer.ended = end
        if self.sent.headers is None:
            self._pass_headers(end=False)
        self._pass_data(data, end=end)

    def hold_instead(self, data: bytes) -> None:
        """``modify*Buffer``: this takes the place of what is held."""
        self.buffer.hold(data)

    def hold_more(self, data: bytes) -> None:
        """``add*Data``: this is held too, and more than the buffer limit would be too much."""
        self.buffer.streaming = False
        self.buffer.hold((self.held or b"") + data)

    def release(self) -> bytes:
        """Gives out what is held."""
        return self.buffer.release()

    # Where it goes

    def _pass_headers(self, *, end: bool) -> None:
        assert self.headers is not None  # noqa: S101 (they come first)
        if self.closed:
            return
        self.sent.headers = list(self.headers.items)
        self.sent.ended = end
        if self.onward is not None:
            self.onward.headers(self.sent.headers, end=end)

    def _pass_data(self, data: bytes, *, end: bool) -> None:
        if self.closed or self.sent.ended:
            return
        ends = end and not self._trailed
        if data or ends:
            self.sent.chunks.append(data)
        self.sent.ended = ends
        if self.onward is not None:
            self.onward.data(data, end=end)

    @property
    def _trailed(self) -> bool:
        """Whether there are trailers, which go on to a filter all the same; a request meets one more, the router."""
        followed = self.onward is not None or self.direction is Direction.REQUEST
        return followed and self.buffer.trailers is not None

    def _pass_trailers(self, trailers: Fields) -> None:
        if self.closed or self.sent.ended:
            return
        self.sent.trailers = list(trailers.items)
        self.sent.ended = True
        if self.onward is not None:
            self.onward.trailers(self.sent.trailers)
