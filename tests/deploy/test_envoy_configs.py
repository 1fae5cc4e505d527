from __future__ import annotations

from pathlib import Path

import pytest

from extproc.config import load_chain
from extproc.envoy.config import EnvoyOptions, bootstrap
from tests.deploy.tools import DEPLOY, broken, validate_envoy

COMPOSE = DEPLOY / "compose" / "envoy.yaml"
SIDECAR = DEPLOY / "kubernetes" / "base" / "envoy.yaml"
OPTIONS = {
    COMPOSE: EnvoyOptions(
        layout="central", listen="0.0.0.0:10000", upstream="upstream:8000", processors=("processor:9002",)
    ),
    SIDECAR: EnvoyOptions(
        layout="sidecar",
        listen="0.0.0.0:10000",
        upstream="127.0.0.1:8000",
        processors=("unix:/run/extproc/processor.sock",),
    ),
}

every_config = pytest.mark.parametrize("config", OPTIONS, ids=["compose", "sidecar"])


def test_no_configuration_is_forgotten() -> None:
    assert sorted(DEPLOY.rglob("envoy.yaml")) == sorted(OPTIONS)


@every_config
def test_the_configuration_is_what_the_chain_beside_it_needs(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is generated, and has to be generated again when the chain or the generator changes."""
    monkeypatch.setenv("DEMO_KEY", "demo")
    chain = load_chain(config.with_name("chain.yaml"))

    assert config.read_text() == bootstrap(chain, OPTIONS[config])


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
