"""Where a processor listens: addresses, ports in use, sockets left behind."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from extproc import Chain, ServerError
from extproc.server.listen import check_address
from tests.server.conftest import NewFront


@pytest.mark.parametrize(
    "address", ["", "9002", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "::1:9002", "unix:", "unix:" + "x" * 200]
)
def test_a_malformed_address_is_refused_with_the_forms_there_are(address: str) -> None:
    with pytest.raises(ServerError, match=r"HOST:PORT|1 to 107 bytes"):
        check_address(address)


async def test_a_port_in_use_is_an_error_and_not_a_second_listener(new_front: NewFront) -> None:
    async with new_front(Chain([])) as front:
        with pytest.raises(ServerError, match="in use"):
            async with new_front(Chain([]), front.addresses):
                pass


async def test_a_socket_is_open_to_owner_and_group_only(new_front: NewFront, tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with new_front(Chain([]), [f"unix:{path}"]):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


async def test_a_socket_left_by_a_dead_process_is_taken_over(new_front: NewFront, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with new_front(Chain([]), [f"unix:{path}"]):
        assert stat.S_ISSOCK(path.stat().st_mode)


async def test_a_socket_somebody_listens_on_is_left_alone(new_front: NewFront, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(path))
        alive.listen()
        with pytest.raises(ServerError, match="another processor"):
            async with new_front(Chain([]), [f"unix:{path}"]):
                pass


async def test_a_file_that_is_no_socket_is_left_alone(new_front: NewFront, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(ServerError, match="not a socket"):
        async with new_front(Chain([]), [f"unix:{path}"]):
            pass
    assert path.read_text() == "data"
