"""The programs that judge deployment artefacts, and the files they judge."""

from __future__ import annotations

import subprocess
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import yaml

from extproc.envoy.binary import envoy_path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(tool: Path | str, *args: Path | str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a tool of this environment; its exit code is the caller's to judge."""
    program = tool if isinstance(tool, Path) else Path(sysconfig.get_path("scripts")) / tool
    return subprocess.run([program, *args], input=stdin, capture_output=True, text=True, timeout=50, check=False)


def validate_envoy(config: Path) -> subprocess.CompletedProcess[str]:
    """Has Envoy build everything that a configuration describes, without running it."""
    return run(envoy_path(), "--mode", "validate", "--config-path", config, "--log-level", "warning")


def load(path: Path) -> Any:
    """A YAML file of one document."""
    return yaml.safe_load(path.read_text())


def broken(path: Path, good: str, bad: str) -> str:
    """The file's text with something in it made wrong: a check that does not refuse it proves nothing."""
    text = path.read_text()
    assert good in text
    return text.replace(good, bad)


def clusters(envoy_config: Any) -> dict[str, Any]:
    """Cluster name to the address of its first endpoint."""
    return {
        cluster["name"]: cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
        for cluster in envoy_config["static_resources"]["clusters"]
    }
