"""`Restorer` puts secrets back that a chain holds itself, so that it knows its callers again in a redacted capture."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote_from_bytes

from extproc.replay.own import spellings
from extproc.replay.pseudonym import PSEUDONYM

if TYPE_CHECKING:
    from collections.abc import Callable

    from extproc.messages import Message
    from extproc.replay.capture import CapturedExchange
    from extproc.replay.own import OwnValues
    from extproc.replay.pseudonym import Pseudonyms

__all__ = ["Restorer", "is_redacted"]

_MASK_BYTES = 8
"""Masks of fewer bytes are all alike."""


class Restorer:
    """Knows what a chain's own values look like in a capture redacted with a certain key.

    Those are its secrets, and also the plain words of its configuration: a cookie's value is a pseudonym in a capture,
    but a filter that set it recognises it.
    """

    def __init__(self, pseudonyms: Pseudonyms, own: OwnValues) -> None:
        """Works out the pseudonyms and masks of `own`."""
        values = own.secrets | own.words
        self._values = {pseudonyms.of(value): value for value in values}
        ways = {way for value in values for way in spellings(value) if len(way) >= _MASK_BYTES}
        self._masks = {pseudonyms.mask(way): way for way in ways}
        longest_first = sorted(self._masks, key=len, reverse=True)
        self._mask = re.compile(b"|".join(map(re.escape, longest_first)) or b"(?!)")

    def message(self, message: Message) -> Message:
        """The message as the chain has to see it."""
        return replace(
            message,
            headers=[(name, self._header(name, value)) for name, value in message.headers],
            body=self._mask.sub(lambda match: self._masks[match[0]], message.body),
            attributes=_walk(message.attributes, self._text),
            metadata=_walk(message.metadata, self._text),
        )

    def _header(self, name: str, value: bytes) -> bytes:
        if name == ":path":
            return PSEUDONYM.sub(lambda match: self._in_path(match[0]), value)
        return self._restore(value)

    def _in_path(self, pseudonym: bytes) -> bytes:
        value = self._values.get(pseudonym)
        return pseudonym if value is None else quote_from_bytes(value, safe="").encode()

    def _restore(self, value: bytes) -> bytes:
        return PSEUDONYM.sub(lambda match: self._values.get(match[0], match[0]), value)

    def _text(self, value: str) -> str:
        return self._restore(value.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def is_redacted(exchange: CapturedExchange) -> bool:
    """Whether a pseudonym stands anywhere in what Envoy said."""
    found = False

    def look(value: str) -> str:
        nonlocal found
        found = found or PSEUDONYM.search(value.encode("utf-8", "surrogateescape")) is not None
        return value

    for item in exchange.messages:
        message = item.message
        found = found or any(PSEUDONYM.search(value) for _, value in message.headers)
        found = found or PSEUDONYM.search(message.body) is not None
        _walk(message.attributes, look)
        _walk(message.metadata, look)
    return found


def _walk(value: Any, change: Callable[[str], str]) -> Any:
    """JSON-like values with all strings in them changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {name: _walk(item, change) for name, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_walk(item, change) for item in cast("Sequence[object]", value)]
    return value
