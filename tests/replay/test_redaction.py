"""Secrets never reach a capture, and what stands in for them keeps the exchange what it was."""

from __future__ import annotations

import base64
import gzip
import json
import re
import stat
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretBytes, SecretStr

from extproc import CaptureError, Chain, Filter
from extproc.messages import Abort, Answer, Continue, HeaderEdit, Immediate, Message
from extproc.phases import Phase
from extproc.replay.capture import CapturedExchange, CapturedMessage
from extproc.replay.codec import encode_exchange
from extproc.replay.names import is_secret_name
from extproc.replay.own import own_values
from extproc.replay.pseudonym import KEY_FILE, Pseudonyms, ensure_key, read_key
from extproc.replay.redact import Redactor
from extproc.replay.restore import Restorer, is_redacted
from extproc.trace import Change, Event
from tests.replay.strategies import exchanges, tokens

PSEUDONYMS = Pseudonyms(bytes(range(32)))
SECRET = "s3cr3t/Value+for tests"
REDACTOR = Redactor(PSEUDONYMS, secret_headers={"x-mine"})


def request(headers: list[tuple[str, bytes]] | None = None, *, body: bytes = b"", **more: Any) -> CapturedExchange:
    asked = Message(Phase.REQUEST_HEADERS, headers or [], **more)
    messages = [CapturedMessage(asked, Continue(Phase.REQUEST_HEADERS), 1.0)]
    if body:
        messages.append(CapturedMessage(Message(Phase.REQUEST_BODY, body=body), None, 1.0))
    return CapturedExchange("id", tuple(messages))


def header(name: str, value: str, redactor: Redactor = REDACTOR) -> str:
    done = redactor.exchange(request([(name, value.encode())]))
    return done.messages[0].message.headers[0][1].decode()


def body(value: bytes, redactor: Redactor = REDACTOR, headers: list[tuple[str, bytes]] | None = None) -> bytes:
    return redactor.exchange(request(headers, body=value)).messages[1].message.body


def pseudonym(secret: str) -> str:
    return PSEUDONYMS.of(secret.encode()).decode()


def mask(secret: str) -> str:
    return PSEUDONYMS.mask(secret.encode()).decode()


P = pseudonym(SECRET)

HEADERS: list[tuple[str, str, str]] = [
    ("authorization", SECRET, P),
    ("authorization", f"Bearer {SECRET}", f"Bearer {P}"),
    ("authorization", f"bEARER  {SECRET}", f"bEARER  {P}"),
    ("proxy-authorization", f"Basic {SECRET}", f"Basic {P}"),
    ("x-api-key", SECRET, P),
    ("x-amz-security-token", SECRET, P),
    ("x-mine", SECRET, P),
    ("x-mine", "", ""),
    ("cookie", "sid=one; theme=dark", f"sid={pseudonym('one')}; theme={pseudonym('dark')}"),
    ("cookie", "a=1;b=2", f"a={pseudonym('1')};b={pseudonym('2')}"),
    ("cookie", "bare", pseudonym("bare")),
    ("set-cookie", "sid=one; Path=/; HttpOnly", f"sid={pseudonym('one')}; Path=/; HttpOnly"),
    (":path", f"/a?x=1&access_token={quote(SECRET)}&y=2", f"/a?x=1&access_token={P}&y=2"),
    (":path", f"/a?api_key={quote_plus(SECRET)}", f"/a?api_key={P}"),
    (":path", f"/a?%74oken={quote(SECRET)}", f"/a?%74oken={P}"),
    (":path", "/a?token=a,b;c", f"/a?token={pseudonym('a,b;c')}"),
    (":path", "/a?token=&x=1", "/a?token=&x=1"),
    ("referer", f"https://x/?session={quote(SECRET)}#top", f"https://x/?session={P}#top"),
    ("location", f"https://me:{quote(SECRET, safe='')}@x/", f"https://me:{P}@x/"),
    ("prefer", "a=1,token=abcdef", f"a=1,token={pseudonym('abcdef')}"),
    ("content-type", "text/html; charset=utf-8", "text/html; charset=utf-8"),
    ("x-ratelimit-remaining-tokens", "99", "99"),
    ("www-authenticate", 'Bearer realm="x"', 'Bearer realm="x"'),
]


