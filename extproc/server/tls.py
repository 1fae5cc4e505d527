"""TLS of the fronts: certificates that are read again when they change, and which clients may stay."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from extproc.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Certificates", "Pem", "Tls", "names_of"]

_logger = logging.getLogger("extproc.server")

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; HTTP/2 forbids the others (RFC 9113, section 9.2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """What a front needs for TLS.

    Attributes:
        certificate: a PEM file: our certificate, and those between it and the root.
        key: a PEM file: its private key.
        client_ca: a PEM file: who may sign a client's certificate, without which nobody is let in; None: anybody is.
        client_names: the names that a client's certificate must have one of, such as ``envoy.example`` or
            ``spiffe://example/envoy``; empty: any name will do.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None
    client_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ServerError: names are asked for of clients that show no certificate."""
        if self.client_names and self.client_ca is None:
            raise ServerError("a client's name is only known from its certificate: name the CA of the clients, too")

    def allows(self, names: Iterable[str]) -> bool:
        """Whether a client with these names in its certificate may stay."""
        return not self.client_names or not set(self.client_names).isdisjoint(names)


@dataclass(frozen=True, slots=True)
class Pem:
    """The content of the files of a `Tls`."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None


class Certificates:
    """The files of a `Tls`, as they are now."""

    def __init__(self, tls: Tls) -> None:
        """Reads the files.

        Raises:
            ServerError: a file cannot be read, or they do not go together.
        """
        self._tls = tls
        self._files = [path for path in (tls.certificate, tls.key, tls.client_ca) if path is not None]
        self._seen = self._state()
        self.pem = self._read()
        self._fresh = _context(tls)
        self.context = _context(tls)
        self.context.sni_callback = self._use_fresh

    def refreshed(self) -> Pem:
        """The content of the files, which are read again if one has changed, and used if they go together."""
        state = self._state()
        if state == self._seen:
            return self.pem
        self._seen = state
        try:
            self._fresh = _context(self._tls)
            self.pem = self._read()
        except ServerError as error:
            _logger.error("%s; the certificates that were loaded before stay in use", error)  # noqa: TRY400
        else:
            _logger.info("certificates were loaded again from %s", self._tls.certificate)
        return self.pem

    def _use_fresh(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:  # noqa: ARG002
        """Called in every handshake, with or without a server name."""
        self.refreshed()
        connection.context = self._fresh

    def _state(self) -> list[tuple[int, int, int] | None]:
        return [_state_of(path) for path in self._files]

    def _read(self) -> Pem:
        try:
            contents = [path.read_bytes() for path in self._files]
        except OSError as error:
            raise ServerError(f"{error.filename}: cannot be read: {error.strerror}") from error
        return Pem(contents[0], contents[1], contents[2] if self._tls.client_ca else None)


def names_of(certificate: dict[str, Any]) -> list[str]:
    """The DNS names and URIs of a certificate, as `ssl.SSLSocket.getpeercert` gives it."""
    return [name for kind, name in certificate.get("subjectAltName", ()) if kind in {"DNS", "URI"}]


def _state_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["h2"])
    # A session taken up again would be one under the certificates of then.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise ServerError(f"{tls.certificate} and {tls.key} are no certificate and its key: {error}") from error
    if tls.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(tls.client_ca)
        except (OSError, ssl.SSLError) as error:
            raise ServerError(f"{tls.client_ca} holds no certificate of a CA: {error}") from error
    return context
