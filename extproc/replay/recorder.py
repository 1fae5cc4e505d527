"""`Recorder`: writes what a front sees into a capture, without ever standing in its way."""

from __future__ import annotations

import itertools
import logging
import threading
from importlib.metadata import version
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self

from extproc.clock import Clock, SystemClock
from extproc.messages import Continue, Immediate, Piece, ReplyBody
from extproc.replay.capture import CapturedExchange, Footer, Header, Redaction
from extproc.replay.codec import encode_exchange
from extproc.replay.files import CaptureWriter
from extproc.replay.folding import Said, fold
from extproc.replay.own import own_values
from extproc.replay.pseudonym import Pseudonyms, ensure_key
from extproc.replay.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from extproc.chain import Chain
    from extproc.exchange import Ended, Exchange
    from extproc.filter import OnError
    from extproc.messages import Message, Output
    from extproc.trace import Event

__all__ = ["Recorder"]

_logger = logging.getLogger("extproc.replay")

_MAX_HELD = 64 * 1024 * 1024
_OBJECTS = 1024
"""Bytes that the objects of a message take, about, beside what they hold."""


class Recorder:
    """An `Observer` that records into ``DIRECTORY/<UTC time>.ndjson``; a context manager.

    The event loop only hands exchanges over; a thread redacts, encodes and writes them. What does not fit into the
    memory it may use, or onto the disk, is dropped and counted: an exchange never waits for its record. Exchanges are
    written when they end; those that are under way when the recorder is left are not.

    Attributes:
        dropped: how many exchanges there was no room for.
    """

    def __init__(
        self,
        directory: Path,
        *,
        chain: Chain,
        redact: bool = True,
        keep: Iterable[str] = (),
        clock: Clock | None = None,
        max_bytes: int | None = None,
        max_held_bytes: int = _MAX_HELD,
    ) -> None:
        """Sets the recorder up; nothing is written yet.

        Args:
            directory: where the capture goes; made if need be. The redaction key is beside it, in ``redaction.key``.
            chain: the chain that is recorded: its secrets are taken out, what it needs of Envoy is noted.
            redact: whether to replace secrets by pseudonyms.
            keep: names of headers, cookies, parameters and fields to leave as they are though they look secret.
            clock: where the time comes from that names the capture.
            max_bytes: the size at which the capture is full; None: when the disk is.
            max_held_bytes: how much memory exchanges may take until they are written.
        """
        self.dropped = 0
        self._directory = directory
        self._chain = chain
        self._redact = redact
        self._keep = frozenset(keep)
        self._clock = clock or SystemClock()
        self._max_bytes = max_bytes
        self._numbers = itertools.count()
        self._room = _Room(max_held_bytes)
        self._queue: SimpleQueue[_Watch | None] = SimpleQueue()
        self._redactor: Redactor | None = None
        self._complained = False

    @property
    def path(self) -> Path:
        """The capture; there is one once the recorder is entered."""
        return self._writer.path

    @property
    def recorded(self) -> int:
        """How many exchanges the capture holds."""
        return self._writer.exchanges

    def __enter__(self) -> Self:
        """Creates the capture, and the redaction key if there is none.

        Raises:
            OSError: the directory cannot be written.
            CaptureError: the redaction key in it is none.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        redaction = self._begin_redaction() if self._redact else None
        filters: dict[str, OnError] = {link.name: link.on_error for link in self._chain.links}
        header = Header(self._clock.time(), version("extproc-sdk"), filters, self._chain.needs, redaction)
        self._writer = CaptureWriter(self._directory, header)
        self._thread = threading.Thread(target=self._write_all, name="extproc-recorder", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Writes what is waiting and closes the capture."""
        self._queue.put(None)
        self._thread.join()
        try:
            self._writer.close(Footer(self._clock.time(), self.recorded, self.dropped))
        except OSError as failure:
            self._complain("%s: could not be ended: %s", self.path, failure)

    def begin(self, exchange_id: str) -> _Watch:
        """An exchange begins."""
        return _Watch(exchange_id, self._numbers, self._room, self._queue)

    def _begin_redaction(self) -> Redaction:
        pseudonyms = Pseudonyms(ensure_key(self._directory))
        headers = self._chain.needs.secret_headers
        secrets = own_values(self._chain).secrets
        self._redactor = Redactor(pseudonyms, secret_headers=headers, secrets=secrets, keep=self._keep)
        return Redaction(pseudonyms.fingerprint, headers)

    def _write_all(self) -> None:
        while (watch := self._queue.get()) is not None:
            try:
                self.dropped += not (watch.whole and self._write(watch.captured()))
            except OSError as error:
                self.dropped += 1
                self._complain("%s: exchanges are not recorded until there is room: %s", self.path, error)
            except Exception as error:  # noqa: BLE001 (one odd exchange must not end the recording)
                self.dropped += 1
                self._complain("exchange %s cannot be recorded: %r", watch.exchange_id, error)
            watch.forget()

    def _write(self, exchange: CapturedExchange) -> bool:
        if self._redactor is not None:
            exchange = self._redactor.exchange(exchange)
        line = encode_exchange(exchange)
        if self._max_bytes is not None and self._writer.size + len(line) > self._max_bytes:
            self._complain("%s has reached its %d bytes: later exchanges are not recorded", self.path, self._max_bytes)
            return False
        self._writer.write(line)
        return True

    def _complain(self, sentence: str, *values: object) -> None:
        """Logs the first failure; the footer counts them all."""
        if not self._complained:
            self._complained = True
            _logger.error(sentence, *values)


