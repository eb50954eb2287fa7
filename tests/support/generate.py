"""Generates `libs/tributary` from `protos`; with `--check`, only says whether it is current.

Run it from a checkout after a change of a contract: `python -m tests.support.generate`.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
PROTOS = ROOT / "protos"
GENERATED = ROOT / "libs" / "tributary"


def generate(target: Path) -> None:
    """Writes the generated modules of every proto below `target`.

    Raises:
        RuntimeError: protoc refused a proto; what it says went to standard error.
    """
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    # Services get stub classes; a file of messages alone needs no *_pb2_grpc module.
    services = [name for name in sources if name.endswith("_service.proto")]
    well_known = str(files("grpc_tools") / "_proto")
    include = [f"--proto_path={PROTOS}", f"--proto_path={well_known}"]
    plugins = Path(sys.executable).parent
    if protoc.main(
        [
            "protoc",
            *include,
            f"--plugin=protoc-gen-mypy={plugins / 'protoc-gen-mypy'}",
            f"--python_out={target}",
            f"--mypy_out={target}",
            *sources,
        ]
    ):
        raise RuntimeError("protoc refused a message")
    if protoc.main(
        [
            "protoc",
            *include,
            f"--plugin=protoc-gen-mypy_grpc={plugins / 'protoc-gen-mypy_grpc'}",
            f"--grpc_python_out={target}",
            f"--mypy_grpc_out={target}",
            *services,
        ]
    ):
        raise RuntimeError("protoc refused a service")


def differences(ours: Path, theirs: Path) -> list[str]:
    """Returns the paths, relative to both, that are missing on one side or differ, sorted."""
    names = {
        p.relative_to(root) for root in (ours, theirs) for p in root.rglob("*.py*") if "__pycache__" not in p.parts
    }
    return sorted(
        str(name)
        for name in names
        if not (ours / name).is_file()
        or not (theirs / name).is_file()
        or not filecmp.cmp(ours / name, theirs / name, shallow=False)
    )


def main(arguments: list[str] | None = None) -> int:
    """Generates or checks; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the generated code is stale")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh = Path(scratch) / "tributary"
        stale = differences(GENERATED, fresh)
        if options.check:
            for name in stale:
                print(f"stale: libs/tributary/{name}")
            return 1 if stale else 0
        shutil.rmtree(GENERATED, ignore_errors=True)
        shutil.copytree(fresh, GENERATED)
        print(f"{len(stale)} generated files changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
