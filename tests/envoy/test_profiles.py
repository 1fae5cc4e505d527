"""Each row of the table of other data planes changes an outcome where it is said to, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from extproc.envoy.model import (
    DIFFERENCES,
    PROFILES,
    EnvoyModel,
    ExtProcConfig,
    HeaderMode,
    HttpMessage,
    Later,
    ModeOverride,
    Outcome,
    PerRoute,
    Quirk,
    Replies,
    Reply,
    Said,
    StreamedHeaders,
    Unhandled,
    profile,
)
from extproc.errors import EnvoyError
from extproc.messages import Abort, Continue, HeaderEdit, Message
from extproc.phases import BodyMode, Phase
from tests.envoy.scenario import HEADERS, RQB, RQH, RSH, config, get, post, reply

_DUPLEX = config("all", body=BodyMode.FULL_DUPLEX_STREAMED)


async def play(where: ExtProcConfig, request: HttpMessage, script: dict[Phase, Sequence[Reply]]) -> Outcome:
    async def processor(message: Message) -> Replies:
        return script.get(message.phase, [Continue(message.phase)])

    return await EnvoyModel(where).run(request, reply(), processor)


Case = tuple[ExtProcConfig, HttpMessage, dict[Phase, Sequence[Reply]], Callable[[Outcome], object], object, object]

_TO_DUPLEX = ModeOverride(request_body=BodyMode.FULL_DUPLEX_STREAMED, request_trailers=HeaderMode.SEND)
_PIECE = Said(Continue(RQB, body=b"x"), streamed=True, end_of_stream=True)


def _spurious(outcome: Outcome) -> int:
    return outcome.counters.get("spurious_msgs_received", 0)


CASES: dict[Quirk, Case] = {
    Quirk.SPURIOUS_PASSES: (
        HEADERS,
        get(),
        {RQH: [Unhandled()]},
        lambda o: o.details,
        "unhandled_message",
        "via_upstream",
    ),
    Quirk.NO_ROUTE_FAILURE_MODE: (
        config(per_route=(PerRoute(failure_mode_allow=True),)),
        get(),
        {RQH: [Abort("INTERNAL", "x")]},
        lambda o: o.upstream is None,
        False,
        True,
    ),
    Quirk.NO_STATUS_ON_ERROR: (
        config(status_on_error=503),
        get(),
        {RQH: [Abort("INTERNAL", "x")]},
        lambda o: o.client and o.client.get(":status"),
        b"503",
        b"500",
    ),
    Quirk.DUPLEX_OPENS_LATE: (
        replace(_DUPLEX, failure_mode_allow=True),
        post(b"aaa", chunked=True),
        {RQB: [Abort("INTERNAL", "x")]},
        lambda o: o.upstream is None,
        True,
        False,
    ),
    Quirk.STAYS_IN_TOUCH: (
        config("request_headers"),
        get(),
        {RQH: [Continue(RQH), Continue(RQH)]},
        _spurious,
        0,
        1,
    ),
    Quirk.NO_STREAMED_IMMEDIATE: (
        HEADERS,
        get(),
        {RQH: [Said(StreamedHeaders([(":status", b"200")], end_of_stream=True))]},
        _spurious,
        0,
        1,
    ),
    Quirk.NO_CONTENT_LENGTH: (
        config("headers bodies", body=BodyMode.STREAMED, allow_content_length_header=True),
        post(b"aaa"),
        {},
        lambda o: o.upstream and o.upstream.get("content-length"),
        b"3",
        None,
    ),
    Quirk.NO_LONE_OVERRIDE: (
        config("headers", allow_mode_override=True),
        post(b"aaa", chunked=True),
        {RQH: [Said(mode_override=_TO_DUPLEX), Continue(RQH)], RQB: [_PIECE]},
        _spurious,
        0,
        1,
    ),
    Quirk.OVERRIDE_RESETS: (
        config("request_headers", allow_mode_override=True),
        get(),
        {RQH: [Said(Continue(RQH), mode_override=ModeOverride())]},
        lambda o: o.counters["stream_msgs_sent"],
        1,
        2,
    ),
    Quirk.SETTING_APPENDS: (
        HEADERS,
        get("/a", ("x-a", b"1")),
        {RQH: [Continue(RQH, (HeaderEdit("x-a", b"2"),))]},
        lambda o: o.upstream and [value for name, value in o.upstream.headers if name == "x-a"],
        [b"2"],
        [b"1", b"2"],
    ),
    Quirk.SHORT_PATIENCE: (
        replace(HEADERS, message_timeout=3.0),
        get(),
        {RSH: [Later(2.0, Continue(RSH))]},
        lambda o: o.counters.get("message_timeouts", 0),
        0,
        1,
    ),
}
REFUSED = {
    Quirk.NO_DUPLEX: _DUPLEX,
    Quirk.ONLY_GRPC_BODIES: config("headers bodies"),
}


def profiles_with(quirk: Quirk) -> list[str]:
    return [name for name, item in PROFILES.items() if quirk in item.quirks]


@pytest.mark.parametrize("quirk", CASES)
async def test_a_difference_changes_the_outcome_where_it_is_said_to(quirk: Quirk) -> None:
    where, request, script, seen, here, there = CASES[quirk]
    assert seen(await play(where, request, script)) == here
    for name, item in PROFILES.items():
        played = replace(item, quirks=item.quirks - set(REFUSED))
        expected = there if quirk in item.quirks else here
        assert seen(await play(played.applied_to(where), request, script)) == expected, name


@pytest.mark.parametrize("quirk", REFUSED)
def test_a_configuration_that_is_not_known_is_refused(quirk: Quirk) -> None:
    assert profiles_with(quirk)
    for name in profiles_with(quirk):
        with pytest.raises(EnvoyError, match=name):
            profile(name).applied_to(REFUSED[quirk])


def test_every_difference_is_tested_and_says_who_says_so() -> None:
    assert {row.quirk for row in DIFFERENCES} == set(Quirk) == {*CASES, *REFUSED}
    assert all(row.source and (row.before or row.planes) for row in DIFFERENCES)


def test_the_newest_envoy_is_what_the_model_is_by_itself() -> None:
    assert profile("envoy-1.40").quirks == frozenset()
    assert profile("envoy-1.40").applied_to(HEADERS) == HEADERS


def test_an_older_envoy_has_all_that_a_newer_one_has() -> None:
    envoys = [item.quirks for name, item in PROFILES.items() if name.startswith("envoy-")]
    assert all(older >= newer for older, newer in pairwise(envoys))


def test_an_unknown_profile_is_answered_with_those_there_are() -> None:
    with pytest.raises(EnvoyError, match=r"envoy-1\.34"):
        profile("envoy-1.2")
