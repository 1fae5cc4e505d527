"""`HideKeys`: hides secret keys in what goes out to clients, while it streams by."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from extproc import Filter, Response

if TYPE_CHECKING:
    from extproc import Exchange

__all__ = ["HideKeys"]

_PREFIX = b"shop_key_"
_KEY = re.compile(_PREFIX + rb"[A-Za-z0-9]{24}")
_BEGUN = re.compile(
    b"(?:%b)$" % b"|".join([_PREFIX + rb"[A-Za-z0-9]{0,23}", *(_PREFIX[:size] for size in range(1, len(_PREFIX)))]),
    re.DOTALL,
)
"""At the end of a piece, what may turn out to be a key."""
_HELD = "hide_keys.held"


class HideKeys(Filter):
    """Replaces secret keys (``shop_key_`` and 24 letters or digits) in responses of any size and kind.

    Bodies go out as they come. Only what may be the beginning of a key waits for the next piece.
    """

    on_error: ClassVar = "deny"

    def on_request_headers(self, exchange: Exchange) -> None:
        """Asks the upstream for a body that can be read."""
        for name in ("accept-encoding", "range"):
            exchange.request.headers.pop(name, None)

    def on_response_headers(self, exchange: Exchange) -> Response | None:
        """Lets nothing out that cannot be read."""
        if exchange.response.headers.get("content-encoding", "identity") != "identity":
            return Response.as_json(502, {"error": "bad gateway"}, details="hide_keys.compressed")
        exchange.response.headers.pop("etag", None)  # it says what the body was
        return None

    def on_response_chunk(self, exchange: Exchange, chunk: bytes) -> bytes:
        """Hides the keys in a piece; at the end, where `chunk` is empty, nothing is held back any more."""
        text = _KEY.sub(_PREFIX + b"***", exchange.state.pop(_HELD, b"") + chunk)
        begun = _BEGUN.search(text) if chunk else None
        if begun is None:
            return text
        exchange.state[_HELD] = text[begun.start() :]
        return text[: begun.start()]
