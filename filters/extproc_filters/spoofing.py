"""Keeping clients from sending what only a filter may say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from extproc import Headers

__all__ = ["strip_copies"]


def strip_copies(headers: Headers, name: str) -> bool:
    """Removes `name` from `headers`; True if it was there.

    Also as ``x_caller`` for ``x-caller``: CGI and WSGI turn both into ``HTTP_X_CALLER``, so an upstream of that kind
    could not tell a client's copy from ours.
    """
    wanted = name.replace("_", "-")
    copies = [item for item in headers if item == wanted or ("_" in item and item.replace("_", "-") == wanted)]
    for copy in copies:
        del headers[copy]
    return bool(copies)
