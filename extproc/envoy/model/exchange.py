"""One exchange on its way through the modelled ext_proc filter, step by step."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from extproc.envoy.model.half import Half
from extproc.envoy.model.local_reply import immediate_reply, local_reply
from extproc.envoy.model.mutation import Mutation, MutationFailedError
from extproc.envoy.model.stream import AnsweredError, FailedError, Stream
from extproc.envoy.model.values import Forward, HttpMessage, Outcome
from extproc.messages import Message, Protocol
from extproc.phases import BodyMode, Direction, Part

if TYPE_CHECKING:
    from collections.abc import Generator

    from extproc.envoy.model.config import ExtProcConfig
    from extproc.envoy.model.fields import Fields
    from extproc.envoy.model.values import Context, Resumed, Step
    from extproc.messages import Continue

__all__ = ["Exchange"]

_MISMATCH = "mismatch_between_content_length_and_the_length_of_the_mutated_body"
_NUMBER = re.compile(rb"\s*\+?(\d+)\s*")


class _TooLargeError(Exception):
    """A body is larger than what Envoy holds."""


_End: TypeAlias = AnsweredError | FailedError | _TooLargeError
"""What ends an exchange before its time."""


class Exchange:
    """The request, then the response, each past the processor and then on."""

    def __init__(self, config: ExtProcConfig, request: HttpMessage, context: Context) -> None:
        """Begins an exchange; `play` plays it."""
        self._config = config
        self._context = context
        self._request = Half(Direction.REQUEST, request, config, context)
        self._stream = Stream(config)
        self._introduced = False
        self._route_cleared = False

    def play(self) -> Generator[Step, Resumed, Outcome]:
        """The steps; the generator returns the outcome."""
        upstream, details = None, "via_upstream"
        try:
            yield from self._process(self._request)
            self._stream.settle()
            upstream = self._request.message()
            response = yield Forward(upstream)
        except _TooLargeError:
            response = local_reply(self._request.headers, 413, b"Payload Too Large")
            details = "request_payload_too_large"
        except (AnsweredError, FailedError) as end:
            return self._outcome(None, self._instead(end), _details(end))
        if not isinstance(response, HttpMessage):
            return self._outcome(upstream, None, "")
        return (yield from self._respond(upstream, response, details))

    def _respond(
        self, upstream: HttpMessage | None, response: HttpMessage, details: str
    ) -> Generator[Step, Resumed, Outcome]:
        half = Half(Direction.RESPONSE, response, self._config, self._context)
        try:
            yield from self._process(half)
            return self._outcome(upstream, half.message(), details)
        except (AnsweredError, FailedError, _TooLargeError) as end:
            gone = half.gone()
            client = self._instead(end) if gone is None else gone
            return self._outcome(upstream, client, _details(end), reset=gone is not None)

    # One direction

    def _process(self, half: Half) -> Generator[Step, Resumed, None]:
        """Asks about everything that this direction has and the processor wants; then it may go on."""
        stream = self._stream
        too_large = not stream.over and half.held and len(half.body) > self._config.buffer_limit
        if half.asks_headers and not stream.over:
            yield from self._headers(half, too_large=too_large)
        elif half.held and not stream.over:
            half.headers.remove("content-length")  # the headers leave now, and who knows what becomes of the body
        if too_large:
            raise _TooLargeError
        if half.held and half.has_data and not stream.over:
            yield from self._body(half)
        if half.trailers is None or stream.over:
            return
        if half.asks_trailers:
            yield from self._trailers(half)
        if self._is_last(half, Part.TRAILERS):
            stream.close()

    def _headers(self, half: Half, *, too_large: bool) -> Generator[Step, Resumed, None]:
        """`too_large`: Envoy refuses the body at once, and the answer counts while that waits for the processor too."""
        message = self._message(half, Part.HEADERS, headers=half.headers, end_of_stream=half.ends_with_headers)
        half.told = True
        if too_large and not (half.direction is Direction.REQUEST and self._config.mode.response_headers):
            return (yield from self._stream.tell(message))
        answer = yield from self._stream.ask(message, overlapping=too_large)
        if answer is None:
            return
        self._edit(half, half.headers, answer)
        self._clear_route(half, answer)
        self._stream.received()
        if answer.replace and not too_large:
            self._replace(half, answer.body)
        if self._is_last(half, Part.HEADERS):
            self._stream.close()

    def _body(self, half: Half) -> Generator[Step, Resumed, None]:
        message = self._message(half, Part.BODY, body=half.body, end_of_stream=half.trailers is None)
        answer = yield from self._stream.ask(message)
        if answer is None:
            return
        if half.told:  # else the headers have left, and edits of them are dropped without a word
            self._edit(half, half.headers, answer)
        if answer.body is not None:
            if half.told and _claims_otherwise(half.headers.get("content-length"), len(answer.body)):
                self._refuse(_MISMATCH)
            half.chunks = (answer.body,)
        self._clear_route(half, answer)
        self._stream.received()
        if len(half.body) > self._config.buffer_limit:
            raise _TooLargeError

    def _trailers(self, half: Half) -> Generator[Step, Resumed, None]:
        assert half.trailers is not None  # noqa: S101 (asked only where there are some)
        message = self._message(half, Part.TRAILERS, headers=half.trailers, end_of_stream=True)
        answer = yield from self._stream.ask(message)
        if answer is None:
            return
        self._edit(half, half.trailers, answer)
        self._stream.received()

    def _message(
        self, half: Half, part: Part, *, headers: Fields | None = None, body: bytes = b"", end_of_stream: bool
    ) -> Message:
        """What Envoy says: the body modes with the very first message, attributes with the first of a direction."""
        protocol = Protocol(self._config.mode.request_body, self._config.mode.response_body)
        introduced, self._introduced = self._introduced, True
        attributes, half.attributes = half.attributes, {}
        return Message(
            half.phase(part),
            headers=[] if headers is None else list(headers.items),
            body=body,
            end_of_stream=end_of_stream,
            attributes=attributes,
            metadata=self._context.metadata,
            protocol=None if introduced else protocol,
        )

    # What answers do

    def _edit(self, half: Half, fields: Fields, answer: Continue) -> None:
        if not answer.set_headers and not answer.remove_headers:
            return
        edits = Mutation(
            answer.set_headers, answer.remove_headers, self._config.rules, self._stream.counters, answer.replace
        )
        try:
            edits.apply(fields, half.limits)
        except MutationFailedError as error:
            self._refuse(str(error))

    def _clear_route(self, half: Half, answer: Continue) -> None:
        """Ignored without a word in a response, where it is too late.

        Envoy ignores it too in an answer without a header mutation, which ours never are: they hold an empty one then.
        """
        if not answer.clear_route_cache or half.direction is Direction.RESPONSE:
            return
        if self._config.disable_clear_route_cache:
            self._stream.counters["clear_route_cache_disabled"] += 1
        else:
            self._route_cleared = True

    def _replace(self, half: Half, body: bytes | None) -> None:
        """CONTINUE_AND_REPLACE: nothing more is asked in this direction; Envoy frames the new body itself."""
        checked = half.held or not half.has_data  # a body that only passes by is replaced without a look at its size
        half.body_mode, half.asks_trailers = BodyMode.NONE, False
        if body is None:
            return
        half.headers.remove("content-length")
        half.chunks = (body,)
        if checked and len(body) > self._config.buffer_limit:
            raise _TooLargeError

    def _is_last(self, half: Half, part: Part) -> bool:
        """Whether Envoy closes the stream here, because it will ask no more; it does not look that far after a body."""
        if part is Part.HEADERS and not half.ends_with_headers and (half.held or half.asks_trailers):
            return False
        mode = self._config.mode
        answered = (mode.response_headers, mode.response_body is not BodyMode.NONE, mode.response_trailers)
        return half.direction is Direction.RESPONSE or not any(answered)

    def _refuse(self, details: str) -> NoReturn:
        """An answer that cannot be applied fails the exchange, even with ``failure_mode_allow``."""
        self._stream.received()
        self._stream.fail(self._config.status_on_error, details)

    # Ends

    def _instead(self, end: _End) -> HttpMessage:
        """The response in place of the upstream's."""
        request = self._request.headers
        if isinstance(end, FailedError):
            return local_reply(request, end.status)
        if isinstance(end, _TooLargeError):
            return local_reply(request, 500, b"Internal Server Error")
        edits = Mutation(end.answer.set_headers, (), self._config.rules, self._stream.counters)
        return immediate_reply(request, end.answer, edits)

    def _outcome(
        self, upstream: HttpMessage | None, client: HttpMessage | None, details: str, *, reset: bool = False
    ) -> Outcome:
        self._stream.close()
        return Outcome(
            upstream=upstream,
            client=client,
            details=details,
            counters=dict(self._stream.counters),
            route_cleared=self._route_cleared,
            reset=reset,
        )


def _claims_otherwise(content_length: bytes | None, size: int) -> bool:
    """Whether a content-length is a number, and another one."""
    number = None if content_length is None else _NUMBER.fullmatch(content_length)
    return number is not None and int(number[1]) != size


def _details(end: _End) -> str:
    if isinstance(end, _TooLargeError):
        return "response_payload_too_large"
    return re.sub(r"\s", "_", end.details if isinstance(end, FailedError) else end.answer.details)
