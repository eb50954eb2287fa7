"""The development cluster: what the Tiltfile asks for exists, fits the image, and is valid.

A Tiltfile is Starlark, which is Python as far as this one goes: it is run with functions that only note what was asked.
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.chart.rendering import SERVICES, environment, manifests, of_kind, pod_specs
from tributary_runtime.workspaces import Workspaces

ROOT = Path(__file__).resolve().parents[2]
DEVELOPMENT = ROOT / "helm" / "development"

Calls = dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]]


@pytest.fixture(scope="module")
def asked() -> Calls:
    """What the Tiltfile asks Tilt for: function -> (positional, named) arguments of each call."""
    calls: Calls = {}

    def noting(name: str) -> Callable[..., Any]:
        def note(*args: Any, **kwargs: Any) -> tuple[str, *tuple[Any, ...]]:
            calls.setdefault(name, []).append((args, kwargs))
            return (name, *args)

        return note

    functions = (
        "load",
        "docker_build_with_restart",
        "fall_back_on",
        "sync",
        "k8s_yaml",
        "helm",
        "k8s_resource",
        "local_resource",
    )
    runpy.run_path(str(ROOT / "Tiltfile"), init_globals={name: noting(name) for name in functions})
    return calls


def values() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEVELOPMENT / "values.yaml").read_text())
    return loaded


def test_every_path_exists(asked: Calls) -> None:
    ((_, build),) = asked["docker_build_with_restart"]
    named = [build["dockerfile"], *build["only"]]
    named += [path for (paths,), _ in asked["fall_back_on"] for path in paths]
    named += [local for (local, _), _ in asked["sync"]]
    named += [path for (path,), _ in asked["k8s_yaml"] if isinstance(path, str)]
    named += [path for (chart,), options in asked["helm"] for path in (chart, *options["values"])]
    named += [path for _, options in asked["local_resource"] for path in options["deps"]]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_code_is_synchronised_to_where_the_image_has_it(asked: Calls) -> None:
    dockerfile = (ROOT / "services" / "Dockerfile").read_text()
    ((_, build),) = asked["docker_build_with_restart"]
    (installed,) = re.findall(r"^COPY --from=build \S+ \S+ (\S+)$", dockerfile, flags=re.MULTILINE)
    (python,) = set(re.findall(r"^FROM python:(\d+\.\d+)-slim", dockerfile, flags=re.MULTILINE))
    assert {target for (_, target), _ in asked["sync"]} == {f"{installed}/lib/python{python}/site-packages"}
    # The container's user writes there, and the wrapper's file too.
    assert build["build_args"] == {"OWNER": "10001"}
    assert "ARG OWNER=0" in dockerfile
    assert "USER 10001:" in dockerfile
    assert build["restart_file"].startswith(f"{installed}/")
    deployed = pod_specs(manifests(values(), release="tributary"))
    for name in SERVICES:
        (container,) = deployed[f"Deployment/{name}"]["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is False


def test_the_resources_are_those_that_the_chart_and_the_stores_make(asked: Calls) -> None:
    ((_, options),) = asked["helm"]
    made = {
        manifest["metadata"]["name"]
        for manifest in (
            *manifests(values(), release=options["name"]),
            *yaml.safe_load_all((DEVELOPMENT / "stores.yaml").read_text()),
        )
        if manifest["kind"] in ("Deployment", "Job")
    }
    assert {name for (name,), _ in asked["k8s_resource"]} == made


def test_the_image_is_the_one_that_the_chart_runs(asked: Calls) -> None:
    ((positional, build),) = asked["docker_build_with_restart"]
    assert build["entrypoint"] == ["python", "-m"]
    for spec in pod_specs(manifests(values(), release="tributary")).values():
        assert spec["containers"][0]["image"].partition(":")[0] == positional[0]


def test_the_objects_are_valid() -> None:
    stores = list(yaml.safe_load_all((DEVELOPMENT / "stores.yaml").read_text()))
    for manifest in [*stores, *manifests(values(), release="tributary")]:
        kubernetes_validate.validate(manifest, "1.33", strict=True)


def test_the_stores_are_where_the_values_say() -> None:
    stores = list(yaml.safe_load_all((DEVELOPMENT / "stores.yaml").read_text()))
    names = {manifest["metadata"]["name"] for manifest in stores if manifest["kind"] == "Service"}
    given = values()
    urls = [given["redis"][key] for key in ("logUrl", "stateUrl", "jobsUrl")] + [given["clickhouse"]["url"]]
    assert {re.split(r"[@/:]", url.rpartition("@")[2].removeprefix("redis://"))[0] for url in urls} == names


def test_its_workspaces_are_ones_that_the_services_accept() -> None:
    loaded = Workspaces.model_validate(yaml.safe_load(values()["workspaces"]["content"]))
    assert [workspace.id for workspace in loaded.workspaces] == ["development"]
    # Mounted where the services look for it.
    found = manifests(values(), release="tributary")
    assert "workspaces" in of_kind(found, "Secret")
    assert "TRIBUTARY_WORKSPACES_FILE" in environment(pod_specs(found)["Deployment/ingestion"])
