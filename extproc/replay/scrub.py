"""`Scrub`: takes the secrets out of values, by the name they stand under and by what they are.

In headers, paths, attributes and metadata a secret becomes its pseudonym; in a body, which has to keep its length, its
mask. What is found under a secret name is looked for everywhere else too: `Scrub.found` feeds a second pass.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from extproc.replay.fields import (
    Spot,
    json_secrets,
    multipart_secrets,
    parameter_secrets,
    plain_json,
    plain_parameter,
)
from extproc.replay.names import is_count, is_secret_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from extproc.replay.pseudonym import Pseudonyms

__all__ = ["Scrub"]

_SCHEMES = (
    "apikey|aws4-hmac-sha256|basic|bearer|concealed|digest|dpop|gnap|hawk|hoba|key|mutual|negotiate|ntlm|oauth"
    "|privatetoken|scram-sha-1|scram-sha-256|token|vapid"
)
_SCHEME = re.compile(rb"(?i:%s)[ ]+" % _SCHEMES.encode())
_CRUMBS = re.compile(rb"(;\s*)")
_USERINFO = re.compile(rb"://[^/@\s:\"'<>]*:([^/@\s\"'<>]+)@")
_DIGIT = re.compile(rb"\d")
_FINDERS = (
    (json_secrets, plain_json),
    (parameter_secrets, plain_parameter),
    (multipart_secrets, bytes),
)
_GZIP = b"\x1f\x8b"
_ENCODED = re.compile(rb"^(?:\x28\xb5\x2f\xfd|\xfd7zXZ\x00|BZh)")  # zstd, xz, bzip2: nothing here can look inside
_MAX_INFLATED = 16 * 1024 * 1024

_ANYWHERE = 4
"""Bytes from which on a secret is looked for under other names too: shorter ones would be found by chance."""
_COOKIE_ANYWHERE = 16
"""The same for a cookie that is not secret by its name: it may be a colour."""
_LONG = 8
"""Bytes from which on a secret is also found within a word."""


class Scrub:
    """One pass over what belongs to one exchange.

    Attributes:
        found: the secrets met under secret names that have to go wherever else they occur, and what they became there:
            a filter that copies one copies that in a replay.
    """

    def __init__(
        self,
        pseudonyms: Pseudonyms,
        *,
        secret_headers: frozenset[str],
        keep: frozenset[str],
        own: Mapping[bytes, bytes],
        found: Mapping[bytes, bytes],
        again: bool,
    ) -> None:
        """Prepares a pass.

        Args:
            pseudonyms: makes what takes the secrets' places.
            secret_headers: headers that are secret though their names do not say so.
            keep: names of headers, cookies, parameters and fields that are no secrets whatever they look like.
            own: the chain's own secrets, to be replaced wherever they stand: by spelling, what takes its place.
            found: the same for what an earlier pass found.
            again: the exchange, or what led to it, has been redacted before: pseudonyms and masks in it stay.
        """
        self.found: dict[bytes, bytes] = {}
        self._pseudonyms = pseudonyms
        self._headers = secret_headers
        self._keep = keep
        self._again = again
        self._known = {**found, **own}
        self._own = _any_of(own, {})
        self._anything = _any_of(own, found)

    def header(self, name: str, value: bytes) -> bytes:
        """A header's value."""
        if name in self._keep:
            return self.text(value)
        if name == "cookie":
            return b"".join(self._cookie(pair) if i % 2 == 0 else pair for i, pair in enumerate(_CRUMBS.split(value)))
        if name == "set-cookie":
            pair, semicolon, rest = value.partition(b";")
            return self._cookie(pair) + semicolon + self.text(rest)
        if name in self._headers or (self._is_secret(name) and not (value.isdigit() and is_count(name))):
            return self._credential(value)
        return self.text(value)

    def text(self, value: bytes) -> bytes:
        """Text with no name of its own: parameters in it, the password of a URL, and known secrets."""
        if b"=" in value:
            value = _replace(value, parameter_secrets(value, self._is_secret), self._parameter)
        if b"@" in value:
            value = _replace(value, _userinfo(value), self._parameter)
        return self._anything.sub(self._named, value)

    def words(self, value: str) -> str:
        """Text that is a string, as `text` does it."""
        return _decoded(self.text(_encoded(value)))

    def body(self, value: bytes) -> bytes:
        """A whole body; what comes back is as long."""
        if value.startswith(_GZIP):
            return self._inflated(value)
        if _ENCODED.match(value):
            return self._pseudonyms.mask(value)
        return self._anything.sub(self._masked, self._fields(value))

    def reply(self, value: bytes) -> bytes:
        """The body of an immediate response: Envoy frames it, so what a filter copied need not keep its length."""
        return self._anything.sub(self._named, self._fields(value))

    def opaque(self, value: bytes) -> bytes:
        """A body that cannot be looked into, and so may hold anything; if it can after all, what is in it is noted."""
        if self._made(value):
            return value
        self.body(value)
        return self._pseudonyms.mask(value)

    def value(self, name: str, value: Any) -> Any:
        """An attribute or a piece of metadata, and all that is in it; `name` is what it stands under."""
        if isinstance(value, str):
            return _decoded(self.header(name.lower(), _encoded(value)))
        if isinstance(value, Mapping):
            secret = name if self._is_secret(name) else ""
            items = cast("Mapping[str, Any]", value).items()
            return {key: self.value(secret or key, item) for key, item in items}
        if isinstance(value, Sequence) and not isinstance(value, bytes):
            return [self.value(name, item) for item in cast("Sequence[object]", value)]
        if isinstance(value, int | float) and not isinstance(value, bool) and self._is_secret(name):
            return value if is_count(name) else type(value)(_DIGIT.sub(b"1", repr(value).encode()))
        return value

    def _fields(self, value: bytes) -> bytes:
        for find, plain in _FINDERS:
            value = _replace(value, find(value, self._is_secret), partial(self._field, plain))
        return _replace(value, _userinfo(value), partial(self._field, plain_parameter))

    def _is_secret(self, name: str) -> bool:
        return is_secret_name(name) and name.lower() not in self._keep

    def _cookie(self, pair: bytes) -> bytes:
        name, equals, value = pair.partition(b"=")
        text = name.strip().decode("latin-1")
        if not equals:
            return self._secret(pair)
        if text.lower() in self._keep:
            return name + equals + self.text(value)
        return name + equals + self._secret(value, _ANYWHERE if is_secret_name(text) else _COOKIE_ANYWHERE)

    def _credential(self, value: bytes) -> bytes:
        """A secret header's value; a scheme such as ``Bearer`` stays."""
        scheme = _SCHEME.match(value)
        start = scheme.end() if scheme else 0
        return value[:start] + self._secret(value[start:])

    def _parameter(self, value: bytes) -> bytes:
        return self._secret(plain_parameter(value))

    def _secret(self, value: bytes, anywhere: int = _ANYWHERE) -> bytes:
        """The pseudonym of a secret."""

        def replace(part: bytes) -> bytes:
            pseudonym = self._pseudonyms.of(part)
            if len(part) >= anywhere:
                self.found[part] = pseudonym
            return pseudonym

        return self._in_parts(value, replace, self._named)

    def _field(self, plain: Callable[[bytes], bytes], value: bytes) -> bytes:
        """The mask of a secret in a body; `plain` says what its bytes there mean."""

        def replace(part: bytes) -> bytes:
            mask = self._pseudonyms.mask(part)
            if len(meaning := plain(part)) >= _ANYWHERE:
                self.found.setdefault(meaning, mask)
            return mask

        return self._in_parts(value, replace, self._masked)

    def _in_parts(
        self, value: bytes, replace: Callable[[bytes], bytes], replace_own: Callable[[re.Match[bytes]], bytes]
    ) -> bytes:
        """Replaces a secret; one that is built around an own one in parts, so that the own one can be restored."""
        out: list[bytes] = []
        start = 0
        for match in self._own.finditer(value):
            out += [self._new(value[start : match.start()], replace), replace_own(match)]
            start = match.end()
        return b"".join([*out, self._new(value[start:], replace)])

    def _new(self, part: bytes, replace: Callable[[bytes], bytes]) -> bytes:
        return part if not part or self._made(part) else replace(part)

    def _made(self, value: bytes) -> bool:
        return self._again and self._pseudonyms.made(value)

    def _named(self, match: re.Match[bytes]) -> bytes:
        """What takes the place of a known secret, or of a pseudonym."""
        return self._pseudonyms.seen(match[1]) if match[1] else self._known[match[0]]

    def _masked(self, match: re.Match[bytes]) -> bytes:
        """The mask in place of a known secret; a pseudonym in a body stays."""
        return match[1] or self._pseudonyms.mask(match[0])

    def _inflated(self, value: bytes) -> bytes:
        """A body compressed with gzip: left alone if a look inside shows no secret, else masked as a whole."""
        try:
            inflater = zlib.decompressobj(wbits=31)
            plain = inflater.decompress(value, _MAX_INFLATED)
        except zlib.error:
            return self._pseudonyms.mask(value)
        harmless = self.body(plain) == plain and inflater.eof and not inflater.unused_data
        return value if harmless else self._pseudonyms.mask(value)


