"""Our definitions beside everybody else's: in one process, and in one site-packages."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from extproc.wire import core_pb2, ext_proc_pb2
from tests.wire import coexistence

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def findings() -> dict[str, str]:
    command = [sys.executable, "-P", coexistence.__file__]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("order", [" ".join(order) for order in coexistence.orders()])
def test_definitions_of_all_packages_work_together(findings: dict[str, str], order: str) -> None:
    assert not findings[order], findings[order]


@pytest.mark.parametrize("module", [core_pb2, ext_proc_pb2])
def test_nothing_in_the_global_pool_bears_a_name_of_others(module: ModuleType) -> None:
    """The pool refuses a second, different file of a name, and a second message of a full name."""
    file = module.DESCRIPTOR
    assert file.name.startswith("extproc/wire/")
    assert file.package == "extproc.wire"
    assert all(each.name.startswith(("extproc/wire/", "google/protobuf/")) for each in file.dependencies)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The files that the distribution installs."""
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = target.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


def test_distribution_installs_only_into_its_own_packages(wheel: list[str]) -> None:
    """A file elsewhere could overwrite one of another package, as xds-protos does to several."""
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"extproc", "extproc_filters"}
    assert len(tops) == 3


@pytest.mark.parametrize("name", ["core_pb2.py", "core_pb2.pyi", "ext_proc_pb2.py", "ext_proc_pb2.pyi"])
def test_distribution_brings_the_generated_code(wheel: list[str], name: str) -> None:
    assert f"extproc/wire/{name}" in wheel
