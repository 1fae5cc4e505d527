"""Making what comes of a client's path fit for a ``:path`` that we set."""

from __future__ import annotations

import re

__all__ = ["percent_encoded", "without_dot_segments"]

_ILLEGAL = re.compile(r"[^\x21\x22\x24-\x7e]")


def percent_encoded(target: str) -> str:
    """`target` with every character percent-encoded that may not stand in a ``:path``.

    Envoy lets some of them through (bytes over 0x7F, for one), but the SDK refuses to send them on in a path that a
    filter set. RFC 3986 section 2.1 makes the encoded form mean the same.
    """
    return _ILLEGAL.sub(_encode, target)


def without_dot_segments(path: str) -> str:
    """`path` with ``.`` and ``..`` resolved, also when they are encoded (RFC 3986 section 5.2.4).

    Envoy does this to what clients send; cutting ``/api`` off ``/api../secret`` must not bring them back.
    """
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        plain = _plain(segment)
        if plain == "..":
            del kept[-1:]
        elif plain != ".":
            kept.append(segment)
    if _plain(segments[-1]) in {".", ".."}:
        kept.append("")
    return "/".join(kept)


def _plain(segment: str) -> str:
    return segment.lower().replace("%2e", ".")


def _encode(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found.group().encode("utf-8", "surrogateescape"))