def _any_of(own: Mapping[bytes, bytes], found: Mapping[bytes, bytes]) -> re.Pattern[bytes]:
    """Finds pseudonyms, as the first group, so that they stay; and all spellings, the longest that fits.

    What was found is a guess where it occurs again, so if it is short it has to be a word of its own.
    """
    ways = {way: re.escape(way) for way in own}
    for way in found:
        word = re.escape(way)
        ways.setdefault(way, word if len(way) >= _LONG else rb"(?<!\w)%s(?!\w)" % word)
    longest_first = [ways[way] for way in sorted(ways, key=len, reverse=True)]
    return re.compile(b"|".join([rb"(redacted-[0-9a-f]{16,})", *longest_first]))


def _replace(value: bytes, spots: list[Spot], replace: Callable[[bytes], bytes]) -> bytes:
    """`value` with what stands at `spots` replaced; digits of numbers become ones."""
    out: list[bytes] = []
    start = 0
    for spot in spots:
        old = value[spot.begin : spot.end]
        out += [value[start : spot.begin], _DIGIT.sub(b"1", old) if spot.number else replace(old)]
        start = spot.end
    return b"".join([*out, value[start:]])


def _userinfo(value: bytes) -> list[Spot]:
    return [Spot(*match.span(1)) for match in _USERINFO.finditer(value)]


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
