"""`Profile`: a data plane other than Envoy 1.40, for a replay to be played on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from extproc.envoy.model.quirks import DIFFERENCES, Quirk
from extproc.errors import EnvoyError
from extproc.phases import BodyMode

if TYPE_CHECKING:
    from extproc.envoy.model.config import ExtProcConfig

__all__ = ["PROFILES", "Profile", "profile"]

_OLDEST, _NEWEST = 31, 40
_MOST_PATIENT = 1.0


@dataclass(frozen=True, slots=True)
class Profile:
    """What a data plane does otherwise."""

    name: str
    """Such as ``envoy-1.34``."""
    quirks: frozenset[Quirk]

    def applied_to(self, config: ExtProcConfig) -> ExtProcConfig:
        """The configuration as this data plane understands it.

        Raises:
            EnvoyError: it refuses it.
        """
        self._check(config)
        known = replace(config, quirks=self.quirks)
        if Quirk.NO_STATUS_ON_ERROR in self.quirks:
            known = replace(known, status_on_error=500)
        if Quirk.NO_CONTENT_LENGTH in self.quirks:
            known = replace(known, allow_content_length_header=False)
        if Quirk.NO_ROUTE_FAILURE_MODE in self.quirks:
            routes = tuple(replace(route, failure_mode_allow=None) for route in known.per_route)
            known = replace(known, per_route=routes)
        if Quirk.SHORT_PATIENCE in self.quirks:
            known = replace(known, message_timeout=min(known.message_timeout, _MOST_PATIENT))
        return known

    def _check(self, config: ExtProcConfig) -> None:
        modes = {config.mode.request_body, config.mode.response_body}
        if BodyMode.FULL_DUPLEX_STREAMED in modes and Quirk.NO_DUPLEX in self.quirks:
            raise EnvoyError(f"{self.name} does not know FULL_DUPLEX_STREAMED: choose another body mode")
        if Quirk.ONLY_GRPC_BODIES in self.quirks and modes - {BodyMode.NONE, BodyMode.GRPC}:
            raise EnvoyError(f"{self.name} takes the body modes NONE and GRPC only: leave bodies alone")


def _of_envoy(version: tuple[int, int]) -> frozenset[Quirk]:
    return frozenset(row.quirk for row in DIFFERENCES if row.before is not None and version < row.before)


def _of_plane(name: str) -> frozenset[Quirk]:
    return frozenset(row.quirk for row in DIFFERENCES if name in row.planes)


_PLANES = sorted({name for row in DIFFERENCES for name in row.planes})

PROFILES: dict[str, Profile] = {
    item.name: item
    for item in (
        *(Profile(f"envoy-1.{minor}", _of_envoy((1, minor))) for minor in range(_OLDEST, _NEWEST + 1)),
        *(Profile(name, _of_plane(name)) for name in _PLANES),
    )
}
"""All of them by name; ``envoy-1.40`` is what the model is without any."""


def profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        EnvoyError: there is none.
    """
    if name not in PROFILES:
        raise EnvoyError(f"there is no profile {name!r}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name]
