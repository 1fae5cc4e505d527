from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.tools import DEPLOY, broken, validate_envoy

CONFIGS = sorted(DEPLOY.rglob("envoy.yaml"))


def name_of(path: Path) -> str:
    return path.parent.name


@pytest.mark.envoy
@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_envoy_takes_the_configuration(config: Path) -> None:
    done = validate_envoy(config)

    assert (done.returncode, done.stdout) == (0, f"configuration '{config}' OK\n")


@pytest.mark.envoy
@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("failure_mode_allow", "failure_mode_allowed"),
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
