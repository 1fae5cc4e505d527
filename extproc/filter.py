"""`Filter`: what people write. A frozen pydantic model: its fields are configuration, its hooks do the work."""

from __future__ import annotations

import difflib
import inspect
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict

from extproc.phases import FLOWS, BodyMode, Part, Phase

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from extproc.exchange import Exchange
    from extproc.http import Response

__all__ = ["HOOKS", "ChunkResult", "Filter", "HookResult", "Needs", "Offload", "OnError", "Privilege"]

OnError: TypeAlias = Literal["deny", "skip"]
"""What happens to an exchange when a filter fails in it: it is refused, or it goes on without the filter."""

Offload: TypeAlias = Literal["none", "thread"]
"""Where a filter's hooks run: on the event loop, or in a thread of the chain, where they may block."""

Privilege: TypeAlias = Literal["routing", "envoy_headers"]
"""What Envoy refuses to a processor unless configured otherwise: method, scheme and host; ``x-envoy-*`` headers."""

HookResult: TypeAlias = "Response | Awaitable[Response | None] | None"
ChunkResult: TypeAlias = "bytes | Response | Awaitable[bytes | Response | None] | None"

HOOKS: dict[str, Phase | None] = {
    "on_request_headers": Phase.REQUEST_HEADERS,
    "on_request_body": Phase.REQUEST_BODY,
    "on_request_chunk": Phase.REQUEST_BODY,
    "on_request_trailers": Phase.REQUEST_TRAILERS,
    "on_response_headers": Phase.RESPONSE_HEADERS,
    "on_response_body": Phase.RESPONSE_BODY,
    "on_response_chunk": Phase.RESPONSE_BODY,
    "on_response_trailers": Phase.RESPONSE_TRAILERS,
    "on_complete": None,
}
"""Every hook, and the phase of which it makes the chain ask Envoy."""

_NOT_HOOKS = {"on_error"}
_SETS = ("requires", "request_attributes", "response_attributes", "metadata_in", "metadata_out")


@dataclass(frozen=True, slots=True)
class Needs:
    """What a filter, or a whole chain, needs of Envoy. `|` adds two up."""

    phases: frozenset[Phase] = frozenset()
    """Phases that Envoy has to send."""
    request_attributes: frozenset[str] = frozenset()
    """Attributes such as ``source.address`` that Envoy has to send with the request."""
    response_attributes: frozenset[str] = frozenset()
    metadata_in: frozenset[str] = frozenset()
    """Dynamic metadata namespaces that the filter reads."""
    metadata_out: frozenset[str] = frozenset()
    """Dynamic metadata namespaces that the filter writes."""
    requires: frozenset[Privilege] = frozenset()
    """Edits that Envoy only takes when its mutation rules say so."""
    secret_headers: frozenset[str] = frozenset()
    """Headers whose values a capture must never hold."""
    pieces: frozenset[Phase] = frozenset()
    """Those bodies of `phases` that are taken in pieces; others are wanted whole."""

    def body_mode(self, phase: Phase) -> BodyMode:
        """How Envoy is to send a body.

        Whole where a filter wants it whole: then Envoy buffers it, within its limit. Where all take it in pieces,
        Envoy leaves it to us (FULL_DUPLEX_STREAMED) rather than wait for each piece (STREAMED): a filter may hold back
        the end of a body even if trailers follow, and no buffer limits its size.
        """
        if phase not in self.phases:
            return BodyMode.NONE
        return BodyMode.FULL_DUPLEX_STREAMED if phase in self.pieces else BodyMode.BUFFERED

    def can_shrink(self, *modes: BodyMode) -> bool:
        """Whether an exchange may turn out to need less of Envoy, which then should listen to ``mode_override``.

        It does not where a body is left to us.

        Args:
            modes: how it sends bodies.
        """
        return bool(self.phases - {Phase.REQUEST_HEADERS}) and not any(FLOWS[mode].carried for mode in modes)

    def asks_for(self, phase: Phase) -> bool:
        """Whether Envoy has to send `phase`.

        Trailers go with a body that somebody wants: a message may have trailers and no body, and about that Envoy asks
        nobody else, so that it would pass whoever decides by the body.
        """
        body = Phase(f"{phase.direction.value}_body")
        return phase in self.phases or (phase.part is Part.TRAILERS and body in self.phases)

    def __or__(self, other: Needs) -> Needs:
        """The needs of both; a body that one of them wants whole is wanted whole."""
        whole = (self.phases - self.pieces) | (other.phases - other.pieces)
        both = Needs(*(getattr(self, f.name) | getattr(other, f.name) for f in fields(self)))
        return replace(both, pieces=both.pieces - whole)

    @classmethod
    def union(cls, parts: Iterable[Needs]) -> Needs:
        """The needs of all `parts`."""
        total = cls()
        for part in parts:
            total |= part
        return total


