"""Many random clients in a row: no small counterexample, but thousands a second.

Whatever fails says its seed.
"""

from __future__ import annotations

import random

from tests.server.fuzz.budget import FACTOR
from tests.server.fuzz.client import BLOCKS, MESSAGES, Client
from tests.server.fuzz.record import load
from tests.server.fuzz.world import check_conversation
from tests.server.raw.frames import END_HEADERS, frame, headers

_MANY = 1000
_SESSIONS = [b"".join(pieces) for pieces in load().values()]


def _client(rng: random.Random) -> bytes:
    """One that keeps to the rules, but for a frame now and then."""
    client = Client()
    for _ in range(rng.randrange(60)):
        client.do(rng.randrange(256), rng.randrange(256), rng.randrange(256))
        if rng.random() < 0.02:
            client.say(
                frame(rng.randrange(12), rng.randrange(256), rng.randrange(12), rng.randbytes(rng.randrange(20)))
            )
        if rng.random() < 0.02:
            client.say(headers(rng.randrange(12), rng.choice(BLOCKS), END_HEADERS))
    return b"".join(client.said)


def _spoilt(rng: random.Random, session: bytes) -> bytes:
    """A session with a few bytes that are not as they were."""
    content = bytearray(session)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(content) + 1)
        end = at + rng.choice([0, 1, 9, 100])
        content[at:end] = rng.choice([rng.randbytes(rng.randrange(9)), content[at:end] * 2, rng.choice(MESSAGES)])
    return bytes(content)


def _pieces(rng: random.Random, session: bytes) -> list[bytes]:
    cuts = sorted(rng.randrange(len(session) + 1) for _ in range(rng.randrange(6)))
    return [session[start:end] for start, end in zip([0, *cuts], [*cuts, len(session)], strict=True)]


async def _talk(seed: int) -> None:
    rng = random.Random(seed)
    session = rng.choice(_SESSIONS) if rng.random() < 0.2 else _client(rng)
    if rng.random() < 0.5:
        session = _spoilt(rng, session)
    try:
        await check_conversation(_pieces(rng, session))
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise


async def test_many_random_clients() -> None:
    first = 0 if FACTOR == 1 else random.SystemRandom().randrange(1 << 60)
    for seed in range(first, first + _MANY * FACTOR):
        await _talk(seed)
