"""Values are strict: what the chart does not know, or cannot use, is refused before anything is rendered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import helm_python
import pytest
import yaml

from tests.chart.rendering import CASES, CHART, Values, case, render

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES_TEXT = (CHART / "values.yaml").read_text()


def objects(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields every schema of an object, with its place."""
    if isinstance(schema, dict):
        if "properties" in schema and isinstance(schema["properties"], dict):
            yield path, schema
        for key, below in schema.items():
            yield from objects(below, f"{path}/{key}")
    elif isinstance(schema, list):
        for index, below in enumerate(schema):
            yield from objects(below, f"{path}/{index}")


def undocumented(node: yaml.MappingNode, lines: list[str], path: str = "") -> Iterator[str]:
    """Yields the keys with no `# --` sentence above them, nor above what they are part of."""
    for key, value in node.value:
        name = f"{path}{key.value}"
        above = key.start_mark.line - 1
        while above >= 0 and lines[above].lstrip().startswith("#") and not lines[above].lstrip().startswith("# --"):
            above -= 1
        if above >= 0 and lines[above].lstrip().startswith("# --"):
            continue
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from undocumented(value, lines, f"{name}.")
        else:
            yield name


def test_every_object_of_the_schema_is_closed() -> None:
    open_ones = [path for path, schema in objects(SCHEMA) if schema.get("additionalProperties") is not False]
    assert open_ones == []


def test_every_key_has_a_sentence() -> None:
    root = yaml.compose(VALUES_TEXT)
    assert isinstance(root, yaml.MappingNode)
    assert list(undocumented(root, VALUES_TEXT.splitlines())) == []


@pytest.mark.parametrize("name", CASES)
def test_the_cases_fit_the_schema(name: str) -> None:
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(case(name))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        pytest.param({"replicaCount": 3}, "replicaCount", id="unknown-key"),
        pytest.param({"redis": {"url": "redis://r:6379"}}, "url", id="unknown-key-below"),
        pytest.param({"services": {"billing": {}}}, "billing", id="unknown-service"),
        pytest.param({"services": {"dedup": {"replica": 1}}}, "replica", id="unknown-key-of-a-service"),
        pytest.param({"services": {"dedup": {"replicas": "two"}}}, "/services/dedup/replicas", id="text-for-a-number"),
        pytest.param({"defaults": {"autoscaling": {"type": "magic"}}}, "/autoscaling/type", id="unknown-autoscaler"),
        pytest.param({"defaults": {"autoscaling": {"targetCpuPercent": 150}}}, "targetCpuPercent", id="150-percent"),
        pytest.param({"defaults": {"resources": {"limits": {"memory": "lots"}}}}, "memory", id="not-a-quantity"),
        pytest.param({"defaults": {"env": {"lower-case": "x"}}}, "lower-case", id="not-a-variable"),
        pytest.param({"defaults": {"env": {"N": 5}}}, "/defaults/env/N", id="number-in-the-environment"),
        pytest.param({"defaults": {"env": {"N": {"secret": "s"}}}}, "key", id="secret-without-a-key"),
        pytest.param({"defaults": {"podLabels": {"app.kubernetes.io/name": "x"}}}, "propertyName", id="selector-label"),
        pytest.param({"redis": {"logUrl": "http://redis"}}, "/redis/logUrl", id="not-redis"),
        pytest.param({"redis": {"shards": 0}}, "/redis/shards", id="no-shards"),
        pytest.param({"redis": {"durability": "maybe"}}, "/redis/durability", id="unknown-durability"),
        pytest.param({"clickhouse": {"url": "http://clickhouse:8123"}}, "/clickhouse/url", id="not-native"),
        pytest.param({"internalToken": {"value": "short"}}, "/internalToken/value", id="short-token"),
        pytest.param({"keda": {"logAddress": "redis"}}, "/keda/logAddress", id="address-without-port"),
        pytest.param({"image": {"digest": "sha256:12"}}, "/image/digest", id="short-digest"),
        pytest.param({"logLevel": "loud"}, "/logLevel", id="unknown-log-level"),
        pytest.param({"reconcile": {"schedule": "daily"}}, "/reconcile/schedule", id="no-schedule"),
        pytest.param({"reconcile": {"failOn": "info"}}, "/reconcile/failOn", id="unknown-severity"),
        pytest.param({"reconcile": {"activeDeadlineSeconds": 0}}, "activeDeadlineSeconds", id="no-deadline"),
        pytest.param({"port": 443}, "/port", id="privileged-port"),
        pytest.param({"telemetry": {"sampleRatio": 5}}, "sampleRatio", id="ratio-above-one"),
        pytest.param({"networkPolicy": {"clients": [{}]}}, "clients", id="peer-that-means-everybody"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: Values, complaint: str) -> None:
    with pytest.raises(helm_python.HelmValuesError, match=complaint), helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(case("trial", changes))


def test_rendering_checks_the_schema_too() -> None:
    with pytest.raises(helm_python.HelmError, match="replicaCount"):
        render(case("trial", {"replicaCount": 3}))
