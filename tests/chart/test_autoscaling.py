"""One autoscaler per Deployment, and `replicas` is left to it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.rendering import SERVICES, Manifest, case, manifests, of_kind
from tributary_storage.redis import keys


def triggers(found: list[Manifest], component: str) -> list[dict[str, Any]]:
    metadata = [trigger["metadata"] for trigger in of_kind(found, "ScaledObject")[component]["spec"]["triggers"]]
    assert metadata
    return metadata


def test_an_autoscaled_deployment_has_no_replicas_and_a_fixed_one_no_autoscaler() -> None:
    found = manifests(case("production"))
    scaled = {
        manifest["spec"]["scaleTargetRef"]["name"]
        for manifest in found
        if manifest["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")
    }
    for deployment in of_kind(found, "Deployment").values():
        assert ("replicas" in deployment["spec"]) != (deployment["metadata"]["name"] in scaled)
    assert of_kind(found, "Deployment")["query"]["spec"]["replicas"] == 3


def test_backlog_is_served_by_keda_and_cpu_by_an_hpa() -> None:
    found = manifests(case("production"))
    assert sorted(of_kind(found, "ScaledObject")) == ["attribution", "delivery"]
    assert sorted(of_kind(found, "HorizontalPodAutoscaler")) == ["dedup", "ingestion"]


def test_without_keda_backlog_falls_back_to_cpu() -> None:
    found = manifests(case("production", {"keda": {"enabled": False}}))
    assert of_kind(found, "ScaledObject") == {}
    assert sorted(of_kind(found, "HorizontalPodAutoscaler")) == ["attribution", "dedup", "delivery", "ingestion"]


def test_the_streams_are_those_the_services_read() -> None:
    found = manifests(case("production", {"redis": {"shards": 3}}))
    expected = {keys.event_log(shard, lane) for shard in range(3) for lane in keys.LANES}
    assert {trigger["stream"] for trigger in triggers(found, "attribution")} == expected
    assert {trigger["consumerGroup"] for trigger in triggers(found, "attribution")} == {keys.ATTRIBUTE_GROUP}
    expected = {keys.conversion_log(shard) for shard in range(3)}
    assert {trigger["stream"] for trigger in triggers(found, "delivery")} == expected
    assert {trigger["consumerGroup"] for trigger in triggers(found, "delivery")} == {keys.DELIVER_GROUP}


@pytest.mark.parametrize(
    ("backlog", "shards", "per_shard"),
    [
        pytest.param(200, 4, "50", id="even"),
        pytest.param(200, 16, "12", id="rounded-down"),
        pytest.param(3, 16, "1", id="never-zero"),
    ],
)
def test_the_threshold_is_the_backlog_per_pod_over_the_shards(backlog: int, shards: int, per_shard: str) -> None:
    changes = {"redis": {"shards": shards}, "defaults": {"autoscaling": {"backlogPerReplica": backlog}}}
    found = manifests(case("production", changes))
    assert {trigger["lagCount"] for trigger in triggers(found, "attribution")} == {per_shard}


def test_before_redis_7_the_pending_entries_are_counted() -> None:
    found = manifests(case("production", {"keda": {"count": "pendingEntriesCount"}}))
    for trigger in triggers(found, "delivery"):
        assert trigger["pendingEntriesCount"] == "12"
        assert "lagCount" not in trigger


def test_each_log_is_watched_in_its_own_redis() -> None:
    found = manifests(case("production"))
    assert {trigger["address"] for trigger in triggers(found, "attribution")} == {"redis-log:6379"}
    assert {trigger["address"] for trigger in triggers(found, "delivery")} == {"redis-state:6379"}


def test_every_service_has_a_disruption_budget() -> None:
    budgets = of_kind(manifests(case("production")), "PodDisruptionBudget")
    assert tuple(sorted(budgets)) == SERVICES
    assert budgets["query"]["spec"]["maxUnavailable"] == "50%"
    assert budgets["dedup"]["spec"]["maxUnavailable"] == 1
