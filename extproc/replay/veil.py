"""`Veil`: what a replay does about the secrets of one capture: what it puts back, and what it hides again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from extproc.errors import CaptureError
from extproc.replay.own import own_values
from extproc.replay.pseudonym import KEY_FILE, Blanks, Pseudonyms, read_key
from extproc.replay.redact import Redactor
from extproc.replay.restore import Restorer, is_redacted

if TYPE_CHECKING:
    from pathlib import Path

    from extproc.chain import Chain
    from extproc.replay.capture import CapturedExchange, Redaction
    from extproc.replay.files import CaptureReader

__all__ = ["Veil"]


class Veil:
    """Puts back what the chain holds itself before it sees a message, and redacts whatever came of it."""

    def __init__(self, reader: CaptureReader, chain: Chain, key_file: Path | None = None) -> None:
        """Finds the key of a capture.

        Args:
            reader: the capture.
            chain: whose secrets are put back.
            key_file: the key; by default ``redaction.key`` beside the capture, if there is one.

        Raises:
            CaptureError: `key_file` cannot be read, or is another capture's.
        """
        self._redactor: Redactor | None = None
        self._restorer: Restorer | None = None
        self._problem = ""
        self._affected = 0
        redaction = reader.header.redaction
        if redaction is None:
            return
        own = own_values(chain)
        pseudonyms = self._pseudonyms(reader.path, redaction, key_file)
        headers = redaction.headers | chain.needs.secret_headers
        self._redactor = Redactor(pseudonyms or Blanks(), secret_headers=headers, secrets=own.secrets, again=True)
        if pseudonyms is not None:
            self._restorer = Restorer(pseudonyms, own)

    def restored(self, exchange: CapturedExchange) -> CapturedExchange:
        """The exchange with its messages as the chain has to see them."""
        if self._restorer is None:
            return exchange
        messages = [replace(item, message=self._restorer.message(item.message)) for item in exchange.messages]
        return replace(exchange, messages=tuple(messages))

    def redacted(self, exchange: CapturedExchange) -> CapturedExchange:
        """The exchange as it may be compared and shown."""
        return exchange if self._redactor is None else self._redactor.exchange(exchange)

    def look_at(self, exchange: CapturedExchange) -> None:
        """Counts an exchange whose secrets cannot be put back."""
        if self._problem and is_redacted(exchange):
            self._affected += 1

    def notes(self) -> list[str]:
        """What could not be done for want of the key; empty when all is well."""
        if not self._affected:
            return []
        sentence = (
            f"{self._problem}: {self._affected} exchanges hold pseudonyms that the chain cannot know for its own "
            "secrets, so it may refuse callers that it admitted; give the key with --redaction-key"
        )
        return [sentence]

    def _pseudonyms(self, capture: Path, redaction: Redaction, key_file: Path | None) -> Pseudonyms | None:
        path = key_file or capture.parent / KEY_FILE
        if key_file is None and not path.exists():
            self._problem = f"{path}: there is no redaction key beside the capture"
            return None
        pseudonyms = Pseudonyms(read_key(path))
        if pseudonyms.fingerprint == redaction.key:
            return pseudonyms
        if key_file is not None:
            raise CaptureError(path, f"is not the key that {capture} was redacted with: its fingerprint is another one")
        self._problem = f"{path}: is not the key that the capture was redacted with"
        return None
