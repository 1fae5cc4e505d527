"""Captures on disk: written a line at a time and never over another, read as a stream however large they are."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, Self, TypeVar, cast

from extproc.errors import CaptureError
from extproc.replay.capture import FORMAT, MIGRATIONS, VERSION, CapturedExchange, Footer, Header
from extproc.replay.codec import (
    decode_exchange,
    decode_footer,
    decode_header,
    encode_footer,
    encode_header,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

__all__ = ["SUFFIX", "CaptureReader", "CaptureWriter", "captures_in"]

SUFFIX = ".ndjson"

_T = TypeVar("_T")

_MAX_LINE = 256 * 1024 * 1024
"""Bytes; a longer line is no exchange of ours, and must not fill the memory."""


class CaptureWriter:
    """Writes a new capture; whoever may read it can only be its owner (mode 0600).

    Attributes:
        path: the file.
        size: how many bytes it holds.
        exchanges: how many exchanges it holds.
    """

    def __init__(self, directory: Path, header: Header) -> None:
        """Creates ``DIRECTORY/<UTC time>.ndjson``.

        Raises:
            OSError: it cannot be created or written.
        """
        self.path, self._fd = _create(directory, header.created)
        self.size = self.exchanges = 0
        self._append(encode_header(header))

    def write(self, line: bytes) -> None:
        """Appends the line of an exchange, whole or not at all.

        Raises:
            OSError: there is no room; the capture is as it was before.
        """
        self._append(line)
        self.exchanges += 1

    def close(self, footer: Footer | None) -> None:
        """Ends the capture, with a footer if it is complete.

        Raises:
            OSError: there is no room for the footer.
        """
        try:
            if footer is not None:
                self._append(encode_footer(footer))
            os.fsync(self._fd)
        finally:
            os.close(self._fd)

    def _append(self, line: bytes) -> None:
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            with suppress(OSError):  # half a line would spoil the lines after it
                os.ftruncate(self._fd, self.size)
            raise
        self.size += len(line)


def _create(directory: Path, created: float) -> tuple[Path, int]:
    stamp = datetime.fromtimestamp(created, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    number = 1
    while True:
        path = directory / (stamp + (f"-{number}" if number > 1 else "") + SUFFIX)
        try:
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            number += 1


class CaptureReader:
    """Reads a capture; a context manager.

    Attributes:
        path: the file.
        header: what made the capture.
        footer: known once it has been read through; None then: it was cut off.
        notes: what a reader had to leave out, or could not rely on, one sentence each.
    """

    def __init__(self, path: Path) -> None:
        """Opens a capture and reads its header.

        Raises:
            CaptureError: it cannot be opened, is no capture, or is of a newer version.
        """
        self.path = path
        self.footer: Footer | None = None
        self.notes: list[str] = []
        self._line = 0
        self._version = VERSION
        try:
            self._file: IO[bytes] = path.open("rb")
        except OSError as error:
            raise CaptureError(path, f"cannot be opened: {error.strerror}") from error
        try:
            self.header = self._read_header()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file."""
        self._file.close()

    def __iter__(self) -> Iterator[CapturedExchange]:
        """The exchanges in the order of the file, which is that of their ends.

        Raises:
            CaptureError: a line is broken. A last line that a crash cut off is left out, with a note.
        """
        self._start()
        seen: dict[str, tuple[int, bytes]] = {}
        while raw := self._next_line():
            value = self._parse(raw)
            if value is None:
                return
            if "closed" in value:
                self.footer = self._decode(decode_footer, value)
            elif "format" in value:
                raise self._broken("another capture begins here; give its file by itself")
            elif not self._is_repeated(value, raw, seen):
                yield self._decode(decode_exchange, value)
        self._note_end()

    def _note_end(self) -> None:
        if self.footer is None:
            self.notes.append(f"{self.path}: has no end: its recorder was cut off, so exchanges may be missing")
        elif self.footer.dropped:
            self.notes.append(
                f"{self.path}: {self.footer.dropped} exchanges were not recorded for want of room: what depends on "
                "their number, such as a rate limit, may come out differently"
            )

    def by_start(self) -> Iterator[CapturedExchange]:
        """The exchanges in the order in which they began. Keeps a position of each in memory, not the exchange.

        Raises:
            CaptureError: as iterating does.
        """
        places = [(exchange.place, self._line, self._offset) for exchange in self]
        for _, line, offset in sorted(places):
            self._file.seek(offset)
            self._line = line - 1
            value = self._parse(self._next_line())
            yield self._decode(decode_exchange, value or {})

    def _read_header(self) -> Header:
        self._offset = 0
        raw = self._next_line()
        try:
            value: Any = json.loads(raw)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict) or cast("dict[str, Any]", value).get("format") != FORMAT:
            raise CaptureError(self.path, 'is no capture: its first line does not say "format": "extproc-capture"')
        fields = cast("dict[str, Any]", value)
        version = fields.get("version")
        if not isinstance(version, int) or version < 1:
            raise CaptureError(self.path, f"{version!r} is no version of the capture format", 1)
        if version > VERSION:
            raise CaptureError(
                self.path,
                f"is of version {version} of the capture format, and this extproc-sdk reads up to {VERSION}: "
                "upgrade it (pip install --upgrade extproc-sdk)",
            )
        self._version = version
        self._body = self._file.tell()
        return self._decode(decode_header, self._migrated(fields))

    def _start(self) -> None:
        self._file.seek(self._body)
        self._line = 1
        self.footer = None
        self.notes.clear()

    def _next_line(self) -> bytes:
        """The next line that is not blank; nothing at the end of the file."""
        while True:
            self._offset = self._file.tell()
            raw = self._file.readline(_MAX_LINE)
            self._line += 1
            if len(raw) == _MAX_LINE:
                raise CaptureError(self.path, f"is longer than {_MAX_LINE} bytes: this is no exchange", self._line)
            if not raw or not raw.isspace():
                return raw

    def _parse(self, raw: bytes) -> dict[str, Any] | None:
        """The object in a line; None for a last line that was cut off."""
        try:
            value: Any = json.loads(raw)
        except (ValueError, RecursionError) as error:
            if not raw.endswith(b"\n"):
                self.notes.append(f"{self.path}:{self._line}: this last line was cut off and is left out")
                return None
            raise self._broken(f"no JSON: {error}") from None
        if not isinstance(value, dict):
            raise self._broken("no JSON object")
        return self._migrated(cast("dict[str, Any]", value))

    def _migrated(self, value: dict[str, Any]) -> dict[str, Any]:
        for version in range(self._version, VERSION):
            value = MIGRATIONS[version](value)
        return value

    def _decode(self, decode: Callable[[dict[str, Any]], _T], value: dict[str, Any]) -> _T:
        try:
            return decode(value)
        except KeyError as error:
            raise self._broken(f"without {error}") from None
        except (AttributeError, TypeError, ValueError, RecursionError) as error:
            raise self._broken(str(error)) from None

    def _broken(self, why: str) -> CaptureError:
        return CaptureError(
            self.path, f"is no line of a capture ({why}): remove the line, or record the capture again", self._line
        )

    def _is_repeated(self, value: dict[str, Any], raw: bytes, seen: dict[str, tuple[int, bytes]]) -> bool:
        """Whether the exchange was there already: replayed twice, it would count twice in a rate limit."""
        key, digest = str(value.get("id")), hashlib.blake2b(raw.strip(), digest_size=16).digest()
        line, first = seen.setdefault(key, (self._line, digest))
        if line == self._line:
            return False
        if first != digest:
            raise self._broken(f"exchange {key} is on line {line} already, and is another one there")
        self.notes.append(f"{self.path}:{self._line}: exchange {key} is on line {line} already and is left out")
        return True


def captures_in(path: Path) -> list[Path]:
    """The captures that `path` means: itself, or those in it when it is a directory, the oldest first.

    Raises:
        CaptureError: there is none.
    """
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*" + SUFFIX))
    if not found:
        raise CaptureError(path, f"holds no capture (*{SUFFIX})")
    return found
