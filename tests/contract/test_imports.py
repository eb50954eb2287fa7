"""Who may import whom (pyproject.toml, `tool.importlinter`): every contract is kept, and breaks when it is violated."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.distribution import ROOT

CONTRACTS = [
    contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
]
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"

VIOLATIONS = [
    pytest.param(
        "services/tributary_query",
        "import tributary_attribution",
        "Services on libraries, libraries on the domain",
        id="a-service-imports-another",
    ),
    pytest.param(
        "libs/tributary_domain",
        "import tributary_runtime",
        "Services on libraries, libraries on the domain",
        id="the-domain-imports-the-runtime",
    ),
    pytest.param("libs/tributary_domain", "import time", "The domain does no I/O", id="the-domain-reads-the-clock"),
    pytest.param(
        "libs/tributary_domain",
        "import tributary.event.v1.event_pb2",
        "The domain does no I/O",
        id="the-domain-knows-the-wire",
    ),
    pytest.param(
        "libs/tributary_client", "import redis", "The client needs nothing of the server", id="the-client-needs-redis"
    ),
    pytest.param(
        "services/tributary_query", "import redis", "Only storage talks to the stores", id="a-service-talks-to-redis"
    ),
    pytest.param("libs/tributary_storage", "import grpc", "Storage knows no gRPC", id="storage-speaks-grpc"),
    pytest.param(
        "libs/tributary_runtime",
        "import tributary.event.v1.event_pb2",
        "The runtime knows no contract",
        id="the-runtime-knows-a-contract",
    ),
]


def lint(root: Path) -> dict[str, str]:
    """Checks the code below `root`: contract -> KEPT or BROKEN."""
    done = subprocess.run(
        [sys.executable, "-c", LINT],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(root / part) for part in ("libs", "services"))},
        capture_output=True,
        text=True,
        check=False,
    )
    found = dict(re.findall(r"^(.+?) (KEPT|BROKEN)\b", done.stdout, flags=re.MULTILINE))
    assert sorted(found) == sorted(CONTRACTS), done.stdout + done.stderr
    assert done.returncode == int("BROKEN" in found.values())
    return found


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code, in which all contracts are kept, to plant violations in."""
    root = tmp_path_factory.mktemp("copy")
    for part in ("libs", "services"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    assert set(lint(root).values()) == {"KEPT"}
    return root


def test_every_contract_is_kept() -> None:
    broken = [name for name, state in lint(ROOT).items() if state != "KEPT"]
    assert broken == []


@pytest.mark.parametrize(("package", "statement", "contract"), VIOLATIONS)
def test_a_violation_breaks_the_contract(copy: Path, package: str, statement: str, contract: str) -> None:
    planted = copy / package / "planted_violation.py"
    planted.write_text(f"{statement}\n")
    try:
        assert lint(copy)[contract] == "BROKEN"
    finally:
        planted.unlink()


def test_every_contract_has_a_violation_that_breaks_it() -> None:
    assert {violation.values[2] for violation in VIOLATIONS} == set(CONTRACTS)
