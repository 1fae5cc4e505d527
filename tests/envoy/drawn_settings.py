"""Random settings of listeners, from a seed; they have to be known before Envoy starts."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from extproc.envoy.model import (
    ExtProcConfig,
    ForwardRules,
    HeaderMode,
    MetadataOptions,
    ModeOverride,
    MutationRules,
    Namespaces,
    PerRoute,
    ProcessingMode,
    RouteCacheAction,
    StringMatch,
)
from extproc.phases import BodyMode, Direction
from tests.envoy.listeners import NOBODY, Setting
from tests.envoy.scenario import PATIENT

__all__ = ["MODES", "SHORT", "settings_from"]

SHORT = 0.3
"""Seconds: a time-out that fires when it is waited for, and not while an exchange takes its course."""

_DUPLEX = BodyMode.FULL_DUPLEX_STREAMED
_ROOMY = 1024 * 1024
MODES = (*BodyMode, BodyMode.STREAMED, BodyMode.BUFFERED, _DUPLEX)


def settings_from(seed: int, count: int) -> list[Setting]:
    """Some settings, all of which Envoy accepts."""
    random = Random(seed)
    return [_setting(random) for _ in range(count)]


def _setting(random: Random) -> Setting:
    """One or two filters. Of a second one no route changes the processor, for that is looked at of the first only."""
    config, http2 = _config(random), random.random() < 0.5
    if random.random() < 0.8:
        return Setting(config, http2)
    drawn = _config(random)
    routes = tuple(replace(said, grpc_service=None, grpc_initial_metadata=()) for said in drawn.per_route)
    second = replace(drawn, per_route=routes, stream_idle_timeout=config.stream_idle_timeout)
    return Setting(_orderly(config, Direction.REQUEST), http2, second=_orderly(second, Direction.RESPONSE))


def _orderly(config: ExtProcConfig, meets_first: Direction) -> ExtProcConfig:
    """One of two filters, that which meets the messages of a direction first.

    It holds their headers: else both processors would be asked at once, and whose answer comes first is chance. What a
    filter that observes BUFFERED bodies is told behind another one, the model has not.
    """
    routes = tuple(
        said if said.mode is None else replace(said, mode=_holding(said.mode, meets_first)) for said in config.per_route
    )
    mode = _holding(config.mode, meets_first)
    if config.observability_mode:
        mode = replace(mode, request_body=_observed(mode.request_body), response_body=_observed(mode.response_body))
    return replace(config, mode=mode, per_route=routes)


def _holding(mode: ProcessingMode, direction: Direction) -> ProcessingMode:
    if direction is Direction.REQUEST:
        return replace(mode, request_headers=True)
    return replace(mode, response_headers=True)


def _observed(mode: BodyMode) -> BodyMode:
    return BodyMode.NONE if mode is BodyMode.BUFFERED else mode


def _config(random: Random) -> ExtProcConfig:
    def perhaps(chance: float) -> bool:
        return random.random() < chance

    observing = perhaps(0.08)
    overriding = perhaps(0.4)
    hasty = random.choice((None,) * 18 + ("message", "idle"))
    mode = _mode(random)
    config = ExtProcConfig(
        mode=mode,
        rules=_rules(random) if perhaps(0.3) else MutationRules(),
        forward_rules=_forward_rules(random) if perhaps(0.2) else ForwardRules(),
        failure_mode_allow=perhaps(0.4),
        message_timeout=SHORT if hasty == "message" else PATIENT,
        stream_idle_timeout=SHORT if hasty == "idle" else 300.0,
        max_message_timeout=2 * PATIENT if perhaps(0.5) else 0.0,
        status_on_error=503 if perhaps(0.1) else 500,
        observability_mode=observing,
        send_body_without_waiting_for_header_response=perhaps(0.25) and not observing,
        allow_mode_override=overriding,
        allowed_override_modes=tuple(_override(random) for _ in range(2)) if overriding and perhaps(0.2) else (),
        disable_immediate_response=perhaps(0.1),
        disable_clear_route_cache=perhaps(0.05),
        route_cache_action=random.choice([RouteCacheAction.DEFAULT] * 4 + list(RouteCacheAction)),
        allow_content_length_header=perhaps(0.2),
        metadata_options=_metadata_options(random),
        per_route=_per_route(random) if perhaps(0.2) else (),
        buffer_limit=random.choice((1, 5, 10, 20)) if perhaps(0.2) else _ROOMY,
    )
    modes = [mode, *(said.mode for said in config.per_route if said.mode is not None)]
    return replace(config, buffer_limit=_ROOMY) if any(map(_fatal, modes)) else config


def _fatal(mode: ProcessingMode) -> bool:
    """A body that outgrows the limit kills Envoy 1.40 then (`extproc.envoy.lint` says so): nothing can be compared."""
    return mode.response_body is BodyMode.BUFFERED and not mode.response_headers


def _metadata_options(random: Random) -> MetadataOptions:
    return MetadataOptions(
        forwarding=Namespaces(untyped=("given", "told")) if random.random() < 0.15 else None,
        receiving=Namespaces(untyped=("told",)) if random.random() < 0.3 else None,
    )


def _mode(random: Random) -> ProcessingMode:
    request_body, response_body = random.choice(MODES), random.choice(MODES)
    return ProcessingMode(
        request_headers=random.random() < 0.85,
        response_headers=random.random() < 0.85,
        request_body=request_body,
        response_body=response_body,
        request_trailers=request_body is _DUPLEX or random.random() < 0.5,
        response_trailers=response_body is _DUPLEX or random.random() < 0.5,
    )


def _override(random: Random) -> ModeOverride:
    headers = [random.choice(list(HeaderMode)) for _ in range(4)]
    bodies = [random.choice(MODES) for _ in range(2)]
    return ModeOverride(headers[0], headers[1], bodies[0], bodies[1], headers[2], headers[3])


def _rules(random: Random) -> MutationRules:
    flags = [random.random() < 0.3 for _ in range(5)]
    return MutationRules(
        allow_all_routing=flags[0],
        allow_envoy=flags[1],
        disallow_system=flags[2],
        disallow_all=flags[3] and flags[2],
        allow_expression="x-a|:path" if random.random() < 0.2 else "",
        disallow_expression="x-b|content-length" if random.random() < 0.2 else "",
        disallow_is_error=flags[4],
    )


def _forward_rules(random: Random) -> ForwardRules:
    matches = (StringMatch("prefix", "x-"), StringMatch("exact", "x-a"), StringMatch("suffix", "B", ignore_case=True))
    return ForwardRules(
        allowed=tuple(random.sample(matches, random.randint(0, 2))),
        disallowed=tuple(random.sample(matches, random.randint(0, 1))),
    )


def _per_route(random: Random) -> tuple[PerRoute, ...]:
    def said() -> PerRoute:
        if random.random() < 0.2:
            return PerRoute(disabled=True)
        return PerRoute(
            mode=_mode(random) if random.random() < 0.5 else None,
            failure_mode_allow=random.choice((None, True, False)),
            metadata_options=_metadata_options(random) if random.random() < 0.3 else None,
            grpc_initial_metadata=(("x-p-route", random.choice("ab")),) if random.random() < 0.3 else (),
            grpc_service=random.choice(("other-processor", NOBODY)) if random.random() < 0.2 else None,
        )

    return tuple(said() for _ in range(random.randint(1, 2)))
