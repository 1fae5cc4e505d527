"""`Stream`: the gRPC stream to the processor as the filter keeps it, and the counters about it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from extproc.envoy.model.values import Ask

if TYPE_CHECKING:
    from collections import deque

    from extproc.messages import Message

__all__ = ["Stream"]


class Stream:
    """One stream, opened by the first message.

    Attributes:
        counters: Envoy's ext_proc counters.
        complete: nothing more is sent or read; what is left of the exchange passes unprocessed.
        replying: the processor sends the response itself, piece by piece.
        is_open: it has been opened, and not closed.
        answered: something has come of the processor.
    """

    def __init__(self, outbox: deque[Ask], filter_: int) -> None:
        """Not open yet.

        Args:
            outbox: takes what Envoy says to all processors, and nobody has fetched yet.
            filter_: which filter's stream it is.
        """
        self.counters: Counter[str] = Counter()
        self.complete = False
        self.replying = False
        self.is_open = False
        self.answered = False
        self._outbox = outbox
        self._filter = filter_

    def send(self, message: Message) -> None:
        """Says something; in vain, but counted, where the exchange has come to its end on the way here."""
        if self.complete:
            self.counters["stream_msgs_sent"] += 1
            return
        if not self.is_open:
            self.is_open = True
            self.counters["streams_started"] += 1
        self.counters["stream_msgs_sent"] += 1
        self._outbox.append(Ask(message, self._filter))

    def close(self) -> None:
        """Nothing more is needed of the processor."""
        self.complete = True
        if self.is_open:
            self.is_open = False
            self.counters["streams_closed"] += 1

    def lose(self) -> None:
        """The processor has ended it with an error: that is not counted among the closed ones."""
        self.complete = True
        self.is_open = False
