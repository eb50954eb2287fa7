"""A combination that cannot work is refused with the sentence that says what to set."""

from __future__ import annotations

import re

import helm_python
import pytest

from tests.chart.rendering import Values, case, render

KEDA = {"enabled": True, "logAddress": "log:6379", "stateAddress": "state:6379"}


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        pytest.param(
            "trial",
            {"redis": {"stateUrl": ""}},
            "The Redis of the role `state` is unknown; set redis.existingSecret to a Secret with the keys log-url, "
            "state-url and jobs-url, or, for a trial, redis.stateUrl.",
            id="a-role-without-redis",
        ),
        pytest.param(
            "trial",
            {"redis": {"existingSecret": "mine"}},
            "redis.existingSecret and redis.jobsUrl are both set; remove redis.jobsUrl and put the URL under the "
            "Secret's key `jobs-url`.",
            id="two-answers-for-redis",
        ),
        pytest.param(
            "trial",
            {"tls": {"existingSecret": "mine", "healthPort": 50051}},
            "tls.healthPort is the port of gRPC too; set it to another.",
            id="health-on-the-port-of-grpc",
        ),
        pytest.param(
            "trial",
            {"clickhouse": {"url": ""}},
            "ClickHouse is unknown; set clickhouse.existingSecret to a Secret with the key `url`, or, for a trial, "
            "clickhouse.url.",
            id="no-clickhouse",
        ),
        pytest.param(
            "trial",
            {"clickhouse": {"existingSecret": "mine"}},
            "clickhouse.existingSecret and clickhouse.url are both set; remove clickhouse.url",
            id="two-answers-for-clickhouse",
        ),
        pytest.param(
            "trial",
            {"workspaces": {"content": ""}},
            "No workspace is configured; set workspaces.existingSecret to a Secret with the key `workspaces.yaml`, "
            "or add --set-file workspaces.content=workspaces.yaml.",
            id="no-workspaces",
        ),
        pytest.param(
            "trial",
            {"workspaces": {"existingSecret": "mine"}},
            "workspaces.existingSecret and workspaces.content are both set; remove workspaces.content.",
            id="two-answers-for-workspaces",
        ),
        pytest.param(
            "trial",
            {"internalToken": {"existingSecret": "mine"}},
            "internalToken.existingSecret and internalToken.value are both set; remove internalToken.value.",
            id="two-answers-for-the-token",
        ),
        pytest.param(
            "trial",
            {"services": {"query": {"autoscaling": {"minReplicas": 20}}}},
            "services.query.autoscaling.minReplicas (20) is above maxReplicas (10); raise maxReplicas.",
            id="fewest-above-most",
        ),
        pytest.param(
            "trial",
            {
                "defaults": {"resources": {"requests": {"cpu": None}}},
                "services": {"query": {"autoscaling": {"type": "cpu"}}},
            },
            "services.query is scaled by CPU but requests none; set services.query.resources.requests.cpu, or "
            "autoscaling.type: none.",
            id="percent-of-nothing",
        ),
        pytest.param(
            "trial",
            {"services": {"ingestion": {"autoscaling": {"type": "backlog"}}}},
            "services.ingestion works off no log; set services.ingestion.autoscaling.type to cpu or none.",
            id="backlog-of-nothing",
        ),
        pytest.param(
            "production",
            {"keda": {"stateAddress": ""}},
            "KEDA cannot see the backlog of delivery; set keda.stateAddress to the host:port of the state's Redis, or "
            "keda.enabled: false.",
            id="keda-without-an-address",
        ),
        pytest.param(
            "trial",
            {"services": {"dedup": {"env": {"TRIBUTARY_LISTEN": "0.0.0.0:1"}}}},
            "services.dedup.env.TRIBUTARY_LISTEN would part the service from its probes; set port instead.",
            id="another-port-behind-the-probes",
        ),
    ],
)
def test_it_says_what_to_set(name: str, changes: Values, sentence: str) -> None:
    with pytest.raises(helm_python.HelmRenderError, match=re.escape(sentence)):
        render(case(name, changes))


def test_an_install_without_values_says_what_is_missing() -> None:
    with pytest.raises(helm_python.HelmRenderError, match=r"set redis\.existingSecret"):
        render({})