@pytest.mark.parametrize(("name", "value", "expected"), HEADERS)
def test_a_header_keeps_its_shape_and_loses_its_secret(name: str, value: str, expected: str) -> None:
    assert header(name, value) == expected


BODIES: list[tuple[str, str, str]] = [
    ("JSON", '{"password": "%s", "user": "me"}', "longenough1"),
    ("JSON, spelt otherwise", '{"accessToken":"%s"}', "longenough1"),
    ("JSON with an escaped name", '{"pass\\u0077ord":"%s"}', "longenough1"),
    ("JSON nested below a secret name", '{"credentials": {"user": ["%s"]}, "b": "kept"}', "longenough1"),
    ("JSON that a limit cut off", '{"a": "b", "token": "%s', "longenough1"),
    ("JSON in other text", 'data: {"token": "%s"}\n\n', "longenough1"),
    ("JSON after odd quotes", 'it"s {"token": "%s"}', "longenough1"),
    ("a form", "user=me&password=%s&x=1", "a,b c;d'e\"f<g"),
    ("a form with an escaped name", "pass%%77ord=%s", "longenough1"),
    ("a URL in HTML", '<a href="/x?token=%s">', "longenough1"),
    ("a URL with a password", "see https://me:%s@host/", "longenough1"),
    ("a short one", '{"pin": "%s"}', "12"),
    ("a long one", '{"secret": "%s"}', "a1-" * 40),
]


@pytest.mark.parametrize(("template", "secret"), [pytest.param(*case[1:], id=case[0]) for case in BODIES])
def test_a_body_keeps_its_length_and_loses_its_secret(template: str, secret: str) -> None:
    assert body((template % secret).encode()).decode() == template % mask(secret)


def test_a_part_of_a_multipart_form_is_masked() -> None:
    form = (
        '--b\r\nContent-Disposition: form-data; name="user"\r\n\r\nme\r\n'
        '--b\r\nContent-Disposition: form-data; name="password"\r\nContent-Type: text/plain\r\n\r\n%s\r\n--b--\r\n'
    )
    assert body((form % "longenough1").encode()).decode() == form % mask("longenough1")


def test_numbers_stay_numbers_and_counts_stay() -> None:
    before = b'{"session": 12.5, "max_tokens": 100, "token": null, "a": "kept", "usage": {"total_tokens": 7}}'
    after = b'{"session": 11.1, "max_tokens": 100, "token": null, "a": "kept", "usage": {"total_tokens": 7}}'
    assert body(before) == after


def test_a_secret_cut_in_two_between_chunks_is_found() -> None:
    pieces = [b'{"token": "longe', b'nough1", "a": "b"}']
    messages = [CapturedMessage(Message(Phase.REQUEST_BODY, body=piece), None, 1.0) for piece in pieces]
    done = REDACTOR.exchange(CapturedExchange("id", tuple(messages)))
    chunks = [item.message.body for item in done.messages]
    assert [len(chunk) for chunk in chunks] == [len(piece) for piece in pieces]
    assert b"".join(chunks).decode() == '{"token": "%s", "a": "b"}'.replace("%s", mask("longenough1"))


def test_a_compressed_body_is_masked_whole_only_if_a_secret_is_in_it() -> None:
    harmless, telling = gzip.compress(b'{"a": "b"}'), gzip.compress(b'{"token": "longenough1"}')
    assert body(harmless) == harmless
    assert body(telling) == PSEUDONYMS.mask(telling)
    assert body(telling[:-3]) == PSEUDONYMS.mask(telling[:-3])


