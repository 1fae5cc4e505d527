"""`Exchange`: one HTTP request and its response, as a filter sees it."""

from __future__ import annotations

# Metadata keeps what was emitted to itself, except from what it is part of.
# pyright: reportPrivateUsage=false
import json
import logging
import random
from collections.abc import Coroutine, Iterator, Mapping, MutableMapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from extproc.errors import FilterError, PhaseError
from extproc.http import Request, Response
from extproc.lane import NO_EXTRAS, Lane
from extproc.messages import TypedValue
from extproc.phases import Part, Phase

if TYPE_CHECKING:
    import asyncio

    from extproc.budget import Budget
    from extproc.chain import Chain
    from extproc.clock import Clock
    from extproc.guard import Limits
    from extproc.messages import Namespaced, Typed
    from extproc.phases import Direction
    from extproc.trace import Event

__all__ = ["Ended", "Exchange", "Metadata"]

Ended: TypeAlias = Literal["", "complete", "immediate", "cancelled", "aborted"]
"""How an exchange ended: Envoy closed the stream after the last answer; a filter answered the client; the stream broke
off while an answer was still due (the client went away, or Envoy's timer fired); we broke it off. Empty: it has not."""

_logger = logging.getLogger("extproc.filter")

_ROUTED = (Phase.REQUEST_HEADERS, Phase.REQUEST_BODY)

_T = TypeVar("_T")


class Metadata(Mapping[str, Mapping[str, Any]]):
    """Envoy's dynamic metadata: what it sent, by namespace, to be read; and `emit`, to send some back."""

    __slots__ = ("_exchange", "_in", "typed")

    def __init__(self, exchange: Exchange, received: Namespaced, typed: Typed) -> None:
        """Takes what Envoy sent."""
        self._exchange = exchange
        self._in = received
        self.typed = typed
        """What Envoy sent as protobuf messages, by namespace: their type and their bytes."""

    def emit(self, namespace: str, values: Mapping[str, Any]) -> None:
        """Sends values to Envoy under `namespace`, for its access log and later filters.

        Raises:
            FilterError: the filter does not list the namespace in `metadata_out`; Envoy would drop it silently.
            TypeError: a value is not JSON-like.
            ValueError: a number is infinite, or none (NaN).
            OverflowError: a number is too large; numbers are doubles at Envoy.
            PhaseError: the exchange is over.
        """
        lane = self._open(namespace)
        # A new object each time: a filter that fails later in its hook gets the old one back.
        emitted = lane.extras.metadata
        emitted = {**emitted, namespace: {**emitted.get(namespace, {}), **_plain(values)}}
        lane.extras = replace(lane.extras, metadata=emitted)

    def emit_typed(self, namespace: str, type_url: str, value: bytes) -> None:
        """Sends a serialized protobuf message to Envoy under `namespace`, in place of one that was sent before.

        Args:
            namespace: whose metadata it is.
            type_url: the type, such as ``type.googleapis.com/envoy.config.core.v3.Address``.
            value: the serialized message.

        Raises:
            FilterError: the filter does not list the namespace in `metadata_out`; Envoy would drop it silently.
            PhaseError: the exchange is over.
        """
        lane = self._open(namespace)
        typed = {**lane.extras.typed, namespace: TypedValue(type_url, bytes(value))}
        lane.extras = replace(lane.extras, typed=typed)

    def _open(self, namespace: str) -> Lane:
        """The lane whose next answer takes the metadata along."""
        if self._exchange.ended:
            raise PhaseError("metadata cannot be emitted: the exchange is over, emit it in an earlier hook")
        lane = self._exchange._lane
        link = lane.link
        if link is None or namespace not in link.needs.metadata_out:
            raise FilterError(
                f"metadata namespace {namespace!r} would be dropped by Envoy: add it to the filter's `metadata_out`, "
                "so that the chain asks Envoy to receive it"
            )
        return lane

    def __getitem__(self, namespace: str) -> Mapping[str, Any]:
        """What Envoy sent under `namespace`."""
        return self._in[namespace]

    def __iter__(self) -> Iterator[str]:
        """The namespaces Envoy sent."""
        return iter(self._in)

    def __len__(self) -> int:
        """How many namespaces Envoy sent."""
        return len(self._in)


