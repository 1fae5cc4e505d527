"""The recorder: everything that ended is there, nothing secret is, and the exchanges never notice."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from extproc import Chain, Exchange, Filter, Response
from extproc.machine import ExchangeMachine
from extproc.messages import Continue, Immediate, Message
from extproc.phases import Phase
from extproc.replay.capture import Footer
from extproc.replay.files import CaptureReader, CaptureWriter
from extproc.replay.recorder import Recorder


class FrozenClock:
    def time(self) -> float:
        return 1_700_000_000.125

    def monotonic(self) -> float:
        return 5.0


class Guard(Filter):
    secret: SecretStr

    def on_request_headers(self, exchange: Exchange) -> Response | None:
        if exchange.request.headers.get("x-key") == self.secret.get_secret_value():
            exchange.request.headers["x-caller"] = "alice"
            return None
        return Response(401, "who are you?", details="guard.unknown")


CHAIN = Chain([Guard(secret=SecretStr("open sesame"))])


def ask(key: bytes, path: bytes = b"/") -> Message:
    return Message(Phase.REQUEST_HEADERS, [(":method", b"GET"), (":path", path), ("x-key", key)], end_of_stream=True)


async def converse(recorder: Recorder, exchange_id: str, *messages: Message) -> None:
    """What a front does."""
    machine = ExchangeMachine(CHAIN, exchange_id, clock=FrozenClock(), trace=True)
    watch = recorder.begin(exchange_id)
    for message in messages:
        watch.message(message, await machine.receive_all(message), machine.exchange.now)
    await machine.close()
    watch.end(machine.exchange, machine.events or [])


async def test_an_exchange_is_recorded_with_answers_trace_and_end(tmp_path: Path) -> None:
    with Recorder(tmp_path, chain=CHAIN, redact=False, clock=FrozenClock()) as recorder:
        await converse(recorder, "good", ask(b"open sesame"))
        await converse(recorder, "bad", ask(b"guess"))
    assert recorder.path == tmp_path / "20231114T221320.125000Z.ndjson"
    assert recorder.recorded == 2
    with CaptureReader(recorder.path) as reader:
        good, bad = reader
        assert reader.header.filters == {"guard": "deny"}
        assert reader.header.needs == CHAIN.needs
        assert reader.header.redaction is None
        assert reader.footer == Footer(FrozenClock().time(), 2, 0)
    assert good.id == "good"
    assert good.ended == "complete"
    assert good.started == FrozenClock().time()
    assert good.messages[0].message == ask(b"open sesame")
    assert isinstance(good.messages[0].answer, Continue)
    assert [(event.filter, event.action) for event in good.events] == [("guard", "edit")]
    assert bad.ended == "immediate"
    assert isinstance(bad.messages[0].answer, Immediate)
    assert [(event.filter, event.action, event.note) for event in bad.events] == [
        ("guard", "respond", "401 guard.unknown")
    ]


async def test_secrets_are_redacted_unless_told_otherwise(tmp_path: Path) -> None:
    with Recorder(tmp_path, chain=CHAIN) as recorder:
        await converse(recorder, "1", ask(b"open sesame", b"/?access_token=abcdefgh"))
    text = recorder.path.read_text()
    assert "open sesame" not in text
    assert "abcdefgh" not in text
    assert (tmp_path / "redaction.key").read_bytes() not in recorder.path.read_bytes()
    assert json.loads(text.splitlines()[0])["redaction"]["key"]


async def test_the_same_key_serves_all_captures_of_a_directory(tmp_path: Path) -> None:
    keys: list[Any] = []
    for _ in range(2):
        with Recorder(tmp_path, chain=CHAIN) as recorder:
            pass
        keys.append(json.loads(recorder.path.read_text().splitlines()[0])["redaction"]["key"])
    assert keys[0] == keys[1]


async def test_names_to_keep_are_handed_on(tmp_path: Path) -> None:
    with Recorder(tmp_path, chain=CHAIN, keep=["access_token"]) as recorder:
        await converse(recorder, "1", ask(b"x", b"/?access_token=abcdefgh"))
    assert "abcdefgh" in recorder.path.read_text()


async def test_an_exchange_that_said_nothing_leaves_no_line(tmp_path: Path) -> None:
    with Recorder(tmp_path, chain=CHAIN) as recorder:
        await converse(recorder, "1")
    assert (recorder.recorded, recorder.dropped) == (0, 0)


async def test_the_event_loop_never_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk hangs, exchanges go on; those for which there is no memory left are dropped and counted."""
    disk = threading.Event()
    write = CaptureWriter.write

    def hanging(self: CaptureWriter, line: bytes) -> None:
        disk.wait()
        write(self, line)

    monkeypatch.setattr(CaptureWriter, "write", hanging)
    with Recorder(tmp_path, chain=CHAIN, max_held_bytes=10_000) as recorder:
        for number in range(20):
            await converse(recorder, f"{number}", ask(b"x"))
        disk.set()
    assert recorder.recorded + recorder.dropped == 20
    assert 5 <= recorder.recorded <= 10
    with CaptureReader(recorder.path) as reader:
        assert len(list(reader)) == recorder.recorded
        assert reader.footer is not None
        assert reader.footer.dropped == recorder.dropped


