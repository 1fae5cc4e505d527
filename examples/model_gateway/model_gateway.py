"""`ModelGateway`: an AI gateway in a filter: which models may be asked for, and where each of them runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from extproc import Filter, Response

if TYPE_CHECKING:
    from extproc import Exchange

__all__ = ["ModelGateway"]

_HEADER = "x-model"
_Model = Annotated[str, Field(pattern=r"^[!-~]+$")]


class ModelGateway(Filter):
    """Reads the model from the JSON of a request, refuses those that are not allowed, and lets Envoy route by it.

    The upstream, and Envoy's routes, are told in ``x-model``, whatever a client sends under that name.
    """

    on_error: ClassVar = "deny"
    metadata_out: ClassVar = frozenset({"model_gateway"})  # Envoy's access log says which model it was

    models: frozenset[_Model] = Field(min_length=1)
    """The models that clients may ask for: visible ASCII, for they go into a header."""

    def on_request_headers(self, exchange: Exchange) -> None:
        """Removes what only this filter may say."""
        exchange.request.headers.pop(_HEADER, None)

    def on_request_body(self, exchange: Exchange) -> Response | None:
        """Decides, now that the whole body is here."""
        request = exchange.request
        try:
            question = json.loads(request.body.decode(), object_pairs_hook=_unambiguous)
        except (ValueError, RecursionError):
            return _refusal(400, "the body is not JSON, or has a key twice", "invalid_body")
        match question:
            case {"model": str(model)} if model in self.models:
                request.headers[_HEADER] = model
                exchange.clear_route_cache()
                exchange.metadata.emit("model_gateway", {"model": model})
                return None
            case {"model": str()}:
                return _refusal(403, "this model is not allowed here", "model_not_allowed")
            case _:
                return _refusal(400, "there is no model in the body", "model_missing")


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses a key that is there twice: the upstream may take the other one."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _refusal(status: int, sentence: str, code: str) -> Response:
    error = {"message": sentence, "type": "invalid_request_error", "code": code}
    return Response.as_json(status, {"error": error}, details=f"model_gateway.{code}")
