"""`MaskPersonalData`: hides e-mail addresses and card numbers in the JSON that goes out to clients."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, ClassVar

from extproc import Filter, Response

if TYPE_CHECKING:
    from extproc import Exchange

__all__ = ["MaskPersonalData"]

_VALUE = re.compile(r'"(?:[^"\\]|\\.)*"|(?<![\w.+-])[0-9]{13,19}(?![\w.])')
"""In JSON, a string, or a whole number as long as that of a card."""
_EMAIL = re.compile(r"[^\s\"<>(),:;@\[\]\\]{1,64}(?=@[\w-]{1,63}(?:\.[\w-]{1,63})+)")
_CARD = re.compile(r"(?<!\d)(?:\d{13,19}|\d{4}(?:[ -]\d{4}){3}|\d{4}[ -]\d{6}[ -]\d{5})(?!\d)", re.ASCII)
_KEPT_DIGITS = 4


class MaskPersonalData(Filter):
    """Masks e-mail addresses and card numbers in JSON responses: keys, values, and texts around them.

    Everything else in a body stays as it is, to the byte. A body that cannot be read does not go out.
    """

    on_error: ClassVar = "deny"

    emails: bool = True
    """``ann@shop.example`` becomes ``***@shop.example``."""

    cards: bool = True
    """``4111 1111 1111 1111`` becomes ``************1111``. What is no card number by its check digit stays."""

    def on_request_headers(self, exchange: Exchange) -> None:
        """Asks the upstream for a whole body that can be read."""
        for name in ("accept-encoding", "range"):
            exchange.request.headers.pop(name, None)

    def on_response_body(self, exchange: Exchange) -> Response | None:
        """Masks, now that the whole body is here. Its content-length is kept right by the SDK."""
        response = exchange.response
        if not response.body or not _is_json(response.headers.get("content-type", "")):
            return None
        if response.headers.get("content-encoding", "identity") != "identity":
            return _refusal("compressed")
        try:
            text = response.body.decode()
            json.loads(text)
        except (ValueError, RecursionError):
            return _refusal("no_json")
        masked = _VALUE.sub(self._masked_value, text)
        if masked != text:
            response.body = masked
            response.headers.pop("etag", None)  # it says what the unmasked body was
        return None

    def _masked_value(self, found: re.Match[str]) -> str:
        literal = found[0]
        text = str(json.loads(literal))
        masked = self._masked(text)
        return literal if masked == text else json.dumps(masked)

    def _masked(self, text: str) -> str:
        if self.emails and "@" in text:
            text = _EMAIL.sub("***", text)
        return _CARD.sub(_masked_card, text) if self.cards else text


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _masked_card(found: re.Match[str]) -> str:
    digits = re.sub("[ -]", "", found[0])
    if not _has_check_digit(digits):
        return found[0]
    return "*" * (len(digits) - _KEPT_DIGITS) + digits[-_KEPT_DIGITS:]


def _has_check_digit(digits: str) -> bool:
    """ISO/IEC 7812-1: from the right, every second digit counts double, less 9 where that has two digits."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[::-2])) + sum(doubled)) % 10 == 0


def _refusal(code: str) -> Response:
    return Response.as_json(502, {"error": "bad gateway"}, details=f"mask_personal_data.{code}")
