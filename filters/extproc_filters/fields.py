"""Types that several filters use for their fields: what is illegal fails when the configuration is read."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from extproc import HeaderError, check_name, check_value

__all__ = ["HeaderName", "can_stand", "header_name"]


def header_name(name: str, *, removing: bool = False) -> str:
    """The name in lower case, if a filter may set (or remove) such a header at all.

    Raises:
        ValueError: it may not; pydantic reports it with the field.
    """
    try:
        return check_name(name, removing=removing)
    except HeaderError as error:
        raise ValueError(str(error)) from None


def can_stand(value: str) -> bool:
    """Whether `value` may be the value of a header."""
    try:
        check_value("", value)
    except HeaderError:
        return False
    return True


def _own_header_name(name: str) -> str:
    """A header that the filter keeps for itself, in every spelling: see `Headers.discard_lookalikes`."""
    for spelling in (name, name.replace("_", "-")):
        if header_name(spelling).startswith("x-envoy-"):
            raise ValueError(f"header {name!r} is reserved by Envoy: choose one that does not begin with x-envoy-")
    return name.lower()


HeaderName = Annotated[str, AfterValidator(_own_header_name)]
"""A header that a filter sets and that nobody else may set."""
