"""`EditHeaders`: edits of headers, path and host by configuration alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import field_validator, model_validator

from extproc import Filter, HeaderError, Needs, Phase, check_authority
from extproc_filters.header_edits import HeaderEdits
from extproc_filters.rewrite import PathRewrite  # noqa: TC001 (a field's type)

if TYPE_CHECKING:
    from extproc import Exchange, Request
    from extproc_filters.template import Reference

__all__ = ["EditHeaders", "RequestEdits"]


class RequestEdits(HeaderEdits):
    """Edits of a request: of its path and host, then of its headers as in `HeaderEdits`."""

    rewrite_path: tuple[PathRewrite, ...] = ()
    """Patterns for the path; the first that is found in it is applied. The query stays, and Envoy chooses the route
    again."""

    host: str | None = None
    """The host, or host:port, that the request is sent on with. Envoy's mutation rules have to allow it."""

    @field_validator("host")
    @classmethod
    def _check_host(cls, host: str | None) -> str | None:
        try:
            return None if host is None else check_authority(host).decode()
        except HeaderError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _check_references(self) -> Self:
        if any(reference.subject == "response" for reference in self.references):
            raise ValueError("a request is filled in from {response. …}, which is not there yet")
        return self

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return super().is_empty and not self.rewrite_path and self.host is None

    def edit_request(self, exchange: Exchange) -> None:
        """Makes the edits."""
        request = exchange.request
        target = self._rewritten(request) if self.rewrite_path else None
        self.edit(request.headers, exchange)
        if target is not None:
            request.target = target
        if self.host is not None:
            request.host = self.host

    def _rewritten(self, request: Request) -> str | None:
        if not request.path.startswith("/"):  # the "*" of OPTIONS, or CONNECT, which has none
            return None
        for rule in self.rewrite_path:
            target = rule.apply(request.target)
            if target is not None:
                return target
        return None


class EditHeaders(Filter):
    """Edits headers, path and host by configuration alone.

    What could never be sent (framing headers, illegal names or values, impossible substitutions) is refused when the
    configuration is read.
    """

    on_error: ClassVar = "deny"

    request: RequestEdits = RequestEdits()
    """What to edit on the way to the upstream."""

    response: HeaderEdits = HeaderEdits()
    """What to edit on the way to the client."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.request.is_empty and self.response.is_empty:
            raise ValueError("there is nothing to edit: give request or response some edits")
        return self

    def needs(self) -> Needs:
        """The phases and privileges that the configured edits take, and no others."""
        on_request, on_response = self.request.references, self.response.references
        phases = {Phase.REQUEST_HEADERS: not self.request.is_empty, Phase.RESPONSE_HEADERS: not self.response.is_empty}
        if any(reference.subject == "request" for reference in on_response):
            phases[Phase.REQUEST_HEADERS] = True
        routing = Needs() if self.request.host is None else Needs(requires=frozenset({"routing"}))
        reserved = self.request.reserved or self.response.reserved
        return routing | Needs(
            phases=frozenset(phase for phase, needed in phases.items() if needed),
            requires=frozenset({"envoy_headers"}) if reserved else frozenset(),
            request_attributes=_attributes(on_request),
            response_attributes=_attributes(on_response),
        )

    def on_request_headers(self, exchange: Exchange) -> None:
        """Edits the request."""
        self.request.edit_request(exchange)

    def on_response_headers(self, exchange: Exchange) -> None:
        """Edits the response."""
        self.response.edit(exchange.response.headers, exchange)


def _attributes(references: tuple[Reference, ...]) -> frozenset[str]:
    return frozenset(reference.name for reference in references if reference.subject == "attribute")
