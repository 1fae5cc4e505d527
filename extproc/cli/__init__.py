"""The command line: ``extproc``. One module a command, imported when it runs."""

from __future__ import annotations

import difflib
import os
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError, UnknownCommandError

from extproc.errors import ExtprocError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app", "main"]

_OK, _WRONG, _INTERRUPTED = 0, 2, 130

_ORDER = ["check", "serve", "envoy", "replay", "health", "schema", "demo"]
_COMMANDS = {
    "check": ("extproc.cli.check:check", "Is a chain right, and what does it need of Envoy?"),
    "serve": ("extproc.cli.serve:serve", "Run the processor."),
    "replay": ("extproc.cli.replay:replay", "Run recorded traffic through a chain and compare."),
    "health": ("extproc.cli.health:health", "Ask a processor whether it is serving."),
    "schema": ("extproc.cli.schema:schema", "Print the JSON Schema of the chain file."),
    "demo": ("extproc.cli.demo:demo", "Show everything in one minute, on real traffic."),
}
"""Where each command is, and its line in the list: to take that from the function would import them all."""
_ENVOY_COMMANDS = {
    "config": ("extproc.cli.envoy:config", "Write the Envoy configuration that a chain needs."),
    "run": ("extproc.cli.envoy:run", "Run a processor and a real Envoy in front of an upstream."),
}


_MORE = {
    "check": "Exits 0 when it is right, 1 when --envoy found something, 2 when the chain is wrong.",
    "serve": "Until SIGTERM or SIGINT; then exchanges under way get to finish.",
    "replay": "Exits 0 when everything is the same, 1 when something differs, 2 when it cannot be told.",
    "health": "Exits 0 when it is serving, 1 when it is not, 2 when it cannot be reached.",
}


def _help(name: str, line: str) -> str:
    return f"{line}\n\n{_MORE[name]}" if name in _MORE else line


def _app() -> App:
    app = App(
        name="extproc",
        help="Envoy ext_proc filters in Python: check, serve, record and replay them.",
        version=lambda: version("extproc-sdk"),
        version_flags=["--version"],
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    for name, (function, line) in _COMMANDS.items():
        app.command(function, name=name, help=_help(name, line), version_flags=[], sort_key=_ORDER.index(name))
    envoy = App(name="envoy", help="Configure and run a real Envoy.", version_flags=[], sort_key=_ORDER.index("envoy"))
    for name, (function, line) in _ENVOY_COMMANDS.items():
        envoy.command(function, name=name, help=line, version_flags=[])
    app.command(envoy)
    return app


app = _app()
"""The commands, as cyclopts knows them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and gives the exit status: its own, 2 when it cannot be run as asked, 130 when interrupted.

    Args:
        arguments: the command line without the program; by default that of the process.
    """
    try:
        status = app(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
    except CycloptsError as error:
        return _fail(_usage(error))
    except ExtprocError as error:
        return _fail(str(error))
    except ExceptionGroup as group:  # from a TaskGroup, which wraps whatever happens in it
        ours, others = group.split(ExtprocError)
        if ours is None or others is not None:
            raise
        return _fail("\n".join(str(error) for error in _leaves(ours)))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # `extproc schema | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _OK
    return status if isinstance(status, int) else _OK


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return _WRONG


def _leaves(group: BaseExceptionGroup[ExtprocError]) -> list[ExtprocError]:
    found: list[ExtprocError] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _usage(error: CycloptsError) -> str:
    """What is wrong with the command line, in one line."""
    command = " ".join(["extproc", *(error.command_chain or ())])
    if isinstance(error, UnknownCommandError):
        said = _unknown_command(error)
    else:
        error.verbose = False
        said = " ".join(str(error).split())
    return f"{said}{'' if said.endswith(('.', '?')) else '.'} See {command} --help."


def _unknown_command(error: UnknownCommandError) -> str:
    """Not cyclopts' own words, for which it would import every command."""
    token = (error.unused_tokens or [""])[0]
    known = _ENVOY_COMMANDS if error.command_chain else _ORDER
    close = difflib.get_close_matches(token, known, n=1)
    return f"Unknown command '{token}'" + (f": did you mean '{close[0]}'?" if close else ".")
