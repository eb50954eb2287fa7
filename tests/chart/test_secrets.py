"""Secrets come from the user's own Secrets; values are for trials, and never stand in a pod's specification."""

from __future__ import annotations

import base64
from typing import Any

from tests.chart.rendering import Manifest, case, environment, manifests, of_kind, pod_specs, render


def decoded(secret: Manifest) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def referenced(found: list[Manifest]) -> set[tuple[str, str]]:
    """Collects the (Secret, key) pairs that pods take environment from, and the Secrets they mount."""
    pairs: set[tuple[str, str]] = set()
    for spec in pod_specs(found).values():
        for value in environment(spec).values():
            if isinstance(value, dict) and "secretKeyRef" in value:
                pairs.add((value["secretKeyRef"]["name"], value["secretKeyRef"]["key"]))
        for volume in spec.get("volumes", []):
            mounted: dict[str, Any] = volume.get("secret", {})
            pairs |= {(mounted["secretName"], item["key"]) for item in mounted.get("items", [])}
    return pairs


def test_own_secrets_are_used_and_none_is_made() -> None:
    found = manifests(case("production"))
    assert of_kind(found, "Secret") == {}
    assert referenced(found) == {
        ("tributary-redis", "log-url"),
        ("tributary-redis", "state-url"),
        ("tributary-redis", "jobs-url"),
        ("tributary-clickhouse", "url"),
        ("tributary-token", "token"),
        ("tributary-workspaces", "workspaces.yaml"),
        ("shop", "pepper"),
    }


def test_every_reference_of_a_trial_leads_to_a_secret_of_the_chart() -> None:
    found = manifests(case("trial"))
    made = {
        (secret["metadata"]["name"], key) for secret in found if secret["kind"] == "Secret" for key in secret["data"]
    }
    assert referenced(found) <= made


def test_a_trial_keeps_urls_and_token_out_of_the_pods() -> None:
    for path, text in render(case("trial")).items():
        assert "only-for-a-trial" not in text, path
        assert "clickhouse://" not in text, path


def test_a_trial_stores_what_was_given() -> None:
    secrets = of_kind(manifests(case("trial")), "Secret")
    assert decoded(secrets["stores"])["url"] == "clickhouse://default:secret@clickhouse:9000/tributary"
    assert decoded(secrets["internal-token"]) == {"token": "only-for-a-trial-0001"}
    assert decoded(secrets["workspaces"]) == {"workspaces.yaml": "workspaces: []\n"}


def test_own_redis_and_given_clickhouse_mix() -> None:
    changes = {
        "redis": {"existingSecret": "mine", "logUrl": "", "stateUrl": "", "jobsUrl": ""},
    }
    found = manifests(case("trial", changes))
    assert decoded(of_kind(found, "Secret")["stores"]).keys() == {"url"}
    migration = environment(pod_specs(found)["Job/migration"])
    assert migration["TRIBUTARY_LOG_URL"]["secretKeyRef"]["name"] == "mine"
    assert migration["TRIBUTARY_CLICKHOUSE_URL"]["secretKeyRef"]["name"] == "shop-tributary-migration"


def test_a_token_is_generated_when_none_is_given() -> None:
    changes = {"internalToken": {"value": ""}}
    first, second = (
        decoded(of_kind(manifests(case("trial", changes), anew=True), "Secret")["internal-token"])["token"]
        for _ in range(2)
    )
    assert len(first) == 48
    # Without a cluster to look into, every render makes a new one; the notes say so.
    assert first != second
    assert "internalToken.existingSecret" in render(case("trial", changes))["templates/NOTES.txt"]


def test_workspaces_are_mounted_whole_so_that_changes_arrive() -> None:
    for name in ("ingestion", "attribution", "delivery", "query"):
        spec = pod_specs(manifests(case("production")))[f"Deployment/{name}"]
        mounts = {mount["name"]: mount for mount in spec["containers"][0]["volumeMounts"]}
        assert all("subPath" not in mount for mount in mounts.values())
        assert environment(spec)["TRIBUTARY_WORKSPACES_FILE"] == f"{mounts['workspaces']['mountPath']}/workspaces.yaml"
        assert mounts["secret-shop-peppers"]["mountPath"] == "/etc/tributary/secrets/shop-peppers"
