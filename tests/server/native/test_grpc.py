"""gRPC over HTTP/2: what a request asks for, and how a status is put."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from extproc.server.native.grpc import OK_TRAILERS, RESPONSE_HEADERS, Call, call_of, trailers
from extproc.server.native.headers import Fields
from tests.server.native.peer import FIELDS, PATH, Heard

METHODS = {PATH.encode(): Heard}


def asked(**changed: str | None) -> Call:
    fields = {**FIELDS, **{name.replace("_", "-").replace("pseudo-", ":"): value for name, value in changed.items()}}
    return call_of([(n.encode(), v.encode()) for n, v in fields.items() if v is not None], METHODS)


def decoded(block: bytes) -> dict[str, str]:
    return {str(name): str(value) for name, value in Decoder().decode(block)}


@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto", "Application/GRPC; x=y"])
def test_a_method_is_called_by_its_path(kind: str) -> None:
    call = asked(content_type=kind)
    assert (call.open, call.malformed, call.plain, call.timeout) == (Heard, "", None, None)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"pseudo_path": "/test.Service/Other"}, "UNIMPLEMENTED"),
        ({"grpc_encoding": "gzip"}, "UNIMPLEMENTED"),
        ({"grpc_timeout": "soon"}, "INVALID_ARGUMENT"),
        ({"grpc_timeout": "123456789S"}, "INVALID_ARGUMENT"),
        ({"grpc_timeout": "-1S"}, "INVALID_ARGUMENT"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_status(changed: dict[str, str], code: str) -> None:
    call = asked(**changed)
    assert (call.open, call.refusal[0]) == (None, code)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"content_type": None}, "415"),
        ({"content_type": "application/json"}, "415"),
        ({"content_type": "application/grpc-web"}, "415"),
        ({"content_type": "application/grpc+json"}, "415"),
        ({"pseudo_method": "GET"}, "405"),
        ({"pseudo_method": "HEAD"}, "405"),
    ],
)
def test_what_is_no_grpc_has_an_answer_of_http(changed: dict[str, str | None], status: str) -> None:
    plain = asked(**changed).plain
    assert plain is not None
    headers = decoded(plain.headers)
    assert headers[":status"] == status
    assert (headers["content-length"] == str(len(plain.body))) != (changed.get("pseudo_method") == "HEAD")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1H", 3600), ("2M", 120), ("3S", 3), ("200m", 0.2), ("5u", 5e-6), ("99999999n", 0.099999999), ("0m", 0)],
)
def test_a_timeout_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert asked(grpc_timeout=text).timeout == pytest.approx(seconds)


@pytest.mark.parametrize("lengths", [[b"1", b"2"], [b"x"], [b"-1"], [b""]])
def test_a_content_length_is_one_number(lengths: list[bytes]) -> None:
    fields: Fields = [(name.encode(), value.encode()) for name, value in FIELDS.items()]
    assert call_of([*fields, *((b"content-length", length) for length in lengths)], METHODS).malformed
    assert asked(content_length="12").length == 12


@given(st.text())
def test_a_message_is_percent_encoded(text: str) -> None:
    fields = decoded(trailers("INTERNAL", text))
    encoded = fields.get("grpc-message", "")
    assert fields["grpc-status"] == "13"
    assert all(" " <= char <= "~" for char in encoded)
    assert unquote(encoded) == text[: len(unquote(encoded))]


def test_the_constants_are_what_they_look_like() -> None:
    assert decoded(RESPONSE_HEADERS) == {":status": "200", "content-type": "application/grpc"}
    assert decoded(OK_TRAILERS) == {"grpc-status": "0"}
    assert decoded(trailers("UNIMPLEMENTED", ""))["grpc-accept-encoding"] == "identity"
