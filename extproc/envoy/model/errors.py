"""What goes wrong with an answer, in Envoy's words: they become the ``%RESPONSE_CODE_DETAILS%``."""

from __future__ import annotations

__all__ = ["MutationFailedError", "SpuriousError"]


class MutationFailedError(Exception):
    """The exchange fails, whatever ``failure_mode_allow`` says. Its argument is the ``%RESPONSE_CODE_DETAILS%``."""


class SpuriousError(Exception):
    """An answer comes when none, or another one, is waited for. Its argument says so."""
