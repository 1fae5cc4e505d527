"""Which names say that what stands under them is a secret: of headers, cookies, parameters and fields."""

from __future__ import annotations

import re

__all__ = ["is_count", "is_secret_name"]

_SECRET = re.compile(
    "accesskey|apikey|authorization|credential|functionskey|jwt|passcode|passphrase|passw|privatekey|secret|session"
    "|subscriptionkey|token"
)
_EXACT = frozenset({"auth", "pass", "pin", "pwd", "sig", "signature", "xauth", "xamzsignature", "xgoogsignature"})
_HARMLESS = frozenset({"tokentype"})
_COUNT = re.compile("age|budget|count|expir|interval|limit|remaining|reset|seconds|size|timeout|tokens|ttl|usage|used")
_SEPARATORS = str.maketrans("", "", "-_. []")


def is_secret_name(name: str) -> bool:
    """Whether what stands under a name is a secret, however it is spelt: ``X-Api-Key``, ``apiKey``, ``api_key``."""
    plain = name.lower().translate(_SEPARATORS)
    return (plain in _EXACT or _SECRET.search(plain) is not None) and plain not in _HARMLESS


def is_count(name: str) -> bool:
    """Whether a number under this name counts something (``max_tokens``, ``session_timeout``) and is no secret."""
    return _COUNT.search(name.lower().translate(_SEPARATORS)) is not None
