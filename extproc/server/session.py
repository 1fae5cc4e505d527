"""`Session`: one gRPC stream of any front, from bytes to bytes."""

from __future__ import annotations

import itertools
import logging
import secrets
from typing import TYPE_CHECKING

from extproc.errors import PeerError
from extproc.machine import ExchangeMachine
from extproc.messages import Abort
from extproc.wire import decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from extproc.chain import Chain
    from extproc.clock import Clock
    from extproc.guard import Limits
    from extproc.observe import Observer

__all__ = ["Session", "exchange_ids"]

_logger = logging.getLogger("extproc.server")


class Session:
    """Drives one exchange for a front: hand it each message's bytes, send what it gives back.

    Attributes:
        over: nothing more is to be sent or read.
    """

    def __init__(
        self, chain: Chain, exchange_id: str, *, clock: Clock, limits: Limits, observer: Observer | None
    ) -> None:
        """Begins an exchange."""
        self.over = False
        self._machine = ExchangeMachine(chain, exchange_id, clock=clock, limits=limits, trace=observer is not None)
        self._watch = observer.begin(exchange_id) if observer is not None else None

    async def answer(self, data: bytes) -> bytes | Abort | None:
        """The answer to one serialized message; an `Abort` ends the stream with that status; None sends nothing."""
        machine = self._machine
        try:
            message = decode(data)
            if message is None:
                return None
            answer = await machine.receive(message)
            self.over = machine.over
            if self._watch is not None:
                self._watch.message(message, answer, machine.exchange.now)
            return answer if answer is None or isinstance(answer, Abort) else encode(answer)
        except PeerError as error:
            _logger.error("exchange %s: %s", machine.exchange.id, error)  # noqa: TRY400 (the peer's fault)
            abort = Abort(error.code, error.reason)
        except Exception:
            _logger.exception("exchange %s: the processor itself failed", machine.exchange.id)
            abort = Abort("INTERNAL", "extproc.internal")
        self.over = True
        return machine.break_off(abort)

    async def close(self) -> None:
        """The stream has ended, however it did; safe to call twice."""
        if await self._machine.close() and self._watch is not None:
            self._watch.end(self._machine.exchange, self._machine.events or [])


def exchange_ids() -> Iterator[str]:
    """Ids that are unique across processes, and cheap: a random prefix and a count."""
    prefix = secrets.token_hex(5)
    return (f"{prefix}-{number}" for number in itertools.count(1))
