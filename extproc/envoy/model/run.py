"""`EnvoyModel`: the modelled filter, for one exchange at a time or step by step for many."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from extproc.envoy.model.exchange import Exchange
from extproc.envoy.model.values import Ask, Context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from extproc.envoy.model.config import ExtProcConfig
    from extproc.envoy.model.values import HttpMessage, Outcome, Replies, Resumed, Step
    from extproc.messages import Message

__all__ = ["EnvoyModel", "Processor", "Upstream"]

Processor: TypeAlias = "Callable[[Message], Awaitable[Replies]]"
"""What answers: the `receive` of an exchange machine, recorded answers, a script."""

Upstream: TypeAlias = "HttpMessage | Callable[[HttpMessage], HttpMessage | None] | None"
"""What the upstream answers: always the same, depending on the request, or nobody knows."""

_NOTHING_ELSE = Context()


class EnvoyModel:
    """The ext_proc filter of one Envoy listener.

    Attributes:
        config: how it is configured.
    """

    def __init__(self, config: ExtProcConfig) -> None:
        self.config = config

    def exchange(self, request: HttpMessage, context: Context = _NOTHING_ELSE) -> Generator[Step, Resumed, Outcome]:
        """One exchange, step by step, for whoever interleaves many.

        Each step says what it waits for: ``send`` it. The generator returns the outcome.

        Args:
            request: as it is at the filter.
            context: what Envoy knows beside it.
        """
        return Exchange(self.config, request, context).play()

    async def run(
        self, request: HttpMessage, upstream: Upstream, processor: Processor, context: Context = _NOTHING_ELSE
    ) -> Outcome:
        """One exchange from the client's request to the client's response. Waits for nothing but `processor`.

        Args:
            request: as it is at the filter.
            upstream: what answers it.
            processor: what is asked.
            context: what Envoy knows beside it.
        """
        steps = self.exchange(request, context)
        answer: Resumed = None
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
