"""``extproc schema``."""

from __future__ import annotations

import json

__all__ = ["schema"]


def schema() -> None:
    """Print the JSON Schema of the chain file, with the configuration of every filter that is installed.

    Editors that know YAML complete and check a chain file with it; for most of them, write it to a file and begin the
    chain file with "# yaml-language-server: $schema=FILE".
    """
    from extproc.config import chain_schema

    print(json.dumps(chain_schema(), indent=2))
