"""What pydantic finds wrong, as sentences that a person who never heard of pydantic can act on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from extproc.config.document import is_list, is_mapping
from extproc.config.importing import without_input
from extproc.config.names import hint, nearest
from extproc.config.shapes import child, field_names

if TYPE_CHECKING:
    from collections.abc import Collection

    from pydantic_core import ErrorDetails

    from extproc.config.document import Document
    from extproc.config.places import Route
    from extproc.errors import ConfigProblem

__all__ = ["explain", "scrub"]

_MAPPING = "must be a mapping: lines of 'key: value'"
_LIST = "must be a list: lines of '- item'"

_SENTENCES = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dataclass_type": _MAPPING,
    "dict_type": _MAPPING,
    "enum": "must be {expected}",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "frozen_set_type": _LIST,
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "int_type": "must be a whole number",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "list_type": _LIST,
    "literal_error": "must be {expected}",
    "mapping_type": _MAPPING,
    "missing": "is required: add it",
    "model_attributes_type": _MAPPING,
    "model_type": _MAPPING,
    "multiple_of": "must be a multiple of {multiple_of}",
    "none_required": "must be left out",
    "path_type": "must be the path of a file",
    "set_type": _LIST,
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "string_type": "must be text",
    "too_long": "must have at most {max_length} items",
    "too_short": "must have at least {min_length} items",
    "tuple_type": _LIST,
    "union_tag_invalid": "must be {expected_tags} in its field {discriminator}",
    "union_tag_not_found": "must say which kind it is in its field {discriminator}",
}


def explain(
    error: ValidationError,
    model: Any,
    document: Document,
    route: Route,
    *,
    secrets: Collection[str] = (),
    skip: Collection[Route] = (),
) -> list[ConfigProblem]:
    """The problems of the value at `route`, which was to become a `model`.

    Args:
        error: pydantic's.
        model: the type.
        document: where the value stands.
        route: where in it.
        secrets: what no message may show; a validator of a filter could put it into its own.
        skip: places about which enough has been said; what the validators around them say would only follow from it.
    """
    sentences: dict[tuple[Route, bool], list[str]] = {}
    for details in error.errors(include_url=False, include_input=False):
        where, rest = _follow(document.at(route), details["loc"])
        place, at_key = (*route, *where), details["type"] == "extra_forbidden" or "[key]" in rest
        if details["type"] == "missing":
            place = (*place, str(details["loc"][-1]))
        if not any(item[: len(place)] == place for item in skip):
            sentence = scrub(_sentence(details, model, where, document.at((*route, *where))), secrets)
            said = sentences.setdefault((place, at_key), [])
            if sentence not in said:
                said.append(sentence)
    return [document.problem(_either(said), place, key=key) for (place, key), said in sentences.items()]


def _either(sentences: list[str]) -> str:
    """What the arms of a union want, as one sentence."""
    first, *others = sentences
    return ", or ".join([first, *(sentence.removeprefix("must be ") for sentence in others)])


def scrub(text: str, secrets: Collection[str]) -> str:
    """The text without secrets."""
    for secret in sorted(secrets, key=len, reverse=True):
        for written in (secret, repr(secret)[1:-1]):
            text = text.replace(written, "**********")
    return text


def _sentence(details: ErrorDetails, model: Any, where: Route, actual: Any) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        name = str(details["loc"][-1])
        return f"unknown field '{name}'{hint(name, _known(model, where[:-1]), kind='fields')}"
    if kind in ("value_error", "assertion_error"):
        cause = context.get("error")
        return without_input(cause) if isinstance(cause, ValidationError) else _own_words(details["msg"])
    if kind not in _SENTENCES:
        return _own_words(details["msg"])
    sentence = _SENTENCES[kind].format_map(context)
    if kind == "string_type" and isinstance(actual, bool | int | float):
        return f"{sentence}: put quotes around it"
    if kind in ("literal_error", "enum") and isinstance(actual, str):
        return sentence + nearest(actual, re.findall(r"'([^']*)'", str(context["expected"])))
    return sentence


def _own_words(message: str) -> str:
    """What others say, without pydantic's way to begin a sentence."""
    said = re.sub(r"^(Value error, |Assertion failed, )", "", message).replace("Input should", "should", 1)
    return " ".join(said.split())


def _known(model: Any, where: Route) -> list[str]:
    kinds = [model]
    for step in where:
        kinds = [item for kind in kinds for item in child(kind, step)]
    return [name for kind in kinds for name in field_names(kind)]


def _follow(value: Any, location: tuple[int | str, ...]) -> tuple[Route, list[str]]:
    """The part of a location that leads to a value in the file; the rest, such as the arms of unions, is pydantic's."""
    route: list[str | int] = []
    rest: list[str] = []
    for step in location:
        if is_mapping(value) and str(step) in value:
            route.append(str(step))
            value = value[str(step)]
        elif is_list(value) and isinstance(step, int) and step < len(value):
            route.append(step)
            value = value[step]
        else:
            rest.append(str(step))
    return tuple(route), rest
