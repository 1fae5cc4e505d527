"""The values between fronts and machine: cheap to make, and nobody's to change."""

from __future__ import annotations

import copy
import pickle
from dataclasses import fields, replace
from typing import Any

import pytest

from extproc.messages import Continue, HeaderEdit, Immediate, Message, Protocol
from extproc.phases import BodyMode, Phase

VALUES = [
    Message(
        Phase.REQUEST_HEADERS, [("x-a", b"1")], end_of_stream=True, protocol=Protocol(BodyMode.NONE, BodyMode.NONE)
    ),
    HeaderEdit("x-a", b"1", append=True),
    Continue(Phase.REQUEST_BODY, (HeaderEdit("x-a", b"1"),), ("x-b",), b"body", clear_route_cache=True),
    Immediate(403, body=b"no"),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_are_equal_when_their_fields_are(value: Any) -> None:
    again = type(value)(**{spec.name: getattr(value, spec.name) for spec in fields(value)})
    assert again == value == copy.copy(value) == replace(value) == pickle.loads(pickle.dumps(value))
    first = fields(value)[0].name
    assert replace(value, **{first: None}) != value


def test_defaults_are_not_shared() -> None:
    one, two = Message(Phase.REQUEST_BODY), Message(Phase.REQUEST_BODY)
    assert one.headers is not two.headers
    assert one.attributes is not two.attributes


def test_there_is_no_room_for_other_attributes() -> None:
    with pytest.raises(AttributeError):
        Message(Phase.REQUEST_BODY).extra = 1  # type: ignore[attr-defined]
