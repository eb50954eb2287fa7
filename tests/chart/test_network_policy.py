"""With network policies on, a service is called by those that the design lets call it, and by nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.rendering import Values, case, environment, manifests, of_kind

COMPONENT = "app.kubernetes.io/component"


def callers(changes: Values | None = None) -> dict[str, set[str] | None]:
    """Reads who may call each service; None is everybody."""
    allowed: dict[str, set[str] | None] = {}
    for name, policy in of_kind(manifests(case("production", changes)), "NetworkPolicy").items():
        (rule,) = policy["spec"]["ingress"]
        assert rule["ports"] == [{"port": "grpc"}]
        peers = rule.get("from")
        allowed[name] = None if peers is None else {describe(peer) for peer in peers}
    return allowed


def describe(peer: dict[str, Any]) -> str:
    labels = peer.get("podSelector", {}).get("matchLabels", {})
    return str(labels.get(COMPONENT, "client"))


def test_none_unless_asked_for() -> None:
    assert of_kind(manifests(case("trial")), "NetworkPolicy") == {}


def test_the_doors_are_open_to_the_clients_and_the_rest_to_each_other() -> None:
    assert callers() == {
        "ingestion": {"client", "test"},
        "query": {"client", "test"},
        "dedup": {"ingestion", "query", "test"},
        "attribution": {"query", "test"},
        "delivery": {"query", "test"},
    }


def test_without_clients_the_doors_are_open_to_the_cluster() -> None:
    allowed = callers({"networkPolicy": {"clients": []}})
    assert allowed["ingestion"] is None
    assert allowed["query"] is None
    assert allowed["dedup"] == {"ingestion", "query", "test"}


@pytest.mark.parametrize("service", ["attribution", "dedup", "delivery", "ingestion", "query"])
def test_whoever_is_told_of_a_service_may_call_it(service: str) -> None:
    allowed = callers()
    for caller, deployment in of_kind(manifests(case("production")), "Deployment").items():
        if f"TRIBUTARY_{service.upper()}_TARGET" in environment(deployment["spec"]["template"]["spec"]):
            callers_of_service = allowed[service]
            assert callers_of_service is None or caller in callers_of_service
