"""`ProcessingMode`: which phases Envoy asks about, and `ModeOverride`: what a processor would change of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
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

    def over(self, mode: ProcessingMode) -> ModeOverride:
        """What comes of a configured mode."""
        return ModeOverride(
            request_headers=self.request_headers or _sent(mode.request_headers),
            response_headers=self.response_headers or _sent(mode.response_headers),
            request_body=self.request_body,
            response_body=self.response_body,
            request_trailers=self.request_trailers or _sent(mode.request_trailers),
            response_trailers=self.response_trailers or _sent(mode.response_trailers),
        )

    def agrees_with(self, allowed: ModeOverride) -> bool:
        """Whether it is an entry of ``allowed_override_modes``; request headers, which have been sent, do not count."""
        return self == replace(allowed, request_headers=self.request_headers)

    def resolved(self) -> ProcessingMode:
        """The mode that it is, where nothing else is behind it: DEFAULT sends headers, and no trailers."""
        return ProcessingMode(
            request_headers=self.request_headers is not HeaderMode.SKIP,
            response_headers=self.response_headers is not HeaderMode.SKIP,
            request_body=self.request_body,
            response_body=self.response_body,
            request_trailers=self.request_trailers is HeaderMode.SEND,
            response_trailers=self.response_trailers is HeaderMode.SEND,
        )


def _sent(wanted: bool) -> HeaderMode:  # noqa: FBT001 (it is converted)
    return HeaderMode.SEND if wanted else HeaderMode.SKIP
