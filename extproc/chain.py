"""`Chain`: an ordered, compiled, immutable set of filters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from extproc.filter import HOOKS, Filter, Needs, Offload, OnError, Privilege
from extproc.offload import Threads
from extproc.phases import Direction, Phase
from extproc.when import When

if TYPE_CHECKING:
    from extproc.exchange import Exchange

__all__ = ["Chain", "Link", "Step", "Use"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Use:
    """A filter and how the chain is to use it.

    Attributes:
        filter: the filter.
        name: what logs, errors and reports call it; by default the class name in snake case.
        when: the condition under which it takes part in an exchange.
        on_error: its failure policy; by default that of its class.
        timeout: seconds that one of its ``async`` or offloaded hooks may take; by default what the chain has left.
        offload: whether its hooks run in a thread, because they block; by default what its class says.
    """

    filter: Filter
    name: str = ""
    when: When | Mapping[str, Any] | None = None
    on_error: OnError | None = None
    timeout: float | None = None
    offload: Offload | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """A filter at its place in a chain, with everything decided."""

    index: int
    name: str
    filter: Filter
    when: When | None
    on_error: OnError
    timeout: float | None
    offload: Offload
    needs: Needs
    requires: frozenset[Privilege]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One filter's part in one phase, or at the end of an exchange.

    Attributes:
        hook: the bound method; one that does nothing where only the link's condition is to be judged.
        chunked: the hook takes the body in pieces.
        judges: here the link's condition is judged.
    """

    link: Link
    hook: Callable[..., Any]
    chunked: bool = False
    judges: bool = False


class Chain:
    """Filters in the order in which a request meets them; a response meets them in reverse.

    Attributes:
        links: the filters, each with its settings.
        needs: what the chain needs of Envoy.
        timeout: seconds that all hooks together may take to answer one message.
        threads: where hooks run that block.
        steps: by phase, what runs, in the order in which it runs.
        completions: what runs when an exchange is over.
        ends_with_request_headers: no filter wants anything after the request's headers.
        conditional: the indices of the filters with a condition.
    """

    def __init__(self, filters: Sequence[Filter | Use], *, timeout: float = 1.0, threads: int = 8) -> None:
        """Compiles a chain.

        Args:
            filters: the filters.
            timeout: seconds that all hooks together may take to answer one message.
            threads: how many hooks may block at once, of filters with ``offload = "thread"``.

        Raises:
            ValueError: two filters have one name, a name is illegal, a timeout or the number of threads is not
                positive, or an ``async`` hook is to run in a thread.
            TypeError: something is no filter, or the class of one.
        """
        if timeout <= 0:
            raise ValueError(f"a chain's timeout is a positive number of seconds, not {timeout}")
        self.timeout = timeout
        self.threads = Threads(threads)
        uses = [_use(item) for item in filters]
        names = _names(uses)
        self.links = tuple(
            _link(index, use, name, timeout) for index, (use, name) in enumerate(zip(uses, names, strict=True))
        )
        judging = Needs(frozenset({Phase.REQUEST_HEADERS} if any(link.when for link in self.links) else ()))
        self.needs = Needs.union((judging, *(link.needs for link in self.links)))
        self.steps: dict[Phase, tuple[Step, ...]] = {phase: self._steps(phase) for phase in Phase}
        self.completions = tuple(
            Step(link, self._hook(link, "on_complete"))
            for link in self.links
            if "on_complete" in type(link.filter).hooks()
        )
        later = [phase for phase, steps in self.steps.items() if steps and phase is not Phase.REQUEST_HEADERS]
        self.ends_with_request_headers = not later and not self.completions
        self.conditional = frozenset(link.index for link in self.links if link.when is not None)

    async def start(self) -> None:
        """Starts the filters in order; if one fails, stops those that were started and raises."""
        started: list[Filter] = []
        try:
            for link in self.links:
                started.append(link.filter)
                await link.filter.start()
        except BaseException as error:
            try:
                await _stop(started)
            except ExceptionGroup as group:
                error.add_note(f"after that, {group}: {'; '.join(map(repr, group.exceptions))}")
            raise

    async def stop(self) -> None:
        """Stops the filters in reverse order, every one of them, and lets go of the threads.

        Raises:
            ExceptionGroup: some of them failed to stop.
        """
        self.threads.close()
        await _stop([link.filter for link in self.links])

    def _steps(self, phase: Phase) -> tuple[Step, ...]:
        steps = [step for link in self.links if (step := self._step(link, phase)) is not None]
        return tuple(steps) if phase.direction is Direction.REQUEST else tuple(reversed(steps))

    def _step(self, link: Link, phase: Phase) -> Step | None:
        judges = phase is Phase.REQUEST_HEADERS and link.when is not None
        for name in type(link.filter).hooks():
            if HOOKS[name] is phase and phase in link.needs.phases:
                return Step(link, self._hook(link, name), name.endswith("_chunk"), judges)
        if judges:
            return Step(link, _judge_only, judges=True)
        return None

    def _hook(self, link: Link, name: str) -> Callable[..., Any]:
        hook: Callable[..., Any] = getattr(link.filter, name)
        return self.threads.offloaded(hook, link.name) if link.offload == "thread" else hook

    def __repr__(self) -> str:
        """The names of the filters, in order."""
        return f"Chain({', '.join(link.name for link in self.links)})"


