"""``extproc serve``."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from extproc.cli.recording import recording
from extproc.cli.values import Duration, FileMode
from extproc.server.fronts import DEFAULT_FRONT, FrontName

__all__ = ["serve"]


def serve(
    chain: str,
    /,
    *,
    listen: Annotated[tuple[str, ...], Parameter(negative="", show_default=", ".join)] = ("127.0.0.1:9002",),
    front: FrontName = DEFAULT_FRONT,
    socket_mode: FileMode = 0o660,
    record: Path | None = None,
    grace: Duration = 10.0,
    stall: Annotated[Duration | None, Parameter(negative_none="no-")] = 0.1,
    log_level: Literal["debug", "info", "warning", "error"] = "info",
) -> None:
    """Run the processor: serve a chain to Envoy until SIGTERM or SIGINT, then let exchanges under way finish.

    Args:
        chain: A chain file, or module:attribute.
        listen: Where to listen: HOST:PORT, [IPV6]:PORT or unix:/path; may be given several times.
        front: What speaks HTTP/2: our own, or grpcio.
        socket_mode: Permissions of unix sockets, in octal.
        record: A directory to write a capture to, with secrets replaced by pseudonyms.
        grace: How long exchanges under way get to finish, such as 10s.
        stall: How long a hook may block the event loop before the log names it, such as 100ms.
        log_level: What is worth a line on standard error.
    """
    from extproc import server
    from extproc.config import load_chain

    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    loaded = load_chain(chain)
    with recording(record, loaded) as recorder:
        asyncio.run(
            server.serve(
                loaded,
                listen,
                front=front,
                observer=recorder,
                socket_mode=socket_mode,
                grace=grace,
                stall=stall,
                on_ready=lambda addresses: print(f"{loaded!r} is ready on {', '.join(addresses)}", flush=True),
            )
        )
