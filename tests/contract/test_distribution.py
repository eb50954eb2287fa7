"""`pip install tributary` brings the contracts and the client, and nothing else."""

from __future__ import annotations

import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.support.distribution import ROOT, Environment
from tests.support.scripted_door import ScriptedDoor, opened

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

IMPORT_ALL_CONTRACTS = """
import importlib, pathlib, sys
import tributary
count = 0
for root in tributary.__path__:
    for path in sorted(pathlib.Path(root).rglob("*_pb2*.py")):
        importlib.import_module(".".join(("tributary", *path.relative_to(root).with_suffix("").parts)))
        count += 1
print(count)
"""

IMPORT_CLIENT = """
import sys
import tributary_client
print(*(name for name in ("pydantic", "redis", "clickhouse_driver", "tributary_runtime") if name in sys.modules))
"""


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An empty environment into which the wheel was installed without extras."""
    environment = Environment(tmp_path_factory.mktemp("base") / "venv")
    environment.install(str(wheel))
    return environment


def test_the_base_install_is_grpc_protobuf_and_ourselves(base: Environment) -> None:
    # typing-extensions is what grpcio itself depends on.
    assert base.installed() == {"tributary", "grpcio", "protobuf", "typing-extensions"}


def test_the_base_install_imports_every_contract(base: Environment) -> None:
    generated = list((ROOT / "libs" / "tributary").rglob("*_pb2*.py"))
    assert int(base.run(IMPORT_ALL_CONTRACTS)) == len(generated) > 0


def test_the_base_install_imports_the_client_and_nothing_of_the_server(base: Environment) -> None:
    assert base.run(IMPORT_CLIENT).strip() == ""


TRACK = """
import sys, tempfile
from tributary_client import *
told = []
for way in TransportKind:
    with tempfile.TemporaryDirectory() as directory:
        spool = Spooling(directory)
        with Tributary({target!r}, api_key="k", transport=way, spool=spool, on_verdict=told.append) as client:
            client.track_touchpoint("click", visitor_id="v", click_ids={{"gclid": "x"}})
            client.track_conversion("purchase", order_id=way.value, value="9.90", currency="EUR", customer_id="c")
            assert client.flush(60)
print(len(told), *(name for name in sys.modules if name.startswith(("opentelemetry", "phonenumbers"))))
"""


def test_the_base_install_is_enough_to_track_events(base: Environment) -> None:
    door = ScriptedDoor()
    with opened(door) as target:
        assert base.run(TRACK.format(target=target)).split() == ["4"]
    assert len(door.accepted) == 4


def test_the_wheel_holds_all_that_its_packages_hold(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = set()
    for package in PACKAGES:
        above = (ROOT / package).parent
        for path in (ROOT / package).rglob("*"):
            inside = path.relative_to(above)
            if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in inside.parts):
                expected.add(inside.as_posix())
    assert expected
    assert expected - packed == set()


def test_no_package_shadows_the_contracts(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        hidden = [name for name in archive.namelist() if name.startswith("tributary/") and name.endswith("__init__.py")]
    assert hidden == []