class Filter(BaseModel):
    """Subclass this, give it fields for its configuration, and override the hooks it cares about.

    A hook may be ``def`` or ``async def``. It edits ``exchange.request`` or ``exchange.response`` by plain assignment,
    and returns None to go on or a `Response` to answer the client itself. One filter object serves all exchanges at
    once, so it is frozen; what belongs to one exchange goes into ``exchange.state``, and clients and stores into
    private attributes that `start` makes and `stop` closes. A hook that is not overridden costs nothing.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # a wrong value may be a secret
    )

    on_error: ClassVar[OnError] = "deny"
    """The failure policy unless the chain says otherwise. Right for anything that guards access."""
    offload: ClassVar[Offload] = "none"
    """``thread`` for hooks that must block; they are plain functions. Unless the chain says otherwise."""
    requires: ClassVar[frozenset[Privilege]] = frozenset()
    """Protected things this filter edits: ``routing`` (method, scheme, host), ``envoy_headers`` (``x-envoy-*``)."""
    request_attributes: ClassVar[frozenset[str]] = frozenset()
    """Envoy attributes this filter reads in ``exchange.attributes`` from the request on."""
    response_attributes: ClassVar[frozenset[str]] = frozenset()
    """Envoy attributes this filter reads from the response on."""
    metadata_in: ClassVar[frozenset[str]] = frozenset()
    """Dynamic metadata namespaces this filter reads."""
    metadata_out: ClassVar[frozenset[str]] = frozenset()
    """Dynamic metadata namespaces this filter emits."""

    def on_request_headers(self, exchange: Exchange) -> HookResult:
        """The request's headers are here; its body is not. Edits go upstream, or a `Response` answers instead."""

    def on_request_body(self, exchange: Exchange) -> HookResult:
        """The whole body is here as ``exchange.request.body``, empty if there is none; headers can still be edited."""

    def on_request_chunk(self, exchange: Exchange, chunk: bytes) -> ChunkResult:
        """A piece of the body, in order: return what takes its place (None: as it was, ``b""``: nothing).

        Called once more with ``b""`` at the end, so that held-back bytes can go out. Pieces are cut anywhere.
        """

    def on_request_trailers(self, exchange: Exchange) -> HookResult:
        """The request's trailers are here. Not called for a request without."""

    def on_response_headers(self, exchange: Exchange) -> HookResult:
        """The response's headers are here; returning a `Response` replaces the upstream's."""

    def on_response_body(self, exchange: Exchange) -> HookResult:
        """The whole body is here as ``exchange.response.body``; headers and status can still be edited."""

    def on_response_chunk(self, exchange: Exchange, chunk: bytes) -> ChunkResult:
        """A piece of the response's body; as `on_request_chunk`."""

    def on_response_trailers(self, exchange: Exchange) -> HookResult:
        """The response's trailers are here; too late for a `Response`."""

    def on_complete(self, exchange: Exchange) -> Awaitable[None] | None:
        """The exchange is over, whatever happened; runs once. ``exchange.ended`` says how. Nothing can be edited."""

    if not TYPE_CHECKING:  # to a type checker, every attribute would be there

        def __getattr__(self, name: str) -> Any:
            """A private attribute, such as what `start` opened, when it is first read.

            From then on it is found as quickly as a field is: through pydantic it takes twenty times as long.
            """
            try:
                value = object.__getattribute__(self, "__pydantic_private__")[name]
            except (AttributeError, KeyError, TypeError):
                return super().__getattr__(name)
            return self.__dict__.setdefault(name, value)  # a thread may have assigned it meanwhile

        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            private = self.__pydantic_private__
            if private is not None and name in private:
                self.__dict__[name] = private[name]

        def __delattr__(self, name: str) -> None:
            super().__delattr__(name)
            self.__dict__.pop(name, None)

    async def start(self) -> None:
        """Opens what the filter needs (pools, stores), before the first exchange and on the loop that serves them."""

    async def stop(self) -> None:
        """Closes what `start` opened; also called when `start` failed half-way."""

    def needs(self) -> Needs:
        """What this filter needs of Envoy: the phases of its hooks, and what its class says.

        Override it to ask for less, or more, depending on the configuration.
        """
        kind = type(self)
        return Needs(
            phases=frozenset(phase for name in kind.hooks() if (phase := HOOKS[name]) is not None),
            request_attributes=frozenset(kind.request_attributes),
            response_attributes=frozenset(kind.response_attributes),
            metadata_in=frozenset(kind.metadata_in),
            metadata_out=frozenset(kind.metadata_out),
            requires=frozenset(kind.requires),
            pieces=frozenset(phase for name in kind.hooks() if name.endswith("_chunk") and (phase := HOOKS[name])),
        )

    @classmethod
    def hooks(cls) -> list[str]:
        """The names of the hooks this class overrides."""
        return [name for name in HOOKS if getattr(cls, name) is not getattr(Filter, name)]

    @classmethod
    def async_hooks(cls) -> list[str]:
        """The names of those that are ``async def``."""
        return [name for name in cls.hooks() if inspect.iscoroutinefunction(getattr(cls, name))]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuses a class that could not work as its author meant it.

        Raises:
            TypeError: a hook is misspelled, takes the wrong arguments, or two hooks want the same body; or a setting of
                the class has the wrong type, or became a field.
        """
        super().__pydantic_init_subclass__(**kwargs)
        _check_settings(cls)
        for name in dir(cls):
            if name.startswith("on_") and name not in HOOKS and name not in _NOT_HOOKS and name not in cls.model_fields:
                raise TypeError(f"{cls.__name__}.{name} is not a hook{_nearest(name)}")
        for name in cls.hooks():
            _check_hook(cls, name)
        for half in ("request", "response"):
            if {f"on_{half}_body", f"on_{half}_chunk"} <= set(cls.hooks()):
                raise TypeError(
                    f"{cls.__name__} has both on_{half}_body and on_{half}_chunk: a body comes whole or in pieces"
                )


def _check_settings(cls: type[Filter]) -> None:
    for name in cls.model_fields:
        if name in vars(Filter):
            raise TypeError(f"{cls.__name__}.{name} cannot be a field: leave out its type, or make it a ClassVar")
    if cls.on_error not in ("deny", "skip"):
        raise TypeError(f"{cls.__name__}.on_error is 'deny' or 'skip', not {cls.on_error!r}")
    if cls.offload not in ("none", "thread"):
        raise TypeError(f"{cls.__name__}.offload is 'none' or 'thread', not {cls.offload!r}")
    if cls.offload == "thread" and (hooks := cls.async_hooks()):
        raise TypeError(f"{cls.__name__}.{hooks[0]} is async: with offload = 'thread', a hook is a plain def")
    for name in _SETS:
        if not isinstance(getattr(cls, name), set | frozenset):
            raise TypeError(f"{cls.__name__}.{name} is a set of names, not {getattr(cls, name)!r}")
    if unknown := cls.requires - set(get_args(Privilege)):
        raise TypeError(f"{cls.__name__}.requires knows {', '.join(get_args(Privilege))}, not {', '.join(unknown)}")


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name, HOOKS, n=1)
    return f": did you mean {close[0]}?" if close else f"; the hooks are {', '.join(HOOKS)}"


def _check_hook(cls: type[Filter], name: str) -> None:
    hook = inspect.getattr_static(cls, name)
    if not inspect.isfunction(hook):
        raise TypeError(f"{cls.__name__}.{name} is a method: def {name}(self, exchange) -> ...")
    if inspect.isgeneratorfunction(hook) or inspect.isasyncgenfunction(hook):
        raise TypeError(f"{cls.__name__}.{name} is a generator: return a Response or None instead of yielding")
    wanted = ["exchange", "chunk"] if name.endswith("_chunk") else ["exchange"]
    try:
        inspect.signature(hook).bind(None, *wanted)
    except TypeError:
        raise TypeError(f"{cls.__name__}.{name} takes (self, {', '.join(wanted)})") from None
