"""What an operator wrote of somebody's quarantined events goes with whoever these were of."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.test_erasure import CANARY
from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import NOON, Events
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.erasures import ErasureRecords

CUSTOMER = f"customer:{CANARY}-c"


@pytest.fixture
async def own(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Reconciled]:
    about = (migrated_redis_url, clickhouse_url, workspace)
    async with reconciled(*about, delivery_seconds=PATIENCE_SECONDS) as opened, forgetting(opened.attribution):
        yield opened


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_nothing_is_left_of_why_events_were_rejected_that_never_became_a_conversion(
    own: Reconciled, workspace: str, mode: ErasureMode
) -> None:
    make, attribution = Events(workspace), own.attribution
    order, visit = make.order(CUSTOMER, event_id="order"), make.touch(CUSTOMER, event_id="visit")
    held = (order, visit, make.touch("customer:other", event_id="others"))
    await attribution.record(*(("Q", event) for _, event in held))
    columns = ("workspace", "event_id", "action", "decide_time", "decided_by", "first_accept_time")
    for event_id, reason in (("order", f"{CANARY} called"), ("visit", f"{CANARY} again"), ("others", "a bot")):
        conversion_id = make.conversion_id() if event_id == "order" else ""
        row = (workspace, event_id, "REJECTED", NOON, "key", NOON, reason, conversion_id)
        await attribution.clickhouse.insert(
            "quarantine_decisions", (*columns, "reason", "conversion_id"), [[value] for value in row]
        )
    plan = attribution.erasing.plan(workspace, [CUSTOMER], mode)
    erasure = await attribution.erasing.request(plan)
    found = await ErasureRecords(attribution.clickhouse).found(erasure)
    assert found["quarantine_decisions"] == 2
    erasure = await attribution.erasing.go_on(erasure)
    assert not any(erasure.remaining.values()), erasure.remaining
    decided = await attribution.clickhouse.execute(
        "SELECT event_id, reason, conversion_id FROM quarantine_decisions FINAL"
        " WHERE workspace = %(w)s ORDER BY event_id",
        {"w": workspace},
    )
    assert decided == [("order", "", ""), ("others", "a bot", ""), ("visit", "", "")]
