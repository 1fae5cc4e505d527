"""The wire: protobuf on one side, `extproc.messages` on the other. Nothing else imports protobuf."""

from __future__ import annotations

from extproc.wire.decode import decode, decode_headers
from extproc.wire.encode import before_body, encode, encode_apart
from extproc.wire.pieces import LARGE, large_piece

__all__ = [
    "LARGE",
    "PROCESS",
    "SERVICE",
    "before_body",
    "decode",
    "decode_headers",
    "encode",
    "encode_apart",
    "large_piece",
]

SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
"""The gRPC service that Envoy calls."""

PROCESS = "Process"
"""Its one method: a stream of requests answered by a stream of responses."""
