"""RateLimit: exactly the limit, whatever the clock does; bounded memory; headers that clients can parse."""

from __future__ import annotations

import json
import logging
import math
import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from extproc import Chain, Phase
from extproc_filters import ApiKey, RateLimit
from extproc_filters.address import client_of
from extproc_filters.gcra import Gcra
from extproc_filters.memory import Memory
from extproc_filters.rate import Rate
from tests.filters.driver import START, FakeClock, Outcome, exchange, started

UNHURRIED = settings(deadline=None)  # a busy machine is no failure


def rate_limit(limit: str = "3/minute", **config: Any) -> RateLimit:
    return RateLimit.model_validate({"limit": limit, "key": "global", **config})


def statuses(chain: Chain, clock: FakeClock, times: int, **request: Any) -> list[int]:
    return [exchange(chain, clock=clock, **request).status for _ in range(times)]


# The limit


@pytest.mark.parametrize(
    ("limit", "count", "seconds"),
    [
        ("100/minute", 100, 60),
        ("1/s", 1, 1),
        ("2/second", 2, 1),
        ("5/10s", 5, 10),
        ("5/10 seconds", 5, 10),
        ("7 / 3m", 7, 180),
        ("1000/hour", 1000, 3600),
        ("9/2h", 9, 7200),
        ("1/day", 1, 86400),
        ("1/2days", 1, 2 * 86400),
    ],
)
def test_a_limit_is_read_as_it_is_spoken(limit: str, count: int, seconds: int) -> None:
    assert Rate.parse(limit) == Rate(count, seconds)


@pytest.mark.parametrize("limit", ["100/minute", "7/second", "3/7s", "1/day", "1000000/hour"])
def test_exactly_the_limit_fits_into_one_moment(limit: str) -> None:
    rate = Rate.parse(limit)
    memory = Memory(Gcra(rate, min(rate.count, 5000)), 10)
    allowed = [memory.hit(b"k", START + 0.1).allowed for _ in range(min(rate.count, 5000) + 1)]
    assert allowed == [True] * (len(allowed) - 1) + [False]


def test_a_request_over_the_limit_is_answered_and_the_next_period_is_open_again() -> None:
    clock = FakeClock()
    chain = started(rate_limit("3/minute"))
    assert statuses(chain, clock, 4) == [200, 200, 200, 429]
    clock.now += 20
    assert statuses(chain, clock, 2) == [200, 429]
    clock.now += 60
    assert statuses(chain, clock, 4) == [200, 200, 200, 429]


def test_a_burst_of_one_spaces_requests_out() -> None:
    clock = FakeClock()
    chain = started(rate_limit("3/minute", burst=1))
    assert statuses(chain, clock, 2) == [200, 429]
    clock.now += 20
    assert statuses(chain, clock, 2) == [200, 429]


RATES = st.builds(Rate, st.integers(1, 1000), st.integers(1, 86400))
STEPS = st.lists(st.one_of(st.just(0), st.integers(0, 10**6), st.integers(0, 10**11)), max_size=60)


@UNHURRIED
@given(rate=RATES, burst=st.integers(1, 50), steps=STEPS)
@example(rate=Rate(7, 60), burst=3, steps=[0, 0, 0, 8571428, 0, 1, 0])
def test_it_decides_as_a_token_bucket_that_never_rounds(rate: Rate, burst: int, steps: list[int]) -> None:
    memory = Memory(Gcra(rate, burst), 10)
    tokens, moment = Fraction(burst), 1_700_000_000_000_000
    for step in steps:
        moment += step
        tokens = min(Fraction(burst), tokens + Fraction(step * rate.count, rate.seconds * 10**6))
        decision = memory.hit(b"k", moment / 10**6)
        assert decision.allowed == (tokens >= 1)
        tokens -= decision.allowed
        assert decision.remaining == (math.floor(tokens) if decision.allowed else 0)


@UNHURRIED
@given(rate=RATES, burst=st.integers(1, 5), steps=STEPS)
def test_whoever_waits_as_long_as_told_is_admitted(rate: Rate, burst: int, steps: list[int]) -> None:
    memory, now = Memory(Gcra(rate, burst), 10), START
    for step in steps:
        now += step / 10**6
        decision = memory.hit(b"k", now)
        if not decision.allowed:
            now += decision.wait
            assert memory.hit(b"k", now).allowed


def test_nothing_is_stored_for_a_refusal() -> None:
    memory = Memory(Gcra(Rate(1, 60), 1), 10)
    memory.hit(b"k", START)
    before = dict(memory._tats)
    for _ in range(1000):
        assert not memory.hit(b"k", START + 1).allowed
    assert memory._tats == before


# The clock


