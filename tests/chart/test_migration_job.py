"""The migration runs before the pods that need it, with nothing but what exists by then."""

from __future__ import annotations

from tests.chart.rendering import case, manifests, of_kind, pod_specs
from tributary_cli.migrate import migrate


def test_it_is_the_same_image_with_other_arguments() -> None:
    specs = pod_specs(manifests(case("production")))
    (migration,) = specs["Job/migration"]["containers"]
    assert migration["args"] == ["tributary_cli", "migrate", "--shards=16", "--claims=10000000"]
    assert migration["image"] == specs["Deployment/query"]["containers"][0]["image"]


def test_the_command_understands_its_arguments() -> None:
    (migration,) = pod_specs(manifests(case("production")))["Job/migration"]["containers"]
    module, command, *arguments = migration["args"]
    assert (module, command) == ("tributary_cli", migrate.name)
    parsed = migrate.make_context("migrate", arguments).params
    assert (parsed["shards"], parsed["claims"]) == (16, 10_000_000)


def test_it_runs_before_install_and_upgrade_and_after_the_secret_it_needs() -> None:
    found = manifests(case("trial"))
    job = of_kind(found, "Job")["migration"]["metadata"]["annotations"]
    secret = of_kind(found, "Secret")["migration"]["metadata"]["annotations"]
    assert job["helm.sh/hook"] == secret["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert int(secret["helm.sh/hook-weight"]) < int(job["helm.sh/hook-weight"])


def test_a_hook_refers_to_nothing_of_the_release() -> None:
    found = manifests(case("trial"))
    of_the_release = {
        manifest["metadata"]["name"]
        for manifest in found
        if manifest["kind"] == "Secret" and "annotations" not in manifest["metadata"]
    }
    assert of_the_release
    for entry in pod_specs(found)["Job/migration"]["containers"][0]["env"]:
        assert entry["valueFrom"]["secretKeyRef"]["name"] not in of_the_release


def test_it_can_be_left_to_the_user() -> None:
    found = manifests(case("trial", {"migration": {"enabled": False}}))
    assert of_kind(found, "Job") == {}
    assert "migration" not in of_kind(found, "Secret")
