"""An operator has days recomputed, over the wire and on the command line, and looks after what was found."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
import redis
import yaml
from google.protobuf.json_format import MessageToDict

from tests.support.eventually import eventually
from tests.support.shop import EURO, NOW, Shop, a_visit, an_order, code_of, named
from tests.support.stores import run_apart
from tributary.attribution.v1.finding_pb2 import (
    FINDING_CAUSE_LOST_EVENT,
    FINDING_CAUSE_LOST_REFUSAL,
    FINDING_STATE_ACKNOWLEDGED,
    FINDING_STATE_OPEN,
    FINDING_STATE_RESOLVED,
)
from tributary.attribution.v1.reconciliation_pb2 import RECONCILIATION_STATE_COMPLETE, Reconciliation
from tributary.common.v1.time_range_pb2 import TimeRange
from tributary.query.v1 import query_service_pb2 as contract
from tributary_attribution.runs import begun
from tributary_cli.stack.stack import Stack
from tributary_runtime.clock import SystemClock
from tributary_storage.clickhouse.client import connect as connect_clickhouse
from tributary_storage.clickhouse.reconciliation_runs import ReconciliationRuns
from tributary_storage.redis import keys


def _days() -> TimeRange:
    asked = TimeRange()
    asked.start_time.FromDatetime(NOW - timedelta(days=2))
    asked.end_time.FromDatetime(NOW + timedelta(days=1))
    return asked


def _complete(shop: Shop, reconciliation_id: str) -> Reconciliation:
    request = contract.GetReconciliationRequest(reconciliation_id=reconciliation_id)

    def complete() -> Reconciliation:
        found: Reconciliation = shop.query.GetReconciliation(request, metadata=shop.metadata).reconciliation
        assert found.state == RECONCILIATION_STATE_COMPLETE
        return found

    return eventually(complete)


def test_days_are_recomputed_on_request(shop: Shop) -> None:
    shop.accept(a_visit(timedelta(hours=2), visitor_id="v"), an_order("o", visitor_id="v"))
    shop.wait_until_settled()
    asked = contract.ReconcileRequest(time_range=_days(), repairs=True, slices=1)
    begun = shop.query.Reconcile(asked, metadata=shop.metadata).reconciliation
    found = _complete(shop, begun.reconciliation_id)
    # What was accepted a moment ago is left to the next run.
    assert (found.counts["conversions"], found.counts["too_recent"], found.counts["differences"]) == (1, 1, 0)
    request = contract.GetReconciliationRequest()
    newest = shop.query.GetReconciliation(request, metadata=shop.metadata).reconciliation
    assert MessageToDict(newest) == MessageToDict(found)
    with pytest.raises(grpc.RpcError) as refused:
        shop.query.Reconcile(contract.ReconcileRequest(), metadata=shop.metadata)
    assert code_of(refused.value) == grpc.StatusCode.INVALID_ARGUMENT


def _command(stack: Stack, shop: Shop, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "tributary_cli", "reconcile", *arguments]
    own = ["--target", stack.addresses["query"], "--api-key", shop.workspace.api_key]
    done = subprocess.run([*command, *own], env=stack.environment(), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_an_operator_looks_after_findings(shop: Shop, street_stack: Stack) -> None:
    orders = [an_order(f"o-{number}", (50 + number % 7) * EURO) for number in range(40)]
    shop.accept(*orders, an_order("odd", 900_000 * EURO))
    shop.wait_until_settled()
    status, text = _command(street_stack, shop, "run", "--json")
    assert status == 1  # something should be looked at
    assert json.loads(text)["counts"]["outliers"] == "1"
    _, text = _command(street_stack, shop, "findings", "--run", json.loads(text)["reconciliation_id"])
    name, severity, kind = text.split()[:3]
    assert (severity, kind) == ("WARNING", "OUTLIER")
    assert "found 900000000000 micros EUR" in text
    status, text = _command(street_stack, shop, "mark", name, "f1:unknown")
    assert status == 1
    assert "ACKNOWLEDGED" in text
    assert "There is no such finding: f1:unknown." in text
    assert "No finding is open." in _command(street_stack, shop, "findings")[1]
    status, text = _command(street_stack, shop, "run")
    assert status == 0, "somebody has looked at it"
    assert "--state ACKNOWLEDGED` lists what somebody has looked at." in text
    for state, number in ((FINDING_STATE_OPEN, 0), (FINDING_STATE_ACKNOWLEDGED, 1)):
        asked = contract.ListFindingsRequest(states=[state])
        assert len(shop.query.ListFindings(asked, metadata=shop.metadata).findings) == number


def test_a_run_that_was_killed_is_brought_to_its_end_by_who_asks_for_that(shop: Shop, street_stack: Stack) -> None:
    asked = _days()
    times = (asked.start_time.ToMicroseconds(), asked.end_time.ToMicroseconds(), SystemClock().unix_micros())
    run = begun(shop.workspace.id, *times, repairs=False, slices=1)
    environment = street_stack.environment()

    async def note() -> None:
        async with connect_clickhouse(environment["TRIBUTARY_CLICKHOUSE_URL"], name="tests", connections=1) as opened:
            await ReconciliationRuns(opened).save(run, run.create_micros)

    run_apart(note())
    lease = keys.reconciliation_lease(run.workspace, run.reconciliation_id)
    command = [sys.executable, "-m", "tributary_cli", "reconcile", "run", "--resume", run.reconciliation_id]
    own = ["--target", street_stack.addresses["query"], "--api-key", shop.workspace.api_key]
    with redis.Redis.from_url(environment["TRIBUTARY_STATE_URL"]) as state:
        state.set(lease, "whoever was killed", ex=600)
        with subprocess.Popen([*command, *own], env=environment, stdout=subprocess.PIPE, text=True) as resuming:
            assert resuming.stdout is not None
            assert resuming.stdout.readline() == f"{run.reconciliation_id}  0/1 parts\n"
            state.delete(lease)  # its time is over
            text = resuming.stdout.read()
    assert (resuming.returncode, text.splitlines()[-1]) == (0, f"{run.reconciliation_id} is complete.")


def _lose_rows(stack: Stack, shop: Shop, *event_ids: str) -> None:
    """Loses rows of `events`; what was told of them elsewhere stays."""
    listed = ", ".join(f"'{event_id}'" for event_id in event_ids)
    stack.clickhouse.execute(
        f"ALTER TABLE events DELETE WHERE workspace = '{shop.workspace.id}' AND event_id IN ({listed})"
        " SETTINGS mutations_sync = 2"
    )


def test_events_that_were_lost_are_named_and_written_again_and_every_sum_is_told(
    shop: Shop, street_stack: Stack
) -> None:
    visit, order = a_visit(timedelta(hours=2), event_id="lost-visit", visitor_id="v"), an_order("o", visitor_id="v")
    order.event_id = "lost-order"
    shop.accept(visit, order)
    assert list(map(named, shop.send(visit, order))) == ["DUPLICATE", "DUPLICATE"]
    shop.wait_until_settled()
    _lose_rows(street_stack, shop, "lost-visit", "lost-order")
    unrepaired = _counts(shop, repairs=False)
    assert unrepaired["open_errors"] > 0, "a promise is broken and not repaired"
    counts = _counts(shop, repairs=True)
    assert (counts["lost_events"], counts["open_errors"]) == (2, 0)
    sums = {"accepted": 2, "duplicate": 2, "conflict": 0, "rejected": 0, "quarantined": 0}
    assert {name: counts[f"counted_{name}"] for name in sums} == sums
    assert counts["received"] == sum(sums.values())
    assert {name: counts[f"stored_{name}"] for name in sums} == sums | {"duplicate": 0}
    asked = contract.ListFindingsRequest(states=[FINDING_STATE_RESOLVED])
    resolved = shop.query.ListFindings(asked, metadata=shop.metadata).findings
    found = {(one.event_id, one.cause) for one in resolved if one.event_id}  # beside the sum that was wrong
    assert found == {(name, FINDING_CAUSE_LOST_EVENT) for name in ("lost-visit", "lost-order")}
    again = _run_whole(street_stack, shop)
    assert (again["conversions"], again["differences"], again["lost_events"], again["open_errors"]) == (1, 0, 0, 0)


def test_refusals_that_were_lost_are_named_and_written_again_and_their_sums_are_no_finding_any_more(
    shop: Shop, street_stack: Stack
) -> None:
    order = an_order("o", visitor_id="v", event_id="twice")
    shop.accept(order)
    order.conversion.value.amount_micros += EURO
    nobody = an_order("n", event_id="nobody")
    nobody.ClearField("identifiers")
    nobody.event_time.FromDatetime(NOW - timedelta(days=4_000))
    assert list(map(named, shop.send(order, nobody))) == ["CONFLICT", "REJECTED"]
    shop.wait_until_settled()
    before = _refusals(street_stack, shop)
    assert len(before) == 2
    street_stack.clickhouse.execute(
        f"ALTER TABLE refusals DELETE WHERE workspace = '{shop.workspace.id}' SETTINGS mutations_sync = 2"
    )
    counts = _counts(shop, repairs=False)
    assert (counts["lost_refusals"], counts["open_errors"]) == (2, 4), "each by name, and both sums"
    counts = _counts(shop, repairs=True)
    assert (counts["lost_refusals"], counts["resolved"], counts["open_errors"]) == (2, 2, 0)
    assert _refusals(street_stack, shop) == before
    asked = contract.ListFindingsRequest(states=[FINDING_STATE_OPEN])
    assert not shop.query.ListFindings(asked, metadata=shop.metadata).findings
    asked = contract.ListFindingsRequest(states=[FINDING_STATE_RESOLVED])
    found = [one for one in shop.query.ListFindings(asked, metadata=shop.metadata).findings if one.event_id]
    assert {(one.event_id, one.cause) for one in found} == {
        (name, FINDING_CAUSE_LOST_REFUSAL) for name in ("twice", "nobody")
    }


def _refusals(stack: Stack, shop: Shop) -> list[str]:
    text = stack.clickhouse.execute(
        "SELECT event_id, verdict, reason_codes, reason_messages, hex(admitted) FROM refusals FINAL"  # noqa: S608
        f" WHERE workspace = '{shop.workspace.id}' ORDER BY event_id"
    )
    return text.splitlines()


def test_all_workspaces_are_recomputed_by_one_command_that_fails_for_what_it_was_told_to(
    shop: Shop, other_shop: Shop, street_stack: Stack, tmp_path: Path
) -> None:
    orders = [an_order(f"o-{number}", (50 + number % 7) * EURO) for number in range(40)]
    shop.accept(*orders, an_order("odd", 900_000 * EURO))
    other_shop.accept(a_visit(timedelta(hours=2), visitor_id="v"), an_order("o", visitor_id="v"))
    shop.wait_until_settled()
    other_shop.wait_until_settled()
    street = yaml.safe_load(Path(street_stack.environment()["TRIBUTARY_WORKSPACES_FILE"]).read_text())
    both = {shop.workspace.id, other_shop.workspace.id}
    two = tmp_path / "workspaces.yaml"
    two.write_text(json.dumps({"workspaces": [one for one in street["workspaces"] if one["id"] in both]}))
    command = [sys.executable, "-m", "tributary_attribution.reconcile", "--all", "--slices", "1"]
    environment = street_stack.environment() | {"TRIBUTARY_WORKSPACES_FILE": str(two)}
    statuses, found = {}, {}
    for fails_on in ("warning", "error"):
        asked = [*command, "--grace-seconds", "-60", "--fail-on", fails_on]
        done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
        statuses[fails_on] = done.returncode
        found = {one["workspace"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert statuses == {"warning": 1, "error": 0}
    assert {name: (one["complete"], one["conversions"], one["outliers"]) for name, one in found.items()} == {
        shop.workspace.id: (True, 41, 1),
        other_shop.workspace.id: (True, 1, 0),
    }


def _counts(shop: Shop, *, repairs: bool) -> dict[str, int]:
    """Runs on request; returns what was counted."""
    asked = contract.ReconcileRequest(time_range=_days(), repairs=repairs, slices=1)
    begun = shop.query.Reconcile(asked, metadata=shop.metadata).reconciliation
    return dict(_complete(shop, begun.reconciliation_id).counts)


def _run_whole(stack: Stack, shop: Shop) -> dict[str, int]:
    """Runs the job as a process of its own, and leaves nothing to the next run; returns what it counted."""
    command = [sys.executable, "-m", "tributary_attribution.reconcile", "--workspace", shop.workspace.id]
    done = subprocess.run(
        [*command, "--repair", "--grace-seconds", "-60", "--slices", "1"],
        env=stack.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counts: dict[str, int] = json.loads(done.stdout)
    return counts
