"""The catalogue: filters at the depth of those that Envoy brings itself."""

from __future__ import annotations

from extproc_filters.ab_tag import AbTag
from extproc_filters.api_key import ApiKey
from extproc_filters.headers import EditHeaders
from extproc_filters.rate_limit import RateLimit

__all__ = ["AbTag", "ApiKey", "EditHeaders", "RateLimit"]
