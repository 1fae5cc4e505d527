"""Walking the types of a model's fields along a value: which fields are there, and which of them are secret."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, Required, Union, get_args, get_origin, get_type_hints

from pydantic import AliasChoices, BaseModel, RootModel, SecretBytes, SecretStr

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

__all__ = ["arms", "child", "field_names", "is_path", "is_secret"]


def arms(annotation: Any) -> Iterator[Any]:
    """The types a value of that type may have: unions, ``Annotated``, aliases and root models are looked through."""
    origin = get_origin(annotation)
    if origin in (Annotated, NotRequired, Required):
        yield from arms(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for arm in get_args(annotation):
            yield from arms(arm)
    elif hasattr(annotation, "__value__"):  # type X = ...
        yield from arms(annotation.__value__)
    elif isinstance(annotation, type) and issubclass(annotation, RootModel):
        yield from arms(annotation.model_fields["root"].annotation)
    else:
        yield annotation


def child(annotation: Any, step: str | int) -> list[Any]:
    """The types that the item at `step` of a value of that type may have."""
    return [item for arm in arms(annotation) for item in _child(arm, step)]


def field_names(annotation: Any) -> list[str]:
    """The fields that a mapping of that type may have, as they are written; empty where any will do."""
    return [name for arm in arms(annotation) for name in _fields(arm, first=True)]


def is_secret(annotation: Any) -> bool:
    """Whether a value of that type is a secret."""
    return any(isinstance(arm, type) and issubclass(arm, SecretStr | SecretBytes) for arm in arms(annotation))


def is_path(annotation: Any) -> bool:
    """Whether a value of that type can only be the name of a file."""
    others = [arm for arm in arms(annotation) if arm is not types.NoneType]
    return bool(others) and all(isinstance(arm, type) and issubclass(arm, Path) for arm in others)


def _child(arm: Any, step: str | int) -> list[Any]:
    if isinstance(step, str) and (found := _fields(arm).get(step)) is not None:
        return [found]
    origin, args = get_origin(arm), get_args(arm)
    if not isinstance(origin, type) or not args:
        return []
    if issubclass(origin, Mapping):
        return [args[-1]] if isinstance(step, str) else []
    if isinstance(step, int) and issubclass(origin, tuple) and args[-1] is not Ellipsis:
        return [args[step]] if step < len(args) else []
    return [args[0]] if isinstance(step, int) and issubclass(origin, Collection) else []


def _fields(arm: Any, *, first: bool = False) -> dict[str, Any]:
    """The fields of a model, a dataclass or a typed dict, by the names they are written with, or the first of these."""
    if isinstance(arm, type) and issubclass(arm, BaseModel):
        return {
            written: field.annotation
            for name, field in arm.model_fields.items()
            for written in _written(name, field, arm)[: 1 if first else None]
        }
    return _hints(arm)


def _hints(kind: Any) -> dict[str, Any]:
    known = dataclasses.is_dataclass(kind) or hasattr(
        kind, "__required_keys__"
    )  # typed dicts, of typing_extensions too
    return get_type_hints(kind, include_extras=True) if known else {}


def _written(name: str, field: FieldInfo, model: type[BaseModel]) -> list[str]:
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    names = [choice for choice in choices if isinstance(choice, str)]
    config = model.model_config
    if not names or config.get("populate_by_name") or config.get("validate_by_name"):
        names.append(name)
    return names
