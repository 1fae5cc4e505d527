from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from tests.deploy.tools import DEPLOY, broken, run, validate_envoy

COMPOSE = DEPLOY / "compose" / "envoy.yaml"
SIDECAR = DEPLOY / "kubernetes" / "base" / "envoy.yaml"
CONFIGS = [COMPOSE, SIDECAR]

every_config = pytest.mark.parametrize("config", CONFIGS, ids=["compose", "sidecar"])


def test_no_configuration_is_forgotten() -> None:
    assert sorted(DEPLOY.rglob("envoy.yaml")) == sorted(CONFIGS)


@every_config
def test_the_configuration_is_what_the_chain_beside_it_needs(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file says with which command it was written: that has to write the same file again."""
    program, *arguments = shlex.split(config.read_text().splitlines()[1].rpartition(", ")[2])
    shutil.copy(config.with_name("chain.yaml"), tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEMO_KEY", "demo")

    done = run(program, *arguments)

    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "envoy.yaml").read_text() == config.read_text()


@pytest.mark.envoy
@every_config
def test_envoy_takes_the_configuration(config: Path) -> None:
    done = validate_envoy(config)

    assert (done.returncode, done.stdout) == (0, f"configuration '{config}' OK\n")


@pytest.mark.envoy
@every_config
@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("message_timeout", "message_timeouts"),
        ("cluster: upstream", "cluster: elsewhere"),
        ("envoy.extensions.filters.http.ext_proc.v3", "envoy.extensions.filters.http.ext_process.v3"),
    ],
)
def test_envoy_bites(config: Path, good: str, bad: str, tmp_path: Path) -> None:
    wrong = tmp_path / "envoy.yaml"
    wrong.write_text(broken(config, good, bad))

    done = validate_envoy(wrong)

    assert done.returncode == 1
    assert bad.rpartition(" ")[2] in done.stderr
