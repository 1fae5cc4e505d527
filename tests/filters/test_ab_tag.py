"""AbTag: the same user always gets the same variant, weights hold, and nobody can tag themselves."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from extproc import Chain, Phase
from extproc_filters import AbTag, ApiKey
from extproc_filters.ab_tag import bucket
from tests.filters.driver import Outcome, Pairs, exchange, started
from tests.filters.xxh64 import xxh64

VECTORS = json.loads(Path(__file__).with_name("ab_tag_vectors.json").read_text("utf-8"))
HALVES = {"a": 50, "b": 50}
USERS = [f"user-{number}" for number in range(20_000)]

UNHURRIED = settings(deadline=None)  # a busy machine is no failure


def ab_tag(**config: Any) -> AbTag:
    return AbTag.model_validate({"salt": "experiment", "variants": HALVES, "unit": "header:x-user", **config})


def call(headers: Pairs = (), *, response: Pairs = (), target: str = "/", **config: Any) -> Outcome:
    return exchange(started(ab_tag(**config)), headers, response=response, target=target)


# Assignment


@pytest.mark.parametrize("vector", VECTORS["buckets"], ids=lambda vector: f"{vector['salt']}-{vector['unit'][:20]}")
def test_buckets_are_those_that_were_published(vector: dict[str, Any]) -> None:
    salt, unit = vector["salt"], vector["unit"]
    for purpose in ("coverage", "variant"):
        assert bucket(purpose, salt, unit) == vector[f"{purpose}_bucket"]
        assert xxh64(f"{purpose}\0{salt}\0{unit}".encode()) % 10_000 == vector[f"{purpose}_bucket"]


@pytest.mark.parametrize("vector", VECTORS["experiments"], ids=lambda vector: str(vector["variants"]))
def test_variants_are_those_that_were_published(vector: dict[str, Any]) -> None:
    assigned = vector["assigned"]
    config = {name: value for name, value in vector.items() if name != "assigned"}
    tagger = AbTag.model_validate(config)
    assert {unit: tagger.variant(unit) for unit in assigned} == assigned


WEIGHTS = st.integers(0, 10_000)


@UNHURRIED
@given(weight=WEIGHTS, other=WEIGHTS)
def test_a_weight_that_grows_moves_only_those_who_have_to(weight: int, other: int) -> None:
    low, high = sorted((weight, other))
    before, after = (ab_tag(variants={"a": w / 100, "b": (10_000 - w) / 100}) for w in (low, high))
    for user in USERS[:200]:
        if before.variant(user) == "a":
            assert after.variant(user) == "a"
        moved = before.variant(user) != after.variant(user)
        assert moved == (low <= bucket("variant", "experiment", user) < high)


def test_fifty_to_sixty_moves_ten_percent() -> None:
    before, after = ab_tag(), ab_tag(variants={"a": 60, "b": 40})
    moved = sum(before.variant(user) != after.variant(user) for user in USERS)
    assert moved / len(USERS) == pytest.approx(0.10, abs=0.01)


@UNHURRIED
@given(cover=WEIGHTS, more=WEIGHTS)
def test_coverage_that_grows_changes_nobodys_variant(cover: int, more: int) -> None:
    low, high = sorted((cover, more))
    before, after = ab_tag(coverage=low / 100), ab_tag(coverage=high / 100)
    for user in USERS[:200]:
        if before.variant(user) is not None:
            assert after.variant(user) == before.variant(user)


def test_coverage_and_weights_end_where_they_say() -> None:
    edge = bucket("coverage", "experiment", "user-1")
    assert ab_tag(coverage=edge / 100).variant("user-1") is None
    assert ab_tag(coverage=(edge + 1) / 100).variant("user-1") is not None
    edge = bucket("variant", "experiment", "user-1")
    assert ab_tag(variants={"a": edge / 100, "b": (10_000 - edge) / 100}).variant("user-1") == "b"
    assert ab_tag(variants={"a": (edge + 1) / 100, "b": (9_999 - edge) / 100}).variant("user-1") == "a"


def chi_square(observed: list[int]) -> float:
    expected = sum(observed) / len(observed)
    return sum((count - expected) ** 2 / expected for count in observed)


@pytest.mark.parametrize("salt", ["experiment", "checkout", "s1", "s2"])
@pytest.mark.parametrize("purpose", ["coverage", "variant"])
def test_users_spread_evenly(salt: str, purpose: str) -> None:
    counts = Counter(bucket(purpose, salt, user) // 100 for user in USERS)
    # 99 degrees of freedom: mean 99, standard deviation 14; five of them off would be no chance.
    assert abs(chi_square([counts[group] for group in range(100)]) - 99) < 5 * math.sqrt(2 * 99)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("variant", "experiment-1"), ("variant", "experiment-2")),
        (("coverage", "experiment-1"), ("variant", "experiment-1")),
    ],
)
def test_salts_and_purposes_spread_users_independently(one: tuple[str, str], other: tuple[str, str]) -> None:
    counts = Counter((bucket(*one, user) // 1000, bucket(*other, user) // 1000) for user in USERS)
    cells = [counts[a, b] for a in range(10) for b in range(10)]
    assert abs(chi_square(cells) - 99) < 5 * math.sqrt(2 * 99)


@pytest.mark.parametrize(
    "variants", [{"a": 33.33, "b": 33.33, "c": 33.34}, {"a": 0.01, "b": 99.99}, {"a": 0, "b": 100}, {"a": 100, "b": 0}]
)
def test_weights_hold(variants: dict[str, float]) -> None:
    tagger = ab_tag(variants=variants)
    counts = Counter(tagger.variant(user) for user in USERS)
    for name, weight in variants.items():
        share = weight / 100
        assert abs(counts[name] - len(USERS) * share) <= 5 * math.sqrt(len(USERS) * share * (1 - share))


# The request


def test_the_variant_goes_upstream_and_the_route_is_chosen_by_it() -> None:
    outcome = call([("x-user", "user-1")])
    assert outcome.sent("x-variant") == [ab_tag().variant("user-1")]
    assert outcome.route_cleared


def test_the_same_user_gets_the_same_variant_in_every_exchange() -> None:
    chain = started(ab_tag())
    tags = {exchange(chain, [("x-user", "u")], exchange_id=str(number)).sent("x-variant")[0] for number in range(20)}
    assert len(tags) == 1


@pytest.mark.parametrize("name", ["x-variant", "x_variant"])
@pytest.mark.parametrize(("coverage", "tags"), [(100, ["a"]), (0, [])])
def test_nobody_tags_themselves(name: str, coverage: int, tags: list[str]) -> None:
    outcome = call([("x-user", "user-1"), (name, "forged"), (name, "forged")], coverage=coverage)
    assert outcome.sent("x-variant") == tags
    assert outcome.sent("x_variant") == []


def test_the_route_is_chosen_again_only_if_the_tag_changed() -> None:
    variant = ab_tag().variant("user-1") or ""
    user = ("x-user", "user-1")
    assert not call([user, ("x-variant", variant)]).route_cleared
    assert call([user, ("x-variant", "forged")]).route_cleared
    assert call([user, ("x-variant", "forged")], coverage=0).route_cleared
    assert not call([user], coverage=0).route_cleared


@pytest.mark.parametrize(
    ("headers", "target", "unit"),
    [
        ([("x-user", "u"), ("cookie", "id=c; ab-id=m")], "/?q=q", "u"),
        ([("x-user", ""), ("cookie", "id=c; ab-id=m")], "/?q=q", "c"),
        ([("cookie", "ab-id=m")], "/?q=q", "q"),
        ([("cookie", "ab-id=m")], "/?q=", "m"),
    ],
)
def test_the_first_unit_that_is_there_counts(headers: Pairs, target: str, unit: str) -> None:
    outcome = call(
        headers,
        target=target,
        unit=("header:x-user", "cookie:id", "query:q"),
        variants={f"v{i}": 1 for i in range(100)},
    )
    assert outcome.sent("x-variant") == [ab_tag(variants={f"v{i}": 1 for i in range(100)}).variant(unit)]


# The cookie


def test_a_user_without_an_id_gets_one_with_the_response_and_keeps_the_variant() -> None:
    chain = started(ab_tag())
    first = exchange(chain)
    [cookie] = first.got("set-cookie")
    found = re.fullmatch(r"ab-id=([0-9a-f]{32}); Path=/; Max-Age=15552000; HttpOnly; SameSite=Lax; Secure", cookie)
    assert found is not None
    second = exchange(chain, [("cookie", f"a=1; ab-id={found[1]}")], exchange_id="exchange-2")
    assert second.sent("x-variant") == first.sent("x-variant")
    assert second.got("set-cookie") == []


def test_the_cookie_stands_beside_those_of_the_upstream() -> None:
    assert len(call(response=[("set-cookie", "a=1"), ("set-cookie", "b=2")]).got("set-cookie")) == 3


def test_a_replay_mints_the_same_id_and_another_exchange_another() -> None:
    chain = started(ab_tag())
    cookies = [exchange(chain, exchange_id=name).got("set-cookie") for name in ("one", "one", "two")]
    assert cookies[0] == cookies[1] != cookies[2]


def test_the_cookie_is_set_although_a_later_filter_refuses_the_request() -> None:
    chain = started(ab_tag(), ApiKey.model_validate({"callers": {"a": "k"}}))
    outcome = exchange(chain)
    assert (outcome.status, len(outcome.got("set-cookie"))) == (401, 1)


def test_experiments_that_share_a_cookie_share_the_id() -> None:
    one, two = ab_tag(salt="one", header="x-one"), ab_tag(salt="two", header="x-two")
    outcome = exchange(started(one, two))
    [cookie] = outcome.got("set-cookie")
    unit = cookie.partition(";")[0].removeprefix("ab-id=")
    assert (outcome.sent("x-one"), outcome.sent("x-two")) == ([one.variant(unit)], [two.variant(unit)])


def test_the_cookie_is_as_configured() -> None:
    outcome = call(cookie={"name": "exp", "max_age": 60, "secure": False})
    [cookie] = outcome.got("set-cookie")
    assert re.fullmatch(r"exp=[0-9a-f]{32}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax", cookie)


def test_without_a_cookie_a_user_without_an_id_gets_no_tag() -> None:
    outcome = call(cookie=None)
    assert (outcome.sent("x-variant"), outcome.got("set-cookie")) == ([], [])


# The response


def test_the_tag_is_mirrored_when_asked_for_and_the_upstreams_copy_replaced() -> None:
    outcome = call([("x-user", "user-1")], response=[("x-variant", "forged")], mirror=True)
    assert outcome.got("x-variant") == outcome.sent("x-variant") == ["a"]
    assert (
        call([("x-user", "user-1")], response=[("x-variant", "theirs")], mirror=True, coverage=0).got("x-variant") == []
    )
    assert call([("x-user", "user-1")], response=[("x-variant", "theirs")]).got("x-variant") == ["theirs"]


@pytest.mark.parametrize(
    ("config", "responses"),
    [({}, True), ({"cookie": None}, False), ({"cookie": None, "mirror": True}, True)],
)
def test_it_asks_for_responses_only_if_something_may_be_put_on_them(config: dict[str, Any], responses: bool) -> None:
    assert (Phase.RESPONSE_HEADERS in Chain([ab_tag(**config)]).needs.phases) is responses


def test_a_response_without_a_request_is_left_alone() -> None:
    chain = Chain([ab_tag(mirror=True)])
    chain.needs = type(chain.needs)(phases=frozenset({Phase.RESPONSE_HEADERS}))
    assert exchange(chain).response == [(":status", b"200")]


def test_a_failure_lets_the_exchange_go_on_untagged() -> None:
    assert Chain([ab_tag()]).links[0].on_error == "skip"


def test_two_experiments_do_not_get_into_each_others_way() -> None:
    chain = started(ab_tag(salt="one", header="x-one", mirror=True), ab_tag(salt="two", header="x-two", mirror=True))
    outcome = exchange(chain, [("x-user", "user-1")])
    assert (outcome.got("x-one"), outcome.got("x-two")) == (outcome.sent("x-one"), outcome.sent("x-two"))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"variants": {"a": 50, "b": 40}}, "come to 90: they are percentages and come to 100"),
        ({"variants": {"a": 80, "b": 40}}, "come to 120"),
        ({"variants": {}}, "come to 0"),
        ({"variants": {"a": 33.333, "b": 66.667}}, "at most two decimals"),
        ({"variants": {"a": -1, "b": 101}}, "greater than or equal to 0"),
        ({"variants": {"a b": 100}}, "no name for a variant"),
        ({"variants": {"a\r\n": 100}}, "no name for a variant"),
        ({"coverage": 101}, "less than or equal to 100"),
        ({"salt": ""}, "should match pattern"),
        ({"salt": "a\0b"}, "should match pattern"),
        ({"unit": "x-user"}, "write header:NAME"),
        ({"unit": (), "cookie": None}, "give a unit or a cookie"),
        ({"header": "x-envoy-variant"}, "reserved by Envoy"),
        ({"header": "connection"}, "frames the message"),
        ({"cookie": {"name": "a b"}}, "should match pattern"),
        ({"cookie": {"name": "a;b"}}, "should match pattern"),
        ({"cookie": {"name": "__Host-id", "secure": False}}, "unless it is secure"),
        ({"cookie": {"max_age": 0}}, "greater than or equal to 1"),
        ({"cookie": {"domain": "x"}}, "Extra inputs are not permitted"),
        ({"weights": {"a": 100}}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(config: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ab_tag(**config)
    assert says in str(caught.value)


def test_published_boundaries_are_cumulative() -> None:
    tagger = ab_tag(variants={"a": 10, "b": 20, "c": 70})
    assert all(low < high for low, high in pairwise((0, *tagger._bounds)))
    assert tagger._bounds == (1000, 3000, 10_000)
