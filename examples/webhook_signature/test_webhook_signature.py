from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr, ValidationError

from examples.webhook_signature.record import EVENT, SECRET, UPSTREAM, signed, talk
from examples.webhook_signature.webhook_signature import WebhookSignature
from extproc import Chain
from extproc.config import load_chain
from extproc.testing import Gateway

if TYPE_CHECKING:
    from examples.conftest import Replay

HERE = Path(__file__).parent
OLD = "whsec_b2xkIHNlY3JldCBvZiB0aGUgc2hvcA=="
WHY = ["", "forged", "stale", "unsigned", "forged", ""]
"""Why each of the recorded requests is refused; empty: it is not."""


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)


def test_the_capture_replays_and_only_the_signed_and_the_unconcerned_reach_the_upstream(replayed: Replay) -> None:
    outcomes = [item.after for item in replayed(HERE)]

    assert [outcome and outcome.details.partition("webhook_signature.")[2] for outcome in outcomes] == WHY
    assert [outcome is not None and outcome.upstream is not None for outcome in outcomes] == [not why for why in WHY]


@pytest.mark.envoy
async def test_a_real_envoy_lets_the_same_through() -> None:
    async with Gateway(load_chain(HERE / "chain.yaml"), upstream=UPSTREAM) as gateway:
        replies = await talk(gateway)

    assert [reply.status for reply in replies] == [401 if why else 204 for why in WHY]
    assert [request.target for request in gateway.upstream.requests] == ["/webhooks/shop", "/orders"]


@pytest.mark.envoy
async def test_two_keys_are_good_while_one_takes_the_place_of_the_other() -> None:
    both = WebhookSignature(secrets=(SecretStr(SECRET), SecretStr(OLD)))
    now = 1_800_000_000.0
    signatures = [signed(EVENT, at=now, secret=secret)["webhook-signature"] for secret in (OLD, SECRET)]

    async with Gateway(Chain([both]), clock=Frozen(now)) as gateway:
        for sent in (signatures[0], signatures[1], "v1,AAAA " + signatures[0], "v2," + signatures[0][3:]):
            headers = signed(EVENT, at=now) | {"webhook-signature": sent}
            await gateway.send("POST", "/", headers=headers, body=EVENT)
        log = await gateway.access_log(4)

    assert [entry["response_code"] for entry in log] == [200, 200, 200, 401]


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64!"])
def test_a_key_that_is_none_is_refused_with_the_configuration(secret: str) -> None:
    with pytest.raises(ValidationError, match="a secret is base64"):
        WebhookSignature(secrets=(SecretStr(secret),))


class Frozen:
    """A clock that stands still."""

    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now
