"""The chain file: YAML to a `Chain`, with everything that is wrong said at once and in its place."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from extproc.chain import Chain, Use
from extproc.config.document import is_list, is_mapping
from extproc.config.duration import Duration, format_duration
from extproc.config.explain import explain, scrub
from extproc.config.find import find_filter
from extproc.config.importing import is_reference, last_line
from extproc.config.references import Resolver
from extproc.errors import ConfigError, ConfigProblem
from extproc.filter import Filter, Offload, OnError
from extproc.when import When

if TYPE_CHECKING:
    from pathlib import Path

    from extproc.config.document import Document
    from extproc.config.places import Route

__all__ = ["ChainFile", "Entry", "build_chain"]

_Model = TypeVar("_Model", bound=BaseModel)


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("must be letters, digits, '_', '.' and '-', at most 64, the first a letter or a digit")
    return name


class Entry(BaseModel):
    """A filter in the chain, and how the chain uses it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    use: str = Field(description="A catalogue name such as api_key, or package.module:Class.")
    name: Annotated[str, AfterValidator(_check_name)] | None = Field(
        default=None,
        json_schema_extra={"pattern": f"^{_NAME.pattern}$"},
        description="What logs, errors and reports call the filter; by default the name it is used by.",
    )
    when: When | None = Field(default=None, description="The condition under which the filter takes part.")
    on_error: OnError | None = Field(
        default=None,
        description="What happens to an exchange when the filter fails in it: it is refused, or goes on without it.",
    )
    timeout: Duration | None = Field(
        default=None,
        description="How long one of the filter's async or offloaded hooks may take; by default what the chain has.",
    )
    offload: Offload | None = Field(
        default=None,
        description="Where the filter's hooks run: in a thread, because they block, or on the event loop (none).",
    )
    with_: dict[str, Any] | None = Field(default=None, alias="with", description="The filter's own configuration.")


class ChainFile(BaseModel):
    """A chain of filters for Envoy's ext_proc."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = Field(default=1, description="The version of this format.")
    timeout: Duration = Field(default=1.0, description="How long all hooks together may take to answer one message.")
    threads: int = Field(
        default=8, ge=1, description="How many hooks may block at once, of filters that are offloaded."
    )
    filters: list[Any] = Field(description="The filters, in the order in which a request meets them.")


def build_chain(document: Document, directory: Path) -> Chain:
    """The chain that a document describes.

    Args:
        document: the chain file.
        directory: where its modules and relative paths begin.

    Raises:
        ConfigError: with everything that is wrong.
    """
    return _Reading(document, directory).chain()


@dataclass(frozen=True, slots=True)
class _Read:
    """An entry of which every part is right."""

    route: Route
    entry: Entry
    filter: Filter


@dataclass(slots=True)
class _Reading:
    """One chain file on its way to a chain; problems gather until the end."""

    document: Document
    directory: Path
    problems: list[ConfigProblem] = field(default_factory=list[ConfigProblem])

    def chain(self) -> Chain:
        top = self._validated(ChainFile, ())
        read = [read for route in self._routes() if (read := self._read(route)) is not None]
        names = self._names(read)
        if top is None:
            raise self.document.error(self.problems)
        self._check_timeouts(top.timeout, read)
        self._check_offload(read)
        self.document.check(self.problems)
        uses = [_use(item, name) for item, name in zip(read, names, strict=True)]
        try:
            return Chain(uses, timeout=top.timeout, threads=top.threads)
        except ValueError as error:
            raise self.document.error([self.document.problem(str(error), ("filters",))]) from error

    def _routes(self) -> list[Route]:
        entries = self.document.at(("filters",))
        return [("filters", index) for index in range(len(entries))] if is_list(entries) else []

    def _validated(self, model: type[_Model], route: Route) -> _Model | None:
        try:
            return model.model_validate(self.document.at(route), by_alias=True, by_name=False)
        except ValidationError as error:
            self.problems += explain(error, model, self.document, route)
            return None

    def _read(self, route: Route) -> _Read | None:
        entry = self._validated(Entry, route)
        use = self.document.at((*route, "use"))
        made = self._filter(use, route) if isinstance(use, str) else None
        return None if entry is None or made is None else _Read(route, entry, made)

    def _filter(self, use: str, route: Route) -> Filter | None:
        try:
            kind = find_filter(use, self.directory)
        except ConfigError as error:
            self.problems += [self.document.problem(problem.message, (*route, "use")) for problem in error.problems]
            return None
        config = self.document.at((*route, "with"))
        if config is not None and not is_mapping(config):
            return None  # Entry says so
        return self._configured(kind, config or {}, (*route, "with"))

    def _configured(self, kind: type[Filter], config: dict[str, Any], route: Route) -> Filter | None:
        resolver = Resolver(self.document, self.directory, os.environ)
        made: Filter | None = None
        try:
            made = kind.model_validate(resolver.resolve([kind], config, route))
            made.needs()
        except ValidationError as error:
            self.problems += explain(error, kind, self.document, route, secrets=resolver.secrets, skip=resolver.failed)
        except Exception as error:  # noqa: BLE001 (validators are users' code: whatever they raise is about this entry)
            if not resolver.failed:  # else it may well be about what could not be found
                said = scrub(f"{kind.__name__} fails with this: {last_line(error, self.directory)}", resolver.secrets)
                self.problems.append(self.document.problem(said, route))
            made = None
        self.problems += resolver.problems
        return None if resolver.failed else made

    def _names(self, read: list[_Read]) -> list[str]:
        """What each filter is called; a default gives way to what somebody chose."""
        chosen: dict[str, Route] = {}
        for item in read:
            if item.entry.name in chosen:
                line = self.document.values[chosen[item.entry.name]].line
                message = f"is the name of another filter, in line {line}: choose another"
                self.problems.append(self.document.problem(message, (*item.route, "name")))
            elif item.entry.name is not None:
                chosen[item.entry.name] = (*item.route, "name")
        taken = set(chosen)
        return [item.entry.name or _default_name(item, taken) for item in read]

    def _check_timeouts(self, chain_timeout: float, read: list[_Read]) -> None:
        for item in read:
            if item.entry.timeout is not None and item.entry.timeout > chain_timeout:
                message = (
                    f"is longer than the {format_duration(chain_timeout)} of the whole chain: "
                    "shorten it, or raise the timeout of the chain"
                )
                self.problems.append(self.document.problem(message, (*item.route, "timeout")))

    def _check_offload(self, read: list[_Read]) -> None:
        for item in read:
            hooks = type(item.filter).async_hooks()
            if item.entry.offload == "thread" and hooks:
                message = f"is not for this filter: its {hooks[0]} is async, and so need not block; remove it"
                self.problems.append(self.document.problem(message, (*item.route, "offload")))


def _use(item: _Read, name: str) -> Use:
    entry = item.entry
    return Use(
        item.filter,
        name=name,
        when=entry.when,
        on_error=entry.on_error,
        timeout=entry.timeout,
        offload=entry.offload,
    )


def _default_name(item: _Read, taken: set[str]) -> str:
    use = item.entry.use
    stem = Chain([item.filter]).links[0].name if is_reference(use) else use
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    taken.add(name)
    return name
