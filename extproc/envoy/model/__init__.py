"""An in-process model of the ext_proc filter of Envoy 1.40: what the upstream and the client would have seen.

It plays Envoy's side of the stream against anything that answers messages: an exchange machine, recorded answers, a
script of illegal ones. Each rule is held against the real binary by ``tests/envoy/test_model.py``.

`Exchange` is one exchange, through one ext_proc filter or several in a row, to which things happen: a part of a message
comes, a processor does something, time passes. Time is virtual. `EnvoyModel` plays whole ones, with one filter, in the
order that a real Envoy has where nothing races.

How it reads: what comes is dealt with in ``arrivals``, what the processor answers in ``header_answers`` and
``body_answers``, and what goes wrong in ``ext_proc``; ``state`` is how far the filter has come with one direction,
``leg`` and ``buffer`` what Envoy's filter manager holds of it, and ``stop`` how it comes from filter to filter.

Nothing to be seen, and so nothing modelled, comes of ``request_drain`` and its two successors, and of window updates:
Envoy 1.40 takes them in any answer and goes on as without. An answer that holds nothing else is none that it knows.
Body mode GRPC is known to the filter in name only: a body that is here when the headers are answered is sent whole,
as in BUFFERED, and any other passes unseen.
"""

from __future__ import annotations

from extproc.envoy.model.config import ExtProcConfig
from extproc.envoy.model.exchange import Exchange
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
from extproc.envoy.model.profile import PROFILES, Profile, profile
from extproc.envoy.model.quirks import DIFFERENCES, Difference, Quirk
from extproc.envoy.model.run import EnvoyModel, Processor, Upstream
from extproc.envoy.model.values import (
    Ask,
    Close,
    Context,
    Deed,
    Forward,
    HttpMessage,
    Later,
    Lost,
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
    "DIFFERENCES",
    "PROFILES",
    "Ask",
    "Close",
    "Context",
    "Deed",
    "Difference",
    "EnvoyModel",
    "Exchange",
    "ExtProcConfig",
    "Forward",
    "ForwardRules",
    "HeaderMode",
    "HttpMessage",
    "Later",
    "Lost",
    "MetadataOptions",
    "ModeOverride",
    "MutationRules",
    "Namespaces",
    "Outcome",
    "PerRoute",
    "ProcessingMode",
    "Processor",
    "Profile",
    "Quirk",
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
    "profile",
]
