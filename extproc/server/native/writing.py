"""Writing to a transport what lies in many places, without putting it into one first where that pays."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

__all__ = ["plain_socket", "write"]

_MOST_PARTS = 512
"""The kernel takes twice as many."""


def plain_socket(transport: asyncio.Transport) -> int | None:
    """The number of a transport's socket, if what is written to it goes there as it is: if it is not encrypted."""
    if transport.get_extra_info("sslcontext") is not None:
        return None
    number: int = transport.get_extra_info("socket").fileno()
    return number


def write(transport: asyncio.Transport, parts: Sequence[bytes | memoryview], straight_to: int | None) -> None:
    """Has all parts written, in order.

    Large ones go from where they lie straight to the socket, unless others wait in front of it: asyncio itself does
    that from Python 3.12 on, and only lately without forgetting to tell who writes too much (CVE-2024-12254).

    Args:
        transport: of any kind.
        parts: what to write.
        straight_to: its `plain_socket`, where it is so much that copying it costs more than handing over each part.
    """
    written = 0
    if straight_to is not None and len(parts) <= _MOST_PARTS and _is_open(transport):
        with suppress(OSError):  # the transport will find out why, and knows what to do about it
            written = os.writev(straight_to, parts)
        if written == sum(map(len, parts)):
            return
    data = b"".join(parts)
    transport.write(data[written:] if written else data)


def _is_open(transport: asyncio.Transport) -> bool:
    """Whether what is written to it goes to the socket at once."""
    return not (transport.is_closing() or transport.get_write_buffer_size())
