"""Each MUST of RFC 9113 sections 4 to 8 and of RFC 7541 that concerns a server, beyond the numbered cases."""

from __future__ import annotations

import pytest

from tests.server.conformance import grpc_over_http2, rfc7541
from tests.server.conformance.rfc9113 import frames, framing, messages, streams
from tests.server.conformance.script import Case

_RFC_9113 = [case for section in (framing, streams, frames, messages) for case in section.CASES]


def _name(case: Case) -> str:
    return f"{case.rule.partition(':')[0]}-{case.id}"


@pytest.mark.parametrize("case", _RFC_9113, ids=_name)
async def test_http2(case: Case, address: str) -> None:
    await case.play(address)


@pytest.mark.parametrize("case", rfc7541.CASES, ids=_name)
async def test_hpack(case: Case, address: str) -> None:
    await case.play(address)


@pytest.mark.parametrize("case", grpc_over_http2.CASES, ids=lambda case: case.id)
async def test_grpc(case: Case, address: str) -> None:
    await case.play(address)
