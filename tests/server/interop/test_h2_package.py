"""The `h2` package as a client: it checks all that it gets, and says anything once its own checks are off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from tests.server.conftest import body_message, headers_message
from tests.server.raw.frames import Code
from tests.server.raw.requests import CHECK_PATH, PROCESS_PATH, FieldList, call_fields, message, plain_fields
from tests.server.raw.serving import serving

_BODY = b"a" * 300_000


class Client:
    """An `H2Connection` on a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, strict: bool) -> None:
        config = h2.config.H2Configuration(validate_outbound_headers=strict, normalize_outbound_headers=strict)
        self.connection = h2.connection.H2Connection(config)
        self.events: list[h2.events.Event] = []
        self._reader = reader
        self._writer = writer
        self.connection.initiate_connection()

    async def until(self, kind: type[h2.events.Event], stream: int | None = None) -> h2.events.Event:
        """Reads on until there is such an event; acknowledges what it reads."""
        async with asyncio.timeout(5):
            while True:
                self._writer.write(self.connection.data_to_send())
                for event in self.events:
                    if isinstance(event, kind) and stream in {None, getattr(event, "stream_id", None)}:
                        return event
                for event in self.connection.receive_data(await self._reader.read(1 << 16)):
                    self.events.append(event)
                    if isinstance(event, h2.events.DataReceived):
                        size = event.flow_controlled_length
                        self.connection.acknowledge_received_data(size, event.stream_id)

    async def upload(self, stream: int, content: bytes) -> None:
        """Sends as windows allow."""
        while content:
            room = min(self.connection.local_flow_control_window(stream), self.connection.max_outbound_frame_size)
            if not room:
                await self.until(h2.events.WindowUpdated)
                self.events.clear()
            self.connection.send_data(stream, content[:room])
            content = content[room:]

    def received(self, stream: int) -> bytes:
        data = (e for e in self.events if isinstance(e, h2.events.DataReceived) and e.stream_id == stream)
        return b"".join(event.data or b"" for event in data)


@asynccontextmanager
async def client(*, strict: bool = True) -> AsyncIterator[Client]:
    async with serving() as front:
        host, _, port = front.addresses[0].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        yield Client(reader, writer, strict=strict)
        writer.close()


async def test_a_unary_call() -> None:
    async with client() as peer:
        peer.connection.send_headers(1, call_fields(CHECK_PATH))
        peer.connection.send_data(1, message(), end_stream=True)
        await peer.until(h2.events.StreamEnded, 1)
        trailers = await peer.until(h2.events.TrailersReceived, 1)
        assert isinstance(trailers, h2.events.TrailersReceived)
        assert (b"grpc-status", b"0") in (trailers.headers or [])


async def test_a_long_body_both_ways() -> None:
    async with client() as peer:
        await peer.until(h2.events.RemoteSettingsChanged)
        peer.connection.send_headers(1, call_fields(PROCESS_PATH))
        await peer.upload(1, message(headers_message(end_of_stream=False).SerializeToString()))
        await peer.upload(1, message(body_message(_BODY).SerializeToString()))
        peer.connection.end_stream(1)
        await peer.until(h2.events.StreamEnded, 1)
        assert _BODY.upper() in peer.received(1)


async def test_new_settings_in_the_midst_of_it() -> None:
    async with client() as peer:
        for size in (1, 0, 100_000):
            peer.connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: size})
        peer.connection.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: 0})
        peer.connection.send_headers(1, call_fields(CHECK_PATH))
        peer.connection.send_data(1, message(), end_stream=True)
        await peer.until(h2.events.StreamEnded, 1)
        assert peer.received(1)


def _with(*more: tuple[str | bytes, str | bytes]) -> FieldList:
    return [*call_fields(), *more]


@pytest.mark.parametrize(
    "fields",
    [
        _with(("Upper", "case")),
        _with(("connection", "close")),
        _with(("te", "gzip")),
        _with((":path", "/twice")),
        [("x-first", "regular"), *call_fields()],
        plain_fields()[1:],
        [(":method", "GET")],
    ],
    ids=["upper case", "connection", "te", "a second path", "a pseudo-header late", "no method", "nothing else"],
)
async def test_what_it_would_not_send_of_itself_is_refused(fields: FieldList) -> None:
    async with client(strict=False) as peer:
        peer.connection.send_headers(1, fields)
        reset = await peer.until(h2.events.StreamReset, 1)
        assert isinstance(reset, h2.events.StreamReset)
        assert reset.error_code == Code.PROTOCOL_ERROR


async def test_the_widest_window() -> None:
    async with client() as peer:
        peer.connection.increment_flow_control_window(2**31 - 1 - 65_535)
        peer.connection.send_headers(1, call_fields(CHECK_PATH))
        peer.connection.send_data(1, message(), end_stream=True)
        await peer.until(h2.events.StreamEnded, 1)
