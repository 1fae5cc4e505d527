"""The gRPC stream to the processor as Envoy sees it: messages out, answers in, and what it makes of bad ones."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from extproc.envoy.model.values import Ask, HttpMessage, Unhandled
from extproc.messages import Abort, Continue, Immediate

if TYPE_CHECKING:
    from collections.abc import Generator

    from extproc.envoy.model.config import ExtProcConfig
    from extproc.envoy.model.values import Replies, Reply, Resumed, Step
    from extproc.messages import Message
    from extproc.phases import Phase

__all__ = ["AnsweredError", "FailedError", "Stream"]

_TIMEOUT_STATUS = 504
_CODES: tuple[str, ...] = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""The names of gRPC's status codes, at their numbers."""


class FailedError(Exception):
    """Processing failed and the exchange with it: the client gets a response without a body.

    Attributes:
        status: of the response.
        details: ``%RESPONSE_CODE_DETAILS%``.
    """

    def __init__(self, status: int, details: str) -> None:
        super().__init__(details)
        self.status = status
        self.details = details


class AnsweredError(Exception):
    """The processor answered with an immediate response, which ends the exchange. Its argument is that answer."""

    def __init__(self, answer: Immediate) -> None:
        super().__init__(answer)
        self.answer = answer


class Stream:
    """One stream, opened by the first message.

    Attributes:
        counters: Envoy's ext_proc counters.
        over: nothing more is sent or read; what is left of the exchange passes unprocessed.
    """

    def __init__(self, config: ExtProcConfig) -> None:
        """Not open yet."""
        self.counters: Counter[str] = Counter()
        self.over = False
        self._config = config
        self._replies: deque[Reply | None] = deque()
        self._open = False
        self._sent_ahead = False

    def ask(self, message: Message, *, overlapping: bool = False) -> Generator[Step, Resumed, Continue | None]:
        """Sends a message, and gives the answer to it; None: there is none, and the exchange goes on without.

        Args:
            message: what to say.
            overlapping: Envoy sends the next message before it has this answer, and does not wait for it either.

        Raises:
            AnsweredError: the answer is an immediate response.
            FailedError: processing failed, and not so that ``failure_mode_allow`` covers it.
        """
        self._count_sent(overlapping=overlapping)
        replies = yield Ask(message)
        assert not isinstance(replies, HttpMessage)  # noqa: S101 (that is what `Forward` is resumed with)
        self._replies.extend(_listed(replies))
        reply = self._replies.popleft()
        if reply is not None:
            return self._take(reply, message.phase)
        if not overlapping:
            self._time_out()
        return None

    def tell(self, message: Message) -> Generator[Step, Resumed, None]:
        """Sends a message to which every answer comes too late."""
        self._count_sent()
        yield Ask(message)

    def settle(self) -> None:
        """Takes what the processor said beyond what it was asked. Raises as `ask` does."""
        while self._replies and not self.over:
            reply = self._replies.popleft()
            if reply is not None:
                self._take(reply, None)

    def received(self) -> None:
        """An answer was used, or was refused for what is in it."""
        self.counters["stream_msgs_received"] += 1

    def close(self) -> None:
        """Nothing more is needed of the processor."""
        self.over = True
        if self._open:
            self._open = False
            self.counters["streams_closed"] += 1

    def fail(self, status: int, details: str) -> NoReturn:
        """Ends processing and the exchange.

        Raises:
            FailedError: always.
        """
        self.close()
        self.counters["immediate_responses_sent"] += 1
        raise FailedError(status, details)

    def _count_sent(self, *, overlapping: bool = False) -> None:
        if not self._open:
            self._open = True
            self.counters["streams_started"] += 1
        if not self._sent_ahead:
            self.counters["stream_msgs_sent"] += 1
        self._sent_ahead = overlapping
        if overlapping:
            self.counters["stream_msgs_sent"] += 1

    def _take(self, reply: Reply, asked: Phase | None) -> Continue | None:
        """What a reply means when `asked` is open; None: nothing is."""
        if isinstance(reply, Continue):
            if reply.phase is asked:
                return reply
            self._spurious("spurious_message")
        elif isinstance(reply, Immediate):
            self._immediate(reply)
        elif isinstance(reply, Abort):
            self._abort(reply)
        elif isinstance(reply, Unhandled):
            self._spurious("unhandled_message")
        else:
            self._half_close()
        return None

    def _time_out(self) -> None:
        self.counters["message_timeouts"] += 1
        self._failure(_TIMEOUT_STATUS, "ext_proc_error_per-message_timeout_exceeded")

    def _abort(self, abort: Abort) -> None:
        self.counters["streams_failed"] += 1
        self.counters["server_half_closed"] += 1
        if self._config.failure_mode_allow:
            self._half_close()  # counted again: it goes on as if it had been a clean end
            self.counters["failure_mode_allowed"] += 1
            return
        self._open = False  # failed, and not counted among the closed ones
        why = f"{abort.reason}{{via_upstream}}" if abort.reason else "via_upstream"
        self.fail(self._config.status_on_error, f"ext_proc_error_gRPC_error_{_CODES.index(abort.code)}{{{why}}}")

    def _half_close(self) -> None:
        """A clean end is no failure: whatever follows passes unprocessed."""
        self.counters["server_half_closed"] += 1
        self.close()

    def _immediate(self, answer: Immediate) -> None:
        if self._config.disable_immediate_response:
            self._spurious("unhandled_immediate_response_due_to_config_disabled_it")
            return
        self.received()
        self.close()
        self.counters["immediate_responses_sent"] += 1
        raise AnsweredError(answer)

    def _spurious(self, details: str) -> None:
        self.counters["spurious_msgs_received"] += 1
        self._failure(self._config.status_on_error, details)

    def _failure(self, status: int, details: str) -> None:
        """Lets the exchange go on unprocessed, if that is allowed."""
        if not self._config.failure_mode_allow:
            self.fail(status, details)
        self.counters["failure_mode_allowed"] += 1
        self.close()


def _listed(replies: Replies) -> list[Reply | None]:
    if isinstance(replies, Sequence):
        return list(replies) or [None]
    return [replies]