async def _stop(filters: list[Filter]) -> None:
    errors: list[Exception] = []
    for item in reversed(filters):
        try:
            await item.stop()
        except Exception as error:  # noqa: BLE001 (every filter gets its chance to close)
            errors.append(error)
    if errors:
        raise ExceptionGroup("filters failed to stop", errors)


def _use(item: Filter | Use) -> Use:
    used: object = item.filter if isinstance(item, Use) else item
    if not isinstance(used, Filter):  # pyright: ignore[reportUnnecessaryIsInstance] (chains need not be typed)
        hint = f": did you mean {used.__name__}(...)?" if isinstance(used, type) else ""
        raise TypeError(f"a chain is made of filters, not of {used!r}{hint}")
    return item if isinstance(item, Use) else Use(item)


def _names(uses: list[Use]) -> list[str]:
    names: list[str] = []
    for use in uses:
        name = use.name or _snake(type(use.filter).__name__)
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a filter: letters, digits, '_', '.' and '-', at most 64")
        if name in names and use.name:
            raise ValueError(f"two filters are named {name!r}: give one of them another name")
        stem, number = name, 2
        while name in names:
            name, number = f"{stem}-{number}", number + 1
        names.append(name)
    return names


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower().strip("_")


def _link(index: int, use: Use, name: str, chain_timeout: float) -> Link:
    if use.timeout is not None and not 0 < use.timeout <= chain_timeout:
        raise ValueError(
            f"the timeout of {name!r} is {use.timeout} s: it is positive and at most the chain's {chain_timeout} s"
        )
    if use.on_error not in (None, "deny", "skip"):
        raise ValueError(f"on_error of {name!r} is 'deny' or 'skip', not {use.on_error!r}")
    offload = use.offload or use.filter.offload
    if offload not in ("none", "thread"):
        raise ValueError(f"offload of {name!r} is 'none' or 'thread', not {offload!r}")
    if offload == "thread" and (hooks := type(use.filter).async_hooks()):
        raise ValueError(f"{name!r} cannot run in a thread: its {hooks[0]} is async, and so need not block")
    needs = use.filter.needs()
    return Link(
        index=index,
        name=name,
        filter=use.filter,
        when=When.model_validate(use.when) if isinstance(use.when, Mapping) else use.when,
        on_error=use.on_error or use.filter.on_error,
        timeout=use.timeout,
        offload=offload,
        needs=needs,
        requires=needs.requires,
    )


def _judge_only(_: Exchange) -> None:
    """Stands where a filter with a condition has no hook for the request's headers."""
