"""Random exchanges: anything that a front could have seen, sensible or not."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from extproc.messages import Abort, Answer, Continue, HeaderEdit, Immediate, Message, Protocol
from extproc.phases import BodyMode, Phase
from extproc.replay.capture import CapturedExchange, CapturedMessage
from extproc.trace import Change, Event

__all__ = ["exchanges", "tokens"]

_NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True) | st.sampled_from(
    [":path", ":method", "authorization", "cookie", "set-cookie", "x-api-key", "content-encoding", "referer"]
)
_BODIES = st.binary(max_size=60) | st.text(max_size=60).map(str.encode)
_SECONDS = st.floats(min_value=1e9, max_value=2e9)
_TEXTS = st.text(max_size=20)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=5,
)
_OBJECTS = st.dictionaries(_TEXTS, _JSON, max_size=2)
_NAMESPACED = st.dictionaries(_TEXTS, _OBJECTS, max_size=2)
_HEADERS = st.lists(st.tuples(_NAMES, _BODIES), max_size=6)
_PHASES = st.sampled_from(Phase)
_MODES = st.sampled_from(BodyMode)
_EDITS = st.lists(st.builds(HeaderEdit, _NAMES, _BODIES, st.booleans()), max_size=3).map(tuple)

_MESSAGES = st.builds(
    Message,
    _PHASES,
    headers=_HEADERS,
    body=_BODIES,
    end_of_stream=st.booleans(),
    attributes=_OBJECTS,
    metadata=_NAMESPACED,
    protocol=st.none() | st.builds(Protocol, _MODES, _MODES, st.booleans()),
    observability=st.booleans(),
)
_ANSWERS: st.SearchStrategy[Answer | None] = st.one_of(
    st.none(),
    st.builds(
        Continue,
        _PHASES,
        set_headers=_EDITS,
        remove_headers=st.lists(_NAMES, max_size=2).map(tuple),
        body=st.none() | _BODIES,
        replace=st.booleans(),
        clear_route_cache=st.booleans(),
        metadata=_NAMESPACED,
    ),
    st.builds(
        Immediate,
        st.integers(200, 599),
        set_headers=_EDITS,
        body=_BODIES,
        details=_TEXTS,
        grpc_status=st.none() | st.integers(0, 16),
        metadata=_NAMESPACED,
    ),
    st.builds(Abort, st.sampled_from(["INTERNAL", "UNIMPLEMENTED"]), _TEXTS),
)
_CHANGES = st.builds(
    Change, _NAMES | st.just("body"), st.lists(_BODIES, max_size=2).map(tuple), st.lists(_BODIES, max_size=2).map(tuple)
)
_EVENTS = st.builds(
    Event,
    _NAMES,
    _PHASES,
    st.sampled_from(["edit", "respond", "skip", "deny"]),
    st.lists(_CHANGES, max_size=2).map(tuple),
    _TEXTS,
)

tokens = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=._-", min_size=10, max_size=40
).filter(lambda token: len(set(token)) > 4)
"""Secrets, such as people are given: long enough not to occur by chance."""


def exchanges() -> st.SearchStrategy[CapturedExchange]:
    """Any exchange whatever."""
    return st.builds(
        CapturedExchange,
        st.uuids().map(str),
        st.lists(
            st.builds(CapturedMessage, _MESSAGES, _ANSWERS, _SECONDS, st.integers(0, 1000)), min_size=1, max_size=4
        ).map(tuple),
        st.lists(_EVENTS, max_size=3).map(tuple),
        st.sampled_from(["", "complete", "immediate", "cancelled", "aborted"]),
    )