class Exchange:
    """One HTTP request and its response, on their way through the chain.

    Attributes:
        id: tells exchanges apart in logs and captures.
        state: a place for what belongs to this exchange; all filters of the chain share it.
        attributes: the Envoy attributes that the chain asked for, by name.
        ended: how the exchange ended; see `Ended`.
        watched: Envoy only lets us watch (observability mode): edits and responses have no effect.
    """

    # Defaults stand here rather than in __init__: an exchange uses few of these, and this is the hot path.
    ended: Ended = ""
    watched = False
    _request: Request | None = None
    _response: Response | None = None
    _response_begun = False  # the client may have the beginning of it
    _metadata: tuple[Namespaced, Typed] = ({}, {})  # what Envoy sent, untyped and typed
    _random: random.Random | None = None
    _joined: frozenset[int] = frozenset()  # the filters whose condition held
    _limits: Mapping[Direction, Limits]
    _budget: Budget | None = None
    _more_time: float | None = None  # seconds to ask Envoy for when a hook has to wait
    _off: frozenset[int] = frozenset()  # the filters that do not take part, or no longer
    _chain: Chain  # whose filters see it

    def __init__(self, exchange_id: str, clock: Clock) -> None:
        """Begins an exchange about which nothing is known yet."""
        self.id = exchange_id
        self.state: dict[str, Any] = {}
        self.attributes: dict[str, Any] = {}
        self._clock = clock
        self._lane = lane = Lane()
        lane.extras = NO_EXTRAS  # its own, as `_events` here: what an object has of its class is slow to read
        self._events: list[Event] | None = None
        self._tasks: set[asyncio.Task[Any]] | None = None  # what filters have begun beside it

    @property
    def phase(self) -> Phase | None:
        """The phase that is running."""
        return self._lane.phase

    @property
    def now(self) -> float:
        """Seconds since the Unix epoch when the current message came. A replay sees the time of the recording."""
        return self._lane.now

    @property
    def deadline(self) -> float:
        """By when the current message has to be answered, on the clock of `remaining`."""
        return self._lane.deadline

    @property
    def request(self) -> Request:
        """The request. In a response that Envoy made by itself, before any request phase, it is empty."""
        if self._request is None:
            self._request = Request()
            self._request._seal("there is none, Envoy made the response by itself")
        return self._request

    @property
    def metadata(self) -> Metadata:
        """Envoy's dynamic metadata, to read and to `emit`."""
        return Metadata(self, *self._metadata)  # not kept: the two would hold each other

    @property
    def response(self) -> Response:
        """The response, from the response headers on.

        Raises:
            PhaseError: there is none yet.
        """
        if self._response is None:
            raise PhaseError("there is no response yet: use it in the on_response_* hooks")
        return self._response

    @property
    def has_response(self) -> bool:
        """Whether there is a response yet; an exchange that broke off has none in `on_complete`."""
        return self._response is not None

    @property
    def remaining(self) -> float:
        """Seconds left to answer the current message."""
        return max(0.0, self._lane.deadline - self._clock.monotonic())

    @property
    def random(self) -> random.Random:
        """Randomness that a replay repeats: seeded with `id`. Not for secrets."""
        if self._random is None:
            self._random = random.Random(self.id)  # noqa: S311 (repeatable is what it is for)
        return self._random

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that carries the exchange and the filter with every record."""
        link = self._lane.link
        name = link.name if link else ""
        return _Log(_logger, {"exchange": self.id, "filter": name})

    def spawn(self, coroutine: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Begins something that goes on beside the exchange, for a later hook to await.

        It ends with the exchange, whatever becomes of that: if it still runs then, it is cancelled.

        Raises:
            PhaseError: the exchange is over.
            RuntimeError: there is no event loop here: the hook runs in a thread.
        """
        from asyncio import get_running_loop  # noqa: PLC0415 (importing it takes a while)

        if self.ended:
            coroutine.close()
            raise PhaseError("nothing can be begun beside it: the exchange is over")
        tasks = self._tasks
        if tasks is None:
            tasks = self._tasks = set()
        task = get_running_loop().create_task(coroutine)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    def skip_body(self) -> None:
        """Says that this filter does not want the body after all, and is not to be called for it.

        If no other filter wants it either, Envoy is asked to let it pass (where its configuration allows that).

        Raises:
            PhaseError: the body is under way already.
        """
        phase, link = self._lane.phase, self._lane.link
        if phase is None or phase.part is not Part.HEADERS or link is None:
            raise PhaseError("it is too late for skip_body(): call it in on_request_headers or on_response_headers")
        self._lane.unwanted |= {link.index}

    def clear_route_cache(self) -> None:
        """Makes Envoy choose the route again, by the edited headers.

        Done by itself when method, scheme, host or path change; call it when routes depend on another header you set.

        Raises:
            PhaseError: the request is under way to the upstream, and so the route is past; also in a hook that takes
                the body in pieces, and in one that takes it whole where it comes in pieces or ends in trailers.
        """
        if self._lane.phase not in _ROUTED or self.request._headers._sealed:
            raise PhaseError(
                "the route is past: clear_route_cache() belongs in on_request_headers, or in on_request_body where "
                "Envoy holds the request until the body is answered (body mode BUFFERED)"
            )
        self._lane.extras = self._lane.extras.clearing()

    def _note(self, attributes: Mapping[str, Any], metadata: Namespaced, typed: Typed) -> None:
        """Keeps what a message says beside its phase."""
        if attributes:
            self.attributes.update(attributes)
        if metadata or typed:
            self._metadata = metadata, typed


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of JSON-like values that protobuf takes: text keys, lists, and U+FFFD where text is not UTF-8."""
    text = json.dumps(dict(values), ensure_ascii=False, allow_nan=False)
    plain: dict[str, Any] = json.loads(
        text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), parse_int=_double
    )
    return plain


def _double(digits: str) -> int:
    number = int(digits)
    float(number)  # raises what `emit` promises
    return number


class _Log(logging.LoggerAdapter[logging.Logger]):
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        extra = self.extra or {}
        kwargs["extra"] = {**extra, **kwargs.get("extra", {})}
        return f"[{extra['exchange']} {extra['filter']}] {msg}", kwargs
