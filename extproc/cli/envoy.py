"""``extproc envoy``: write Envoy's configuration for a chain, or run a real Envoy in front of one."""

from __future__ import annotations

import asyncio
import logging
import shlex
import signal
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from extproc.cli.recording import recording
from extproc.cli.values import BodyModeName, Duration
from extproc.errors import EnvoyError

if TYPE_CHECKING:
    from extproc.chain import Chain
    from extproc.envoy.binary import RunningEnvoy
    from extproc.envoy.config import EnvoyOptions, ProcessorTls
    from extproc.phases import BodyMode

__all__ = ["config", "run"]

_TARGETS = ("bootstrap",)
_ANY_PORT = "127.0.0.1:0"
_LISTEN = "127.0.0.1:10000"
_UPSTREAM = "http://127.0.0.1:8080"
_PROCESSOR = "127.0.0.1:9002"


def config(
    chain: str,
    /,
    *,
    target: str = "bootstrap",
    layout: Literal["sidecar", "central"] = "sidecar",
    listen: str = _LISTEN,
    upstream: str = _UPSTREAM,
    processor: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    request_body_mode: BodyModeName | None = None,
    response_body_mode: BodyModeName | None = None,
    message_timeout: Duration | None = None,
    tls_ca: str = "",
    tls_name: str = "",
    tls_certificate: str = "",
    tls_key: str = "",
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
) -> None:
    """Write the Envoy configuration that a chain needs.

    Args:
        chain: A chain file, or module:attribute.
        target: What to write: bootstrap, a complete configuration for one Envoy.
        layout: Where the processor runs: sidecar (beside Envoy) or central (a service of its own, found by DNS).
        listen: Where Envoy takes requests: IP:PORT.
        upstream: Where requests go: http://HOST:PORT.
        processor: Where the processor listens: HOST:PORT, or unix:/path beside Envoy; repeat it for several workers.
        request_body_mode: How Envoy is to send request bodies, if the chain wants them: by default BUFFERED if a filter
            wants them whole, else FULL_DUPLEX_STREAMED.
        response_body_mode: The same for responses.
        message_timeout: How long Envoy is to wait for a processor that says nothing, if that is shorter than the chain
            may take; the file says what the processor has to be told.
        tls_ca: Envoy is to reach the processor by TLS: a PEM file on Envoy's machine, with the CA of its certificate.
        tls_name: The DNS name or IP address that is in the processor's certificate; by default, that of --processor.
        tls_certificate: A PEM file on Envoy's machine: its own certificate, if the processor has --tls-client-ca.
        tls_key: A PEM file on Envoy's machine: its private key.
        output: The file to write, instead of standard output.
    """
    from extproc.config import load_chain
    from extproc.envoy.config import EnvoyOptions, bootstrap

    if target not in _TARGETS:
        raise EnvoyError(f"there is no target {target!r}: there is {', '.join(_TARGETS)}")
    if layout == "central" and not processor:
        raise EnvoyError("layout central needs the name of the processor's headless service: --processor HOST:PORT")
    options = EnvoyOptions(
        layout=layout,
        listen=listen,
        upstream=upstream,
        processors=processor or (_PROCESSOR,),
        tls=_tls(tls_ca, tls_name, tls_certificate, tls_key),
        message_timeout=message_timeout,
        request_body_mode=_body_mode(request_body_mode),
        response_body_mode=_body_mode(response_body_mode),
    )
    _write(bootstrap(load_chain(chain), options, command=_command(chain, options, output)), output)


def run(
    chain: str,
    /,
    *,
    upstream: str,
    listen: str = _LISTEN,
    request_body_mode: BodyModeName | None = None,
    response_body_mode: BodyModeName | None = None,
    message_timeout: Duration | None = None,
    record: Path | None = None,
) -> None:
    """Run a processor and a real Envoy in front of an upstream, for development.

    What listens where goes to standard error; Envoy's access log to standard output, one JSON object a line.

    Args:
        chain: A chain file, or module:attribute.
        upstream: Where requests go: http://HOST:PORT.
        listen: Where Envoy takes requests: IP:PORT; port 0 is any free one.
        request_body_mode: How Envoy is to send request bodies, if the chain wants them: by default BUFFERED if a filter
            wants them whole, else FULL_DUPLEX_STREAMED.
        response_body_mode: The same for responses.
        message_timeout: How long Envoy is to wait for a processor that says nothing, if that is shorter than the chain
            may take: filters that have to wait ask for more time then.
        record: A directory to record the traffic into.
    """
    from extproc.config import load_chain
    from extproc.envoy.config import EnvoyOptions

    options = EnvoyOptions(
        listen=listen,
        admin=_ANY_PORT,
        upstream=upstream,
        message_timeout=message_timeout,
        request_body_mode=_body_mode(request_body_mode),
        response_body_mode=_body_mode(response_body_mode),
    )
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(_run(load_chain(chain), options, record))


