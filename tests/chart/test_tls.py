"""TLS in the chart: one Secret, and every server, every call and every probe takes part."""

from __future__ import annotations

import pytest

from tests.chart.rendering import SERVICES, case, environment, manifests, of_kind, pod_specs
from tributary_runtime.settings import ServiceSettings, is_known

TLS = {"tls": {"existingSecret": "mine"}}
INTERNAL = ("attribution", "dedup", "delivery")


def specs(tls: dict[str, object]) -> dict[str, dict[str, object]]:
    return {
        name: deployment["spec"]["template"]["spec"]
        for name, deployment in of_kind(manifests(case("production", {"tls": tls})), "Deployment").items()
    }


def test_without_a_secret_nothing_speaks_tls() -> None:
    for spec in specs({}).values():
        assert not any("TLS" in name or "HEALTH" in name for name in environment(spec))
        assert not any(volume["name"] == "tls" for volume in spec["volumes"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_certificate_and_is_probed_where_no_tls_is_needed(service: str) -> None:
    spec = specs({"existingSecret": "mine"})[service]
    found = environment(spec)
    for name in ("CERTIFICATE_FILE", "KEY_FILE", "CA_FILE"):
        assert found[f"TRIBUTARY_TLS_{name}"].startswith("/etc/tributary/tls/")
    assert all(is_known(name) for name in found if name.startswith("TRIBUTARY_TLS"))
    assert "health_listen" in ServiceSettings.model_fields
    assert found["TRIBUTARY_HEALTH_LISTEN"] == "0.0.0.0:50052"
    (container,) = spec["containers"]  # type: ignore[misc]
    assert {container[probe]["grpc"]["port"] for probe in ("readinessProbe", "livenessProbe", "startupProbe")} == {
        50052
    }
    (mount,) = [one for one in container["volumeMounts"] if one["name"] == "tls"]
    assert mount["mountPath"] == "/etc/tributary/tls"
    (volume,) = [one for one in spec["volumes"] if one["name"] == "tls"]  # type: ignore[attr-defined]
    assert volume["secret"]["secretName"] == "mine"


def test_those_who_are_called_by_services_only_ask_for_certificates() -> None:
    asking = {name for name, spec in specs({"existingSecret": "mine"}).items() if _asks(spec)}
    assert asking == set(INTERNAL)
    assert not any(_asks(spec) for spec in specs({"existingSecret": "mine", "mutual": False}).values())


def _asks(spec: dict[str, object]) -> bool:
    return "TRIBUTARY_TLS_CLIENT_CA_FILE" in environment(spec)


def test_helm_test_asks_where_no_tls_is_needed_and_is_let_in() -> None:
    found = manifests(case("production", TLS))
    (container,) = pod_specs(found)["Pod/test"]["containers"]
    assert all(pair.endswith(":50052") for pair in container["args"][1:])
    for policy in of_kind(found, "NetworkPolicy").values():
        (rule,) = policy["spec"]["ingress"]
        assert [port["port"] for port in rule["ports"]] == ["grpc", "health"]