JUMPS = st.lists(st.one_of(st.integers(-(10**11), 10**11), st.integers(-(10**6), 10**6)), max_size=60)


@UNHURRIED
@given(rate=RATES, burst=st.integers(1, 20), jumps=JUMPS)
def test_a_clock_set_back_admits_no_more_than_the_time_that_passed_forward(
    rate: Rate, burst: int, jumps: list[int]
) -> None:
    memory, moment, admitted, forward = Memory(Gcra(rate, burst), 10), 1_700_000_000_000_000, 0, 0
    for jump in jumps:
        moment += jump
        forward += max(0, jump)
        admitted += memory.hit(b"k", moment / 10**6).allowed
        assert admitted <= burst + Fraction(forward * rate.count, rate.seconds * 10**6)


@UNHURRIED
@given(rate=RATES, burst=st.integers(1, 20), hits=st.integers(1, 40), back=st.integers(1, 10**7))
def test_a_clock_set_back_locks_nobody_out(rate: Rate, burst: int, hits: int, back: int) -> None:
    memory = Memory(Gcra(rate, burst), 10)
    for _ in range(hits):
        memory.hit(b"k", START)
    decision = memory.hit(b"k", START - back)
    if not decision.allowed:
        assert decision.wait <= math.ceil(rate.seconds / rate.count)
        assert memory.hit(b"k", START - back + decision.wait).allowed


# Memory


def test_memory_is_bounded_under_a_hundred_thousand_clients(caplog: pytest.LogCaptureFixture) -> None:
    memory = Memory(Gcra(Rate(1, 60), 1), 1000)
    for number in range(100_000):
        assert memory.hit(b"%d" % number, START + number / 10**6).allowed
    assert (len(memory), memory.evicted) == (1000, 99_000)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]  # once, not per key


def test_whoever_keeps_knocking_is_not_forgotten_for_others() -> None:
    memory = Memory(Gcra(Rate(1, 86400), 1), 10)
    assert memory.hit(b"noisy", START).allowed
    for number in range(1000):
        memory.hit(b"%d" % number, START)
        assert not memory.hit(b"noisy", START).allowed


def test_keys_that_count_for_nothing_any_more_are_dropped_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    memory = Memory(Gcra(Rate(1, 1), 1), 10)
    for number in range(100):
        memory.hit(b"%d" % number, START + 2 * number)
    assert (len(memory), memory.evicted, caplog.records) == (10, 0, [])


def test_keys_have_one_length_and_hold_no_secret() -> None:
    limiter = rate_limit(key=("header:authorization", "path"))
    chain = started(limiter)
    for value in ("Bearer top-secret", "x" * 10_000):
        exchange(chain, [("authorization", value)])
    assert {len(key) for key in limiter._memory._tats} == {32}
    assert not any(b"secret" in key for key in limiter._memory._tats)


def test_a_start_forgets_what_was_counted_before() -> None:
    limiter, clock = rate_limit("1/day"), FakeClock()
    assert [statuses(started(limiter), clock, 2) for _ in range(2)] == [[200, 429], [200, 429]]


# Keys


def counts_apart(key: str | tuple[str, ...], one: dict[str, Any], other: dict[str, Any]) -> bool:
    chain, clock = started(rate_limit("1/day", key=key)), FakeClock()
    assert statuses(chain, clock, 2, **one) == [200, 429]
    return exchange(chain, clock=clock, **other).status == 200


def ip(address: str) -> dict[str, Any]:
    return {"attributes": {"source.address": address}}


def user(*names: str) -> dict[str, Any]:
    return {"headers": [("x-user", name) for name in names]}


