"""What Envoy tells the processor: headers as the forward rules let them through, attributes, metadata, body modes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import re2

from extproc.messages import Message, Protocol
from extproc.phases import Direction, Part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from extproc.envoy.model.config import ExtProcConfig
    from extproc.envoy.model.fields import Fields
    from extproc.envoy.model.options import ForwardRules, StringMatch
    from extproc.envoy.model.state import ProcessorState
    from extproc.envoy.model.values import Context
    from extproc.messages import RawHeaders

__all__ = ["Requests"]


class Requests:
    """Makes the messages of one exchange."""

    def __init__(
        self,
        config: ExtProcConfig,
        context: Context,
        request: ProcessorState,
        response: ProcessorState,
        metadata: dict[str, Mapping[str, Any]],
    ) -> None:
        self._config = config
        self._context = context
        self._states = request, response
        self._introduced = False
        self._metadata = metadata

    def headers(self, state: ProcessorState, headers: Fields, *, end: bool) -> Message:
        """The headers have come."""
        return self._message(state, Part.HEADERS, headers=self._forwarded(headers), end=end)

    def body(self, state: ProcessorState, data: bytes, *, end: bool) -> Message:
        """Some of the body has come, or all."""
        return self._message(state, Part.BODY, body=data, end=end)

    def trailers(self, state: ProcessorState, trailers: Fields) -> Message:
        """The trailers have come."""
        return self._message(state, Part.TRAILERS, headers=self._forwarded(trailers), end=True)

    def keep_metadata(self, given: Mapping[str, Mapping[str, Any]]) -> None:
        """Takes what an answer says of the namespaces that are taken from the processor."""
        namespaces = self._config.metadata_options.receiving
        for name in namespaces.untyped if namespaces is not None else ():
            if name in given:
                self._metadata[name] = {**self._metadata.get(name, {}), **given[name]}

    def _message(
        self, state: ProcessorState, part: Part, *, headers: RawHeaders | None = None, body: bytes = b"", end: bool
    ) -> Message:
        return Message(
            state.phase(part),
            headers=[] if headers is None else headers,
            body=body,
            end_of_stream=end,
            attributes=self._attributes(state),
            metadata=self._forwarded_metadata(),
            protocol=self._protocol(),
            observability=self._config.observability_mode,
        )

    def _forwarded(self, fields: Fields) -> RawHeaders:
        rules = self._config.forward_rules
        return [item for item in fields.items if _passes(rules, item[0])]

    def _attributes(self, state: ProcessorState) -> Mapping[str, Any]:
        """With the first message of a direction only."""
        if state.attributes_told:
            return {}
        state.attributes_told = True
        request = state.direction is Direction.REQUEST
        names = self._config.request_attributes if request else self._config.response_attributes
        known = self._context.request_attributes if request else self._context.response_attributes
        return {name: known[name] for name in names if name in known}

    def _forwarded_metadata(self) -> dict[str, Mapping[str, Any]]:
        namespaces = self._config.metadata_options.forwarding
        wanted = namespaces.untyped if namespaces is not None else ()
        return {name: self._metadata[name] for name in wanted if name in self._metadata}

    def _protocol(self) -> Protocol | None:
        """With the very first message only, and not where answers do not count."""
        if self._introduced or self._config.observability_mode:
            return None
        self._introduced = True
        request, response = self._states
        return Protocol(
            request.body_mode, response.body_mode, self._config.send_body_without_waiting_for_header_response
        )


def _passes(rules: ForwardRules, name: str) -> bool:
    allowed = not rules.allowed or any(_matches(match, name) for match in rules.allowed)
    return allowed and not any(_matches(match, name) for match in rules.disallowed)


def _matches(match: StringMatch, name: str) -> bool:
    if match.kind == "safe_regex":
        return re2.compile(match.text).fullmatch(name) is not None
    text, name = (match.text.lower(), name.lower()) if match.ignore_case else (match.text, name)
    if match.kind == "prefix":
        return name.startswith(text)
    if match.kind == "suffix":
        return name.endswith(text)
    return text in name if match.kind == "contains" else text == name
