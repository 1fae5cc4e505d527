"""TLS of both fronts: who may connect, and with what certificate they are met."""

from __future__ import annotations

import asyncio
import logging
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from extproc import Chain, ServerError
from extproc.server import FrontOptions, NativeFront
from extproc.server.tls import Tls, names_of
from tests.server.conftest import METHOD, NewFront, headers_message

CERTIFICATES = Path(__file__).with_name("certificates")
SERVER: dict[str, Any] = {"certificate": CERTIFICATES / "server.pem", "key": CERTIFICATES / "server.key"}
MUTUAL = Tls(**SERVER, client_ca=CERTIFICATES / "authority.pem")


def credentials(client: str | None) -> grpc.ChannelCredentials:
    trusted = (CERTIFICATES / "authority.pem").read_bytes()
    if client is None:
        return grpc.ssl_channel_credentials(trusted)
    files = [(CERTIFICATES / f"{client}.{kind}").read_bytes() for kind in ("key", "pem")]
    return grpc.ssl_channel_credentials(trusted, *files)


async def ask(address: str, client: str | None) -> str:
    """Sends request headers; what kind of answer came, or with what status the stream ended."""
    async with grpc.aio.secure_channel(address, credentials(client)) as channel:
        rpc: Any = channel.stream_stream(METHOD, response_deserializer=bytes)
        call = rpc(timeout=10)
        try:
            await call.write(headers_message().SerializeToString())
            if await call.read() is not grpc.aio.EOF:
                return "answered"
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass
        return str((await call.code()).name)


@pytest.mark.parametrize(
    ("tls", "client", "expected"),
    [
        (Tls(**SERVER), None, {"answered"}),
        (MUTUAL, "envoy", {"answered"}),
        (MUTUAL, "stranger", {"answered"}),
        (MUTUAL, None, {"UNAVAILABLE"}),
        (MUTUAL, "outsider", {"UNAVAILABLE"}),
        (Tls(**SERVER, client_ca=MUTUAL.client_ca, client_names=("envoy.example",)), "envoy", {"answered"}),
        (
            Tls(**SERVER, client_ca=MUTUAL.client_ca, client_names=("x", "spiffe://example/envoy")),
            "envoy",
            {"answered"},
        ),
        # One front turns it away before HTTP/2 begins, the other can only refuse each stream.
        (
            Tls(**SERVER, client_ca=MUTUAL.client_ca, client_names=("envoy.example",)),
            "stranger",
            {"UNAVAILABLE", "PERMISSION_DENIED"},
        ),
    ],
    ids=["anybody", "our CA", "any name", "no certificate", "another CA", "its name", "its URI", "another name"],
)
async def test_who_is_let_in(tls: Tls, client: str | None, expected: set[str], new_front: NewFront) -> None:
    async with new_front(Chain([]), tls=tls) as front:
        assert await ask(front.addresses[0], client) in expected


async def test_a_unix_socket_can_have_tls_too(tmp_path: Path) -> None:
    async with NativeFront(Chain([]), [f"unix:{tmp_path}/s"], FrontOptions(tls=Tls(**SERVER))):
        _, writer = await asyncio.open_unix_connection(
            tmp_path / "s", ssl=client_context(), server_hostname="localhost"
        )
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        writer.close()


def client_context(alpn: str = "h2") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(CERTIFICATES / "authority.pem"))
    context.set_alpn_protocols([alpn])
    return context


async def test_a_client_that_has_not_agreed_on_http2_is_turned_away() -> None:
    """RFC 9113, section 3.2: over TLS, HTTP/2 is what ALPN says."""
    async with NativeFront(Chain([]), options=FrontOptions(tls=Tls(**SERVER))) as front:
        host, _, port = front.addresses[0].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=client_context("http/1.1"))
        assert await reader.read() == b""
        writer.close()
        assert front.counters["tls.no_h2"] == 1


@pytest.fixture
def files(tmp_path: Path) -> Callable[[str], Tls]:
    """Puts a certificate and its key in place; always the same place."""

    def put(name: str) -> Tls:
        for kind in ("pem", "key"):
            shutil.copy(CERTIFICATES / f"{name}.{kind}", tmp_path / f"new.{kind}")
            (tmp_path / f"new.{kind}").replace(tmp_path / f"current.{kind}")
        return Tls(certificate=tmp_path / "current.pem", key=tmp_path / "current.key")

    return put


async def met_with(address: str) -> bytes:
    """The certificate that a client is met with."""
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=client_context())
    certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return certificate


def der(name: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert((CERTIFICATES / f"{name}.pem").read_text())


async def test_a_certificate_that_was_renewed_is_used_for_the_next_connection(
    files: Callable[[str], Tls], new_front: NewFront
) -> None:
    async with new_front(Chain([]), tls=files("server")) as front:
        assert await met_with(front.addresses[0]) == der("server")
        files("renewed")
        assert await met_with(front.addresses[0]) == der("renewed")


async def test_a_certificate_that_does_not_fit_its_key_is_not_used(
    files: Callable[[str], Tls], new_front: NewFront, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "extproc.server")
    async with new_front(Chain([]), tls=files("server")) as front:
        shutil.copy(CERTIFICATES / "renewed.pem", tmp_path / "current.pem")
        assert await met_with(front.addresses[0]) == der("server")
        shutil.copy(CERTIFICATES / "renewed.key", tmp_path / "current.key")
        assert await met_with(front.addresses[0]) == der("renewed")


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"certificate": Path("/nowhere")}, "cannot be read"),
        ({"key": CERTIFICATES / "envoy.key"}, "no certificate and its key"),
        ({"client_ca": CERTIFICATES / "envoy.key"}, "no certificate of a CA"),
    ],
    ids=["no file", "another key", "no CA"],
)
def test_files_that_cannot_be_used_are_an_error_at_once(
    replaced: dict[str, Path], message: str, new_front: NewFront
) -> None:
    with pytest.raises(ServerError, match=message):
        new_front(Chain([]), tls=Tls(**{**SERVER, **replaced}))


def test_names_without_a_ca_are_an_error() -> None:
    with pytest.raises(ServerError, match="name the CA"):
        Tls(**SERVER, client_names=("envoy.example",))


def test_the_names_of_a_certificate_are_its_dns_names_and_uris() -> None:
    assert names_of({"subjectAltName": (("DNS", "a"), ("IP Address", "::1"), ("URI", "b"))}) == ["a", "b"]
