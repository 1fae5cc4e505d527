"""The generated code in the repository is what the definitions compile to, and staleness is noticed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The definitions, their compiler and the generated code, where they may be changed."""
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    generated = shutil.ignore_patterns("*[!2].py", "__pycache__")
    shutil.copytree(ROOT / "extproc" / "wire", tmp_path / "extproc" / "wire", ignore=generated)
    return tmp_path


def generate(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "proto" / "generate.py"), *options]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_generated_code_is_fresh(copy: Path) -> None:
    done = generate(copy, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_stale_files_are_named_and_left_alone(copy: Path) -> None:
    stale = copy / "extproc" / "wire" / "core_pb2.pyi"
    stale.write_text("old")
    missing = copy / "extproc" / "wire" / "ext_proc_pb2.py"
    missing.unlink()

    done = generate(copy, "--check")

    assert done.returncode == 1
    assert "extproc/wire/core_pb2.pyi, extproc/wire/ext_proc_pb2.py. Run `make proto`" in done.stderr
    assert stale.read_text() == "old"
    assert not missing.exists()


def test_generated_file_without_a_definition_is_stale_and_goes(copy: Path) -> None:
    leftover = copy / "extproc" / "wire" / "gone_pb2.py"
    leftover.touch()

    assert "extproc/wire/gone_pb2.py" in generate(copy, "--check").stderr
    assert generate(copy).returncode == 0

    assert not leftover.exists()
    assert generate(copy, "--check").returncode == 0


def test_definition_that_does_not_compile_is_an_error(copy: Path) -> None:
    (copy / "proto" / "extproc" / "wire" / "broken.proto").write_text("message {")
    done = generate(copy)
    assert done.returncode != 0
    assert "broken.proto" in done.stderr
