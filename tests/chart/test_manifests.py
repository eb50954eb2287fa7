"""Kubernetes accepts every object: strictly, unknown fields refused, for the oldest and newest versions we name."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest

from tests.chart.rendering import CASES, Manifest, case, manifests

VERSIONS = ("1.27", "1.30", "1.33", "1.37")
CUSTOM = Path(__file__).parent / "schemas"


def check(manifest: Manifest, version: str) -> None:
    """Raises if Kubernetes of this version, or the small schema of a custom resource, refuses the object."""
    schema = CUSTOM / f"{manifest['kind'].lower()}.schema.json"
    if schema.exists():
        jsonschema.validate(manifest, json.loads(schema.read_text()))
    else:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CASES)
def test_every_object_is_valid(name: str, version: str) -> None:
    found = manifests(case(name))
    for manifest in found:
        check(manifest, version)
    assert len(found) > 15


def test_a_misspelt_field_is_noticed() -> None:
    deployment = next(found for found in manifests(case("trial")) if found["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
        check(deployment, VERSIONS[-1])


def test_a_misspelt_trigger_is_noticed() -> None:
    scaled = next(found for found in manifests(case("production")) if found["kind"] == "ScaledObject")
    scaled["spec"]["triggers"][0]["metadata"]["lagcount"] = "1"
    with pytest.raises(jsonschema.ValidationError, match="lagcount"):
        check(scaled, VERSIONS[-1])


def test_names_that_look_like_numbers_stay_names() -> None:
    numbers = {
        "nameOverride": "1",
        "image": {"pullSecrets": ["2"]},
        "redis": {"existingSecret": "3"},
        "clickhouse": {"existingSecret": "4"},
        "internalToken": {"existingSecret": "5"},
        "workspaces": {"existingSecret": "6", "secretFiles": ["7"]},
        "keda": {"triggerAuthentication": "8"},
        "defaults": {"serviceAccountName": "9", "priorityClassName": "10", "podLabels": {"x": "11"}},
    }
    for manifest in manifests(case("production", numbers), release="12"):
        check(manifest, VERSIONS[-1])


def test_no_two_objects_share_a_name() -> None:
    for name in CASES:
        named = [(found["kind"], found["metadata"]["name"]) for found in manifests(case(name))]
        assert len(named) == len(set(named))
