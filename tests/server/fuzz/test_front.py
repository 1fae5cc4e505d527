"""The whole front, over sockets: whatever peers say, it answers in HTTP/2 or hangs up, and keeps nothing."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from tests.server.fuzz.budget import budget
from tests.server.fuzz.oracle import check_legal, taken_apart
from tests.server.fuzz.strategies import clients, garbage, pieces, spoilt_sessions, wayward_clients
from tests.server.raw.peer import greeted
from tests.server.raw.serving import healthy, serving

_PEERS = st.lists(pieces(st.one_of(garbage, clients(), wayward_clients(), spoilt_sessions())), min_size=1, max_size=6)


async def _talk(address: str, said: list[bytes]) -> None:
    """Says it all, and reads the answer to its end."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for piece in said:
        writer.write(piece)
        await asyncio.sleep(0)
    writer.write_eof()
    check_legal(taken_apart(await reader.read()))
    writer.close()


async def _all_at_once(peers: list[list[bytes]]) -> None:
    async with serving() as front, greeted(front.addresses[0]) as bystander:
        async with asyncio.TaskGroup() as tasks:
            for said in peers:
                tasks.create_task(_talk(front.addresses[0], said))
            await healthy(bystander, 1)
        await healthy(bystander, 3)


@budget(40)
@given(peers=_PEERS)
def test_peers(peers: list[list[bytes]]) -> None:
    asyncio.run(_all_at_once(peers))
