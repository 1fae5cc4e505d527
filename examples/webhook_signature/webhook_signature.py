"""`WebhookSignature`: lets webhooks through that their sender signed (standardwebhooks.com), and nothing else."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, SecretStr, field_validator

from extproc import Filter, Response

if TYPE_CHECKING:
    from extproc import Exchange

__all__ = ["WebhookSignature"]

_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
_PREFIX = "whsec_"
_TIME = re.compile(r"[0-9]{1,11}")  # Unix seconds


class WebhookSignature(Filter):
    """Refuses webhooks without a good signature over id, time and the whole body, and those that are not fresh.

    What got through once gets through again while it is fresh: who must not act twice compares ``webhook-id``.
    """

    on_error: ClassVar = "deny"

    secrets: tuple[SecretStr, ...] = Field(min_length=1)
    """The keys that the sender may have signed with, ``whsec_`` and base64; two while one takes the other's place."""

    tolerance: int = Field(default=300, ge=1)
    """How many seconds a webhook may be old, or its sender's clock ahead."""

    @field_validator("secrets")
    @classmethod
    def _check_secrets(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in secrets:
            _key(secret)
        return secrets

    def on_request_headers(self, exchange: Exchange) -> Response | None:
        """Refuses what no body could make good, before Envoy reads one."""
        headers = exchange.request.headers
        if not all(name in headers for name in _HEADERS):
            return _refusal("unsigned", "this webhook is not signed")
        if not self._is_fresh(headers["webhook-timestamp"], exchange.now):
            return _refusal("stale", "this webhook is too old, or from the future")
        return None

    def on_request_body(self, exchange: Exchange) -> Response | None:
        """Compares the signatures, now that the whole body is here."""
        headers = exchange.request.headers
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode("utf-8", "surrogateescape")
        good = [_signature(_key(secret), signed + exchange.request.body) for secret in self.secrets]
        sent = b" ".join(headers.get_raw("webhook-signature")).split()
        if any(hmac.compare_digest(mine, theirs) for mine in good for theirs in sent):
            return None
        return _refusal("forged", "the signature of this webhook is not good")

    def _is_fresh(self, timestamp: str, now: float) -> bool:
        return _TIME.fullmatch(timestamp) is not None and abs(now - int(timestamp)) <= self.tolerance


def _key(secret: SecretStr) -> bytes:
    try:
        key = base64.b64decode(secret.get_secret_value().removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise ValueError("a secret is base64, usually with whsec_ before it")
    return key


def _signature(key: bytes, signed: bytes) -> bytes:
    return b"v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256))


def _refusal(code: str, sentence: str) -> Response:
    return Response.as_json(401, {"error": sentence}, details=f"webhook_signature.{code}")
