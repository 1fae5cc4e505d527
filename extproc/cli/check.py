"""``extproc check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from extproc.chain import Chain, Link
    from extproc.when import When

__all__ = ["check"]


def check(chain: str, /, *, envoy: Annotated[Path | None, Parameter(name="--envoy")] = None) -> int:
    """Validate a chain and say in plain words what it needs of Envoy.

    Exit status: 0 all is well; 1 the Envoy configuration does not give the chain what it needs; 2 the chain, or the
    file, is wrong.

    Args:
        chain: A chain file, or module:attribute.
        envoy: An Envoy configuration (YAML or JSON) to hold against what the chain needs.
    """
    from extproc.config import load_chain
    from extproc.config.document import read_document
    from extproc.envoy.lint import lint

    loaded = load_chain(chain)
    print("\n".join(_describe(loaded, chain)))
    if envoy is None:
        return 0
    document = read_document(envoy)
    document.check([])
    findings = lint(loaded, document)
    print()
    for finding in findings:
        print(finding.located(str(envoy)))
    print(f"{envoy}: {_count(len(findings), 'finding')}" if findings else f"{envoy} gives the chain all it needs.")
    return 1 if findings else 0


def _describe(chain: Chain, source: str) -> Iterable[str]:
    from extproc.config.duration import format_duration

    yield f"{source}: {_count(len(chain.links), 'filter')}, at most {format_duration(chain.timeout)} for a message"
    yield from _table([(f"{link.index + 1}. {link.name}", _how(link)) for link in chain.links])
    if chain.links:
        yield ""
        yield "What it needs of Envoy:"
        yield from _table(_needs(chain))


def _how(link: Link) -> str:
    from extproc.config.duration import format_duration

    parts = [f"{type(link.filter).__name__}, {'refuses' if link.on_error == 'deny' else 'is left out'} when it fails"]
    if link.timeout is not None:
        parts.append(f"has {format_duration(link.timeout)}")
    if link.offload == "thread":
        parts.append("runs in a thread")
    if link.when is not None:
        parts.append(f"only when {_condition(link.when)}")
    return ", ".join(parts)


def _condition(when: When) -> str:
    parts = [
        f"{field} is {' or '.join(values)}"
        for field, values in (("path", when.path), ("method", when.method), ("host", when.host))
        if values
    ]
    parts += [f"header {name} is {glob}" for name, glob in when.header.items()]
    if when.not_ is not None:
        parts.append(f"not ({_condition(when.not_)})")
    return " and ".join(parts) or "always"


def _needs(chain: Chain) -> list[tuple[str, str]]:
    from extproc.config.duration import format_duration
    from extproc.phases import Part, Phase

    rows: list[tuple[str, str]] = []
    for phase in Phase:
        who = _who(chain, "phases", phase)
        if phase is Phase.REQUEST_HEADERS and not who:
            who = "every exchange begins with them"
        if who:
            mode = f" ({chain.needs.body_mode(phase).name})" if phase.part is Part.BODY else ""
            rows.append((phase.value.replace("_", " "), f"{who}{mode}"))
    rows += [
        (f"{label} {item}", _who(chain, field, item))
        for field, label in _LABELS.items()
        for item in sorted(getattr(chain.needs, field))
    ]
    denying = ", ".join(link.name for link in chain.links if link.on_error == "deny")
    rows.append(("message timeout", f"longer than {format_duration(chain.timeout)}"))
    if denying:
        rows.append(("failure mode", f"closed (failure_mode_allow: false), for {denying}"))
    return rows


_LABELS = {
    "request_attributes": "request attribute",
    "response_attributes": "response attribute",
    "metadata_in": "sends metadata",
    "metadata_out": "takes metadata",
    "requires": "allows edits of",
}


def _who(chain: Chain, need: str, item: object) -> str:
    return ", ".join(link.name for link in chain.links if item in getattr(link.needs, need))


def _table(rows: list[tuple[str, str]]) -> list[str]:
    width = max((len(left) for left, _ in rows), default=0)
    return [f"  {left:<{width}}  {right}" for left, right in rows]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