@pytest.mark.parametrize(
    ("key", "one", "other", "apart"),
    [
        ("global", user("a"), user("b"), False),
        ("header:x-user", user("a"), user("b"), True),
        ("header:x-user", user("a"), user("a"), False),
        ("header:x-user", user("a", "b"), user("a, b"), True),
        ("ip", ip("192.0.2.1:1000"), ip("192.0.2.1:2000"), False),
        ("ip", ip("192.0.2.1:1000"), ip("192.0.2.2:1000"), True),
        ("ip", ip("192.0.2.1:1"), ip("[::ffff:192.0.2.1]:1"), False),
        ("ip", ip("[2001:db8:0:1::1]:1"), ip("[2001:db8:0:1:ffff::2]:1"), False),
        ("ip", ip("[2001:db8:0:1::1]:1"), ip("[2001:db8:0:2::1]:1"), True),
        ("path", {"target": "/a?x"}, {"target": "/a?y"}, False),
        ("path", {"target": "/a"}, {"target": "/%61"}, False),
        ("path", {"target": "/a"}, {"target": "//x/../a"}, False),
        ("path", {"target": "/a"}, {"target": "/b"}, True),
        ("method", {"method": "GET"}, {"method": "POST"}, True),
        ("host", {"host": "A.example"}, {"host": "a.example"}, False),
        ("host", {"host": "a.example"}, {"host": "b.example"}, True),
        ("cookie:id", {"headers": [("cookie", "id=1; x=1")]}, {"headers": [("cookie", "id=1; x=2")]}, False),
        ("query:k", {"target": "/?k=1"}, {"target": "/?k=2"}, True),
        ("bearer", {"headers": [("authorization", "Bearer a")]}, {"headers": [("authorization", "Bearer b")]}, True),
        (("header:x-user", "path"), {"target": "/a", **user("a")}, {"target": "/b", **user("a")}, True),
        (("header:x-user", "path"), {"target": "/a", **user("a")}, {"target": "/a", **user("b")}, True),
        (
            ("header:x-a", "header:x-b"),
            {"headers": [("x-a", "a"), ("x-b", "bc")]},
            {"headers": [("x-a", "ab"), ("x-b", "c")]},
            True,
        ),
    ],
)
def test_a_key_decides_who_has_a_count_of_their_own(
    key: str | tuple[str, ...], one: dict[str, Any], other: dict[str, Any], apart: bool
) -> None:
    assert counts_apart(key, one, other) is apart


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1:80", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:db8::1]:80", "2001:db8::/64"),
        ("2001:db8::1", "2001:db8::/64"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
        ("", None),
        ("@/run/envoy.sock", None),
        ("envoy://internal/1", None),
        ("[", None),
    ],
)
def test_a_client_is_an_ipv4_address_or_an_ipv6_network(address: str, client: str | None) -> None:
    assert client_of(address) == client


@pytest.mark.parametrize(
    ("on_missing", "expected"),
    [("share", [200, 429, 429]), ("skip", [200, 200, 200]), ("deny", [403, 403, 403])],
)
def test_a_request_without_a_key_meets_the_policy_for_it(on_missing: str, expected: list[int]) -> None:
    chain = started(rate_limit("1/day", key="header:x-user", on_missing=on_missing))
    assert statuses(chain, FakeClock(), 2) + statuses(chain, FakeClock(), 1, **user("")) == expected


def test_what_is_missing_is_not_what_is_shared_with_a_name() -> None:
    assert counts_apart(("header:x-user", "path"), {}, user("-"))


# What the client and Envoy hear


MEMBER = re.compile(r'"([!#-\[\]-~ ]*)"((?:;[a-z*][a-z0-9_.*-]*=-?[0-9]{1,15})*)')


def structured(value: str) -> list[tuple[str, dict[str, int]]]:
    """Reads a list of RFC 9651 whose items are strings with integer parameters."""
    members = []
    for text in value.split(", "):
        found = MEMBER.fullmatch(text)
        assert found is not None, text
        parameters = (item.split("=") for item in found[2].split(";")[1:])
        members.append((found[1], {name: int(number) for name, number in parameters}))
    return members


def told(outcome: Outcome) -> dict[str, dict[str, int]]:
    return {
        name: {
            k: n for field in ("ratelimit-policy", "ratelimit") for k, n in dict(_members(outcome, field))[name].items()
        }
        for name, _ in _members(outcome, "ratelimit")
    }


def _members(outcome: Outcome, name: str) -> list[tuple[str, dict[str, int]]]:
    return [member for value in outcome.got(name) for member in structured(value)]


def test_every_response_says_how_much_is_left_and_how_long_it_takes() -> None:
    chain, clock = started(rate_limit("3/minute", name="per-user")), FakeClock()
    seen = [told(exchange(chain, clock=clock))["per-user"] for _ in range(4)]
    assert seen == [
        {"q": 3, "w": 60, "r": 2, "t": 20},
        {"q": 3, "w": 60, "r": 1, "t": 40},
        {"q": 3, "w": 60, "r": 0, "t": 20},
        {"q": 3, "w": 60, "r": 0, "t": 20},
    ]


def test_a_refusal_says_when_to_come_back_and_why() -> None:
    chain, clock = started(rate_limit("3/minute", burst=1)), FakeClock()
    exchange(chain, clock=clock)
    clock.now += 0.5
    outcome = exchange(chain, clock=clock)
    assert outcome.immediate is not None
    assert outcome.got("retry-after") == ["20"]  # 19.5 rounded up
    assert outcome.details == "extproc.rate_limit.over"
    assert outcome.immediate.grpc_status == 8
    assert outcome.got("content-type") == ["application/problem+json"]
    assert json.loads(outcome.immediate.body)["violated-policies"] == ["default"]