class _Room:
    """A budget of bytes that the event loop takes from and the writing thread gives back to."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        with self._lock:
            fits = size <= self._left
            self._left -= size if fits else 0
        return fits

    def give(self, size: int) -> None:
        with self._lock:
            self._left += size


class _Watch:
    """Collects one exchange, as long as there is room; half an exchange is of no use.

    Attributes:
        exchange_id: whose.
        whole: there was room for all of it.
    """

    def __init__(
        self, exchange_id: str, numbers: Iterator[int], room: _Room, queue: SimpleQueue[_Watch | None]
    ) -> None:
        self.exchange_id = exchange_id
        self._numbers = numbers
        self.whole = True
        self._room = room
        self._queue = queue
        self._size = 0
        self._said: list[Said] = []
        self._events: list[Event] = []
        self._ended: Ended = ""

    def message(self, message: Message, answers: Sequence[Output], now: float) -> None:
        """Keeps a message and what was said after it."""
        size = _size(message, answers)
        if self.whole and self._room.take(size):
            self._size += size
            self._said.append(Said(message, answers, now, next(self._numbers)))
        else:
            self.whole = False
            self.forget()

    def end(self, exchange: Exchange, events: list[Event]) -> None:
        """Hands the exchange over to the writing thread; one that said nothing leaves nothing to replay."""
        self._events = events
        self._ended = exchange.ended
        if self._said or not self.whole:
            self._queue.put(self)

    def captured(self) -> CapturedExchange:
        """The exchange, once it has ended."""
        return CapturedExchange(self.exchange_id, fold(self._said), tuple(self._events), self._ended)

    def forget(self) -> None:
        """Gives its room back."""
        self._said.clear()
        self._room.give(self._size)
        self._size = 0


def _size(message: Message, answers: Sequence[Output]) -> int:
    size = _OBJECTS + len(message.body) + sum(len(name) + len(value) for name, value in message.headers)
    for answer in answers:
        if isinstance(answer, Continue | Immediate):
            size += sum(len(edit.value) for edit in answer.set_headers)
        if isinstance(answer, Continue | Immediate | Piece | ReplyBody):
            size += len(answer.body or b"")
    return size
