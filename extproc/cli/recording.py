"""``--record DIR``: shared by the commands that serve traffic."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from extproc.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from extproc.chain import Chain
    from extproc.replay.recorder import Recorder

__all__ = ["recording"]


@contextmanager
def recording(directory: Path | None, chain: Chain) -> Generator[Recorder | None]:
    """Records into `directory`, if there is one, and says at the end how much.

    Raises:
        CaptureError: it cannot be written to.
    """
    if directory is None:
        yield None
        return
    from extproc.replay.recorder import Recorder

    recorder = Recorder(directory, chain=chain)
    with ExitStack() as exits:
        try:
            exits.enter_context(recorder)
        except OSError as error:
            raise CaptureError(directory, f"cannot be recorded to: {error.strerror}") from None
        yield recorder
    dropped = f", {recorder.dropped} dropped" if recorder.dropped else ""
    print(f"recorded {recorder.recorded} in {recorder.path}{dropped}", file=sys.stderr)
