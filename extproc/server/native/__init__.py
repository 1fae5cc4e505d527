"""The native front: gRPC over HTTP/2 in pure Python, made for speed.

``connection``, ``streams`` and what they stand on are sans-I/O: bytes in, calls to a receiver, bytes out. ``protocol``
and ``front`` tie them to asyncio.
"""

from __future__ import annotations

from extproc.server.native.front import NativeFront
from extproc.server.native.limits import Http2Limits, Rate

__all__ = ["Http2Limits", "NativeFront", "Rate"]
