"""Whether an Envoy configuration gives a chain what it needs; works on any file that has an ext_proc filter in it.

A bootstrap, a listener, a config dump or a Kubernetes patch: every ``ExternalProcessor`` in it is held against the
chain. Field names may be in snake or in camel case, as protobuf's JSON takes both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from extproc.config.document import is_list, is_mapping
from extproc.envoy.asked import MARGIN
from extproc.envoy.proto_yaml import ProtoNode
from extproc.phases import BodyMode, Direction, Part, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from extproc.chain import Chain
    from extproc.config.document import Document
    from extproc.errors import ConfigProblem
    from extproc.filter import Privilege

__all__ = ["lint"]

_PACKAGE = "envoy.extensions.filters.http.ext_proc.v3."
_HEADER_MODES = ("DEFAULT", "SEND", "SKIP")
_DEFAULT_MESSAGE_TIMEOUT = 0.2  # seconds; ext_proc.proto
_DEFAULT_MAX_REQUESTS = 1024  # circuit_breaker.proto
_RESPONSE = frozenset(phase for phase in Phase if phase.direction is Direction.RESPONSE)
_CLUSTER_FIELDS = {"circuit_breakers", "connect_timeout", "lb_policy", "load_assignment", "type"}


def lint(chain: Chain, document: Document) -> list[ConfigProblem]:
    """What the Envoy configuration in `document` lacks, or has wrong, for `chain`; in the order of the file."""
    nodes = list(ProtoNode(document).below())
    filters = [node for node in nodes if node.is_a(_PACKAGE + "ExternalProcessor")]
    overrides = [
        found for node in nodes if node.is_a(_PACKAGE + "ExtProcPerRoute") if (found := node.child("overrides"))
    ]
    if not filters:
        return [document.problem("there is no ext_proc filter in this file: nothing calls the chain", ())]
    problems = [problem for node in filters for rule in _RULES for problem in rule(chain, node)]
    problems += [problem for node in overrides for rule in _OVERRIDE_RULES for problem in rule(chain, node)]
    problems += _clusters(filters, nodes)
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.line or 0, problem.column or 0))


def _who(chain: Chain, need: str, *items: object) -> str:
    """The names of the filters that have one of `items` among their needs."""
    return ", ".join(link.name for link in chain.links if getattr(link.needs, need) & set(items))


# Rules: what is wrong with one ExternalProcessor


def _modes(chain: Chain, node: ProtoNode) -> Iterator[ConfigProblem]:
    if chain.links and _header_mode(node, Phase.REQUEST_HEADERS) == "SKIP":
        yield _mode_problem(node, Phase.REQUEST_HEADERS, "SKIP", "every exchange of the chain begins with them", "SEND")
    if chain.needs.phases & _RESPONSE and _header_mode(node, Phase.RESPONSE_HEADERS) == "SKIP":
        who = _who(chain, "phases", *_RESPONSE)
        yield _mode_problem(node, Phase.RESPONSE_HEADERS, "SKIP", f"{who} works on the response", "SEND")
    for phase in sorted(filter(chain.needs.asks_for, Phase), key=lambda phase: phase.value):
        who = _who(chain, "phases", phase)
        if phase.part is Part.TRAILERS and _header_mode(node, phase) != "SEND":
            wanted = f"{who} wants the trailers" if who else _ALONE
            yield _mode_problem(node, phase, _header_mode(node, phase), wanted, "SEND")
        if phase.part is Part.BODY and (mode := _body_mode(node, phase)) not in _suitable(chain, phase):
            how = "" if phase in chain.needs.pieces else " whole"
            cure = chain.needs.body_mode(phase).name
            yield _mode_problem(node, phase, mode.name, f"{who} wants the body{how}, and fails without", cure)


def _suitable(chain: Chain, phase: Phase) -> tuple[BodyMode, ...]:
    """Modes in which every filter gets of a body what it may count on: in STREAMED, a whole one comes too late."""
    some = (BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED)
    return (*some, BodyMode.STREAMED) if phase in chain.needs.pieces else some


def _crash(chain: Chain, node: ProtoNode) -> Iterator[ConfigProblem]:
    """Envoy 1.40 is killed by SIGSEGV; `tests/envoy/test_lint.py` has it so."""
    whole = _body_mode(node, Phase.RESPONSE_BODY) is BodyMode.BUFFERED
    if chain.links and whole and _header_mode(node, Phase.RESPONSE_HEADERS) == "SKIP":
        why = "response_body_mode is BUFFERED: a body that becomes larger than Envoy's buffer limit crashes Envoy 1.40"
        yield _mode_problem(node, Phase.RESPONSE_HEADERS, "SKIP", why, "SEND")


def _full_duplex(chain: Chain, node: ProtoNode) -> Iterator[ConfigProblem]:
    """What Envoy itself refuses when it loads the file (ext_proc.proto, ``FULL_DUPLEX_STREAMED``)."""
    for body, trailers in _TRAILERS_OF.items() if chain.links else ():
        mode = _header_mode(node, trailers)
        if _body_mode(node, body) is BodyMode.FULL_DUPLEX_STREAMED and mode != "SEND":
            why = f"{_mode_field(body)} is FULL_DUPLEX_STREAMED, and Envoy refuses one without the other"
            yield _mode_problem(node, trailers, mode, why, "SEND")


_TRAILERS_OF = {
    Phase.REQUEST_BODY: Phase.REQUEST_TRAILERS,
    Phase.RESPONSE_BODY: Phase.RESPONSE_TRAILERS,
}
_ALONE = "trailers that come without a body pass every filter that wants one"


def _mode_field(phase: Phase) -> str:
    return f"{phase.value.removesuffix('s')}_mode"


def _mode_problem(node: ProtoNode, phase: Phase, mode: str, why: str, cure: str) -> ConfigProblem:
    field = _mode_field(phase)
    is_set = node.child("processing_mode", field) is not None
    return node.problem(
        f"is {mode}{'' if is_set else ' by default'}, but {why}: set {field}: {cure}", "processing_mode", field
    )


def _header_mode(node: ProtoNode, phase: Phase) -> str:
    mode = node.read("processing_mode", _mode_field(phase), default="DEFAULT")
    return _HEADER_MODES[mode] if isinstance(mode, int) and 0 <= mode < len(_HEADER_MODES) else str(mode)


def _body_mode(node: ProtoNode, phase: Phase) -> BodyMode:
    mode = node.read("processing_mode", _mode_field(phase), default="NONE")
    names = {item.name: item for item in BodyMode} | {str(item.value): item for item in BodyMode}
    return names.get(str(mode), BodyMode.NONE)


def _attributes(chain: Chain, node: ProtoNode) -> Iterator[ConfigProblem]:
    for field in ("request_attributes", "response_attributes"):
        for name in sorted(getattr(chain.needs, field) - set(node.names(field))):
            who = _who(chain, field, name)
            yield node.problem(f"lacks {name}, which {who} reads: add it", field)


def _privileges(chain: Chain, node: ProtoNode) -> Iterator[ConfigProblem]:
    for privilege, rule in _RULE_OF.items():
        if privilege in chain.needs.requires and not node.is_true("mutation_rules", rule):
            who = _who(chain, "requires", privilege)
            what = _EDITS[privilege]
            yield node.problem(
                f"is off, so Envoy silently drops what {who} does to {what}: set {rule}: true", "mutation_rules", rule
            )
    if chain.links and node.is_true("mutation_rules", "disallow_all"):
        yield node.problem("Envoy silently drops every edit of the chain: remove it", "mutation_rules", "disallow_all")
    if "routing" in chain.needs.requires and (
        node.is_true("disable_clear_route_cache") or str(node.read("route_cache_action")) in ("RETAIN", "2")
    ):
        who = _who(chain, "requires", "routing")
        field = "route_cache_action" if node.child("route_cache_action") else "disable_clear_route_cache"
        yield node.problem(f"keeps the route that was chosen before the edits of {who}: remove it", field)


_RULE_OF: dict[Privilege, str] = {"routing": "allow_all_routing", "envoy_headers": "allow_envoy"}
_EDITS: dict[Privilege, str] = {"routing": "method, scheme and host", "envoy_headers": "x-envoy-* headers"}


def _metadata(chain: Chain, node: ProtoNode) -> Iterator[ConfigProblem]:
    for need, field, verb in (
        ("metadata_in", "forwarding_namespaces", "reads"),
        ("metadata_out", "receiving_namespaces", "writes"),
    ):
        listed = {name for kind in ("untyped", "typed") for name in node.names("metadata_options", field, kind)}
        for name in sorted(getattr(chain.needs, need) - listed):
            who = _who(chain, need, name)
            yield node.problem(
                f"lacks {name}, which {who} {verb}: add it to untyped", "metadata_options", field, "untyped"
            )


def _failure_mode(chain: Chain, node: ProtoNode) -> Iterator[ConfigProblem]:
    if node.is_true("observability_mode"):
        return  # nobody is refused anything
    denying = ", ".join(link.name for link in chain.links if link.on_error == "deny")
    if denying and node.is_true("failure_mode_allow"):
        yield node.problem(
            f"lets requests through without {denying} when the processor cannot be reached: set it to false",
            "failure_mode_allow",
        )
    if denying and node.is_true("disable_immediate_response"):
        yield node.problem(f"turns what {denying} refuses into a 500: remove it", "disable_immediate_response")


def _observability(chain: Chain, node: ProtoNode) -> Iterator[ConfigProblem]:
    if chain.links and node.is_true("observability_mode"):
        open_ = node.is_true("failure_mode_allow")
        watch = "" if open_ else "; if it is to watch, set failure_mode_allow: true, for requests fail when it does"
        yield node.problem(
            f"Envoy ignores every answer, so the chain can watch but not act: set it to false{watch}",
            "observability_mode",
        )


def _timeout(chain: Chain, node: ProtoNode) -> Iterator[ConfigProblem]:
    seconds = _seconds(node, "message_timeout", _DEFAULT_MESSAGE_TIMEOUT)
    if seconds <= chain.timeout and _seconds(node, "max_message_timeout", 0.0) <= chain.timeout:
        default = "" if node.child("message_timeout") else " by default"
        yield node.problem(
            f"Envoy gives up after {seconds:g}s{default}, but the chain may take {chain.timeout:g}s: set it to "
            f"{chain.timeout + MARGIN:g}s, lower the timeout of the chain, or set max_message_timeout and tell "
            "`extproc serve` of both",
            "message_timeout",
        )


def _seconds(node: ProtoNode, field: str, default: float) -> float:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)s", str(node.read(field)))
    return float(match[1]) if match else default


_RULES: list[Callable[[Chain, ProtoNode], Iterator[ConfigProblem]]] = [
    _modes,
    _crash,
    _full_duplex,
    _attributes,
    _privileges,
    _metadata,
    _failure_mode,
    _observability,
    _timeout,
]


def _override_modes(chain: Chain, node: ProtoNode) -> Iterator[ConfigProblem]:
    for rule in (_modes, _crash, _full_duplex) if node.child("processing_mode") else ():
        yield from rule(chain, node)


_OVERRIDE_RULES: list[Callable[[Chain, ProtoNode], Iterator[ConfigProblem]]] = [_override_modes, _failure_mode]
"""What a route may override; a processing mode there takes the place of the filter's as a whole."""


def _clusters(filters: list[ProtoNode], nodes: list[ProtoNode]) -> Iterator[ConfigProblem]:
    """An exchange holds a request to the processor for as long as it lasts, so the default limit is soon reached."""
    called = {str(node.read("grpc_service", "envoy_grpc", "cluster_name")) for node in filters}
    for node in nodes:
        if node.read("name") is not None and str(node.read("name")) in called and node.has_any(_CLUSTER_FIELDS):
            limits = node.read("circuit_breakers", "thresholds", default=[])
            if not any(_limits_requests(item) for item in (limits if is_list(limits) else [])):
                yield node.problem(
                    f"Envoy answers 500 to every exchange beyond {_DEFAULT_MAX_REQUESTS} at a time, or fewer: "
                    "set thresholds: [{max_requests: 65536}]",
                    "circuit_breakers",
                )


def _limits_requests(threshold: Any) -> bool:
    """Whether it lets more exchanges go on at once than Envoy does by default."""
    if not is_mapping(threshold) or threshold.get("priority", "DEFAULT") not in ("DEFAULT", 0):
        return False
    most = threshold.get("max_requests", threshold.get("maxRequests"))
    return isinstance(most, int) and most > _DEFAULT_MAX_REQUESTS
