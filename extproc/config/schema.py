"""The JSON Schema of the chain file, with the configuration of every filter that is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from extproc.config.chainfile import ChainFile, Entry
from extproc.config.document import is_list, is_mapping
from extproc.config.find import catalogue, find_filter
from extproc.config.references import EnvReference, FileReference

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["chain_schema"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*$"


def chain_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the chain file, for editors and for checks without Python.

    Raises:
        ConfigError: an installed package offers a filter that cannot be loaded.
    """
    filters = {name: find_filter(name) for name in catalogue()}
    mode: JsonSchemaMode = "validation"
    models: list[type[BaseModel]] = [ChainFile, Entry, EnvReference, FileReference, *filters.values()]
    refs, schema = models_json_schema([(model, mode) for model in models], ref_template="#/$defs/{model}")
    definitions: dict[str, Any] = _with_references(
        schema["$defs"], [refs[EnvReference, mode], refs[FileReference, mode]]
    )
    chain: dict[str, Any] = definitions.pop(_name(refs[ChainFile, mode]))
    entry: dict[str, Any] = definitions[_name(refs[Entry, mode])]
    chain["properties"]["filters"]["items"] = refs[Entry, mode]
    entry["properties"]["use"]["anyOf"] = [{"enum": [*filters]}, {"pattern": _REFERENCE}]
    entry["allOf"] = [
        _when_used(name, refs[model, mode], definitions[_name(refs[model, mode])]) for name, model in filters.items()
    ]
    return {"$schema": _DIALECT, **chain, "$defs": definitions}


def _when_used(name: str, ref: dict[str, Any], definition: dict[str, Any]) -> dict[str, Any]:
    """What an entry is that uses the filter called `name`."""
    then: dict[str, Any] = {"properties": {"with": ref}}
    if definition.get("required"):
        then["required"] = ["with"]
    else:
        then["properties"]["with"] = {"anyOf": [ref, {"type": "null"}]}
    return {"if": {"properties": {"use": {"const": name}}, "required": ["use"]}, "then": then}


def _with_references(schema: Any, references: list[dict[str, Any]]) -> Any:
    """The schema, where each secret may also be one of the `references`."""
    if is_list(schema):
        return [_with_references(item, references) for item in schema]
    if not is_mapping(schema):
        return schema
    if schema.get("format") == "password" and schema.get("writeOnly"):
        about = {key: schema[key] for key in ("title", "description", "default") if key in schema}
        plain = {key: value for key, value in schema.items() if key not in about}
        return {**about, "anyOf": [plain, *references]}
    return {key: _with_references(value, references) for key, value in schema.items()}


def _name(ref: dict[str, Any]) -> str:
    return str(ref["$ref"]).rpartition("/")[2]
