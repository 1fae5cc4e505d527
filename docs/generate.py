"""Writes docs/filters.md: what the filters of the catalogue take, from their fields and the docstrings beside these.

`python docs/generate.py` writes the page. With `--check` it writes nothing, and exits 1 with a sentence if the page is
not what the fields come to.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from extproc.config import find_filter
from extproc.config.find import GROUP

__all__ = ["main", "page"]

PAGE = Path(__file__).resolve().parent / "filters.md"

HEAD = """\
<!-- Written by docs/generate.py from the filters' fields: change those, and run it again. -->

# The catalogue

These filters come with the SDK. A [chain file](chain-file.md) uses them by name; code imports their classes from
`extproc_filters`.
`extproc schema` prints the same as a JSON Schema, for editors.
"""

EXAMPLES = {
    "ab_tag": """\
filters:
  - use: ab_tag
    with:
      salt: new-checkout
      variants: {stable: 80, canary: 20}
      unit: header:x-user
""",
    "api_key": """\
filters:
  - use: api_key
    with:
      callers: {shop: {env: SHOP_KEY}, partner: {env: PARTNER_KEY}}
      sources: [header:x-api-key, bearer]
""",
    "headers": """\
filters:
  - use: headers
    with:
      request:
        remove: [x-internal-*]
        set: {x-client: "{attribute.source.address}"}
        rewrite_path: [{pattern: ^/v1/, substitution: /}]
      response:
        add_if_absent: {cache-control: no-store}
""",
    "rate_limit": """\
filters:
  - use: rate_limit
    with: {limit: 100/minute, burst: 20, key: "header:x-caller"}
""",
}

_POLICIES = {"deny": "refuses the exchange", "skip": "is left out of the exchange"}


def page() -> str:
    """The page, as it has to be."""
    own = [point.name for point in entry_points(group=GROUP) if point.dist and point.dist.name == "extproc-sdk"]
    return "\n".join([HEAD, *(_filter(name) for name in sorted(own))])


def _filter(name: str) -> str:
    kind = find_filter(name)
    schema = kind.model_json_schema()
    definitions: dict[str, Any] = schema.get("$defs", {})
    policy = f"In code: `{kind.__name__}`. When it fails, it {_POLICIES[kind.on_error]} (`on_error: {kind.on_error}`)."
    parts = [f"## {name}\n", _prose(schema["description"]), f"\n{policy}\n", f"```yaml\n{EXAMPLES[name]}```\n"]
    parts.append(_table(schema))
    for title, definition in definitions.items():
        parts += [f"### {title}\n", _prose(definition["description"]), "", _definition(definition, definitions)]
    return "\n".join(parts)


def _definition(definition: dict[str, Any], definitions: dict[str, Any]) -> str:
    """The table of a nested model; what it inherits is said once, where it comes from."""
    fields = definition["properties"]
    for title, other in definitions.items():
        theirs = other["properties"]
        if other is not definition and all(fields.get(name) == schema for name, schema in theirs.items()):
            own = {name: schema for name, schema in fields.items() if name not in theirs}
            return f"All fields of {_link(title)}, and:\n\n" + _table({**definition, "properties": own})
    return _table(definition)


def _table(schema: dict[str, Any]) -> str:
    rows = ["| field | takes | default | |", "|---|---|---|---|"]
    for name, field in schema["properties"].items():
        default = "required" if name in schema.get("required", ()) else _default(field)
        cells = [f"`{name}`", _takes(field), default, _prose(field["description"]).replace("\n", " ")]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _takes(schema: dict[str, Any]) -> str:
    """What a field takes, in words."""
    if "$ref" in schema:
        return _link(str(schema["$ref"]).rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_takes(arm) for arm in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kind = schema["type"]
    if kind == "array":
        return f"list of {_plural(_takes(schema['items']))}"
    if kind == "object":
        return f"{_takes(schema['additionalProperties'])} by name"
    if kind == "string":
        return "[secret](chain-file.md#secrets)" if schema.get("format") == "password" else "text"
    return {"boolean": "`true` or `false`", "null": "`null`"}.get(kind) or _number(schema)


def _number(schema: dict[str, Any]) -> str:
    kind = "whole number" if schema["type"] == "integer" else "number"
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is None or most is None:
        return kind if least is None else f"{kind}, at least {least}"
    return f"{kind}, {least} to {most}"


def _plural(words: str) -> str:
    return "texts" if words == "text" else words


def _default(schema: dict[str, Any]) -> str:
    if "default" not in schema:
        return "`{}`"  # a default factory, which the schema leaves out: all that there are make an empty mapping
    value = schema["default"]
    if isinstance(value, dict):
        return "its defaults"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _link(title: str) -> str:
    return f"[{title}](#{title.lower()})"


def _prose(text: str) -> str:
    """A docstring as Markdown."""
    return re.sub(r"``(.+?)``", r"`\1`", text)


def main() -> int:
    """Does what the command line asks; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write docs/filters.md from the filters' fields.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is stale")
    check: bool = parser.parse_args().check
    fresh = page()
    if not check:
        PAGE.write_text(fresh)
    elif not PAGE.exists() or PAGE.read_text() != fresh:
        print("docs/filters.md is stale: run `python docs/generate.py` and commit the result.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
