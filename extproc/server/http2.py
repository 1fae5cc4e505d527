"""`Http2Limits`: what a peer may do over HTTP/2."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Http2Limits", "Rate"]

_KIB = 1024
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Rate:
    """How much of something a peer may do.

    Attributes:
        burst: at once.
        per_second: in the long run.
    """

    burst: int
    per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Http2Limits:
    """The limits of one connection. Whoever passes one of them loses a stream or the connection, nobody else.

    Attributes:
        connections: of the whole front, at once; one more is told that it gets no stream, and closed.
        streams: open at once; one more is refused, which Envoy takes as a reason for another connection.
        stream_window: bytes of a stream that a chain has not consumed.
        connection_window: the same, of all streams together; how much memory a peer can make a connection hold.
        frame_bytes: the largest payload of a frame.
        header_bytes: of a header list, as RFC 9113 counts it (32 bytes a field on top), and of its encoded block.
        continuations: CONTINUATION frames of one header block.
        header_cache: decoded header blocks that are kept.
        large_message_bytes: of messages longer than half of `stream_window` that are arriving, together.
        queued_bytes: of answers that wait because the peer does not read.
        control_bytes: of acknowledgements and the like that wait because the peer does not read.
        resets: streams that came to nothing: reset by the peer before it had an answer, or by us for its errors.
        settings: SETTINGS frames.
        pings: PING frames.
        empty_frames: DATA frames that hold nothing and end nothing, and frames of unknown types.
        priorities: PRIORITY frames.
        window_updates: WINDOW_UPDATE frames.
        late_frames: frames for streams that have ended.
        preface_timeout: seconds until a new connection has said that it is HTTP/2.
        headers_timeout: seconds until a header block that was begun is complete.
        stalled: seconds in which a peer that has answers waiting takes none of their bytes off the socket.
        stalled_window: the same, for a peer that reads but grants no flow-control window.
        keepalive_time: seconds of silence after which the peer is asked whether it is there.
        keepalive_timeout: seconds in which it has to answer.
        idle: seconds without a stream after which a connection is closed, gracefully.
        drain_grace: seconds that streams get to finish on a connection that is closed for its age or idleness.
    """

    connections: int = 4096
    streams: int = 2000
    stream_window: int = 1 * _MIB
    connection_window: int = 32 * _MIB
    frame_bytes: int = 16 * _KIB
    header_bytes: int = 32 * _KIB
    continuations: int = 8
    header_cache: int = 64
    large_message_bytes: int = 128 * _MIB
    queued_bytes: int = 128 * _MIB
    control_bytes: int = 4 * _MIB
    resets: Rate = field(default=Rate(1000, 200))
    settings: Rate = field(default=Rate(100, 10))
    pings: Rate = field(default=Rate(1000, 100))
    empty_frames: Rate = field(default=Rate(1000, 100))
    priorities: Rate = field(default=Rate(1000, 100))
    window_updates: Rate = field(default=Rate(20_000, 10_000))
    late_frames: Rate = field(default=Rate(20_000, 10_000))
    preface_timeout: float = 10.0
    headers_timeout: float = 10.0
    stalled: float = 30.0
    stalled_window: float = 300.0
    keepalive_time: float = 60.0
    keepalive_timeout: float = 20.0
    idle: float = 3600.0
    drain_grace: float = 30.0
