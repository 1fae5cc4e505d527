"""`EnvoyModel`: one exchange on its way through Envoy, step by step or in one go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

    from extproc.envoy.model.config import ExtProcConfig
    from extproc.envoy.model.values import HttpMessage, Outcome, Reply
    from extproc.messages import Message

__all__ = ["Ask", "EnvoyModel", "Forward", "Processor", "Step", "Upstream"]


@dataclass(frozen=True, slots=True)
class Ask:
    """Envoy sends a message and waits: resume with what the processor does."""

    message: Message


@dataclass(frozen=True, slots=True)
class Forward:
    """The request goes upstream: resume with the upstream's response, or None when nobody knows it."""

    request: HttpMessage


Step: TypeAlias = Ask | Forward
"""Where an exchange waits for its surroundings."""

Replies: TypeAlias = "Reply | Sequence[Reply] | None"
"""What a processor does in answer to one message: one reply, more than one (which is illegal), or nothing, ever."""

Processor: TypeAlias = "Callable[[Message], Awaitable[Replies]]"
"""What answers: the `receive` of an exchange machine, recorded answers, a script."""

Upstream: TypeAlias = "HttpMessage | Callable[[HttpMessage], HttpMessage | None] | None"
"""What the upstream answers: always the same, depending on the request, or nobody knows."""


class EnvoyModel:
    """The ext_proc filter of one Envoy listener.

    Attributes:
        config: how it is configured.
    """

    def __init__(self, config: ExtProcConfig) -> None:
        self.config = config

    def exchange(self, request: HttpMessage) -> Generator[Step, Replies | HttpMessage, Outcome]:
        """One exchange, step by step: for whoever interleaves many.

        ``send`` what each step asks for; the generator returns the outcome.
        """
        raise NotImplementedError

    async def run(self, request: HttpMessage, upstream: Upstream, processor: Processor) -> Outcome:
        """One exchange from the client's request to the client's response. Waits only for `processor`."""
        steps = self.exchange(request)
        answer: Replies | HttpMessage = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome
            if isinstance(step, Ask):
                answer = await processor(step.message)
            else:
                answer = upstream(step.request) if callable(upstream) else upstream