def test_a_body_that_cannot_be_looked_into_is_masked_whole() -> None:
    squeezed = zlib.compress(b"who knows")
    assert body(squeezed, headers=[("content-encoding", b"deflate")]) == PSEUDONYMS.mask(squeezed)
    assert body(b"plain", headers=[("content-encoding", b"identity")]) == b"plain"


def test_attributes_and_metadata_are_redacted_by_name_at_any_depth() -> None:
    asked = request(
        attributes={"request.query": "token=longenough1", "request.headers": {"cookie": "a=b"}, "source.port": 80.0},
        metadata={"ns": {"secret": ["one", {"deep": "two"}], "session": 12, "plain": True}},
    )
    message = REDACTOR.exchange(asked).messages[0].message
    assert message.attributes == {
        "request.query": f"token={pseudonym('longenough1')}",
        "request.headers": {"cookie": f"a={pseudonym('b')}"},
        "source.port": 80.0,
    }
    assert message.metadata == {
        "ns": {"secret": [pseudonym("one"), {"deep": pseudonym("two")}], "session": 11, "plain": True}
    }


def test_a_secret_that_a_filter_copies_is_redacted_wherever_it_goes() -> None:
    secret = b"longenough1"
    asked = Message(Phase.REQUEST_HEADERS, [("authorization", b"Bearer " + secret), ("x-copy", b"<" + secret + b">")])
    edit = Continue(
        Phase.REQUEST_HEADERS, set_headers=(HeaderEdit("x-other", secret),), metadata={"ns": {"seen": "longenough1"}}
    )
    reply = Immediate(
        403, set_headers=(HeaderEdit("x-other", secret),), body=b"not " + secret, details="no longenough1"
    )
    event = Event("f", Phase.REQUEST_HEADERS, "edit", (Change("x-other", (), (secret,)),), "saw longenough1")
    body_event = Event("f", Phase.REQUEST_BODY, "edit", (Change("body", (secret,), (b"",)),))
    answers: list[Answer] = [edit, reply, Abort("INTERNAL", "longenough1")]
    done = REDACTOR.exchange(
        CapturedExchange("id", tuple(CapturedMessage(asked, answer, 1.0) for answer in answers), (event, body_event))
    )
    assert secret not in encode_exchange(done)
    assert done.messages[0].message.headers[1][1] == b"<" + PSEUDONYMS.of(secret) + b">"
    immediate = done.messages[1].answer
    assert isinstance(immediate, Immediate)
    assert immediate.body == b"not " + PSEUDONYMS.of(secret)
    assert done.events[1].changes[0].before == (PSEUDONYMS.mask(secret),)


def test_equal_secrets_stay_equal_and_different_ones_different() -> None:
    assert header("x-api-key", "one") == header("authorization", "Bearer one").removeprefix("Bearer ")
    assert header(":path", "/?token=one") == "/?token=" + header("x-api-key", "one")
    assert header("x-api-key", "one") != header("x-api-key", "two")


def test_pseudonyms_of_another_key_are_others() -> None:
    other = Pseudonyms(b"\x01" * 32)
    assert other.of(b"one") != PSEUDONYMS.of(b"one")
    assert other.fingerprint != PSEUDONYMS.fingerprint


def test_names_to_keep_are_kept() -> None:
    keeping = Redactor(PSEUDONYMS, keep={"variant", "x-session-kind", "csrf_token"})
    assert header("cookie", "variant=canary; sid=one", keeping) == f"variant=canary; sid={pseudonym('one')}"
    assert header("x-session-kind", "short", keeping) == "short"
    assert body(b'{"csrf_token": "abc"}', keeping) == b'{"csrf_token": "abc"}'


@pytest.mark.parametrize("name", ["X-Api-Key", "apiKey", "api_key", "sessionid", "JSESSIONID", "client_secret", "pwd"])
def test_secret_names_in_all_spellings(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["x-request-id", ":authority", "author", "token_type", "key", "accept", "x-user"])
def test_names_that_are_not_secret(name: str) -> None:
    assert not is_secret_name(name)