@UNHURRIED
@given(count=st.integers(1, 2000), seconds=st.integers(1, 86400), steps=st.lists(st.floats(0, 10), max_size=8))
def test_retry_after_is_a_whole_number_and_never_earlier_than_t(count: int, seconds: int, steps: list[float]) -> None:
    chain, clock = started(rate_limit(f"{count}/{seconds}s", burst=1)), FakeClock()
    for step in [0.0, *steps]:
        clock.now += step
        outcome = exchange(chain, clock=clock)
        item = told(outcome)["default"]
        assert item["t"] >= 1
        if outcome.status == 429:
            [retry_after] = outcome.got("retry-after")
            assert int(retry_after) >= item["t"]


def test_two_limits_are_told_beside_each_other() -> None:
    chain = started(rate_limit("10/s", name="burst"), rate_limit("1/day", name="daily"))
    first, second = (exchange(chain) for _ in range(2))
    assert set(told(first)) == set(told(second)) == {"burst", "daily"}
    assert (first.status, second.status) == (200, 429)


def test_the_upstreams_own_headers_stay() -> None:
    outcome = exchange(started(rate_limit()), response=[("ratelimit", '"theirs";r=1;t=1')])
    assert [name for name, _ in _members(outcome, "ratelimit")] == ["theirs", "default"]


def test_the_refusal_of_a_later_filter_says_what_is_left_too() -> None:
    chain = started(rate_limit(), ApiKey.model_validate({"callers": {"a": "k"}}))
    outcome = exchange(chain)
    assert (outcome.status, told(outcome)["default"]["r"]) == (401, 2)


def test_without_headers_it_asks_for_no_response_and_tells_nothing() -> None:
    chain = started(rate_limit("1/day", headers=False))
    exchange(chain)
    refused = exchange(chain)
    assert chain.needs.phases == {Phase.REQUEST_HEADERS}
    assert (refused.got("ratelimit"), refused.got("retry-after")) == ([], ["86400"])


def test_a_response_without_a_request_is_left_alone() -> None:
    """Envoy answers some requests by itself, before any filter saw them."""
    limiter = rate_limit()
    chain = Chain([limiter])
    chain.needs = type(chain.needs)(phases=frozenset({Phase.RESPONSE_HEADERS}))
    assert exchange(chain).got("ratelimit") == []


def test_shadow_mode_counts_and_logs_and_does_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    chain = started(rate_limit("1/day", enforce=False, name="trial"))
    outcomes = [exchange(chain) for _ in range(3)]
    assert [outcome.status for outcome in outcomes] == [200, 200, 200]
    assert not any(outcome.got("ratelimit") for outcome in outcomes)
    assert [("trial" in record.getMessage()) for record in caplog.records] == [True, True]
    assert chain.needs.phases == {Phase.REQUEST_HEADERS}


@pytest.mark.parametrize(
    ("key", "attributes"), [("ip", {"source.address"}), (("path", "ip"), {"source.address"}), ("path", set())]
)
def test_it_asks_for_the_address_only_if_the_key_has_it(key: str | tuple[str, ...], attributes: set[str]) -> None:
    assert Chain([rate_limit(key=key)]).needs.request_attributes == attributes


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"limit": "100"}, "write 100/minute or 5/10s"),
        ({"limit": "0/minute"}, "is no rate"),
        ({"limit": "-1/minute"}, "is no rate"),
        ({"limit": "1.5/minute"}, "is no rate"),
        ({"limit": "100/fortnight"}, "the units are s, second"),
        ({"limit": "100/0s"}, "is no rate"),
        ({"limit": "\u0661/s"}, "is no rate"),
        ({"limit": 100}, "valid string"),
        ({"burst": 0}, "greater than or equal to 1"),
        ({"key": "user"}, "write header:NAME"),
        ({"key": "remote_address"}, "or ip, path, method, host; or global"),
        ({"key": ()}, "at least one"),
        ({"key": ("ip", "ip")}, "twice"),
        ({"key": ("ip", "global")}, "global, which stands alone"),
        ({"key": "header:host"}, "kept as the authority"),
        ({"on_missing": "allow"}, "'share', 'skip' or 'deny'"),
        ({"name": 'a"b'}, "should match pattern"),
        ({"max_keys": 0}, "greater than or equal to 1"),
        ({"window": 5}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(config: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RateLimit.model_validate({"limit": "1/s", **config})
    assert says in str(caught.value)


def test_the_schema_lets_an_editor_check_a_limit() -> None:
    pattern = RateLimit.model_json_schema()["properties"]["limit"]["pattern"]
    assert [bool(re.search(pattern, text)) for text in ("5/10s", "100/minute", "100", "1/year")] == [
        True,
        True,
        False,
        False,
    ]
