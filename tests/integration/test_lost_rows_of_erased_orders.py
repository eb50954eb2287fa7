"""A row that an erasure had stripped with its order is written again so, whoever told it, or tells the order since."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.test_entries_of_erased_orders import CUSTOMER, DEVICE, erase, own, seen_by_both
from tests.integration.test_erasure import end_all
from tests.integration.test_lost_events_of_erased import accept, find
from tests.integration.test_reconciliation import Reconciled
from tests.support.attribution import DAY, NOON, Events
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_domain.findings import FindingState
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.integrity import StoredIntegrity

__all__ = ["own"]  # a fixture

UNIT = 1_000_000


async def shown(own: Reconciled) -> tuple[Any, ...]:
    """Returns what counts, how many conversions were observed, and what a reconciliation finds."""
    workspace, integrity = own.attribution.workspace.id, StoredIntegrity(own.attribution.clickhouse)
    columns = "conversion_id, value_micros, counted, not_counted_reason, observation_event_ids"
    await own.run()
    observed = (await integrity.events(workspace)).observed_conversions
    return await own.attribution.stored(columns), observed, await own.differences()


async def row_of(own: Reconciled, event_id: str) -> tuple[Any, ...]:
    [row] = await own.attribution.clickhouse.execute(
        "SELECT kind, verdict, identity_tokens, order_id, value_micros, conversion_name, hex(payload_digest),"
        " details, hex(admitted), conversion_id FROM events FINAL WHERE workspace = %(w)s AND event_id = %(e)s",
        {"w": own.attribution.workspace.id, "e": event_id},
    )
    return tuple(row)


async def lose(own: Reconciled, event_id: str) -> None:
    await own.execute("ALTER TABLE events DELETE WHERE workspace = %(w)s AND event_id = %(e)s", e=event_id)


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_what_somebody_elses_device_saw_of_it_is_an_entry_of_their_journey_again(
    own: Reconciled, workspace: str, mode: ErasureMode
) -> None:
    events = Events(workspace)
    refund = events.refund(30 * UNIT, order_id="o-erased", event_id="refund")
    told = [*seen_by_both(events, NOON - DAY), refund]
    await own.happen(*told)
    await accept(own, *told)
    await erase(own.attribution, mode)
    before, row = await shown(own), await row_of(own, "seen")
    assert before[2] == []
    for _ in range(2):  # a row that was written again may be lost, too
        for event_id in ("seen", "refund"):
            await lose(own, event_id)
        found = [(one.event_id, one.state) for one in await find(own)]
        assert found == [(one, FindingState.RESOLVED) for one in ("refund", "seen")]
        again = await row_of(own, "seen")
        assert (again[0], again[1:]) == ("erased", row[1:])
        assert again[-1] == again[-3]["erased_order"]
        assert again[-1].startswith("s1:")
        assert AdmittedEvent.FromString(bytes.fromhex(again[-2])).identity_tokens == [DEVICE]
        assert (await row_of(own, "refund"))[2:5] == ([], "", None)
        assert (await row_of(own, "refund"))[-2:] == ("", "")
        assert await shown(own) == before
    await end_all(own.attribution)
    assert await shown(own) == before


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_what_the_erased_one_told_of_it_is_nothing_that_is_said_of_an_order_of_somebody_living(
    own: Reconciled, workspace: str, mode: ErasureMode
) -> None:
    events = Events(workspace)
    order = events.order(CUSTOMER, at=NOON - DAY, order_id="o-erased", event_id="told", micros=100 * UNIT)
    await own.happen(order)
    await accept(own, order)
    await erase(own.attribution, mode)
    since = events.order("visitor:living", order_id="o-erased", event_id="since", micros=40 * UNIT, rank=1)
    await own.happen(since)
    await end_all(own.attribution)
    stored, _, found = await shown(own)
    assert found == []
    await lose(own, "told")
    assert [(one.event_id, one.state) for one in await find(own)] == [("told", FindingState.RESOLVED)]
    assert (await row_of(own, "told"))[0:5] == ("erased", "ACCEPTED", [], "", None)
    assert (await row_of(own, "told"))[-2:] == ("", "")
    assert (await shown(own))[::2] == (stored, [])
    await end_all(own.attribution)
    assert (await shown(own))[::2] == (stored, [])
