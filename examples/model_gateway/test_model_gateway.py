from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from examples.model_gateway.model_gateway import ModelGateway
from examples.model_gateway.record import LARGE, SMALL, routes, talk
from extproc.config import load_chain
from extproc.envoy.plain_http import Upstream
from extproc.testing import Gateway

if TYPE_CHECKING:
    from examples.conftest import Replay

HERE = Path(__file__).parent
STATUSES = [200, 200, 403, 400, 400, 400, 200]


def test_the_capture_replays_and_only_allowed_models_reach_an_upstream(replayed: Replay) -> None:
    outcomes = [item.after for item in replayed(HERE)]

    assert [int(outcome.client.get(":status") or b"") for outcome in outcomes if outcome and outcome.client] == [
        status for status in STATUSES if status != 200
    ]
    sent = [outcome.upstream for outcome in outcomes if outcome and outcome.upstream]
    assert [request.get("x-model") for request in sent] == [b"small", b"large", b"small"]


@pytest.mark.envoy
async def test_a_real_envoy_routes_by_the_model_and_by_no_claim_of_a_client() -> None:
    chain = load_chain(HERE / "chain.yaml")
    async with Upstream(LARGE) as large, Gateway(chain, upstream=SMALL, options=routes(large)) as gateway:
        replies = await talk(gateway)
        log = await gateway.access_log(len(replies))

    assert [reply.status for reply in replies] == STATUSES
    assert [request.value("x-model") for request in large.requests] == [b"large"]
    assert [request.value("x-model") for request in gateway.upstream.requests] == [b"small", b"small"]
    assert [entry["metadata"]["model_gateway"] for entry in log[:2]] == [{"model": "small"}, {"model": "large"}]


def test_a_model_that_cannot_stand_in_a_header_is_refused_with_the_configuration() -> None:
    with pytest.raises(ValidationError, match="pattern"):
        ModelGateway(models=frozenset({"two\r\nlines"}))
