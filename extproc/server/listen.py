"""Addresses to listen on: ``127.0.0.1:9002``, ``[::1]:9002`` and ``unix:/path/to.sock``."""

from __future__ import annotations

import os
import re
import socket
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from extproc.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

__all__ = [
    "SocketMode",
    "check_address",
    "check_addresses",
    "clear_stale_socket",
    "inode_of",
    "remove_socket",
    "socket_mode",
]

SocketMode = int
"""Permission bits of a unix socket, such as ``0o660``."""

_TCP = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/]+):(?P<port>\d{1,5})")
_HIGHEST_PORT = 65535
_LONGEST_UNIX_PATH = 107  # sun_path of Linux, less its closing NUL


def check_addresses(addresses: Sequence[str]) -> list[str]:
    """The addresses, when there are any and each is one.

    Raises:
        ServerError: one is not, or there is none.
    """
    if not addresses:
        raise ServerError("there is no address to listen on")
    return [check_address(address) for address in addresses]


def check_address(address: str) -> str:
    """The address, when it is one.

    Raises:
        ServerError: it is not, and what one looks like.
    """
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        if path and len(os.fsencode(path)) <= _LONGEST_UNIX_PATH:
            return address
        raise ServerError(f"{address!r} is no unix socket: the path is 1 to {_LONGEST_UNIX_PATH} bytes long")
    match = _TCP.fullmatch(address)
    if match is None or int(match["port"]) > _HIGHEST_PORT:
        raise ServerError(f"{address!r} is no address to listen on: use HOST:PORT, [IPV6]:PORT or unix:/path")
    return address


def clear_stale_socket(path: str) -> None:
    """Removes the socket that a dead process left behind, and nothing else.

    Raises:
        ServerError: somebody listens on it, or it is not a socket.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ServerError(f"{path} exists and is not a socket: remove it, or listen elsewhere")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            Path(path).unlink()
            return
        except OSError as error:
            raise ServerError(f"{path} cannot be taken over: {error.strerror or error}") from None
    raise ServerError(f"{path} is in use: another processor listens there")


@contextmanager
def socket_mode(path: str, mode: SocketMode) -> Generator[None]:
    """Whatever binds `path` inside makes it with these permissions, at no time with wider ones."""
    before = os.umask(0o777 & ~mode)
    try:
        yield
    finally:
        os.umask(before)
    Path(path).chmod(mode)


def inode_of(path: str) -> int:
    """What tells a socket from another that takes its place."""
    return Path(path).stat().st_ino


def remove_socket(path: str, inode: int) -> None:
    """Removes a socket of ours, unless another processor has taken its place."""
    with suppress(FileNotFoundError):
        if inode_of(path) == inode:
            Path(path).unlink()
