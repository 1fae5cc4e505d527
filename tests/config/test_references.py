"""Secrets are found wherever a filter's fields can hold them, and no message ever shows one."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, RootModel, SecretBytes, SecretStr, TypeAdapter
from typing_extensions import TypedDict

from extproc import ConfigError
from extproc.config import load_chain
from extproc.config.document import parse_document
from extproc.config.references import Resolver

SECRET = "correct-horse-battery"


class Inner(BaseModel):
    token: SecretStr


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    token: SecretStr = Field(validation_alias=AliasChoices("access-token", "accessToken"))


class Rooted(RootModel[list[SecretStr]]):
    pass


@dataclass
class Data:
    token: SecretStr


class Typed(TypedDict):
    token: NotRequired[SecretStr]


class Other(BaseModel):
    env: int
    size: int


REFERENCE = {"env": "TOKEN"}


def resolved(annotation: Any, value: Any) -> Any:
    """What becomes of `value` on its way into a field of that type."""
    document = parse_document(json.dumps(value), "t")
    resolver = Resolver(document, Path("/base"), {"TOKEN": SECRET})
    result = resolver.resolve([annotation], document.value, ())
    assert resolver.problems == []
    TypeAdapter(annotation).validate_python(result)
    return result


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (SecretStr, REFERENCE, SECRET),
        (SecretBytes, REFERENCE, SECRET),
        (SecretStr | None, REFERENCE, SECRET),
        (SecretStr | None, None, None),
        (Annotated[SecretStr, Field(min_length=8)], REFERENCE, SECRET),
        (Annotated[SecretStr, Field(min_length=8)] | None, REFERENCE, SECRET),
        (dict[str, SecretStr], {"a": REFERENCE, "b": "plain"}, {"a": SECRET, "b": "plain"}),
        (Mapping[str, list[SecretStr]], {"a": [REFERENCE]}, {"a": [SECRET]}),
        (dict[str, str], {"a": "env"}, {"a": "env"}),
        (dict[str, str], REFERENCE, REFERENCE),
        (list[SecretStr], [REFERENCE, "x"], [SECRET, "x"]),
        (Sequence[SecretStr], [REFERENCE], [SECRET]),
        (tuple[SecretStr, ...], [REFERENCE, REFERENCE], [SECRET, SECRET]),
        (tuple[int, SecretStr], [1, REFERENCE], [1, SECRET]),
        (Inner, {"token": REFERENCE}, {"token": SECRET}),
        (Inner | None, {"token": REFERENCE}, {"token": SECRET}),
        (dict[str, Inner], {"a": {"token": REFERENCE}}, {"a": {"token": SECRET}}),
        (Inner | SecretStr, REFERENCE, SECRET),
        (Inner | SecretStr, {"token": REFERENCE}, {"token": SECRET}),
        (Aliased, {"access-token": REFERENCE}, {"access-token": SECRET}),
        (Aliased, {"accessToken": REFERENCE}, {"accessToken": SECRET}),
        (Aliased, {"token": REFERENCE}, {"token": SECRET}),
        (Rooted, [REFERENCE], [SECRET]),
        (Data, {"token": REFERENCE}, {"token": SECRET}),
        (Typed, {"token": REFERENCE}, {"token": SECRET}),
        (Other, {"env": 1, "size": 2}, {"env": 1, "size": 2}),
        (Path, "keys/a.pem", "/base/keys/a.pem"),
        (Path | None, "keys/a.pem", "/base/keys/a.pem"),
        (Path, "/etc/a.pem", "/etc/a.pem"),
        (list[Path], ["a"], ["/base/a"]),
        (str | Path, "a", "a"),
        (Any, REFERENCE, REFERENCE),
    ],
)
def test_references_are_resolved_where_a_type_says_secret_and_nowhere_else(
    annotation: Any, value: Any, expected: Any
) -> None:
    assert resolved(annotation, value) == expected


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "vault.py").write_text(
        "from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator\n"
        "from extproc import Filter\n"
        "class Vault(Filter):\n"
        "    keys: dict[str, SecretStr] = Field(default_factory=dict, max_length=3)\n"
        "    tight: list[SecretStr] = Field(default_factory=list)\n"
        "    number: int = 0\n"
        "    @field_validator('keys')\n"
        "    @classmethod\n"
        "    def _talk(cls, keys):\n"
        "        if 'talk' in keys:\n"
        "            raise ValueError(f'{[key.get_secret_value() for key in keys.values()]!r} are known')\n"
        "        if 'die' in keys:\n"
        "            raise RuntimeError(keys['die'].get_secret_value())\n"
        "        return keys\n"
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "vault", raising=False)
    return tmp_path


def write(folder: Path, config: object) -> Path:
    file = folder / "chain.yaml"
    file.write_text(json.dumps({"filters": [{"use": "vault:Vault", "with": config}]}))
    return file


@pytest.mark.parametrize(("end", "kept"), [("\n", ""), ("\r\n", ""), ("", ""), (" \n", " ")])
def test_a_file_is_read_without_the_line_end_after_it(vault: Path, end: str, kept: str) -> None:
    (vault / "secrets").mkdir()
    (vault / "secrets" / "key").write_bytes(SECRET.encode() + end.encode())
    (link,) = load_chain(write(vault, {"keys": {"a": {"file": "secrets/key"}}})).links
    assert link.filter.keys["a"].get_secret_value() == SECRET + kept  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"\xff\xfe", "not a text file"), (None, "No such file")],
)
def test_a_file_without_a_secret_is_refused(vault: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (vault / "key").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"with.keys.a: .*{vault}/key.* {said}"):
        load_chain(write(vault, {"keys": {"a": {"file": "key"}}}))


def test_what_a_validator_says_of_a_whole_is_not_said_when_a_part_is_missing(
    vault: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EXTPROC_TEST_UNSET", raising=False)
    for key in ("talk", "die"):
        with pytest.raises(ConfigError) as raised:
            load_chain(write(vault, {"keys": {key: {"env": "EXTPROC_TEST_UNSET"}}}))
        assert [problem.field for problem in raised.value.problems] == [f"filters[0].with.keys.{key}"]


secrets = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=8, max_size=40).map(lambda text: f"§{text}§")


@settings(deadline=None)  # a busy machine is no failure
@given(secret=secrets, where=st.sampled_from(["inline", "env", "file"]), trouble=st.sampled_from(range(6)))
def test_no_message_shows_a_secret(
    tmp_path_factory: pytest.TempPathFactory, secret: str, where: str, trouble: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        folder = vault.__wrapped__(tmp_path_factory.mktemp("vault"), patch)  # type: ignore[attr-defined]
        patch.setenv("EXTPROC_TEST_SECRET", secret)
        (folder / "key").write_text(secret, newline="")
        value = {"inline": secret, "env": {"env": "EXTPROC_TEST_SECRET"}, "file": {"file": "key"}}[where]
        config = [
            {"keys": {"talk": value}},
            {"keys": {"die": value}},
            {"keys": {"a": value, "b": value, "c": value, "d": value}},
            {"keys": {"a": value}, "numbr": 1},
            {"keys": {"a": value}, "number": secret},
            {"tight": value},
        ][trouble]
        with pytest.raises(ConfigError) as raised:
            load_chain(write(folder, config))
    assert secret not in "".join(traceback.format_exception(raised.value))
    assert json.dumps(secret)[1:-1] not in str(raised.value)
