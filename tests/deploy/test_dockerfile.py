from __future__ import annotations

import json
import re

import pytest

from tests.deploy.tools import DEPLOY, PROJECT, ROOT, broken, run

DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
RULES = DEPLOY / "docker" / "hadolint.yaml"

Instruction = tuple[str, str]


def instructions(text: str) -> list[Instruction]:
    """(keyword, the rest), continuation lines joined."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line]


@pytest.fixture
def image() -> dict[str, str]:
    """The last stage: keyword to its last value."""
    found = instructions(DOCKERFILE.read_text())
    last_stage = max(at for at, (keyword, _) in enumerate(found) if keyword == "FROM")
    return dict(found[last_stage:])


def hadolint(text: str) -> tuple[int, str]:
    done = run("hadolint", "--no-color", "--config", RULES, "-", stdin=text)
    return done.returncode, done.stdout + done.stderr


def test_the_linter_finds_nothing() -> None:
    assert hadolint(DOCKERFILE.read_text()) == (0, "")


@pytest.mark.parametrize(
    ("good", "bad", "rule"),
    [
        ('ENTRYPOINT ["extproc", "serve"]', "ENTRYPOINT extproc serve", "DL3025"),
        ("COPY filters", "ADD filters", "DL3020"),
        ("WORKDIR /etc/extproc", "WORKDIR etc/extproc", "DL3000"),
        ("USER 65532:65532", "USER root", "DL3002"),
        ("HEALTHCHECK", "HEALTHCHECKS", "missing whitespace"),
    ],
)
def test_the_linter_bites(good: str, bad: str, rule: str) -> None:
    code, said = hadolint(broken(DOCKERFILE, good, bad))

    assert code == 1
    assert rule in said


def test_the_user_is_a_number_and_not_root(image: dict[str, str]) -> None:
    """Kubernetes' runAsNonRoot refuses an image whose user is a name."""
    user, group = image["USER"].split(":")

    assert int(user) > 0
    assert int(group) > 0


def test_no_shell_stands_between_the_engine_and_the_processor(image: dict[str, str]) -> None:
    """A shell as process 1 would swallow SIGTERM, and with it the graceful stop."""
    assert json.loads(image["ENTRYPOINT"]) == ["extproc", "serve"]
    assert json.loads(image["CMD"])[0].endswith(".yaml")
    assert json.loads(image["HEALTHCHECK"].partition("CMD ")[2])[:2] == ["extproc", "health"]


def test_the_health_check_asks_where_the_processor_listens(image: dict[str, str]) -> None:
    listens = json.loads(image["CMD"])[2].rpartition(":")[2]
    asked = json.loads(image["HEALTHCHECK"].partition("CMD ")[2])[2].rpartition(":")[2]

    assert listens == asked == image["EXPOSE"]


def test_everything_that_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [
        source
        for keyword, rest in instructions(DOCKERFILE.read_text())
        if keyword == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]

    assert "*" in ignored
    assert copied
    assert [source for source in copied if not (ROOT / source).exists() or f"!{source}" not in ignored] == []


def test_everything_that_the_wheel_is_built_from_is_copied() -> None:
    text = DOCKERFILE.read_text()

    assert [name for name in ("pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]) if name not in text] == []


def test_the_comment_names_the_version_that_it_builds() -> None:
    assert f"--tag extproc-sdk:{PROJECT['version']} " in DOCKERFILE.read_text()
