"""The demo's story, as it is told in a terminal."""

from __future__ import annotations

import inspect
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn

from extproc.config import load_chain
from extproc.demo.scenes import SCENES
from extproc.demo.service import Service
from extproc.replay.recorder import Recorder

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from extproc.demo.scenes import Scene

__all__ = ["tell"]


async def tell(console: Console, directory: Path) -> bool:
    """Tells the story; True if everything in it held.

    Args:
        console: where it is told.
        directory: where the traffic is recorded.
    """
    with as_file(files("extproc.demo")) as here:
        held = await _live(console, here / "chain.yaml", directory)
    return held


async def _live(console: Console, chain_file: Path, directory: Path) -> bool:
    chain = load_chain(chain_file)
    console.print(f"[bold]1. A real Envoy calls {len(chain.links)} Python filters[/]")
    console.print(f"   {' → '.join(link.name for link in chain.links)}, recording into {directory}\n")
    held = True
    with Recorder(directory, chain=chain) as recorder:
        async with Service(chain, recorder) as service:
            for scene in SCENES:
                held &= await _play(console, scene, service)
            stats = await service.gateway.stats()
    bad = stats["spurious_msgs_received"] + stats["rejected_header_mutations"] + stats["message_timeouts"]
    console.print(f"   Envoy counted {stats['streams_started']} streams, and {bad} illegal or late answers\n")
    return held and bad == 0


async def _play(console: Console, scene: Scene, service: Service) -> bool:
    title = (inspect.getdoc(scene) or "").strip()
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
