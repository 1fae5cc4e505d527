"""`Request` and `Response` as a filter sees them; edits are plain assignments and are recorded here."""

from __future__ import annotations

# Headers keep their state to themselves, except from what they are part of.
# pyright: reportPrivateUsage=false
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from extproc.errors import HeaderError, PhaseError
from extproc.guard import check_authority, check_method, check_path
from extproc.headers import Headers

if TYPE_CHECKING:
    from extproc.messages import ByName, RawHeaders

__all__ = ["Headers", "Request", "Response"]

_FINAL_STATUSES = range(200, 600)
_GRPC_STATUSES = range(17)
_NO_BODY = frozenset({204, 205, 304})
"""Statuses whose responses have no content (RFC 9110 section 15)."""
_NO_MARKS: tuple[str, int | None] = ("", None)
"""What goes with an immediate response beside headers and body: details, gRPC status."""
_NOT_LOGGABLE = re.compile(r"[^\x20-\x7e]")


class _Body:
    """What requests and responses share: headers, a body that may not be here yet, and trailers."""

    __slots__ = ("_body", "_body_sealed", "_headers", "_marks", "_trailers")

    def __init__(self, items: RawHeaders | None = None, size: int = 0, by_name: ByName | None = None) -> None:
        self._headers = Headers(items, size, by_name)
        self._body: bytes | None = None
        self._body_sealed = ""
        self._marks: tuple[str, int | None] = _NO_MARKS
        self._trailers: Headers | None = None

    @property
    def headers(self) -> Headers:
        """The headers, without pseudo-headers. To be edited, not assigned."""
        return self._headers

    @property
    def body(self) -> bytes:
        """The whole body, in bytes. Assigning text encodes it as UTF-8.

        Raises:
            PhaseError: the body is not here (read it in ``on_*_body``), or it is too late to change it.
            TypeError: assigned something that is neither bytes nor text.
        """
        if self._body is None:
            raise PhaseError("the body is not here yet: read it in on_request_body or on_response_body")
        return self._body

    @body.setter
    def body(self, value: bytes | str) -> None:
        if self._body_sealed:
            raise PhaseError(f"the body cannot be changed: {self._body_sealed}")
        self._body = _encoded(value)

    @property
    def text(self) -> str:
        """The body as UTF-8 text; what is not UTF-8 becomes U+FFFD. Raises `PhaseError` as `body` does."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body parsed as JSON.

        Raises:
            ValueError: it is not JSON.
            PhaseError: the body is not here.
        """
        return json.loads(self.body)

    @property
    def trailers(self) -> Headers:
        """The trailers.

        Raises:
            PhaseError: there are none, or they are not here yet (read them in ``on_*_trailers``).
        """
        if self._trailers is None:
            raise PhaseError("the trailers are not here: read them in on_request_trailers or on_response_trailers")
        return self._trailers

    def _seal(self, reason: str) -> None:
        """From here on, nothing can be edited."""
        self._headers._sealed = self._body_sealed = reason
        if self._trailers is not None:
            self._trailers._sealed = reason

    def _pseudo(self, name: str) -> str:
        for item, value in self._headers._items:
            if item == name:
                return value.decode("utf-8", "surrogateescape")
        return ""

    def _set_pseudo(self, name: str, raw: bytes) -> None:
        sealed = self._headers._sealed
        if sealed:
            raise PhaseError(f"{name!r} cannot be changed: {sealed}")
        self._headers._put(name, raw)


class Request(_Body):
    """The request on its way to the upstream."""

    __slots__ = ()

    @property
    def method(self) -> str:
        """The method, such as ``GET``. To assign it, the filter needs ``requires = {"routing"}``.

        HEAD stays what it is, and nothing becomes HEAD: the client knows already whether a body will follow, and would
        take one that it does not wait for as its next response (RFC 9112 section 6.3).
        """
        return self._pseudo(":method")

    @method.setter
    def method(self, value: str) -> None:
        self._needs_routing("request.method")
        raw = check_method(value)
        if value != self.method and "HEAD" in (value, self.method):
            raise HeaderError(
                ":method", f"cannot turn from {self.method} to {value}: the body of the response hangs on it"
            )
        self._set_pseudo(":method", raw)

    @property
    def scheme(self) -> str:
        """``http`` or ``https``. To assign it, the filter needs ``requires = {"routing"}``."""
        return self._pseudo(":scheme")

    @scheme.setter
    def scheme(self, value: str) -> None:
        self._needs_routing("request.scheme")
        if value not in ("http", "https"):
            raise HeaderError(":scheme", f"cannot be {value!r}: it is 'http' or 'https'")
        self._set_pseudo(":scheme", value.encode())

    @property
    def host(self) -> str:
        """The authority: host, or host:port. To assign it, the filter needs ``requires = {"routing"}``."""
        return self._pseudo(":authority")

    @host.setter
    def host(self, value: str) -> None:
        self._needs_routing("request.host")
        self._set_pseudo(":authority", check_authority(value))

    @property
    def target(self) -> str:
        """Path and query as they stand in the request line: Envoy's ``:path``.

        Raises:
            HeaderError: assigned something that would break the request line.
        """
        return self._pseudo(":path")

    @target.setter
    def target(self, value: str) -> None:
        self._set_pseudo(":path", check_path(value))

    @property
    def path(self) -> str:
        """The path without the query, percent-encoded. Assigning keeps the query (to change both: `target`)."""
        return self.target.partition("?")[0]

    @path.setter
    def path(self, value: str) -> None:
        if "?" in value:
            raise HeaderError(":path", "has a query in it: assign request.target, or encode '?' as %3F")
        _, mark, query = self.target.partition("?")
        self.target = value + mark + query

    @property
    def query(self) -> str:
        """The query without ``?``, percent-encoded; empty when there is none. `urllib.parse.parse_qs` reads it."""
        return self.target.partition("?")[2]

    @query.setter
    def query(self, value: str) -> None:
        self.target = f"{self.path}?{value}" if value else self.path

    def _needs_routing(self, what: str) -> None:
        if "routing" not in self.headers._allowed:
            raise HeaderError(
                what,
                "is protected by Envoy, which would drop the edit silently: "
                "add 'routing' to the filter's `requires`, so that the chain asks Envoy to allow it",
            )


