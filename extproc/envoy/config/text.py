"""From Envoy's types to YAML that a person can read and that Envoy cannot misread."""

from __future__ import annotations

import re

import yaml

from extproc.envoy.config import types as v3

__all__ = ["to_any", "to_yaml"]

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]+")
_KEYWORDS = frozenset({"no", "yes", "on", "off", "true", "false", "null"})


def to_any(message: v3.Message) -> v3.well_known.Any:
    """A message in an ``Any``, as extensions are configured."""
    return v3.well_known.Any.pack(message)


def to_yaml(message: v3.Message) -> str:
    """A message as YAML, with the names of the proto fields. Defaults are left out."""
    fields = message.to_dict(casing=v3.Casing.SNAKE)
    return yaml.dump(fields, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Quotes whatever could be taken for something else: to Envoy's YAML parser ``n`` is a boolean."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        """Indents lists in mappings too."""
        return super().increase_indent(flow=flow, indentless=False)


def _text(_: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(value) and value.lower() not in _KEYWORDS
    return yaml.ScalarNode("tag:yaml.org,2002:str", value, style=None if plain else '"')


_Dumper.add_representer(str, _text)
