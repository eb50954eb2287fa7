"""The generated code is current, and its runtime floors are those of the distribution."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version

from tests.support.generate import ROOT, main


def test_the_committed_code_is_what_the_protos_generate() -> None:
    assert main(["--check"]) == 0, "run: python -m tests.support.generate"


def test_the_base_install_demands_at_least_the_generator_s_runtime() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    generator = version("grpcio-tools")
    assert f"grpcio-tools=={generator}" in project["optional-dependencies"]["dev"]
    stub = (ROOT / "libs/tributary/query/v1/query_service_pb2_grpc.py").read_text()
    message = (ROOT / "libs/tributary/event/v1/event_pb2.py").read_text()
    assert re.search(r"GRPC_GENERATED_VERSION = '(.+)'", stub)[1] == generator  # type: ignore[index]
    assert f"grpcio>={generator},<2" in project["dependencies"]
    protobuf = re.search(r"# Protobuf Python Version: (\S+)", message)[1]  # type: ignore[index]
    assert f"protobuf>={protobuf},<8" in project["dependencies"]
