"""Scenarios about which the model and the real Envoy do not agree yet: `python -m tests.envoy.agree NAME` says why."""

from __future__ import annotations

__all__ = ["PENDING"]

PENDING: frozenset[str] = frozenset(
    {
        "FinishLocalResponseWithIncomplereRequestWithBody",
        "FinishLocalResponseWithIncomplereRequestWithBodyDuplex",
        "LocalHeadersOnlyRequestAndResponse",
        "LocalHeadersOnlyRequestAndResponseWithBody",
        "LocalHeadersOnlyRequestAndResponseWithBodyAndTrailers",
        "LocalHeadersOnlyRequestAndResponseWithBodyAndTrailers-piece-by-piece",
        "LocalResponseIsAskedAbout",
        "LocalResponseThatIsNotFinished",
        "LocalResponseToABufferedBody",
        "LocalResponseWhereTheBodyIsBuffered",
        "LocalResponseWithAnIllegalHeader",
        "LocalResponseWithoutAStatus",
        "NoneToFullDuplexMoreDataAfterModeOverride",
        "RequestWithBodyAndTrailersDuplexAndLocalResponseWithBodyAndTrailers",
        "RequestWithBodyAndTrailersSkipAndLocalResponseWithBody",
        "RequestWithBodyDuplexAndLocalResponseWithBody",
        "RequestWithBodySkipAndLocalHeadersOnlyResponse",
        "RequestWithBodySkipAndLocalResponseWithBody",
        "ServerWaitTooLongBeforeSendRespDuplexStreamed",
        "SpuriousResponse",
        "SpuriousResponse-after-the-request-went-on",
        "SpuriousResponse-body-after-the-end",
        "SpuriousResponse-body-first",
        "SpuriousResponse-headers-twice",
        "SpuriousResponse-to-response-headers",
        "SpuriousResponse-trailers-first",
        "StreamedResponseInBufferedMode",
    }
)
