"""Compiles the definitions under proto/ into Python under the repository root.

`python proto/generate.py` writes `*_pb2.py` and `*_pb2.pyi` beside the package that the path of each definition
names: `proto/extproc/wire/core.proto` becomes `extproc/wire/core_pb2.py`. With `--check` it writes nothing, and
exits 1 with a sentence if the files in the repository are not what the definitions compile to.

The output depends on the definitions and on the versions of grpcio-tools and mypy-protobuf, and on nothing else.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

__all__ = ["compile_definitions", "main", "stale_files"]

PROTO = Path(__file__).resolve().parent
ROOT = PROTO.parent
OUTPUTS = ("*_pb2.py", "*_pb2.pyi")


def compile_definitions(target: Path) -> None:
    """Compiles every definition under proto/ to files below `target`.

    Raises:
        subprocess.CalledProcessError: The compiler refused a definition; it has said why on stderr.
    """
    plugin = Path(sysconfig.get_path("scripts")) / "protoc-gen-mypy"
    definitions = sorted(path.relative_to(PROTO).as_posix() for path in PROTO.rglob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={PROTO}", f"--python_out={target}"]
    command += [f"--plugin=protoc-gen-mypy={plugin}", f"--mypy_out=quiet:{target}"]
    subprocess.run([*command, *definitions], check=True)


def stale_files(fresh: Path) -> list[str]:
    """Names the generated files of the repository that are not, or no longer, as they are below `fresh`."""
    packages = {path.relative_to(PROTO).parent for path in PROTO.rglob("*.proto")}
    names = {
        path.relative_to(tree).as_posix()
        for tree in (ROOT, fresh)
        for package in packages
        for pattern in OUTPUTS
        for path in (tree / package).glob(pattern)
    }
    return sorted(name for name in names if _content(ROOT / name) != _content(fresh / name))


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def main() -> int:
    """Does what the command line asks; returns the exit code."""
    parser = argparse.ArgumentParser(description="Compile the definitions under proto/.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the generated code is stale")
    check: bool = parser.parse_args().check
    with tempfile.TemporaryDirectory() as directory:
        fresh = Path(directory)
        try:
            compile_definitions(fresh)
        except subprocess.CalledProcessError as refusal:
            return refusal.returncode
        stale = stale_files(fresh)
        if check:
            return _report(stale)
        for name in stale:
            _install(fresh / name, ROOT / name)
    return 0


def _report(stale: list[str]) -> int:
    if not stale:
        return 0
    sentence = f"Not what proto/ compiles to: {', '.join(stale)}. Run `make proto` and commit the result."
    print(sentence, file=sys.stderr)
    return 1


def _install(source: Path, target: Path) -> None:
    """Makes `target` what `source` is, down to not being there."""
    if source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    else:
        target.unlink()
    print(f"{'wrote' if source.exists() else 'removed'} {target.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