async def _run(chain: Chain, options: EnvoyOptions, record: Path | None) -> None:
    from extproc.envoy.asked import Asked
    from extproc.envoy.binary import RunningEnvoy
    from extproc.envoy.config import bootstrap
    from extproc.server import Bounds, FrontOptions, new_front

    stop = _stop_signal()
    bounds = Bounds(timing=Asked.of(chain).told(options.message_timeout, options.margin))
    with recording(record, chain) as recorder:
        async with new_front(chain, [_ANY_PORT], FrontOptions(observer=recorder, bounds=bounds)) as front:
            options = replace(options, processors=tuple(front.addresses))
            config = await asyncio.to_thread(bootstrap, chain, options)  # it takes a while, and the front is up
            async with RunningEnvoy(config, keep_output=False) as envoy:
                capture = str(recorder.path) if recorder else ""
                print(_announcement(chain, options, envoy, capture), file=sys.stderr)
                await _until(stop, envoy)


def _stop_signal() -> asyncio.Event:
    """Set by Ctrl-C, by whoever runs us, and when the terminal is closed."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _until(stop: asyncio.Event, envoy: RunningEnvoy) -> None:
    """Waits for the end.

    Raises:
        EnvoyError: it was Envoy that ended first.
    """
    stopped, ended = asyncio.Task(stop.wait()), asyncio.Task(envoy.wait())
    try:
        await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not stopped.done():
            raise EnvoyError(f"Envoy ended by itself: {ended.result()}")
    finally:
        stopped.cancel()
        ended.cancel()


def _announcement(chain: Chain, options: EnvoyOptions, envoy: RunningEnvoy, capture: str) -> str:
    host = options.listen.rpartition(":")[0]
    lines = {
        "Envoy": f"http://{host}:{envoy.port('ingress')}",
        "upstream": options.upstream,
        "processor": f"{options.processors[0]}, {chain!r}",
        "admin": f"http://{envoy.admin}",
        "recording": capture,
    }
    return "".join(f"{name:<10} {where}\n" for name, where in lines.items() if where) + "Ctrl-C stops it all."


def _command(chain: str, options: EnvoyOptions, output: Path | None) -> str:
    """The command that writes the very same file."""
    words = ["extproc", "envoy", "config", chain, "--layout", options.layout, "--listen", options.listen]
    words += ["--upstream", options.upstream]
    for processor in options.processors:
        words += ["--processor", processor]
    for name in ("request_body_mode", "response_body_mode"):
        if mode := getattr(options, name):
            words += [f"--{name.replace('_', '-')}", mode.name]
    if options.message_timeout:
        words += ["--message-timeout", f"{options.message_timeout:g}s"]
    if options.tls is not None:
        for name, value in asdict(options.tls).items():
            words += [f"--tls-{name}", value] if value else []
    return shlex.join([*words, "-o", str(output)] if output else words)


def _tls(ca: str, name: str, certificate: str, key: str) -> ProcessorTls | None:
    from extproc.envoy.config import ProcessorTls

    if ca:
        return ProcessorTls(ca=ca, name=name, certificate=certificate, key=key)
    if name or certificate or key:
        raise EnvoyError("TLS takes --tls-ca")
    return None


def _body_mode(name: BodyModeName | None) -> BodyMode | None:
    from extproc.phases import BodyMode

    return BodyMode[name] if name else None


def _write(text: str, output: Path | None) -> None:
    if output is None:
        print(text, end="")
        return
    try:
        output.write_text(text)
    except OSError as error:
        raise EnvoyError(f"cannot write {output}: {error.strerror}") from error
