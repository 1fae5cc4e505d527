"""Programs that others wrote, where they are installed: curl and nghttp2's h2load come from no Python package."""

from __future__ import annotations

import asyncio
import re
import shutil
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from extproc.server.tls import Tls
from extproc.wire.ext_proc_pb2 import ProcessingResponse
from tests.server.conftest import METHOD, headers_message
from tests.server.raw.serving import Tag, serving

CERTIFICATES = Path(__file__).parents[1] / "certificates"
GRPC = ("-H", "content-type: application/grpc", "-H", "te: trailers")


def installed(program: str) -> pytest.MarkDecorator:
    """A test that needs a program."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


async def run(*command: str, said: bytes = b"") -> str:
    """What a program prints, as Latin-1; it has to succeed."""
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(30):
            printed, complaints = await process.communicate(said)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, complaints.decode()
    return printed.decode("latin-1")


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4) + message


async def curl(address: str, *options: str, said: bytes = b"") -> str:
    """The response's head, its body, and its trailers."""
    command = ("curl", "--silent", "--show-error", "--include", "--data-binary", "@-", *GRPC, *options)
    return await run(*command, f"{address}{METHOD}", said=said)


@installed("curl")
@pytest.mark.parametrize("secure", [False, True])
async def test_curl_calls_the_processor(secure: bool) -> None:
    options: dict[str, Any] = {}
    if secure:
        options["tls"] = Tls(certificate=CERTIFICATES / "server.pem", key=CERTIFICATES / "server.key")
    async with serving(Tag(), **options) as front:
        host, _, port = front.addresses[0].rpartition(":")
        how = ("--cacert", str(CERTIFICATES / "authority.pem")) if secure else ("--http2-prior-knowledge",)
        address = f"https://localhost:{port}" if secure else f"http://{host}:{port}"
        printed = await curl(address, *how, said=framed(headers_message().SerializeToString()))

    head, _, rest = printed.partition("\r\n\r\n")
    assert head.splitlines()[0].split() == ["HTTP/2", "200"]
    size = int.from_bytes(rest[1:5].encode("latin-1"))
    answer = ProcessingResponse.FromString(rest[5 : 5 + size].encode("latin-1"))
    assert [option.header.key for option in answer.request_headers.response.header_mutation.set_headers] == ["x-tag"]
    assert rest[5 + size :].split() == ["grpc-status:", "0"]


@installed("curl")
async def test_curl_is_told_when_it_does_not_speak_grpc() -> None:
    async with serving(Tag()) as front:
        printed = await run("curl", "--silent", "--include", "--http2-prior-knowledge", f"http://{front.addresses[0]}/")
    assert printed.startswith("HTTP/2 405")
    assert "allow: POST" in printed


@installed("h2load")
@pytest.mark.parametrize("streams", [1, 100])
async def test_h2load_is_answered_as_often_as_it_asks(streams: int, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    asked.write_bytes(framed(headers_message().SerializeToString()))
    load = ("h2load", "-n", "1000", "-c", "4", "-m", str(streams), "-d", str(asked))
    async with serving(Tag()) as front:
        printed = await run(*load, *GRPC, f"http://{front.addresses[0]}{METHOD}")
        assert front.totals()["exchanges"] == 1000
    assert re.search(r"1000 succeeded, 0 failed, 0 errored, 0 timeout", printed), printed
    assert re.search(r"status codes: 1000 2xx", printed), printed
