"""The running system gives the answers that other packages computed: in order, shuffled, and sent twice."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner

from tests.support import journeys
from tests.support.eventually import eventually
from tests.support.stack import KeyedWorkspace, running_stack
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import Verdict
from tributary_cli.demo.reports import Reports
from tributary_cli.demo.truth import MODELS
from tributary_cli.demo.warehouse import Warehouse
from tributary_cli.models import models
from tributary_cli.stack.clickhouse_server import DATABASE
from tributary_cli.stack.stack import Stack
from tributary_client import Tributary

pytestmark = pytest.mark.xdist_group("vectors")

_CONVERSIONS = 465
_ORDERS = ("in-order", "shuffled-and-twice")
_WITHOUT_WINDOW = "without-window"
"""The values per journey were computed without a window."""


def _settings(lookback_days: int) -> dict[str, Any]:
    return {
        "own_domains": ["shop.example"],
        "conversions": [{"name": "purchase", "role": "REVENUE", "primary": True}],
        "attribution": [{"lookback_days": lookback_days, "touch_grain": "event"}],
    }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, dict[str, KeyedWorkspace]]]:
    settings = {**{name: _settings(30) for name in _ORDERS}, _WITHOUT_WINDOW: _settings(365)}
    soon = {"TRIBUTARY_ATTRIBUTION_PATH_DELAY_SECONDS": "1", "TRIBUTARY_ATTRIBUTION_MODEL_INTERVAL_SECONDS": "2"}
    with running_stack(tmp_path_factory.mktemp("vectors"), settings, soon) as running:
        yield running


def send(stack: Stack, workspace: KeyedWorkspace, events: list[Event]) -> Counter[str]:
    verdicts: Counter[str] = Counter()
    with Tributary(stack.addresses["ingestion"], api_key=workspace.api_key) as tributary:
        for start in range(0, len(events), 500):
            answer = tributary.ingest(events[start : start + 500], backfill=True)
            verdicts.update(Verdict.Name(verdict.verdict) for verdict in answer)
    return verdicts


def stored_conversions(stack: Stack, workspace: KeyedWorkspace) -> list[dict[str, Any]]:
    async def ask() -> list[dict[str, Any]]:
        warehouse = Warehouse(stack.addresses["clickhouse_http"], DATABASE, workspace.id)
        try:
            return await warehouse.rows("SELECT * FROM conversions FINAL WHERE workspace = {workspace:String}")
        finally:
            await warehouse.aclose()

    return asyncio.run(ask())


def reported(stack: Stack, workspace: KeyedWorkspace) -> dict[str, dict[str, tuple[int, int]]]:
    async def ask() -> dict[str, dict[str, tuple[int, int]]]:
        reports = Reports(
            stack.addresses["query"],
            workspace.api_key,
            start_time=datetime(2026, 1, 1, tzinfo=UTC),
            end_time=datetime(2026, 5, 1, tzinfo=UTC),
        )
        try:
            return await reports.by_channel()
        finally:
            await reports.aclose()

    return asyncio.run(ask())


def waiting(stack: Stack, workspace: KeyedWorkspace) -> int:
    async def ask() -> int:
        start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)
        reports = Reports(stack.addresses["query"], workspace.api_key, start_time=start, end_time=end)
        try:
            return await reports.waiting()
        finally:
            await reports.aclose()

    return asyncio.run(ask())


def reconciled(stack: Stack, workspace: KeyedWorkspace) -> dict[str, Any]:
    """Recomputes the whole time from raw events, in SQL, and returns what that saw."""
    command = [sys.executable, "-m", "tributary_attribution.reconcile", "--workspace", workspace.id, "--slices", "1"]
    days = ["--since", "2026-01-01", "--until", "2026-05-01", "--grace-seconds", "0"]
    done = subprocess.run([*command, *days], env=stack.environment(), capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr  # 1: some amounts are unusual
    counts: dict[str, Any] = json.loads(done.stdout)
    return counts


@pytest.mark.parametrize("order", _ORDERS)
def test_the_running_system_gives_the_answers_others_computed(
    running: tuple[Stack, dict[str, KeyedWorkspace]], order: str
) -> None:
    stack, workspaces = running
    workspace = workspaces[order]
    events = journeys.events()
    if order == "shuffled-and-twice":
        twice = [*events, *events]
        random.Random(7).shuffle(twice)
        assert send(stack, workspace, twice) == {"VERDICT_ACCEPTED": len(events), "VERDICT_DUPLICATE": len(events)}
    else:
        assert send(stack, workspace, events) == {"VERDICT_ACCEPTED": len(events)}
    eventually(lambda: waiting(stack, workspace) == 0)

    answers = journeys.answers()
    report = reported(stack, workspace)
    for model in MODELS:
        expected = answers.conversions[model]
        assert report[model].keys() == expected.keys()
        for channel, conversions in expected.items():
            assert abs(report[model][channel][0] / 1e6 - conversions) <= _CONVERSIONS * 1e-6, (model, channel)
    rows = {row["order_id"]: row for row in stored_conversions(stack, workspace)}
    assert len(rows) == _CONVERSIONS
    touches = sum(len(row["touch_channels"]) for row in rows.values())
    for model, by_channel in answers.value_cents.items():
        for channel, cents in by_channel.items():
            assert abs(report[model][channel][1] / 10_000 - cents) <= touches, (model, channel)

    for row in rows.values():
        for model in MODELS:
            assert sum(row[f"{model}_credit_micros"]) == 1_000_000
            assert sum(row[f"{model}_value_micros"]) == row["value_micros"]

    batch = reconciled(stack, workspace)  # the same answers from the raw events, touch by touch
    assert (batch["conversions"], batch["differences"], batch["open_errors"]) == (_CONVERSIONS, 0, 0)


@pytest.mark.parametrize("order", _ORDERS)
def test_the_running_system_learns_what_others_computed_and_credits_under_it(
    running: tuple[Stack, dict[str, KeyedWorkspace]], order: str
) -> None:
    """People who did not convert are paths too, else the chain would be sure to convert."""
    stack, workspaces = running
    workspace = workspaces[order]
    send(stack, workspace, journeys.events())  # known already, unless this test runs alone
    model = eventually(lambda: learned(stack, workspace))
    expected = journeys.vectors()["markov_order_1_lookback_30_days"]
    assert int(model["conversion_probability_picos"]) / 1e12 == pytest.approx(expected["p_conversion"], abs=1e-8)
    found = {weight["channel"]: weight for weight in model["channels"]}
    assert found.keys() == expected["share"].keys()
    for channel, weight in found.items():
        assert int(weight["removal_effect_picos"]) / 1e12 == pytest.approx(
            expected["removal_effect"][channel], abs=1e-8
        )
        assert int(weight["weight_picos"]) / 1e12 == pytest.approx(expected["share"][channel], abs=1e-8)

    numbers = itertools.count()
    row = eventually(lambda: credited(stack, workspace, next(numbers)))
    assert sum(row["data_driven_credit_micros"]) == 1_000_000
    shown = command(stack, workspace, "show", row["data_driven_model_version"])
    assert shown["status"] == "MODEL_STATUS_PUBLISHED"
    report = reported(stack, workspace)["data_driven"]
    assert sum(credit for credit, _ in report.values()) >= (_CONVERSIONS + 1) * 1_000_000
    assert report["unattributed"][0] >= _CONVERSIONS * 1_000_000, (
        "what came before the model is nobody's, and said to be"
    )


def command(stack: Stack, workspace: KeyedWorkspace, *arguments: str) -> Any:
    """Returns what `tributary models` answers."""
    connection = ["--target", stack.addresses["query"], "--api-key", workspace.api_key]
    answer = CliRunner().invoke(models, [*arguments, "--json", *connection], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.output)


def learned(stack: Stack, workspace: KeyedWorkspace) -> Any:
    """Returns the model of all journeys, once it is there."""
    found = command(stack, workspace, "list")
    return next((model for model in found if (model["paths"], model["conversions"]) == ("2000", "465")), None) or False


def credited(stack: Stack, workspace: KeyedWorkspace, number: int) -> Any:
    """Lets somebody buy again; returns a row that was credited under a model, once there is one."""
    event = next(event for event in journeys.events() if event.HasField("conversion"))
    event.event_id = event.conversion.order_id = f"again-{number}"
    send(stack, workspace, [event])
    rows = stored_conversions(stack, workspace)
    return next((row for row in rows if row["data_driven_model_version"]), None) or False


def test_every_touch_earns_the_value_others_computed_without_a_window(
    running: tuple[Stack, dict[str, KeyedWorkspace]],
) -> None:
    stack, workspaces = running
    workspace = workspaces[_WITHOUT_WINDOW]
    events = journeys.events()
    random.Random(8).shuffle(events)
    assert send(stack, workspace, events) == {"VERDICT_ACCEPTED": len(events)}
    eventually(lambda: waiting(stack, workspace) == 0)

    rows = {row["order_id"]: row for row in stored_conversions(stack, workspace)}
    for model, by_journey in journeys.answers().per_journey_cents.items():
        assert len(by_journey) > 200
        for journey, cents in by_journey.items():
            found = [micros / 10_000 for micros in rows[journey][f"{model}_value_micros"]]
            assert found == pytest.approx(cents, abs=0.01), (model, journey)
    assert reconciled(stack, workspace)["differences"] == 0
