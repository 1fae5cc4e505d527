"""Writing to a transport what lies in many places, without putting it into one first where that pays."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

__all__ = ["write"]

_MOST_PARTS = 512
"""The kernel takes twice as many."""


def write(transport: asyncio.Transport, parts: Sequence[bytes | memoryview], *, large: bool) -> None:
    """Has all parts written, in order.

    Large ones go from where they lie straight to the socket, unless others wait in front of it: asyncio itself does
    that from Python 3.12 on, and only lately without forgetting to tell who writes too much (CVE-2024-12254).

    Args:
        transport: of any kind.
        parts: what to write.
        large: it is so much that copying it costs more than handing over each part.
    """
    written = 0
    if large and len(parts) <= _MOST_PARTS and _is_bare(transport):
        with suppress(OSError):  # the transport will find out why, and knows what to do about it
            written = os.writev(transport.get_extra_info("socket").fileno(), parts)
        if written == sum(map(len, parts)):
            return
    data = b"".join(parts)
    transport.write(data[written:] if written else data)


def _is_bare(transport: asyncio.Transport) -> bool:
    """Whether what is written to it goes to the socket at once, and as it is."""
    encrypted = transport.get_extra_info("sslcontext") is not None
    return not (encrypted or transport.is_closing() or transport.get_write_buffer_size())
