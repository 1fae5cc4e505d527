"""`Quirk`: what other versions of Envoy, and other data planes, do otherwise than Envoy 1.40; and who says so.

Nothing here is held against the real thing, as the rest of the model is: it is what release notes and issues say. Only
what changes an outcome is in the table. Not in it, because our processor never says such things: a header's ``value``
beside its ``raw_value`` (Envoy 1.31 fails the exchange), ``append_action`` (Envoy ignores it, agentgateway obeys it).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["DIFFERENCES", "Difference", "Quirk"]


class Quirk(Enum):
    """One thing that is done otherwise."""

    SPURIOUS_PASSES = "an answer out of turn ends processing; the exchange goes on, whatever failure_mode_allow says"
    NO_ROUTE_FAILURE_MODE = "a route cannot set failure_mode_allow"
    NO_STATUS_ON_ERROR = "status_on_error is not known: it is 500"
    NO_DUPLEX = "FULL_DUPLEX_STREAMED is not known"
    DUPLEX_OPENS_LATE = "failure_mode_allow counts in full duplex even when some of the body is gone for good"
    STAYS_IN_TOUCH = "the stream stays open after the last answer, so that one too many is an answer out of turn"
    NO_STREAMED_IMMEDIATE = "streamed_immediate_response is not known"
    NO_CONTENT_LENGTH = "allow_content_length_header is not known"
    NO_LONE_OVERRIDE = "mode_override counts only beside an answer"
    OVERRIDE_RESETS = "DEFAULT in mode_override sends headers and skips trailers, whatever is configured"
    SETTING_APPENDS = "a header that is set is added to those of its name, unless told to overwrite"
    SHORT_PATIENCE = "the processor may have one second for a message, and no more"
    ONLY_GRPC_BODIES = "bodies are gRPC messages: only the modes NONE and GRPC are taken"


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of the table: who does it, and who says so."""

    quirk: Quirk
    source: str
    before: tuple[int, int] | None = None
    """Envoys older than this version do it."""
    planes: tuple[str, ...] = ()
    """So do these."""


DIFFERENCES: tuple[Difference, ...] = (
    Difference(Quirk.OVERRIDE_RESETS, "Envoy 1.34 release notes", before=(1, 34)),
    Difference(Quirk.NO_DUPLEX, "Envoy 1.34 release notes", before=(1, 34)),
    Difference(Quirk.SPURIOUS_PASSES, "envoyproxy/envoy#39994, Envoy 1.35 release notes", before=(1, 35)),
    Difference(Quirk.NO_ROUTE_FAILURE_MODE, "Envoy 1.35 release notes", before=(1, 35)),
    Difference(Quirk.NO_STATUS_ON_ERROR, "Envoy 1.36 release notes", before=(1, 36)),
    Difference(Quirk.DUPLEX_OPENS_LATE, "envoyproxy/envoy#41276 (1.35.0 refuses both: #39740)", before=(1, 36)),
    Difference(Quirk.STAYS_IN_TOUCH, "Envoy 1.37 release notes", before=(1, 37)),
    Difference(Quirk.NO_STREAMED_IMMEDIATE, "envoyproxy/envoy#41451, Envoy 1.37 release notes", before=(1, 37)),
    Difference(Quirk.NO_CONTENT_LENGTH, "Envoy 1.38 release notes", before=(1, 38)),
    Difference(Quirk.NO_LONE_OVERRIDE, "envoyproxy/envoy#46318, Envoy 1.40 release notes", before=(1, 40)),
    Difference(
        Quirk.SETTING_APPENDS,
        "agentgateway/agentgateway#905, mended by #906",
        planes=("agentgateway-without-906",),
    ),
    Difference(
        Quirk.SHORT_PATIENCE, "Google Cloud, networkservices.v1.ExtensionChain.Extension: timeout", planes=("gcp",)
    ),
    Difference(Quirk.ONLY_GRPC_BODIES, "grpc/proposal#484, A93", planes=("grpc",)),
)
"""The table."""