class Response(_Body):
    """A response: the upstream's on its way to the client, or one that a filter returns in its stead."""

    __slots__ = ("_stream",)

    def __init__(
        self,
        status: int,
        body: bytes | str | AsyncIterator[bytes] = b"",
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        *,
        details: str = "",
        grpc_status: int | None = None,
    ) -> None:
        """Makes an immediate response.

        Args:
            status: 200 to 599. There is no default: Envoy would make it 200.
            body: bytes, or text to be encoded as UTF-8; or an async iterator of bytes, to be sent as they come where
                Envoy takes that (in answer to request headers, where it buffers no body), and else once they are all
                there. Such a response can be returned once.
            headers: a mapping, or pairs where a name occurs more than once.
            details: why, for Envoy's access log.
            grpc_status: for gRPC clients, 0 to 16.

        Raises:
            ValueError: a status is out of range, or one that has no body was given one.
            HeaderError: a header must not go out.
            TypeError: the body is neither bytes nor text, or `details` is no text.
        """
        super().__init__([(":status", _status(status))])
        self._stream: AsyncIterator[bytes] | None = body if isinstance(body, AsyncIterator) else None
        self._body = None if isinstance(body, AsyncIterator) else _encoded(body)
        if (self._body or self._stream is not None) and status in _NO_BODY:
            raise ValueError(f"a {status} response has no body: leave it out")
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        for name, value in pairs:
            self.headers.add(name, value)
        self.details = details
        self.grpc_status = grpc_status

    @classmethod
    def as_json(cls, status: int, value: Any, headers: Mapping[str, str] | None = None, *, details: str = "") -> Self:
        """An immediate response with `value` as JSON and the content type for it. Raises as the constructor does."""
        response = cls(status, json.dumps(value), headers or {}, details=details)
        response.headers.setdefault("content-type", "application/json")
        return response

    @property
    def status(self) -> int:
        """The status code; 0 when Envoy did not send it.

        Raises:
            ValueError: assigned something outside 200 to 599.
        """
        value = self._pseudo(":status")
        return int(value) if value.isdecimal() else 0

    @status.setter
    def status(self, value: int) -> None:
        self._set_pseudo(":status", _status(value))

    @property
    def details(self) -> str:
        """Why, for Envoy's access log (``%RESPONSE_CODE_DETAILS%``); empty: the name of the filter.

        Assigning turns everything that could break a line of a log into ``?``.

        Raises:
            TypeError: assigned something that is no text.
        """
        return self._marks[0]

    @details.setter
    def details(self, value: str) -> None:
        self._marks = (_NOT_LOGGABLE.sub("?", value), self._marks[1])

    @property
    def grpc_status(self) -> int | None:
        """For a gRPC client, the gRPC status code; None lets Envoy derive it from `status`.

        Raises:
            ValueError: assigned something outside 0 to 16.
        """
        return self._marks[1]

    @grpc_status.setter
    def grpc_status(self, value: int | None) -> None:
        if value is not None and value not in _GRPC_STATUSES:
            raise ValueError(f"grpc_status is 0 to 16, not {value}")
        self._marks = (self._marks[0], None if value is None else int(value))

    @classmethod
    def _received(cls, items: RawHeaders, size: int = 0) -> Self:
        """The upstream's response, as it came."""
        response = cls.__new__(cls)
        _Body.__init__(response, items, size)
        response._stream = None
        return response

    def _copy(self) -> Response:
        """One that an exchange can edit: a filter may return the same object in every exchange."""
        response = Response._received(self._headers._snapshot())
        response._stream = self._stream
        response._body = self._body or b"" if self._stream is None else self._body
        response._marks = self._marks
        return response

    def __repr__(self) -> str:
        """The status and the size of the body, if it is here."""
        size = "" if self._body is None else f", {len(self._body)} bytes"
        return f"<Response {self.status}{size}>"


def _status(value: int) -> bytes:
    if value not in _FINAL_STATUSES:
        raise ValueError(f"a response status is 200 to 599, not {value}: Envoy would make something else of it")
    return b"%d" % value


def _encoded(value: bytes | str) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")  # what came out of a header may be bytes in disguise
    if not isinstance(value, bytes | bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance] (see guard)
        raise TypeError(f"a body is bytes or str, not {type(value).__name__}")  # bytes(3) would be three NULs
    return bytes(value)
