"""Header mutations as Envoy applies them: what is refused, what fails, in which order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import re2

from extproc.envoy.model.errors import MutationFailedError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from extproc.envoy.model.fields import Fields
    from extproc.envoy.model.options import MutationRules
    from extproc.guard import Limits
    from extproc.messages import HeaderEdit

__all__ = ["Mutation", "plausible"]

_NAME = re.compile(r":?[!#$%&'*+\-.^_`|~0-9A-Za-z]+|")  # the empty name passes
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_AUTHORITY = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+,;=:@\[\]]*")
_STATUS = re.compile(rb"\s*\+?(\d+)\s*")
_ROUTING = frozenset({":authority", ":method", ":scheme", "host"})
_FIRST_STATUS = 200
_REJECTED = "rejected_header_mutations"


@dataclass(frozen=True, slots=True)
class Mutation:
    """A ``HeaderMutation``, and what decides about it."""

    sets: tuple[HeaderEdit, ...]
    removes: tuple[str, ...]
    rules: MutationRules
    counters: Counter[str]
    replacing: bool = False
    """It comes with CONTINUE_AND_REPLACE, which lets ``:method`` through: a GET becomes a POST."""

    def apply(self, fields: Fields, limits: Limits | None = None) -> None:
        """Removes first, then sets; what the rules refuse is left out and counted.

        Args:
            fields: what to change; when it fails, it stays as far as it came.
            limits: how many fields there may be before and after, and how large; None for a local reply.

        Raises:
            MutationFailedError: a character is illegal, a limit is passed, or what is refused is an error.
        """
        if limits is not None and max(len(self.sets), len(self.removes)) > limits.header_count:
            self._fail("header_mutation_operation_count_exceeds_limit")
        for name in self.removes:
            self._remove(fields, name)
        for edit in self.sets:
            self._set(fields, edit)
        if limits is not None and fields.exceed(limits):
            self._fail("header_mutation_result_exceeds_limit")

    def _remove(self, fields: Fields, name: str) -> None:
        if not _NAME.fullmatch(name):
            self._fail("header_mutation_remove_contains_invalid_character")
        key = name.lower()
        if key.startswith(":") or key == "host" or not _allowed(key, self.rules, appending=False):
            self._refuse("header_mutation_remove_headers_failed")
        else:
            fields.remove(key)

    def _set(self, fields: Fields, edit: HeaderEdit) -> None:
        if not _NAME.fullmatch(edit.name) or not _VALUE.fullmatch(edit.value):
            self._fail("header_mutation_set_contains_invalid_character")
        key = edit.name.lower()
        appending = edit.append and key in fields
        method = self.replacing and key == ":method"
        if not method and not (_allowed(key, self.rules, appending=appending) and plausible(key, edit.value)):
            self._refuse("header_mutation_set_headers_failed")
        elif edit.append:
            fields.append(key, edit.value)
        else:
            fields.set(key, edit.value)

    def _refuse(self, details: str) -> None:
        if self.rules.disallow_is_error:
            self._fail(details)
        self.counters[_REJECTED] += 1

    def _fail(self, details: str) -> None:
        self.counters[_REJECTED] += 1
        raise MutationFailedError(details)


def _allowed(name: str, rules: MutationRules, *, appending: bool) -> bool:
    """Whether the rules let a field of this name be changed; the first that applies decides."""
    if _matches(rules.disallow_expression, name):
        return False
    if _matches(rules.allow_expression, name):
        return True
    if rules.disallow_all or (name in _ROUTING and not rules.allow_all_routing):
        return False
    if name.startswith(":") and (appending or rules.disallow_system):
        return False
    return rules.allow_envoy or not name.startswith("x-envoy-")


def plausible(name: str, value: bytes) -> bool:
    """Whether Envoy could live with such a pseudo-header."""
    if name in (":authority", "host"):
        return _AUTHORITY.fullmatch(value) is not None
    if name == ":scheme":
        return value.lower() in (b"http", b"https")
    if name == ":status":
        number = _STATUS.fullmatch(value)
        return number is not None and int(number[1]) >= _FIRST_STATUS
    return True


def _matches(expression: str, name: str) -> bool:
    return bool(expression) and _matcher(expression)(name) is not None


@lru_cache(maxsize=64)
def _matcher(expression: str) -> Callable[[str], object]:
    return re2.compile(expression).fullmatch
