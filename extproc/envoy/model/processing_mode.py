"""`ProcessingMode`: which phases Envoy asks about, and `ModeOverride`: what a processor would change of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from extproc.phases import BodyMode

__all__ = ["HeaderMode", "ModeOverride", "ProcessingMode"]


@dataclass(frozen=True, slots=True)
class ProcessingMode:
    """``processing_mode``, with every DEFAULT resolved: what Envoy sends."""

    request_headers: bool = True
    response_headers: bool = True
    request_body: BodyMode = BodyMode.NONE
    response_body: BodyMode = BodyMode.NONE
    request_trailers: bool = False
    response_trailers: bool = False


class HeaderMode(IntEnum):
    """``ProcessingMode.HeaderSendMode``, numbered as on the wire."""

    DEFAULT = 0
    SEND = 1
    SKIP = 2


@dataclass(frozen=True, slots=True)
class ModeOverride:
    """``mode_override`` as it is on the wire, and an entry of ``allowed_override_modes``.

    DEFAULT leaves a mode as it is. Body modes have no such value: they always count, and unset is NONE.
    """

    request_headers: HeaderMode = HeaderMode.DEFAULT
    response_headers: HeaderMode = HeaderMode.DEFAULT
    request_body: BodyMode = BodyMode.NONE
    response_body: BodyMode = BodyMode.NONE
    request_trailers: HeaderMode = HeaderMode.DEFAULT
    response_trailers: HeaderMode = HeaderMode.DEFAULT
