"""Everything this SDK raises on purpose.

::

    ExtprocError
    ├── FilterError          a filter asked for something that Envoy would not do, or would do wrong
    │   ├── HeaderError      a header name or value that must not go out
    │   ├── PhaseError       right thing, wrong moment
    │   ├── LimitError       more headers, or larger ones, than Envoy takes
    │   └── HookError        a hook gave back something that is neither a Response nor None
    ├── BudgetError          a body does not fit into the memory that there is for bodies
    ├── OffloadError         no thread is free for a hook that wants one
    ├── PeerError            the other side of the stream broke the protocol
    ├── ConfigError          a chain file, or a filter's configuration, is wrong
    ├── CaptureError         a capture cannot be read
    ├── ServerError          the processor cannot listen
    └── EnvoyError           the real Envoy cannot be run, or refuses its configuration

A misspelled hook and an impossible argument raise `TypeError` and `ValueError` where they are written, as in any
library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "BudgetError",
    "CaptureError",
    "ConfigError",
    "ConfigProblem",
    "EnvoyError",
    "ExtprocError",
    "FilterError",
    "HeaderError",
    "HookError",
    "LimitError",
    "OffloadError",
    "PeerError",
    "PhaseError",
    "ServerError",
]


class ExtprocError(Exception):
    """The root of the tree."""


class FilterError(ExtprocError):
    """A filter asked for something that Envoy would not do, or would do wrong."""


class HeaderError(FilterError):
    """A header that must not go out.

    Attributes:
        header: the name, as the filter wrote it.
        reason: what is wrong and what to do instead, as the end of a sentence.
    """

    def __init__(self, header: str, reason: str) -> None:
        self.header = header
        self.reason = reason
        super().__init__(f"header {header!r} {reason}")


class PhaseError(FilterError):
    """Something that is possible in another phase, but not in this one."""


class LimitError(FilterError):
    """A result over one of Envoy's limits.

    Attributes:
        what: what is limited.
        size: what the filter's edits came to.
        limit: the most that Envoy takes.
    """

    def __init__(self, what: str, size: int, limit: int) -> None:
        self.what = what
        self.size = size
        self.limit = limit
        super().__init__(f"{what} would be {size}, over Envoy's limit of {limit}: set fewer or shorter headers")


class HookError(FilterError):
    """A hook gave back something that is neither a `Response` nor None."""


class BudgetError(ExtprocError):
    """A body does not fit into the memory that there is for bodies.

    Attributes:
        what: whose limit it is.
        size: bytes that would be held with this one.
        limit: bytes that may be held.
    """

    def __init__(self, what: str, size: int, limit: int) -> None:
        self.what = what
        self.size = size
        self.limit = limit
        super().__init__(f"{what} would take {size} bytes of memory, over the limit of {limit}")


class OffloadError(ExtprocError):
    """No thread is free for a hook that wants one, and too many hooks wait for one already.

    Attributes:
        threads: how many there are.
        given_up: how many of them run a hook that nobody waits for any more.
    """

    def __init__(self, threads: int, given_up: int) -> None:
        self.threads = threads
        self.given_up = given_up
        super().__init__(
            f"all {threads} threads are busy, {given_up} of them with hooks that were given up, and as many hooks wait "
            "as may: give the chain more threads, or let the hooks give up earlier"
        )


class PeerError(ExtprocError):
    """The other side of the stream broke the protocol, or speaks a newer one.

    Attributes:
        code: the gRPC status code name that ends the stream, such as ``INVALID_ARGUMENT``.
        reason: a stable code for Envoy's access log, such as ``extproc.message_order``.
    """

    def __init__(self, code: str, reason: str, message: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing that is wrong in a configuration.

    Attributes:
        message: what is wrong and how to cure it.
        field: where, as a dotted path such as ``filters[1].with.limit``.
        line: 1-based line in the file, or None when it came from code.
        column: 1-based column in the file, or None when it came from code.
    """

    message: str
    field: str = ""
    line: int | None = None
    column: int | None = None

    def located(self, source: str) -> str:
        """The problem as one line, in the form that editors can jump to: ``file:line:column: field: message``."""
        place = source if self.line is None else f"{source}:{self.line}:{self.column}"
        return f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


class ConfigError(ExtprocError):
    """A configuration is wrong.

    Attributes:
        source: the file, or what else the configuration came from.
        problems: everything that is wrong, in the order of the file.
    """

    def __init__(self, source: str | Path, problems: list[ConfigProblem]) -> None:
        self.source = str(source)
        self.problems = problems
        super().__init__("\n".join(problem.located(self.source) for problem in problems))


class CaptureError(ExtprocError):
    """A capture cannot be read.

    Attributes:
        source: the file.
        line: its 1-based line, or None when the whole file is meant.
    """

    def __init__(self, source: str | Path, message: str, line: int | None = None) -> None:
        self.source = str(source)
        self.line = line
        place = self.source if line is None else f"{self.source}:{line}"
        super().__init__(f"{place}: {message}")


class ServerError(ExtprocError):
    """The processor cannot listen where it was told to."""


class EnvoyError(ExtprocError):
    """The real Envoy cannot be run, or refuses its configuration."""
