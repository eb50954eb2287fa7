"""What the chart puts into a pod's environment is what the process in it reads: nothing missing, nothing unknown."""

from __future__ import annotations

import base64
import importlib
import os
from typing import Any

import pytest

from tests.chart.rendering import CASES, SERVICES, Manifest, case, environment, manifests, pod_specs
from tributary_cli.migrate import MigrateSettings
from tributary_runtime.settings import PREFIX, Settings, is_known, problems


def resolved(found: list[Manifest], pod: str) -> dict[str, str]:
    """Reads a pod's environment as its process will see it, with the chart's own Secrets looked up."""
    secrets = {secret["metadata"]["name"]: secret["data"] for secret in found if secret["kind"] == "Secret"}
    variables = {}
    for name, value in environment(pod_specs(found)[pod]).items():
        if isinstance(value, dict):
            source: dict[str, Any] = value["secretKeyRef"]
            value = base64.b64decode(secrets[source["name"]][source["key"]]).decode()
        variables[name] = value
    return variables


def settings_of(service: str) -> type[Settings]:
    """Finds the one settings class of a service."""
    module = importlib.import_module(f"tributary_{service}.settings")
    (found,) = {
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Settings) and value.service == service
    }
    return found


@pytest.mark.parametrize("name", CASES)
def test_every_variable_of_ours_is_a_setting(name: str) -> None:
    variables = {
        variable
        for spec in pod_specs(manifests(case(name))).values()
        for variable in environment(spec)
        if variable.startswith(PREFIX)
    }
    assert variables
    assert {variable for variable in variables if not is_known(variable)} == set()


def become(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the given variables the only ones of ours."""
    for variable in os.environ:
        if variable.startswith(PREFIX):
            monkeypatch.delenv(variable)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)


def test_the_migration_starts_with_what_it_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    become(resolved(manifests(case("trial")), "Job/migration"), monkeypatch)
    assert problems(MigrateSettings, os.environ) == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_with_what_it_gets(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    become(resolved(manifests(case("trial")), f"Deployment/{service}"), monkeypatch)
    assert problems(settings_of(service), os.environ) == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_gets_nothing_that_it_does_not_read(service: str) -> None:
    given = {
        variable.removeprefix(PREFIX).lower()
        for variable in environment(pod_specs(manifests(case("production")))[f"Deployment/{service}"])
        if variable.startswith(PREFIX)
    }
    assert given - set(settings_of(service).model_fields) == set()
