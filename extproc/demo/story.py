"""The demo's story, as it is told in a terminal."""

from __future__ import annotations

import inspect
from functools import partial
from importlib.resources import as_file, files
from textwrap import indent
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from extproc.config import load_chain
from extproc.demo.scenes import SCENES
from extproc.demo.service import Service
from extproc.replay.captures import replay_captures
from extproc.replay.diff import Verdict
from extproc.replay.recorder import Recorder
from extproc.replay.report import print_report

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from extproc.demo.scenes import Scene
    from extproc.replay.report import Report

__all__ = ["tell"]

_EXAMPLES = 3


async def tell(console: Console, directory: Path) -> bool:
    """Tells the story; True if everything in it held.

    Args:
        console: where it is told.
        directory: where the traffic is recorded.
    """
    with as_file(files("extproc.demo")) as here:
        chain_file, changed_file = here / "chain.yaml", here / "changed.yaml"
        capture, held = await _live(console, chain_file, directory)
        console.print("[bold]2. The recording is replayed through the same chain, on a model of Envoy[/]")
        same = await _replayed(console, capture, chain_file)
        console.print("[bold]3. And through a changed chain: 3 requests a minute, not 5; 30 % canary, not 20[/]")
        changed = await _replayed(console, capture, changed_file)
    held &= same.exchanges > 0 and same.verdicts[Verdict.SAME] == same.exchanges
    held &= changed.verdicts[Verdict.DIFFERENT] > 0 and changed.verdicts.total() == same.exchanges
    _print_sum(console, same, changed)
    console.print("[bold green]All of it held.[/]" if held else "[bold red]Not all of it held: see the ✗ above.[/]")
    return held


async def _live(console: Console, chain_file: Path, directory: Path) -> tuple[Path, bool]:
    chain = load_chain(chain_file)
    console.print(f"[bold]1. A real Envoy calls {len(chain.links)} Python filters[/]")
    console.print(f"   {' → '.join(link.name for link in chain.links)}; all traffic is recorded\n", highlight=False)
    held = True
    with Recorder(directory, chain=chain) as recorder:
        async with Service(chain, recorder) as service:
            for scene in SCENES:
                held &= await _play(console, scene, service)
            stats = await service.gateway.stats()
    bad = stats["spurious_msgs_received"] + stats["rejected_header_mutations"] + stats["message_timeouts"]
    console.print(f"   Envoy counted {stats['streams_started']} exchanges and {bad} illegal or late answers\n")
    return recorder.path, held and bad == 0 and stats["streams_started"] == recorder.recorded


async def _replayed(console: Console, capture: Path, chain_file: Path) -> Report:
    report = await replay_captures([capture], partial(load_chain, chain_file), show=_EXAMPLES)
    with console.capture() as told:
        print_report(report, console)
    console.print(Text.from_ansi(indent(told.get(), "   ")), soft_wrap=True)
    return report


def _print_sum(console: Console, same: Report, changed: Report) -> None:
    lines = {
        "exchanges recorded": same.exchanges,
        "exchanges replayed": same.verdicts.total(),
        "identical": same.verdicts[Verdict.SAME],
        "different under the changed chain": changed.verdicts[Verdict.DIFFERENT],
    }
    for name, count in lines.items():
        console.print(f"{name:<34}{count:>5}", highlight=False)


async def _play(console: Console, scene: Scene, service: Service) -> bool:
    title = (inspect.getdoc(scene) or "").strip().rstrip(".")
    with Progress(
        TextColumn(f"   [dim]…[/] {title}"),
        BarColumn(30),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(title, total=1.0)
        seen = await scene(service, lambda done: bar.update(task, completed=done))
    console.print(f"   {'[green]✓[/]' if seen.held else '[red]✗[/]'} {title}")
    console.print(f"     {seen.text}", style="dim", highlight=False)
    return seen.held
