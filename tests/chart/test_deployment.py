"""The five Deployments: one template, restricted pods, probes by name, and environment that the services know."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from tests.chart.rendering import (
    CASES,
    SERVICES,
    Values,
    case,
    environment,
    manifests,
    of_kind,
    pod_specs,
)
from tributary_runtime.server import GRACE_SECONDS, LOOP_GRACE_SECONDS
from tributary_runtime.telemetry import FLUSH_SECONDS


def deployments(name: str, changes: Values | None = None) -> dict[str, Any]:
    return of_kind(manifests(case(name, changes)), "Deployment")


def pod(deployment: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


def selectors(changes: Values | None = None, name: str = "production") -> dict[str, Any]:
    """Collects what finds the pods: kind and component -> labels."""
    found = manifests(case(name, changes))
    return {
        **{
            f"Deployment/{key}": it["spec"]["selector"]["matchLabels"]
            for key, it in of_kind(found, "Deployment").items()
        },
        **{f"Service/{key}": it["spec"]["selector"] for key, it in of_kind(found, "Service").items()},
        **{
            f"Budget/{key}": it["spec"]["selector"]["matchLabels"]
            for key, it in of_kind(found, "PodDisruptionBudget").items()
        },
        **{
            f"Policy/{key}": it["spec"]["podSelector"]["matchLabels"]
            for key, it in of_kind(found, "NetworkPolicy").items()
        },
    }


def test_each_service_has_one_of_each_kind() -> None:
    found = manifests(case("production"))
    for kind in ("Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"):
        assert tuple(sorted(of_kind(found, kind))) == SERVICES


def test_the_arguments_choose_the_service() -> None:
    for name, deployment in deployments("trial").items():
        (container,) = pod(deployment)["containers"]
        assert container["args"] == [f"tributary_{name}"]
        assert "command" not in container


def test_selectors_are_name_instance_and_component() -> None:
    for place, labels in selectors().items():
        assert labels == {
            "app.kubernetes.io/name": "tributary",
            "app.kubernetes.io/instance": "shop",
            "app.kubernetes.io/component": place.partition("/")[2],
        }


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"image": {"digest": "", "tag": "9.9.9"}}, id="version"),
        pytest.param({"defaults": {"podLabels": {"team": "other", "tier": "x"}}}, id="labels"),
        pytest.param({"fullnameOverride": "other"}, id="names"),
        pytest.param({"logLevel": "debug", "redis": {"shards": 4}}, id="settings"),
    ],
)
def test_a_selector_never_changes(changes: Values) -> None:
    assert selectors(changes) == selectors()


@pytest.mark.parametrize("name", CASES)
def test_selectors_find_the_pods(name: str) -> None:
    for deployment in deployments(name).values():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("name", CASES)
def test_every_pod_is_restricted(name: str) -> None:
    specs = pod_specs(manifests(case(name)))
    assert {"Job/migration", "CronJob/reconcile", "Pod/test"} <= set(specs)
    for spec in specs.values():
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] >= 10_000
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        assert not any("hostPath" in volume for volume in spec.get("volumes", []))


def test_no_pod_is_told_of_services_in_variables_of_ours() -> None:
    for spec in pod_specs(manifests(case("trial"))).values():
        assert spec["enableServiceLinks"] is False


def test_readiness_asks_for_the_service_and_liveness_for_the_process() -> None:
    for name, deployment in deployments("trial", {"port": 6000}).items():
        (container,) = pod(deployment)["containers"]
        module = importlib.import_module(f"tributary.{name}.v1.{name}_service_pb2")
        (service,) = module.DESCRIPTOR.services_by_name.values()
        assert container["readinessProbe"]["grpc"] == {"port": 6000, "service": service.full_name}
        assert container["livenessProbe"]["grpc"] == {"port": 6000, "service": ""}
        assert environment(pod(deployment))["TRIBUTARY_LISTEN"] == "0.0.0.0:6000"
        assert container["ports"] == [{"name": "grpc", "containerPort": 6000}]


@pytest.mark.parametrize("drain", [0, 5, 30])
def test_the_grace_period_covers_drain_calls_and_flush(drain: int) -> None:
    for deployment in deployments("trial", {"drainDelaySeconds": drain}).values():
        assert (
            pod(deployment)["terminationGracePeriodSeconds"]
            > drain + GRACE_SECONDS + LOOP_GRACE_SECONDS + FLUSH_SECONDS
        )
        assert environment(pod(deployment))["TRIBUTARY_DRAIN_DELAY_SECONDS"] == str(drain)


def test_a_new_configuration_replaces_the_pods() -> None:
    def checksum(changes: Values | None = None) -> str:
        annotations = deployments("trial", changes)["dedup"]["spec"]["template"]["metadata"]["annotations"]
        return str(annotations["checksum/configuration"])

    assert checksum() == checksum({"defaults": {"replicas": 2}})
    assert checksum() != checksum({"redis": {"logUrl": "redis://other:6379/0"}})
    assert checksum() != checksum({"internalToken": {"value": "another-token-00001"}})


def test_a_service_overrides_one_default_and_leaves_its_neighbours() -> None:
    changes = {
        "defaults": {"spread": True, "resources": {"limits": {"memory": "1Gi"}}},
        "services": {"dedup": {"spread": False, "resources": {"limits": {"memory": "3Gi"}}}},
    }
    found = deployments("trial", changes)
    assert "topologySpreadConstraints" not in pod(found["dedup"])
    assert pod(found["dedup"])["containers"][0]["resources"] == {
        "requests": {"cpu": "500m", "memory": "256Mi"},
        "limits": {"memory": "3Gi"},
    }
    assert "topologySpreadConstraints" in pod(found["query"])
    assert pod(found["query"])["containers"][0]["resources"]["limits"] == {"memory": "1Gi"}


def test_the_way_out_sets_and_replaces_environment() -> None:
    changes = {
        "defaults": {"env": {"OTEL_BSP_SCHEDULE_DELAY": "1000"}},
        "services": {
            "ingestion": {
                "env": {"SHOP_PEPPER": {"secret": "shop", "key": "pepper"}, "TRIBUTARY_LOG_LEVEL": "debug"},
            }
        },
    }
    found = deployments("trial", changes)
    ingestion = environment(pod(found["ingestion"]))
    assert ingestion["SHOP_PEPPER"] == {"secretKeyRef": {"name": "shop", "key": "pepper"}}
    assert ingestion["TRIBUTARY_LOG_LEVEL"] == "debug"
    assert ingestion["OTEL_BSP_SCHEDULE_DELAY"] == "1000"
    assert environment(pod(found["query"]))["TRIBUTARY_LOG_LEVEL"] == "info"


@pytest.mark.parametrize("name", CASES)
def test_no_variable_is_set_twice(name: str) -> None:
    for spec in pod_specs(manifests(case(name))).values():
        names = [entry["name"] for entry in spec["containers"][0].get("env", [])]
        assert len(names) == len(set(names))


def test_telemetry_leaves_only_when_asked() -> None:
    quiet = environment(pod(deployments("trial")["query"]))
    assert not any(name.startswith("OTEL_") for name in quiet)
    loud = environment(pod(deployments("production")["query"]))
    assert loud["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector.observability:4317"
    assert loud["OTEL_SERVICE_NAME"] == "tributary-query"
    assert loud["OTEL_TRACES_SAMPLER_ARG"] == "0.05"
    # A variable may refer only to one that stands before it.
    names = list(loud)
    assert names.index("POD_NAME") < names.index("OTEL_RESOURCE_ATTRIBUTES")


def test_calls_are_balanced_over_all_pods() -> None:
    found = manifests(case("trial"))
    assert all(service["spec"]["clusterIP"] == "None" for service in of_kind(found, "Service").values())
    ingestion = environment(pod(of_kind(found, "Deployment")["ingestion"]))
    assert ingestion["TRIBUTARY_DEDUP_TARGET"] == "dns:///shop-tributary-dedup:50051"


def test_names_stay_within_a_label() -> None:
    for manifest in manifests(case("trial"), release="r" * 53):
        assert len(manifest["metadata"]["name"]) <= 63
