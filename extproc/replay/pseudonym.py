"""What stands in for a secret: keyed, so that equal secrets stay equal and nobody without the key learns one.

A *pseudonym* is ``redacted-`` and 16 hex digits of an HMAC-SHA256. A *mask* is as long as what it replaces, for bodies,
where a changed length would be another message; from 25 bytes on it looks like a pseudonym, below 8 bytes it is all
``x``. Both are recognised when met again, so redacting twice is redacting once.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from extproc.errors import CaptureError

__all__ = ["KEY_FILE", "PSEUDONYM", "Blanks", "Pseudonyms", "ensure_key", "read_key"]

KEY_FILE = "redaction.key"
"""The name of the key, beside the captures that were redacted with it."""

PSEUDONYM = re.compile(rb"redacted-[0-9a-f]{16}")

_KEY_BYTES = 32
_PREFIX = b"redacted-"
_HEX = 16
_CHECK = 4
_SHORT = 8
_LONG = len(_PREFIX) + _HEX
_BLANK = _PREFIX + b"0" * _HEX
_LONG_MASK = re.compile(rb"redacted-[0-9a-f]{16,}")
_MASK = re.compile(rb"[0-9a-f]{8,24}")


class Pseudonyms:
    """Makes pseudonyms and masks with one key.

    Attributes:
        fingerprint: tells keys apart without giving them away.
    """

    def __init__(self, key: bytes) -> None:
        """Takes a key of 32 random bytes."""
        self._key = key
        self.fingerprint = hashlib.sha256(b"extproc redaction key:" + key).hexdigest()[:_HEX]

    def of(self, secret: bytes) -> bytes:
        """The pseudonym of a secret."""
        return _PREFIX + self._hex(secret)[:_HEX]

    def mask(self, secret: bytes) -> bytes:
        """Something as long as the secret, and different for different secrets of 8 bytes or more."""
        size = len(secret)
        if size < _SHORT:
            return b"x" * size
        digits = self._hex(secret)
        if size >= _LONG:
            return (_PREFIX + digits * (size // len(digits) + 1))[:size]
        head = digits[: size - _CHECK]
        return head + self._hex(b"mask:" + head)[:_CHECK]

    def made(self, value: bytes) -> bool:
        """Whether `value` as a whole is a pseudonym or a mask already."""
        if _MASK.fullmatch(value):
            return value[-_CHECK:] == self._hex(b"mask:" + value[:-_CHECK])[:_CHECK]
        return _LONG_MASK.fullmatch(value) is not None or value == b"x" * len(value)

    def seen(self, pseudonym: bytes) -> bytes:
        """What becomes of a pseudonym that is there already."""
        return pseudonym

    def _hex(self, data: bytes) -> bytes:
        return hmac.new(self._key, data, hashlib.sha256).hexdigest().encode()


class Blanks(Pseudonyms):
    """Without the key: all secrets look alike, so that those there are and those there were can still be compared."""

    def __init__(self) -> None:
        """Needs nothing."""
        super().__init__(b"")

    def of(self, secret: bytes) -> bytes:  # noqa: ARG002
        """The same for every secret."""
        return _BLANK

    def mask(self, secret: bytes) -> bytes:
        """As long as the secret, and that is all."""
        return b"x" * len(secret)

    def made(self, value: bytes) -> bool:
        """Whether it is blank already."""
        return value in (_BLANK, b"x" * len(value))

    def seen(self, pseudonym: bytes) -> bytes:  # noqa: ARG002
        """Nobody can tell whose it was."""
        return _BLANK


def ensure_key(directory: Path) -> bytes:
    """The key in `directory`, made if there is none, readable by its owner only.

    Raises:
        CaptureError: the file there is no key.
        OSError: it can neither be read nor made.
    """
    path = directory / KEY_FILE
    if path.exists():
        return read_key(path)
    fd, draft = tempfile.mkstemp(dir=directory, prefix=KEY_FILE)  # only its owner can read it
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
        with suppress(FileExistsError):  # another recorder was quicker: its key is the one
            os.link(draft, path)
    finally:
        Path(draft).unlink()
    return read_key(path)


def read_key(path: Path) -> bytes:
    """The key in a file.

    Raises:
        CaptureError: it cannot be read, or is no key.
    """
    try:
        key = path.read_bytes()
    except OSError as error:
        raise CaptureError(path, f"the redaction key cannot be read: {error.strerror}") from error
    if len(key) != _KEY_BYTES:
        raise CaptureError(path, f"is no redaction key: it holds {len(key)} bytes instead of {_KEY_BYTES}")
    return key
