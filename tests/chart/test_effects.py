"""No value is a promise the templates do not keep: changing any of them changes what is rendered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, Values, case, overlaid, render

NO_REDIS = {"logUrl": "", "stateUrl": "", "jobsUrl": ""}
KEDA = {"enabled": True, "logAddress": "log:6379", "stateAddress": "state:6379"}
BY_BACKLOG = {"keda": KEDA, "services": {"delivery": {"autoscaling": {"type": "backlog"}}}}
BY_CPU = {"services": {"query": {"autoscaling": {"type": "cpu"}}}}
EXPORTING = {"telemetry": {"endpoint": "http://collector:4317"}}
TLS = {"tls": {"existingSecret": "mine"}}
GUARDED = {"networkPolicy": {"enabled": True}}

CHANGES: dict[str, tuple[Values, Values]] = {
    # value -> (what both renders of the trial have, what only the second has)
    "nameOverride": ({}, {"nameOverride": "other"}),
    "fullnameOverride": ({}, {"fullnameOverride": "other"}),
    "image.repository": ({}, {"image": {"repository": "other"}}),
    "image.tag": ({}, {"image": {"tag": "1.2.3"}}),
    "image.digest": ({}, {"image": {"digest": f"sha256:{'0' * 64}"}}),
    "image.pullPolicy": ({}, {"image": {"pullPolicy": "Always"}}),
    "image.pullSecrets": ({}, {"image": {"pullSecrets": ["mine"]}}),
    "redis.existingSecret": ({}, {"redis": {**NO_REDIS, "existingSecret": "mine"}}),
    "redis.logUrl": ({}, {"redis": {"logUrl": "redis://other:6379/0"}}),
    "redis.stateUrl": ({}, {"redis": {"stateUrl": "redis://other:6379/0"}}),
    "redis.jobsUrl": ({}, {"redis": {"jobsUrl": "redis://other:6379/0"}}),
    "redis.durability": ({}, {"redis": {"durability": "replicated"}}),
    "redis.shards": ({}, {"redis": {"shards": 5}}),
    "redis.claims": ({}, {"redis": {"claims": 300_000_000}}),
    "clickhouse.existingSecret": ({}, {"clickhouse": {"url": "", "existingSecret": "mine"}}),
    "clickhouse.url": ({}, {"clickhouse": {"url": "clickhouse://other:9000/tributary"}}),
    "clickhouse.cluster": ({}, {"clickhouse": {"cluster": "main"}}),
    "tls.existingSecret": ({}, {"tls": {"existingSecret": "mine"}}),
    "tls.mutual": (TLS, {"tls": {"mutual": False}}),
    "tls.healthPort": (TLS, {"tls": {"healthPort": 50053}}),
    "internalToken.existingSecret": ({}, {"internalToken": {"value": "", "existingSecret": "mine"}}),
    "internalToken.value": ({}, {"internalToken": {"value": "another-token-00001"}}),
    "workspaces.existingSecret": ({}, {"workspaces": {"content": "", "existingSecret": "mine"}}),
    "workspaces.content": ({}, {"workspaces": {"content": "workspaces: [{}]"}}),
    "workspaces.secretFiles": ({}, {"workspaces": {"secretFiles": ["mine"]}}),
    "telemetry.endpoint": ({}, EXPORTING),
    "telemetry.sampleRatio": (EXPORTING, {"telemetry": {"sampleRatio": 0.5}}),
    "telemetry.resourceAttributes": (EXPORTING, {"telemetry": {"resourceAttributes": {"a": "b"}}}),
    "logLevel": ({}, {"logLevel": "debug"}),
    "reflection": ({}, {"reflection": True}),
    "drainDelaySeconds": ({}, {"drainDelaySeconds": 6}),
    "port": ({}, {"port": 50052}),
    "migration.enabled": ({}, {"migration": {"enabled": False}}),
    "migration.activeDeadlineSeconds": ({}, {"migration": {"activeDeadlineSeconds": 5}}),
    "migration.resources.requests.cpu": ({}, {"migration": {"resources": {"requests": {"cpu": "1"}}}}),
    "migration.resources.requests.memory": ({}, {"migration": {"resources": {"requests": {"memory": "1Gi"}}}}),
    "migration.resources.limits.memory": ({}, {"migration": {"resources": {"limits": {"memory": "1Gi"}}}}),
    "reconcile.enabled": ({}, {"reconcile": {"enabled": False}}),
    "reconcile.schedule": ({}, {"reconcile": {"schedule": "0 5 * * *"}}),
    "reconcile.timeZone": ({}, {"reconcile": {"timeZone": "Europe/Berlin"}}),
    "reconcile.days": ({}, {"reconcile": {"days": 9}}),
    "reconcile.pastDays": ({}, {"reconcile": {"pastDays": 9}}),
    "reconcile.pastRuns": ({}, {"reconcile": {"pastRuns": 9}}),
    "reconcile.repair": ({}, {"reconcile": {"repair": False}}),
    "reconcile.failOn": ({}, {"reconcile": {"failOn": "warning"}}),
    "reconcile.backoffLimit": ({}, {"reconcile": {"backoffLimit": 9}}),
    "reconcile.activeDeadlineSeconds": ({}, {"reconcile": {"activeDeadlineSeconds": 999}}),
    "reconcile.resources.requests.cpu": ({}, {"reconcile": {"resources": {"requests": {"cpu": "3"}}}}),
    "reconcile.resources.requests.memory": ({}, {"reconcile": {"resources": {"requests": {"memory": "2Gi"}}}}),
    "reconcile.resources.limits.memory": ({}, {"reconcile": {"resources": {"limits": {"memory": "2Gi"}}}}),
    "keda.enabled": (
        {**BY_BACKLOG, "keda": {**KEDA, "enabled": False}},
        {"keda": {"enabled": True}},
    ),
    "keda.logAddress": (
        {"keda": KEDA, "services": {"attribution": {"autoscaling": {"type": "backlog"}}}},
        {"keda": {"logAddress": "other:6379"}},
    ),
    "keda.stateAddress": (BY_BACKLOG, {"keda": {"stateAddress": "other:6379"}}),
    "keda.triggerAuthentication": (BY_BACKLOG, {"keda": {"triggerAuthentication": "mine"}}),
    "keda.tls": (BY_BACKLOG, {"keda": {"tls": True}}),
    "keda.count": (BY_BACKLOG, {"keda": {"count": "pendingEntriesCount"}}),
    "networkPolicy.enabled": ({}, GUARDED),
    "networkPolicy.clients": (GUARDED, {"networkPolicy": {"clients": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}}),
    "defaults.replicas": ({}, {"defaults": {"replicas": 7}}),
    "defaults.autoscaling.type": ({}, {"defaults": {"autoscaling": {"type": "cpu"}}}),
    "defaults.autoscaling.minReplicas": (BY_CPU, {"defaults": {"autoscaling": {"minReplicas": 3}}}),
    "defaults.autoscaling.maxReplicas": (BY_CPU, {"defaults": {"autoscaling": {"maxReplicas": 30}}}),
    "defaults.autoscaling.targetCpuPercent": (BY_CPU, {"defaults": {"autoscaling": {"targetCpuPercent": 50}}}),
    "defaults.autoscaling.backlogPerReplica": (BY_BACKLOG, {"defaults": {"autoscaling": {"backlogPerReplica": 900}}}),
    "defaults.podDisruptionBudget.maxUnavailable": (
        {},
        {"defaults": {"podDisruptionBudget": {"maxUnavailable": "25%"}}},
    ),
    "defaults.resources.requests.cpu": ({}, {"defaults": {"resources": {"requests": {"cpu": "1"}}}}),
    "defaults.resources.requests.memory": ({}, {"defaults": {"resources": {"requests": {"memory": "2Gi"}}}}),
    "defaults.resources.limits.memory": ({}, {"defaults": {"resources": {"limits": {"memory": "2Gi"}}}}),
    "defaults.env": ({}, {"defaults": {"env": {"A": "b"}}}),
    "defaults.podAnnotations": ({}, {"defaults": {"podAnnotations": {"a": "b"}}}),
    "defaults.podLabels": ({}, {"defaults": {"podLabels": {"a": "b"}}}),
    "defaults.serviceAccountName": ({}, {"defaults": {"serviceAccountName": "mine"}}),
    "defaults.priorityClassName": ({}, {"defaults": {"priorityClassName": "mine"}}),
    "defaults.nodeSelector": ({}, {"defaults": {"nodeSelector": {"a": "b"}}}),
    "defaults.tolerations": ({}, {"defaults": {"tolerations": [{"operator": "Exists"}]}}),
    "defaults.spread": ({}, {"defaults": {"spread": False}}),
    "defaults.readOnlyRootFilesystem": ({}, {"defaults": {"readOnlyRootFilesystem": False}}),
    "services.ingestion": ({}, {"services": {"ingestion": {"replicas": 9}}}),
    "services.dedup": ({}, {"services": {"dedup": {"replicas": 9}}}),
    "services.attribution.autoscaling.type": ({}, {"services": {"attribution": {"autoscaling": {"type": "cpu"}}}}),
    "services.delivery.autoscaling.type": ({}, {"services": {"delivery": {"autoscaling": {"type": "cpu"}}}}),
    "services.query": ({}, {"services": {"query": {"replicas": 9}}}),
}


def leaves(values: Any, path: str = "") -> Iterator[str]:
    """Yields the path of every value that is no map, or an empty one."""
    if isinstance(values, dict) and values:
        for key, below in values.items():
            yield from leaves(below, f"{path}.{key}" if path else key)
    else:
        yield path


def test_every_value_is_looked_at() -> None:
    assert set(CHANGES) == set(leaves(yaml.safe_load((CHART / "values.yaml").read_text())))


@pytest.mark.parametrize("path", CHANGES)
def test_a_change_shows(path: str) -> None:
    both, change = CHANGES[path]
    before = case("trial", both)
    assert render(overlaid(before, change)) != render(before)
