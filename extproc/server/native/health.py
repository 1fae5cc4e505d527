"""``grpc.health.v1``: whether the processor is to be given exchanges."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from extproc.server.native.grpc import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable

    from extproc.server.native.grpc import Open
    from extproc.server.native.streams import ServerStream

__all__ = ["Health", "Status"]

_SERVICE = "/grpc.health.v1.Health"
_MORE = 0x80
"""The bit of a varint's byte that another follows."""


class Status(IntEnum):
    """``HealthCheckResponse.ServingStatus``."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


class Health:
    """The health of services by name; the empty name is the whole processor."""

    def __init__(self) -> None:
        """No service is known."""
        self._statuses: dict[str, Status] = {}
        self._watches: dict[_Watch, None] = {}

    def methods(self) -> dict[bytes, Open]:
        """The methods of the service by their path."""
        methods: dict[str, Open] = {
            "Check": lambda stream: _Unary(stream, self._check),
            "List": lambda stream: _Unary(stream, self._list),
            "Watch": lambda stream: _Watch(stream, self._statuses, self._watches),
        }
        return {f"{_SERVICE}/{name}".encode(): method for name, method in methods.items()}

    def set(self, service: str, status: Status) -> None:
        """Changes a service's status, and tells those who watch it."""
        self._statuses[service] = status
        for watch in list(self._watches):
            watch.tell()

    def stop(self) -> None:
        """No service serves any longer, and nobody needs to watch on."""
        for service in list(self._statuses):
            self.set(service, Status.NOT_SERVING)
        for watch in list(self._watches):
            watch.stop()

    def _check(self, stream: ServerStream, request: bytes) -> None:
        status = self._statuses.get(_service_of(request))
        if status is None:
            stream.end("NOT_FOUND", "unknown service")
        else:
            stream.send(_response(status))
            stream.end("OK", "")

    def _list(self, stream: ServerStream, _: bytes) -> None:
        entries = (_text(1, name.encode()) + _text(2, _response(status)) for name, status in self._statuses.items())
        stream.send(b"".join(_text(1, entry) for entry in entries))
        stream.end("OK", "")


class _Unary(Receiver):
    """A method with one request and one response."""

    def __init__(self, stream: ServerStream, answer: Callable[[ServerStream, bytes], None]) -> None:
        self._stream = stream
        self._answer = answer

    def receive(self, data: bytes) -> None:
        self._stream.consumed(len(data))
        self._answer(self._stream, data)

    def finish(self) -> None:
        self._stream.end("INTERNAL", "there is no request")

    def cancel(self) -> None:
        """Nothing is under way."""


class _Watch(Receiver):
    """Tells a status, and again when it changes; open until the peer has enough of it."""

    def __init__(self, stream: ServerStream, statuses: dict[str, Status], watches: dict[_Watch, None]) -> None:
        self._stream = stream
        self._statuses = statuses
        self._watches = watches
        self._service: str | None = None
        self._told: Status | None = None

    def receive(self, data: bytes) -> None:
        self._stream.consumed(len(data))
        if self._service is None:
            self._service = _service_of(data)
            self._watches[self] = None
            self.tell()

    def finish(self) -> None:
        if self._service is None:
            self._stream.end("INTERNAL", "there is no request")

    def cancel(self) -> None:
        self._watches.pop(self, None)

    def tell(self) -> None:
        status = self._statuses.get(self._service or "", Status.SERVICE_UNKNOWN)
        if status is not self._told:
            self._told = status
            self._stream.send(_response(status))

    def stop(self) -> None:
        self.cancel()
        self._stream.end("UNAVAILABLE", "the processor stops")


def _response(status: Status) -> bytes:
    """A ``HealthCheckResponse``."""
    return bytes((0x08, status))


def _text(field: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return bytes((field << 3 | 2,)) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number >= _MORE:
        digits.append(number & (_MORE - 1) | _MORE)
        number >>= 7
    return bytes((*digits, number))


def _service_of(request: bytes) -> str:
    """The service of a ``HealthCheckRequest``, whose only field it is; empty if it cannot be read."""
    if not request.startswith(b"\x0a"):
        return ""
    length = shift = 0
    for at in range(1, len(request)):
        length |= (request[at] & (_MORE - 1)) << shift
        shift += 7
        if request[at] < _MORE:
            return request[at + 1 : at + 1 + length].decode(errors="replace")
    return ""
