"""What ends a stream or a connection before its time: the error codes of RFC 9113, section 7, and the two faults."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ConnectionFault", "ErrorCode", "StreamFault"]


class ErrorCode(IntEnum):
    """Why a stream was reset, or a connection closed."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class ConnectionFault(Exception):  # noqa: N818 (not an error of this program)
    """The peer broke a rule that all streams depend on; it is told with a GOAWAY (section 5.4.1).

    Attributes:
        code: what the GOAWAY says.
        why: for the log, and the debug data of the GOAWAY.
        limit: the field of `Http2Limits` that was passed, if that was it.
    """

    def __init__(self, code: ErrorCode, why: str, limit: str = "") -> None:
        self.code = code
        self.why = why
        self.limit = limit
        super().__init__(why)


class StreamFault(Exception):  # noqa: N818
    """The peer broke a rule of one stream, which is reset (section 5.4.2).

    Attributes:
        code: what the RST_STREAM says.
        why: for the log.
    """

    def __init__(self, code: ErrorCode, why: str) -> None:
        self.code = code
        self.why = why
        super().__init__(why)