# The chain's own secrets


class Nested(BaseModel):
    inner: SecretBytes


class Keyed(Filter):
    callers: dict[str, SecretStr]
    nested: Nested
    pairs: tuple[tuple[str, int], ...] = ()

    def on_request_headers(self, exchange: Any) -> None: ...


def chain_with(secret: str) -> Chain:
    return Chain(
        [Keyed(callers={"alice": SecretStr(secret)}, nested=Nested(inner=SecretBytes(b"deeper")), pairs=(("word", 1),))]
    )


def test_the_chain_s_own_values_are_found_however_deep() -> None:
    own = own_values(chain_with("hidden"))
    assert own.secrets == {b"hidden", b"deeper"}
    assert own.words == {b"alice", b"word"}


WAYS: list[Callable[[str], str]] = [
    str,
    lambda s: quote(s, safe=""),
    quote_plus,
    lambda s: re.sub("%..", lambda escape: escape[0].lower(), quote(s, safe="")),
    lambda s: json.dumps(s)[1:-1],
]


@given(st.text(min_size=6, max_size=20).filter(lambda text: not text.isspace()), st.sampled_from(WAYS))
def test_the_chain_s_own_secret_is_found_anywhere_however_it_is_written(secret: str, way: Callable[[str], str]) -> None:
    redactor = Redactor(PSEUDONYMS, secrets=own_values(chain_with(secret)).secrets)
    written = way(secret).encode("utf-8", "surrogateescape") if way(secret).isascii() else way(secret).encode()
    done = redactor.exchange(request([("x-any", b"[" + written + b"]")], body=b"<<" + written + b">>"))
    assert written not in done.messages[0].message.headers[0][1]
    assert done.messages[1].message.body == b"<<" + PSEUDONYMS.mask(written) + b">>"


def test_own_secrets_are_restored_and_nothing_else() -> None:
    secret = SECRET
    own = own_values(chain_with(secret))
    asked = request(
        [
            ("authorization", f"Bearer {secret}".encode()),
            ("x-api-key", b"somebody else's"),
            (":path", f"/?token={quote(secret, safe='')}".encode()),
            ("cookie", b"variant=word; other=unknown"),
        ],
        body=json.dumps({"token": secret}).encode(),
        attributes={"request.token": secret},
    )
    redacted = Redactor(PSEUDONYMS, secrets=own.secrets).exchange(asked)
    assert secret.encode() not in encode_exchange(redacted)
    restored = [Restorer(PSEUDONYMS, own).message(item.message) for item in redacted.messages]
    assert restored[0].headers == [
        ("authorization", f"Bearer {secret}".encode()),
        ("x-api-key", PSEUDONYMS.of(b"somebody else's")),
        (":path", f"/?token={quote(secret, safe='')}".encode()),
        ("cookie", b"variant=word; other=" + PSEUDONYMS.of(b"unknown")),
    ]
    assert restored[0].attributes == {"request.token": secret}
    assert restored[1].body == json.dumps({"token": secret}).encode()


def test_a_secret_built_around_an_own_one_can_still_be_recognised() -> None:
    own = own_values(chain_with("hidden"))
    redacted = Redactor(PSEUDONYMS, secrets=own.secrets).exchange(request([("x-api-key", b"v1.hidden")]))
    (restored,) = [Restorer(PSEUDONYMS, own).message(item.message) for item in redacted.messages]
    assert restored.headers == [("x-api-key", PSEUDONYMS.of(b"v1.") + b"hidden")]


def test_an_exchange_tells_whether_anything_in_it_was_redacted() -> None:
    assert not is_redacted(request([("x-any", b"redacted-")]))
    assert is_redacted(REDACTOR.exchange(request([("x-api-key", b"one")])))
    assert is_redacted(REDACTOR.exchange(request(attributes={"a": {"token": "x"}})))


# Properties


