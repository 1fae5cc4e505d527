"""In which pieces Envoy's codecs give a filter what arrives in one go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from extproc.envoy.model import HttpMessage
from extproc.envoy.model.fields import Fields, Kind
from extproc.envoy.model.http1 import switches
from extproc.messages import RawHeaders
from tests.envoy.received import Data, Head, Part, Trailers

__all__ = ["arriving"]

_FRAME_BYTES = 16 * 1024


def arriving(parts: Sequence[Part], *, http2: bool) -> list[Part]:
    """The parts of a message, as a filter gets them."""
    return [_with_joined(part) for part in (_over_http2(parts) if http2 else _over_http1(parts))]


def _with_joined(part: Part) -> Part:
    """Values of a header of which Envoy keeps one are joined as soon as they are read."""
    if not isinstance(part, Head):
        return part
    fields = Fields(Kind.REQUEST if any(name == ":method" for name, _ in part.headers) else Kind.RESPONSE, [])
    for name, value in part.headers:
        fields.append(name, value)
    return Head(fields.items, part.end)


def _over_http1(parts: Sequence[Part]) -> Iterator[Part]:
    """What has come of a body is one piece; an empty one of its own says that it is over, or the trailers do.

    An empty one also follows headers alone that ask for another protocol, or agree to it.
    """
    body = b"".join(part.data for part in parts if isinstance(part, Data))
    if parts and isinstance(parts[0], Head):
        yield parts[0]
        if not body and switches(HttpMessage(parts[0].headers)):
            yield Data(b"")
    if body:
        yield Data(body)
    last = parts[-1]
    if isinstance(last, Trailers):
        yield last if last.headers else Data(b"", end=True)
    elif isinstance(last, Data) and last.end:
        yield Data(b"", end=True)


def _over_http2(parts: Sequence[Part]) -> Iterator[Part]:
    """A piece a frame, and the last one says that it is; headers of HTTP/1.1 connections are not sent."""
    for part in parts:
        if isinstance(part, Head):
            yield Head(_cookies_last(part.headers), part.end)
        elif isinstance(part, Trailers):
            yield Trailers(_cookies_last(part.headers))
        else:
            yield from _frames(part)


def _cookies_last(headers: RawHeaders) -> RawHeaders:
    """Cookies may come in several headers, which are put together in the end."""
    kept = [item for item in headers if item[0] not in ("transfer-encoding", "cookie")]
    return [*kept, *(item for item in headers if item[0] == "cookie")]


def _frames(piece: Data) -> Iterator[Data]:
    for start in range(0, len(piece.data) or 1, _FRAME_BYTES):
        data = piece.data[start : start + _FRAME_BYTES]
        last = start + _FRAME_BYTES >= len(piece.data)
        yield Data(data, piece.end and last)
