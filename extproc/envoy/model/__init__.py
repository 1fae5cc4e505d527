"""An in-process model of the ext_proc filter of Envoy 1.40: what the upstream and the client would have seen.

It plays Envoy's side of the stream against anything that answers messages: an exchange machine, recorded answers, a
script of illegal ones. Each rule is held against the real binary by ``tests/envoy/test_model.py``.

Time is virtual, and every message arrives whole: body and trailers are here before the answer to the headers is. A body
over the buffer limit is therefore refused before a processor can answer, which in a real Envoy is a race.

Not modelled yet: streamed body modes, mode overrides, timeouts that a processor extends, per-route settings, headers
that are not forwarded, observability mode, and both directions at once (as when a processor's body is over the buffer
limit and trailers follow it: Envoy asks about those while its 413 is on its way).
"""

from __future__ import annotations

from extproc.envoy.model.config import ExtProcConfig
from extproc.envoy.model.http1 import over_http1
from extproc.envoy.model.options import (
    ForwardRules,
    MetadataOptions,
    MutationRules,
    Namespaces,
    RouteCacheAction,
    StringMatch,
)
from extproc.envoy.model.per_route import PerRoute
from extproc.envoy.model.processing_mode import HeaderMode, ModeOverride, ProcessingMode
from extproc.envoy.model.run import EnvoyModel, Processor, Upstream
from extproc.envoy.model.values import (
    Ask,
    Close,
    Context,
    Forward,
    HttpMessage,
    Later,
    Outcome,
    Replies,
    Reply,
    Resumed,
    Said,
    Step,
    Streamed,
    StreamedBody,
    StreamedHeaders,
    StreamedTrailers,
    Unhandled,
)

__all__ = [
    "Ask",
    "Close",
    "Context",
    "EnvoyModel",
    "ExtProcConfig",
    "Forward",
    "ForwardRules",
    "HeaderMode",
    "HttpMessage",
    "Later",
    "MetadataOptions",
    "ModeOverride",
    "MutationRules",
    "Namespaces",
    "Outcome",
    "PerRoute",
    "ProcessingMode",
    "Processor",
    "Replies",
    "Reply",
    "Resumed",
    "RouteCacheAction",
    "Said",
    "Step",
    "Streamed",
    "StreamedBody",
    "StreamedHeaders",
    "StreamedTrailers",
    "StringMatch",
    "Unhandled",
    "Upstream",
    "over_http1",
]