@given(exchanges())
def test_redacting_twice_is_redacting_once(item: CapturedExchange) -> None:
    """A replay redacts what came of redacted exchanges: that must not make a difference of its own."""
    again = Redactor(PSEUDONYMS, secret_headers={"x-mine"}, again=True)
    once = REDACTOR.exchange(item)
    assert again.exchange(once) == once


@given(exchanges())
def test_redacting_leaves_the_framing_as_it_was(item: CapturedExchange) -> None:
    def shape(some: CapturedExchange) -> list[Any]:
        return [(m.message.phase, [n for n, _ in m.message.headers], len(m.message.body), m.now) for m in some.messages]

    assert shape(REDACTOR.exchange(item)) == shape(item)


def leaves(value: Any) -> list[bytes]:
    """Every string in a line of a capture, with what is base64 decoded."""
    if isinstance(value, dict):
        if set(value) == {"base64"} and isinstance(value["base64"], str):
            with suppress(ValueError):
                return [base64.b64decode(value["base64"])]
        return [leaf for pair in value.items() for item in pair for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value.encode("utf-8", "surrogatepass")] if isinstance(value, str) else []


PLACES: list[Callable[[str], CapturedExchange]] = [
    lambda s: request([("authorization", f"Bearer {s}".encode()), ("x-copy", s.encode())]),
    lambda s: request([("cookie", f"a=b; session={s}".encode())]),
    lambda s: request([("x-mine", s.encode())], attributes={"odd": [s]}),
    lambda s: request([(":path", f"/?access_token={quote(s, safe='')}".encode()), ("x-copy", s.encode())]),
    lambda s: request([("content-type", b"text/plain")], body=json.dumps({"password": s, "copy": s}).encode()),
    lambda s: request([("x-copy", s.encode())], body=f"user=me&secret={quote_plus(s)}".encode()),
    lambda s: request(metadata={"ns": {"token": s, "other": s}}),
    lambda s: request([("x-own", f"<{s}>".encode())], body=b"\xff\x00" + s.encode() + b"\xfe"),
]


@given(st.sampled_from(PLACES), tokens, exchanges())
def test_a_seeded_secret_is_nowhere_in_a_capture(
    place: Callable[[str], CapturedExchange], secret: str, around: CapturedExchange
) -> None:
    """Whatever a secret stands beside: by its name, or as the chain's own, it is gone from every byte written."""
    redactor = Redactor(PSEUDONYMS, secret_headers={"x-mine"}, secrets=[secret.encode()] if place is PLACES[-1] else [])
    seeded = place(secret)
    others = [replace(item, message=replace(item.message, body=b"")) for item in around.messages]
    item = CapturedExchange("id", (*others, *seeded.messages, *others), around.events)
    line = encode_exchange(redactor.exchange(item))
    hidden = [secret.encode(), quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode()]
    before = b"\n".join(leaves(json.loads(encode_exchange(around))))
    if not any(way in before for way in hidden):
        everything = b"\n".join(leaves(json.loads(line)))
        assert not [way for way in hidden if way in everything or way in line]


# Keys


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    key = ensure_key(tmp_path)
    path = tmp_path / KEY_FILE
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ensure_key(tmp_path) == read_key(path) == key
    assert [item.name for item in tmp_path.iterdir()] == [KEY_FILE]


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(CaptureError, match="is no redaction key: it holds 5 bytes instead of 32"):
        ensure_key(tmp_path)
    with pytest.raises(CaptureError, match="cannot be read: No such file"):
        read_key(tmp_path / "none")


@given(st.binary(min_size=1, max_size=60))
def test_a_mask_is_as_long_as_the_secret_and_is_known_again(secret: bytes) -> None:
    assert len(PSEUDONYMS.mask(secret)) == len(secret)
    assert PSEUDONYMS.made(PSEUDONYMS.mask(secret))


@given(st.binary(min_size=1, max_size=60))
def test_a_pseudonym_is_known_again(secret: bytes) -> None:
    assert PSEUDONYMS.made(PSEUDONYMS.of(secret))
