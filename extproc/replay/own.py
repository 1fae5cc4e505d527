"""What a chain's own configuration holds: its secrets, and the words it can recognise in traffic."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, quote_plus

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

if TYPE_CHECKING:
    from extproc.chain import Chain

__all__ = ["OwnValues", "own_values", "spellings"]


@dataclass(frozen=True, slots=True)
class OwnValues:
    """Texts in the configuration of a chain's filters, as bytes.

    Attributes:
        secrets: those declared secret (pydantic's ``SecretStr``, ``SecretBytes``, ``Secret[...]``).
        words: all others, mapping keys included.
    """

    secrets: frozenset[bytes]
    words: frozenset[bytes]


def own_values(chain: Chain) -> OwnValues:
    """The texts that the filters of a chain are configured with, however deep."""
    found = [item for link in chain.links for item in _leaves(link.filter, secret=False)]
    secrets = frozenset(value for value, secret in found if secret and value)
    return OwnValues(secrets, frozenset(value for value, _ in found if value) - secrets)


def _leaves(value: Any, *, secret: bool) -> Iterator[tuple[bytes, bool]]:
    if isinstance(value, SecretStr | SecretBytes | Secret):
        yield from _leaves(cast("Any", value).get_secret_value(), secret=True)
    elif isinstance(value, str):
        yield value.encode("utf-8", "surrogateescape"), secret
    elif isinstance(value, bytes):
        yield value, secret
    else:
        for part in _parts(value):
            yield from _leaves(part, secret=secret)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, BaseModel):
        return [getattr(value, name) for name in type(value).model_fields]
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, f.name) for f in fields(value)]
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value)
        return [*items.keys(), *items.values()]
    if isinstance(value, list | tuple | AbstractSet):
        return list(cast("list[Any]", value))
    return []


def spellings(secret: bytes) -> set[bytes]:
    """The ways in which a secret is written in headers, queries, forms and JSON."""
    encoded = quote(secret, safe="")
    ways = {secret, encoded.encode(), quote_plus(secret).encode(), quote(secret).encode()}
    ways |= {_lower_escapes(way) for way in ways}
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        return ways
    for ascii_only in (True, False):
        escaped = json.dumps(text, ensure_ascii=ascii_only)[1:-1].encode()
        ways |= {escaped, escaped.replace(b"/", rb"\/")}
    return ways


def _lower_escapes(way: bytes) -> bytes:
    """Percent-encoding with lower-case digits, which is equivalent (RFC 3986 section 2.1)."""
    head, *escapes = way.split(b"%")
    return b"%".join([head, *(item[:2].lower() + item[2:] for item in escapes)])
