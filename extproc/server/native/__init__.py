"""The native front: gRPC over HTTP/2 in pure Python, made for speed.

``connection``, ``streams`` and what they stand on are sans-I/O: bytes in, calls to a receiver, bytes out. ``protocol``
and ``front`` tie them to asyncio.
"""

from __future__ import annotations

from extproc.server.http2 import Http2Limits, Rate
from extproc.server.native.front import NativeFront

__all__ = ["Http2Limits", "NativeFront", "Rate"]
