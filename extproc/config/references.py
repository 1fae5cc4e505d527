"""What a chain file refers to: secrets in the environment or in files, and paths beside the chain file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel, ConfigDict

from extproc.config.document import is_list, is_mapping
from extproc.config.names import hint
from extproc.config.shapes import child, is_path, is_secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from extproc.config.document import Document
    from extproc.config.places import Route
    from extproc.errors import ConfigProblem

__all__ = ["EnvReference", "FileReference", "Resolver", "SecretReference"]


class EnvReference(BaseModel):
    """A secret in an environment variable of the processor."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: str


class FileReference(BaseModel):
    """A secret in a file, without the line end after it; a relative path begins at the chain file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str


SecretReference: TypeAlias = EnvReference | FileReference

_KINDS = ("env", "file")
_SECRET = "must be text, {env: NAME} or {file: PATH}"  # noqa: S105 (says so itself)


@dataclass(slots=True)
class Resolver:
    """Puts the values in the place of references.

    Attributes:
        document: where the references stand.
        directory: where relative paths begin.
        environ: the environment variables.
        problems: what could not be found.
        failed: where.
        secrets: every secret that was seen, so that no message shows it.
    """

    document: Document
    directory: Path
    environ: Mapping[str, str]
    problems: list[ConfigProblem] = field(default_factory=list["ConfigProblem"])
    failed: set[Route] = field(default_factory=set["Route"])
    secrets: set[str] = field(default_factory=set[str])

    def resolve(self, types: Sequence[Any], value: Any, route: Route) -> Any:
        """`value`, which is of one of `types`, with what its references stand for. Never raises."""
        if any(is_secret(kind) for kind in types) and self._is_secret_value(types, value):
            return self._secret(value, route)
        if is_mapping(value):
            return {key: self.resolve(_children(types, key), item, (*route, key)) for key, item in value.items()}
        if is_list(value):
            return [self.resolve(_children(types, i), item, (*route, i)) for i, item in enumerate(value)]
        if isinstance(value, str) and types and all(is_path(kind) for kind in types):
            return str(self.directory / value)
        return value

    def _is_secret_value(self, types: Sequence[Any], value: Any) -> bool:
        """Not so a mapping where the type is a secret or some other mapping, unless it is a reference."""
        if not is_mapping(value):
            return isinstance(value, str)
        return any(key in value for key in _KINDS) or not any(_children(types, key) for key in value)

    def _secret(self, value: str | dict[str, Any], route: Route) -> str:
        try:
            secret = value if isinstance(value, str) else self._referred(value, route)
        except _MissingError as error:
            self.problems.append(self.document.problem(str(error), error.route, key=error.route != route))
            self.failed.add(route)
            return ""
        if secret:
            self.secrets.add(secret)
        return secret

    def _referred(self, value: dict[str, Any], route: Route) -> str:
        for key in value:
            if key not in _KINDS:
                raise _MissingError(f"unknown field '{key}'{hint(key, _KINDS, kind='fields')}", (*route, key))
        if len(value) != 1:
            raise _MissingError(_SECRET, route)
        kind, name = next(iter(value.items()))
        if not isinstance(name, str) or not name:
            raise _MissingError(f"must be the name of {_KINDS_OF[kind]}", (*route, kind))
        return self._env(name, route) if kind == "env" else self._file(name, route)

    def _env(self, name: str, route: Route) -> str:
        value = self.environ.get(name)
        if not value:
            state = "not set" if value is None else "empty"
            raise _MissingError(f"the environment variable {name} is {state}: set it to the secret", route)
        return value

    def _file(self, name: str, route: Route) -> str:
        path = self.directory / name
        try:
            value = path.read_text("utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text file"
            raise _MissingError(f"the secret in {path} cannot be read: {reason}", route) from None
        if not value:
            raise _MissingError(f"the file {path} is empty: write the secret to it", route)
        return value


_KINDS_OF = {"env": "an environment variable", "file": "a file"}


class _MissingError(Exception):
    def __init__(self, message: str, route: Route) -> None:
        self.route = route
        super().__init__(message)


def _children(types: Sequence[Any], step: str | int) -> list[Any]:
    return [item for kind in types for item in child(kind, step)]
