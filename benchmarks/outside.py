"""A processor of somebody else's, if ``BENCH_OUTSIDE`` names one: ``BENCH_OUTSIDE="grpc-go=/path/to/program"``.

It speaks the protocol of `benchmarks.processors`: it writes the address it listens on to standard output, answers each
line on standard input with the CPU seconds that it has used so far, and ends with its standard input.
"""

from __future__ import annotations

import os

from benchmarks.subject import Row

__all__ = ["outside"]

_VARIABLE = "BENCH_OUTSIDE"


def outside() -> tuple[Row, ...]:
    """Its row, or none.

    Raises:
        SystemExit: the variable is not ``NAME=COMMAND``.
    """
    value = os.environ.get(_VARIABLE)
    if not value:
        return ()
    name, _, command = value.partition("=")
    if not name or not command:
        raise SystemExit(f"{_VARIABLE} is NAME=COMMAND, such as grpc-go=/path/to/program, not {value!r}")
    return (Row(name, "outside", command, asks="1-filter"),)