async def test_half_an_exchange_is_not_recorded_and_its_memory_is_given_back(tmp_path: Path) -> None:
    large = Message(Phase.REQUEST_BODY, body=b"x" * 20_000)
    with Recorder(tmp_path, chain=CHAIN, max_held_bytes=10_000) as recorder:
        for number in range(30):
            await converse(recorder, f"large-{number}", ask(b"open sesame"), large)
        await converse(recorder, "small", ask(b"x"))
    assert (recorder.recorded, recorder.dropped) == (1, 30)


async def test_a_capture_that_is_full_is_left_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Recorder(tmp_path, chain=CHAIN, max_bytes=2000) as recorder:
        for number in range(20):
            await converse(recorder, f"{number}", ask(b"x"))
    assert 0 < recorder.recorded < 20
    assert recorder.dropped == 20 - recorder.recorded
    assert [record.message for record in caplog.records if record.name == "extproc.replay"] == [
        f"{recorder.path} has reached its 2000 bytes: later exchanges are not recorded"
    ]


async def test_an_exchange_that_cannot_be_written_does_not_end_the_recording(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd = Message(Phase.REQUEST_HEADERS, attributes={"odd": object()})
    with Recorder(tmp_path, chain=CHAIN) as recorder:
        await converse(recorder, "odd", odd)
        await converse(recorder, "even", ask(b"x"))
    assert (recorder.recorded, recorder.dropped) == (1, 1)
    assert "exchange odd cannot be recorded" in caplog.text


FULL_DISK = """
import asyncio, logging, resource, sys
from pathlib import Path
from tests.replay.test_recorder import CHAIN, Recorder, ask, converse
logging.basicConfig(format="%(message)s")

async def main():
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
    with Recorder(Path(sys.argv[1]), chain=CHAIN) as recorder:
        for number in range(20):
            await converse(recorder, f"{number}", ask(b"x"))
    print(recorder.recorded, recorder.dropped)

asyncio.run(main())
"""


def test_a_full_disk_is_logged_once_and_the_capture_stays_whole(tmp_path: Path) -> None:
    """The kernel refuses to let the file grow, as it does on a full disk; half-written lines are taken back."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    recorded, dropped = map(int, done.stdout.split())
    assert recorded > 0
    assert recorded + dropped == 20
    complaints = [line for line in done.stderr.splitlines() if "exchanges are not recorded until there is room" in line]
    assert len(complaints) == 1
    (path,) = tmp_path.glob("*.ndjson")
    with CaptureReader(path) as reader:
        assert len(list(reader)) == recorded
