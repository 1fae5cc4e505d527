"""Responses that Envoy makes by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

from extproc.envoy.model.errors import MutationFailedError
from extproc.envoy.model.fields import Fields, Kind
from extproc.envoy.model.values import HttpMessage

if TYPE_CHECKING:
    from extproc.envoy.model.mutation import Mutation
    from extproc.messages import Immediate

__all__ = ["immediate_reply", "local_reply"]

_GRPC_TYPE = b"application/grpc"
_GRPC_STATUS = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
"""What an HTTP status comes down to in gRPC (its own mapping for proxies); anything else is 2, UNKNOWN."""
_UNREADABLE = "".join(chr(code) for code in range(0x20, 0x7F) if code != ord("%"))
_FIRST_STATUS = 200


def local_reply(
    request: Fields, status: int, body: bytes = b"", *, edits: Mutation | None = None, grpc_status: int | None = None
) -> HttpMessage:
    """What Envoy sends in place of the upstream's response, in the form that suits the request.

    Args:
        request: the request's headers.
        status: of the response; a gRPC client gets 200 and a gRPC status.
        body: sent as text/plain, or as the gRPC message.
        edits: to its headers, before the body is described in them; what cannot be applied is left out.
        grpc_status: for gRPC clients; by default what `status` comes down to.
    """
    headers = Fields(Kind.RESPONSE, [(":status", b"%d" % status)])
    if edits is not None:
        _edit(headers, edits)
        headers.put(":status", b"%d" % status)  # whatever the edits made of it
    if _is_grpc(request):
        message = b"" if request.get(":method") == b"HEAD" else body
        _describe_grpc(headers, _GRPC_STATUS.get(status, 2) if grpc_status is None else grpc_status, message)
        return HttpMessage(headers.items)
    _describe(headers, body)
    bodiless = not body or request.get(":method") == b"HEAD"
    return HttpMessage(headers.items, () if bodiless else (body,))


def immediate_reply(request: Fields, answer: Immediate, edits: Mutation) -> HttpMessage:
    """An immediate response; a status that is none (unset, or 1xx) becomes 200."""
    status = max(answer.status, _FIRST_STATUS)
    return local_reply(request, status, answer.body, edits=edits, grpc_status=answer.grpc_status)


def _edit(headers: Fields, edits: Mutation) -> None:
    try:
        edits.apply(headers)
    except MutationFailedError:
        return  # logged and no more: the response goes out with what was applied until then


def _describe(headers: Fields, body: bytes) -> None:
    if not body:
        headers.remove("content-length")
        headers.remove("content-type")
        return
    headers.put("content-length", b"%d" % len(body))
    if "content-type" not in headers:
        headers.put("content-type", b"text/plain")


def _describe_grpc(headers: Fields, grpc_status: int, message: bytes) -> None:
    headers.put(":status", b"200")
    headers.put("content-type", _GRPC_TYPE)
    headers.put("grpc-status", b"%d" % grpc_status)
    if message:
        headers.put("grpc-message", quote_from_bytes(message, safe=_UNREADABLE).encode())


def _is_grpc(request: Fields) -> bool:
    kind = request.get("content-type") or b""
    return kind == _GRPC_TYPE or kind.startswith(_GRPC_TYPE + b"+")
