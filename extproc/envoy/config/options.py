"""What a bootstrap depends on beside the chain: addresses, layout, sizes."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from extproc.envoy.asked import MARGIN
from extproc.envoy.plain_http import split_address
from extproc.errors import EnvoyError
from extproc.phases import BodyMode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["EnvoyOptions", "Layout", "ProcessorTls", "Route", "is_ip", "upstream_address"]

Layout: TypeAlias = Literal["sidecar", "central"]
"""Where the processor runs: beside this Envoy, over loopback or unix sockets; or as a service of its own, found by DNS,
health-checked and shared by many Envoys."""

_CLUSTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_RESERVED = ("processor", "upstream")
_BODY_MODES = (BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED, BodyMode.STREAMED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Requests that go elsewhere than to the default upstream.

    Attributes:
        name: names the route's cluster in statistics and logs, such as ``canary``.
        upstream: ``HOST:PORT`` or ``http://HOST:PORT``.
        prefix: what the path begins with.
        headers: headers that have to have exactly these values.
        processed: False leaves the processor out, as health checks of the upstream may want it.
    """

    name: str
    upstream: str
    prefix: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    processed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorTls:
    """How Envoy knows the processor, and shows who it is itself. The files are on Envoy's machine.

    Attributes:
        ca: a PEM file: who signs the processor's certificate.
        name: the DNS name or IP address that has to be in it; by default, that of the processor's address.
        certificate: a PEM file: Envoy's own certificate, where the processor asks for one.
        key: a PEM file: its private key.
    """

    ca: str
    name: str = ""
    certificate: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        """Raises EnvoyError: there is a certificate without its key, or the other way round."""
        if bool(self.certificate) != bool(self.key):
            raise EnvoyError("Envoy's certificate for the processor takes both the certificate and its key")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyOptions:
    """What a bootstrap depends on beside the chain.

    Attributes:
        layout: where the processor runs.
        listen: where Envoy takes requests; port 0 is any free one.
        admin: Envoy's admin interface; keep it on loopback, it can stop Envoy.
        upstream: where requests go, as ``HOST:PORT`` or ``http://HOST:PORT``.
        routes: exceptions to that, the first match wins.
        processors: ``HOST:PORT`` or ``unix:/path``. Several workers on one machine are several addresses: Envoy spreads
            streams over endpoints, not over processes behind one of them.
        tls: how Envoy reaches the processor by TLS; None: it does not.
        margin: seconds that Envoy waits longer for an answer than the chain may take, so that the chain's own timeout,
            and with it each filter's failure policy, comes first.
        message_timeout: seconds after which Envoy gives a processor up that says nothing at all; by default, what the
            chain may take and the margin. Where it is shorter, hooks that have to wait ask Envoy for more time, and the
            processor has to know: see `extproc serve --message-timeout`.
        request_body_mode: how Envoy sends request bodies, if the chain wants them: BUFFERED, FULL_DUPLEX_STREAMED or
            STREAMED. By default BUFFERED if a filter wants them whole, else FULL_DUPLEX_STREAMED.
        response_body_mode: the same for responses.
        buffer_limit: bytes of a body that Envoy holds; with BUFFERED, larger ones are refused.
        edge: clients are strangers: their ``x-request-id`` and ``x-envoy-*`` are replaced, their ``x-forwarded-for`` is
            appended to, and header names with an underscore are refused. False behind a proxy of your own, and where a
            replay is to arrive as it was recorded.
        trailers: carry HTTP/1 trailers even if no filter wants them; Envoy drops them by default.
        stat_prefix: names the filter in Envoy's statistics; two ext_proc filters in one listener need two names.
        access_log: a file; by default standard output.

    Raises:
        EnvoyError: a value is malformed, or does not suit the layout; and what to use instead.
    """

    layout: Layout = "sidecar"
    listen: str = "127.0.0.1:10000"
    admin: str = "127.0.0.1:9901"
    upstream: str = "127.0.0.1:8080"
    routes: tuple[Route, ...] = ()
    processors: tuple[str, ...] = ("127.0.0.1:9002",)
    tls: ProcessorTls | None = None
    margin: float = MARGIN
    message_timeout: float | None = None
    request_body_mode: BodyMode | None = None
    response_body_mode: BodyMode | None = None
    buffer_limit: int = 1024 * 1024
    edge: bool = True
    trailers: bool = False
    stat_prefix: str = "extproc"
    access_log: str = ""

    def __post_init__(self) -> None:
        """Refuses what Envoy would refuse, or misunderstand."""
        if self.layout not in get_args(Layout):
            raise EnvoyError(f"{self.layout!r} is no layout: there are {' and '.join(get_args(Layout))}")
        if self.margin < 0 or self.buffer_limit <= 0:
            raise EnvoyError(f"margin ({self.margin}) and buffer_limit ({self.buffer_limit}) are positive")
        if self.message_timeout is not None and self.message_timeout <= 0:
            raise EnvoyError(f"message_timeout is a positive number of seconds, not {self.message_timeout}")
        for mode in (self.request_body_mode, self.response_body_mode):
            if mode is not None and mode not in _BODY_MODES:
                raise EnvoyError(f"no filter can count on bodies that come {mode.name}: use {_names(_BODY_MODES)}")
        for address in (self.listen, self.admin):
            if not is_ip(split_address(address)[0]):
                raise EnvoyError(f"Envoy listens on IP addresses, which {address!r} is not: use 127.0.0.1 or 0.0.0.0")
        for upstream in (self.upstream, *(route.upstream for route in self.routes)):
            upstream_address(upstream)
        for route in self.routes:
            _check_route(route)
        _check_processors(self)

    @property
    def processor_name(self) -> str:
        """What its certificate is to be for; empty: nobody knows, as there is no one host."""
        if self.tls is not None and self.tls.name:
            return self.tls.name
        hosts = {"" if address.startswith("unix:") else split_address(address)[0] for address in self.processors}
        return hosts.pop() if len(hosts) == 1 else ""


