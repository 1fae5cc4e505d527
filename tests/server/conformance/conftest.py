from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.server.raw.serving import serving


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Of a native front that has to be clean again when the test is over."""
    async with serving() as front:
        yield front.addresses[0]
