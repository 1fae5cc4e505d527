"""`Redactor` takes the secrets out of exchanges before they touch a disk or a terminal.

Secret is what stands under a secret name (`names`), what the chain's filters hold as ``SecretStr``, and what the chain
calls secret in `Needs.secret_headers`. Once found, a secret goes wherever else in its exchange it occurs, in messages,
answers and trace alike. What a filter makes of one (a hash, a piece of it) is not recognised.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from extproc.messages import Abort, Answer, Continue, Immediate, Message
from extproc.phases import Direction, Phase
from extproc.replay.own import spellings
from extproc.replay.scrub import Scrub
from extproc.trace import Change, Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from extproc.messages import RawHeaders
    from extproc.replay.capture import CapturedExchange
    from extproc.replay.pseudonym import Pseudonyms

__all__ = ["Redactor"]

_KNOWN_BYTES = 4
"""Bytes from which on a chain's own secret is looked for everywhere: shorter ones would be found by chance."""

_SURE_BYTES = 8
"""Bytes from which on what a client sends twice is taken for one secret: shorter ones are looked for only in what
filters say, where a copy is likelier than chance."""

_READABLE = (b"", b"identity", b"gzip", b"x-gzip")
"""Content codings that a secret can be found in."""


class Redactor:
    """Redacts exchanges, all with the same key."""

    def __init__(
        self,
        pseudonyms: Pseudonyms,
        *,
        secret_headers: Iterable[str] = (),
        secrets: Iterable[bytes] = (),
        keep: Iterable[str] = (),
        again: bool = False,
    ) -> None:
        """Prepares the redaction.

        Args:
            pseudonyms: makes what takes the secrets' places.
            secret_headers: headers that are secret though their names do not say so.
            secrets: the chain's own secrets.
            keep: names (of headers, cookies, parameters, fields) that hold no secrets whatever they look like.
            again: the exchanges, or what led to them, were redacted before: pseudonyms and masks in them stay.
        """
        self._pseudonyms = pseudonyms
        self._secret_headers = frozenset(name.lower() for name in secret_headers)
        self._keep = frozenset(name.lower() for name in keep)
        self._own = _known({secret: pseudonyms.of(secret) for secret in secrets})
        self._again = again

    def exchange(self, exchange: CapturedExchange) -> CapturedExchange:
        """The exchange without its secrets."""
        first = self._scrub({})
        result = _exchange(first, first, exchange)
        if not first.found:
            return result
        sure = {secret: stand_in for secret, stand_in in first.found.items() if len(secret) >= _SURE_BYTES}
        return _exchange(self._scrub(_known(sure)), self._scrub(_known(first.found)), exchange)

    def _scrub(self, found: Mapping[bytes, bytes]) -> Scrub:
        return Scrub(
            self._pseudonyms,
            secret_headers=self._secret_headers,
            keep=self._keep,
            own=self._own,
            found=found,
            again=self._again,
        )


def _known(secrets: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """By spelling, what takes the place of a secret; `secrets` says it for each."""
    long = {secret: stand_in for secret, stand_in in secrets.items() if len(secret) >= _KNOWN_BYTES}
    return {way: stand_in for secret, stand_in in long.items() for way in spellings(secret)}


def _exchange(said: Scrub, done: Scrub, exchange: CapturedExchange) -> CapturedExchange:
    """Redacts what Envoy said with one scrub, and what was done about it with another."""
    sealed = {item.message.phase.direction for item in exchange.messages if _is_sealed(item.message.headers)}
    bodies = _whole_bodies(said, [(item.message.phase, item.message.body) for item in exchange.messages], sealed)
    new_bodies = _whole_bodies(
        done, [(item.message.phase, _body_of(item.answer)) for item in exchange.messages], sealed
    )
    messages = [
        replace(item, message=_message(said, item.message, body), answer=_answer(done, item.answer, new_body))
        for item, body, new_body in zip(exchange.messages, bodies, new_bodies, strict=True)
    ]
    events = tuple(_event(done, event, sealed) for event in exchange.events)
    return replace(exchange, messages=tuple(messages), events=events)


def _is_sealed(headers: RawHeaders) -> bool:
    """Whether the body that belongs to these headers is compressed in a way that cannot be looked into."""
    return any(value.strip().lower() not in _READABLE for name, value in headers if name == "content-encoding")


def _body_of(answer: Answer | None) -> bytes:
    return answer.body or b"" if isinstance(answer, Continue) else b""


def _whole_bodies(scrub: Scrub, pieces: list[tuple[Phase, bytes]], sealed: set[Direction]) -> list[bytes]:
    """The pieces redacted, of each direction as one body: a secret may be cut in two between them."""
    wholes = {
        direction: b"".join(body for phase, body in pieces if phase.direction is direction) for direction in Direction
    }
    done = {way: scrub.opaque(body) if way in sealed else scrub.body(body) for way, body in wholes.items()}
    out: list[bytes] = []
    at = dict.fromkeys(Direction, 0)
    for phase, body in pieces:
        start = at[phase.direction]
        at[phase.direction] = start + len(body)
        out.append(done[phase.direction][start : start + len(body)])
    return out


def _headers(scrub: Scrub, headers: RawHeaders) -> RawHeaders:
    return [(name, scrub.header(name, value)) for name, value in headers]


def _metadata(scrub: Scrub, metadata: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {
        space: {name: scrub.value(name, value) for name, value in inner.items()} for space, inner in metadata.items()
    }


def _message(scrub: Scrub, message: Message, body: bytes) -> Message:
    return replace(
        message,
        headers=_headers(scrub, message.headers),
        body=body,
        attributes={name: scrub.value(name, value) for name, value in message.attributes.items()},
        metadata=_metadata(scrub, message.metadata),
    )


def _answer(scrub: Scrub, answer: Answer | None, body: bytes) -> Answer | None:
    if answer is None:
        return None
    if isinstance(answer, Abort):
        return replace(answer, reason=scrub.words(answer.reason))
    edits = tuple(replace(edit, value=scrub.header(edit.name, edit.value)) for edit in answer.set_headers)
    metadata = _metadata(scrub, answer.metadata)
    if isinstance(answer, Immediate):
        details = scrub.words(answer.details)
        return replace(answer, set_headers=edits, body=scrub.reply(answer.body), details=details, metadata=metadata)
    return replace(answer, set_headers=edits, body=None if answer.body is None else body, metadata=metadata)


def _event(scrub: Scrub, event: Event, sealed: set[Direction]) -> Event:
    changes = tuple(_change(scrub, change, sealed=event.phase.direction in sealed) for change in event.changes)
    return replace(event, changes=changes, note=scrub.words(event.note))


def _change(scrub: Scrub, change: Change, *, sealed: bool) -> Change:
    def clean(value: bytes) -> bytes:
        if change.what != "body":
            return scrub.header(change.what, value)
        return scrub.opaque(value) if sealed else scrub.body(value)

    return Change(change.what, tuple(map(clean, change.before)), tuple(map(clean, change.after)))
