"""Where in a body or a text the values of secret fields stand: JSON, parameters, multipart forms.

Each finder takes raw bytes, well-formed or not, and gives the `Spot` of each value, in order; `is_secret` decides about
a name. They look at the bytes and at no content type: a wrong one would hide a secret. Each takes time in proportion to
the body, whatever a client sends.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.parse import unquote_to_bytes

from extproc.replay.names import is_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Spot", "json_secrets", "multipart_secrets", "parameter_secrets", "plain_json", "plain_parameter"]

_IsSecret: TypeAlias = "Callable[[str], bool]"


class Spot(NamedTuple):
    """Where a secret stands: from `begin` up to `end`; `number` when it is a bare JSON number and has to stay one."""

    begin: int
    end: int
    number: bool = False


# A string without its end is one that a limit cut off; names are bounded so that quotes cannot make a scan quadratic.
_KEY = re.compile(rb'"((?:[^"\\]|\\.){0,256}+)"\s*+:\s*+', re.DOTALL)
_TOKEN = re.compile(
    rb'"(?P<string>(?:[^"\\]|\\.)*+)"?(?P<colon>\s*+:)?|(?P<open>[{\[])|(?P<close>[}\]])|(?P<number>-?\d[\d.eE+\-]*+)',
    re.DOTALL,
)
_PARAMETER = re.compile(rb"(?:^|[?&;,\s\"'])([\w.\-%\[\]$+]{1,256})=")
_FORM = re.compile(rb"[\w.\-%\[\]$+]{1,256}=")
_FORM_END = re.compile(rb"&")
_LOOSE_END = re.compile(rb"[&#\s\"'<>]")
_BOUNDARY = re.compile(rb"(?:^|\r\n)(--[^\r\n]{1,200})\r\n")
_PART_NAME = re.compile(rb'[;\s]name="?([^";\r\n]*)')


def json_secrets(body: bytes, is_secret: _IsSecret) -> list[Spot]:
    """Strings (without their quotes) and numbers that are the value of a secret key, or anywhere inside it."""
    spots: list[Spot] = []
    end = 0
    for key in _KEY.finditer(body):
        name = plain_json(key[1]).decode("utf-8", "replace")
        if key.start() >= end and is_secret(name):
            spots += _values(body, key.end(), name)
            end = spots[-1].end if spots else 0
    return spots


def _values(body: bytes, start: int, name: str) -> Iterator[Spot]:
    """The scalars of the JSON value that begins at `start`."""
    depth = 0
    counts = is_count(name)
    if not (first := _TOKEN.match(body, start)) or first["close"]:
        return
    for token in _TOKEN.finditer(body, start):
        if token["colon"] and depth:
            counts = is_count(name) or is_count(token["string"].decode("utf-8", "replace"))
        elif token["string"]:
            yield Spot(*token.span("string"))
        elif token["number"] and not counts:
            yield Spot(*token.span("number"), number=True)
        depth += bool(token["open"]) - bool(token["close"])
        if depth <= 0:
            return


def parameter_secrets(text: bytes, is_secret: _IsSecret) -> list[Spot]:
    """Values of secret parameters (still percent-encoded): in a query, in a URL in a text, in a form."""
    ends = _FORM_END if _FORM.match(text) else _LOOSE_END
    spots: list[Spot] = []
    for match in _PARAMETER.finditer(text):
        free = not spots or match.start() >= spots[-1].end
        if free and is_secret(plain_parameter(match[1]).decode("utf-8", "replace")):
            stop = ends.search(text, match.end())
            spots.append(Spot(match.end(), stop.start() if stop else len(text)))
    return spots


def multipart_secrets(body: bytes, is_secret: _IsSecret) -> list[Spot]:
    """Contents of the secret parts of a ``multipart/form-data`` body (RFC 7578)."""
    boundary = _BOUNDARY.search(body)
    spots: list[Spot] = []
    at = boundary.end() if boundary else len(body)
    while boundary and at < len(body):
        end = body.find(b"\r\n" + boundary[1], at)
        end = len(body) if end < 0 else end
        content = body.find(b"\r\n\r\n", at, end)
        name = _PART_NAME.search(body, at, max(at, content))
        if name and is_secret(name[1].decode("utf-8", "replace")):
            spots.append(Spot(content + 4, end))
        at = end + len(boundary[1]) + 4
    return spots


def plain_json(raw: bytes) -> bytes:
    """What the inside of a JSON string means; itself if it is broken."""
    if b"\\" not in raw:
        return raw
    try:
        return str(json.loads(b'"' + raw + b'"')).encode("utf-8", "surrogatepass")
    except ValueError:
        return raw


def plain_parameter(raw: bytes) -> bytes:
    """What a form-encoded name or value means."""
    return unquote_to_bytes(raw.replace(b"+", b" "))
