"""`quick`: values that type checkers hold frozen, and that cost little to make."""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, TypeVar

__all__ = ["quick"]

_T = TypeVar("_T")


def quick(cls: type[_T]) -> type[_T]:
    """Put above ``@dataclass(frozen=True, slots=True)`` on what is made for every message.

    A frozen dataclass sets each field through ``object.__setattr__``, which more than doubles what an instance costs.
    This gives the class the plain ``__init__`` of an ordinary dataclass; nobody may assign to a field all the same, and
    type checkers see to it.
    """
    specs: tuple[Field[Any], ...] = fields(cls)  # type: ignore[arg-type] # a dataclass, as the docstring says
    namespace: dict[str, Any] = {"__annotations__": {spec.name: spec.type for spec in specs}}
    for spec in specs:
        if spec.default is not MISSING or spec.default_factory is not MISSING:
            namespace[spec.name] = field(default=spec.default, default_factory=spec.default_factory)
    plain: type[Any] = dataclass(type(cls.__name__, (), namespace))
    del cls.__setattr__, cls.__delattr__  # the ones that `frozen` put there
    cls.__init__ = plain.__init__  # type: ignore[method-assign] # same fields, same defaults
    return cls