def upstream_address(upstream: str) -> str:
    """``HOST:PORT`` of an upstream.

    Raises:
        EnvoyError: it is malformed, or not plain HTTP.
    """
    scheme, is_url, rest = upstream.rpartition("://")
    if is_url and scheme != "http":
        raise EnvoyError(
            f"upstream {upstream!r} is not reached over plain HTTP, which is all there is: http://HOST:PORT"
        )
    address = rest.removesuffix("/") if is_url else rest
    if is_url and not re.search(r":\d+$", address):
        address += ":80"
    try:
        split_address(address)
    except EnvoyError:
        raise EnvoyError(f"upstream {upstream!r} is malformed: use http://HOST:PORT") from None
    return address


def is_ip(host: str) -> bool:
    """Whether a host is an IP address, and needs no DNS."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _names(modes: Iterable[BodyMode]) -> str:
    return ", ".join(mode.name for mode in modes)


def _check_route(route: Route) -> None:
    if not _CLUSTER.fullmatch(route.name) or route.name in _RESERVED:
        raise EnvoyError(f"{route.name!r} is no name for a route: letters, digits, '_' and '-', not {_RESERVED}")
    if not route.prefix.startswith("/"):
        raise EnvoyError(f"the prefix of route {route.name!r} begins with '/', which {route.prefix!r} does not")


def _check_processors(options: EnvoyOptions) -> None:
    if not options.processors:
        raise EnvoyError("there is no processor: give at least one address")
    for processor in options.processors:
        _check_processor(processor, options.layout)
    if options.tls is not None and not options.processor_name:
        raise EnvoyError("the address does not tell the name in the processor's certificate: give it")


def _check_processor(address: str, layout: Layout) -> None:
    if address.startswith("unix:"):
        if layout == "central":
            raise EnvoyError(
                f"{address!r} is on this machine: a central processor has a HOST:PORT, or use layout sidecar"
            )
        return
    host, _ = split_address(address)
    if layout == "sidecar" and not (is_ip(host) and ipaddress.ip_address(host).is_loopback):
        raise EnvoyError(
            f"{address!r} is not on this machine: a sidecar has a loopback address such as 127.0.0.1:9002, or "
            "unix:/path; or use layout central"
        )
