"""Reconciliation runs every night with what attribution has, and what it finds is no reason to run it again."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.chart.rendering import Values, case, environment, manifests, of_kind, pod_specs
from tests.chart.test_settings import become, resolved
from tributary_attribution.reconcile_options import read_options
from tributary_attribution.runs import FAILED, UNFINISHED
from tributary_attribution.settings import AttributionServiceSettings
from tributary_runtime.settings import problems

POD = "CronJob/reconcile"


def cronjob(changes: Values | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = of_kind(manifests(case("production", changes)), "CronJob")["reconcile"]["spec"]
    return spec


def options(changes: Values | None = None) -> Any:
    (container,) = pod_specs(manifests(case("production", changes)))[POD]["containers"]
    module, *arguments = container["args"]
    assert module == "tributary_attribution.reconcile"
    return read_options(arguments)


def test_it_runs_daily_and_never_beside_itself() -> None:
    spec = cronjob()
    minute, hour, *days = spec["schedule"].split()
    assert minute.isdigit()
    assert hour.isdigit()
    assert days == ["*", "*", "*"]
    assert spec["timeZone"] == "Etc/UTC"
    assert spec["concurrencyPolicy"] == "Forbid"


def test_the_command_understands_its_arguments() -> None:
    asked = options()
    assert (asked.all, asked.repair, asked.days, asked.fail_on) == (True, True, 2, "error")
    assert (asked.with_changes, asked.past_days, asked.past_runs) == (True, 400, 100)
    asked = options({"reconcile": {"repair": False, "days": 7, "failOn": "warning", "pastDays": 0}})
    assert (asked.all, asked.repair, asked.days, asked.fail_on) == (True, False, 7, "warning")
    assert asked.past_days == 0


def test_what_a_run_found_is_no_reason_to_run_it_again() -> None:
    job = cronjob()["jobTemplate"]["spec"]
    final = {
        status
        for rule in job["podFailurePolicy"]["rules"]
        if rule["action"] == "FailJob"
        for status in rule["onExitCodes"]["values"]
    }
    assert final == set(FAILED.values())
    assert UNFINISHED not in final


def test_no_run_is_tried_for_ever() -> None:
    job = cronjob()["jobTemplate"]["spec"]
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (2, 14400)
    # Kubernetes restarts no container by itself: only then does it look at why the pod failed.
    assert job["template"]["spec"]["restartPolicy"] == "Never"


def test_it_starts_with_what_it_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    become(resolved(manifests(case("trial")), POD), monkeypatch)
    assert problems(AttributionServiceSettings, os.environ) == []


def test_it_sees_what_attribution_sees() -> None:
    specs = pod_specs(manifests(case("production", {"tls": {"existingSecret": "tls"}})))
    job, service = specs[POD], specs["Deployment/attribution"]
    assert environment(job) == environment(service) | {"OTEL_SERVICE_NAME": "tributary-reconcile"}
    assert job["volumes"] == service["volumes"]
    assert job["containers"][0]["volumeMounts"] == service["containers"][0]["volumeMounts"]
    assert job["containers"][0]["image"] == service["containers"][0]["image"]
    for name in ("nodeSelector", "tolerations", "priorityClassName"):
        assert job[name] == service[name]


def test_it_can_be_left_to_the_user() -> None:
    assert of_kind(manifests(case("trial", {"reconcile": {"enabled": False}})), "CronJob") == {}
