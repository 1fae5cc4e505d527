"""Groups of settings of an ext_proc filter, each a message of Envoy's API: values and no rules."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

__all__ = ["ForwardRules", "MetadataOptions", "MutationRules", "Namespaces", "RouteCacheAction", "StringMatch"]


@dataclass(frozen=True, slots=True)
class MutationRules:
    """``config.common.mutation_rules.v3.HeaderMutationRules``: which headers a processor may touch."""

    allow_all_routing: bool = False
    """Setting ``:method``, ``:scheme``, ``:authority`` and ``host``."""
    allow_envoy: bool = False
    """``x-envoy-*``."""
    disallow_system: bool = False
    """Refuses every pseudo-header."""
    disallow_all: bool = False
    allow_expression: str = ""
    """RE2, against the whole name; wins over everything but `disallow_expression`."""
    disallow_expression: str = ""
    """RE2, against the whole name; wins over everything."""
    disallow_is_error: bool = False
    """A refused edit fails the exchange instead of being dropped."""


@dataclass(frozen=True, slots=True)
class StringMatch:
    """``type.matcher.v3.StringMatcher``: one way to recognise a name."""

    kind: Literal["exact", "prefix", "suffix", "contains", "safe_regex"]
    text: str
    """What to look for; for ``safe_regex`` an RE2 against the whole name."""
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class ForwardRules:
    """``HeaderForwardingRules``: which headers and trailers the processor is told of."""

    allowed: tuple[StringMatch, ...] = ()
    """None: all that are not disallowed."""
    disallowed: tuple[StringMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class Namespaces:
    """``MetadataOptions.MetadataNamespaces``."""

    untyped: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MetadataOptions:
    """``MetadataOptions``: of which namespaces metadata goes to the processor, and of which it is taken from there.

    None: not set at all, which a more specific route inherits.
    """

    forwarding: Namespaces | None = None
    receiving: Namespaces | None = None
    cluster_forwarding: Namespaces | None = None
    """Metadata of the upstream's cluster, which is known once a route is."""


class RouteCacheAction(Enum):
    """``route_cache_action``: what becomes of the route after an answer to request headers or a request body."""

    DEFAULT = "DEFAULT"
    """As the answer's ``clear_route_cache`` says."""
    CLEAR = "CLEAR"
    """Chosen anew, whatever the answer says."""
    RETAIN = "RETAIN"
    """Kept, whatever the answer says."""
