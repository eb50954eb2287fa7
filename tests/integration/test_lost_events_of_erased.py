"""A row that was lost is written again as an erasure leaves it, where somebody was erased meanwhile whom it names."""

from __future__ import annotations

import pytest

from tests.integration.test_erasure import CANARY, CUSTOMER, OTHER, VISITOR, canaries, end_all, lived, own, requested
from tests.integration.test_reconciliation import Reconciled
from tests.support.attribution import DAY, NOON, Admitted, entry, leaving
from tributary_attribution.erasure_plans import again
from tributary_attribution.lost_events import LostEvents
from tributary_attribution.tombstones import Tombstones
from tributary_domain.findings import Finding, FindingState
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.conversion_history import ConversionHistory
from tributary_storage.clickhouse.erasures import ErasureRecords
from tributary_storage.clickhouse.reconciliation_sources import ReconciliationSources
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.clickhouse.writer import EventWriter
from tributary_storage.redis import keys
from tributary_storage.redis.log_side import LogSide

__all__ = ["own"]  # a fixture


async def accept(own: Reconciled, *events: Admitted) -> None:
    """Does what the claim script does with events that the recorder then loses."""
    one = entry(own.attribution.workspace.id, events)
    fields = {"schema": one.schema, "payload": one.payload, "mask": one.mask, "accept_time": one.accept_micros}
    await own.attribution.state.xadd(keys.event_log(0, "live"), fields)  # type: ignore[arg-type]


async def find(own: Reconciled, *, repairs: bool = True) -> list[Finding]:
    attribution = own.attribution
    sources, log = ReconciliationSources(attribution.clickhouse), LogSide(attribution.state, 4)
    records, history = ErasureRecords(attribution.clickhouse), ConversionHistory(attribution.clickhouse)
    tombstones = Tombstones(attribution.erasures, records, history, lambda *who: again(*who, NOON))
    lost = LostEvents(log, sources, EventWriter(attribution.clickhouse), tombstones.left_of)
    scope = Scope("r1:test", attribution.workspace.id, 0, 2**60, 2)
    return await lost.find(scope, 2**60, NOON, looks_in_log=True, repairs=repairs)


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_no_row_that_is_written_again_names_who_was_erased(
    own: Reconciled, workspace: str, mode: ErasureMode
) -> None:
    events, _ = await lived(own, workspace)
    attribution = own.attribution
    await own.happen(events.order(OTHER, order_id="o-seen", event_id="o-seen", micros=50_000_000, rank=1))
    await attribution.erasing.go_on(await requested(attribution, mode))
    await end_all(attribution)
    url = f"https://shop.example/{CANARY}"
    seen = events.order(
        CUSTOMER, VISITOR, order_id="o-seen", event_id="seen", micros=40_000_000, letter="M", page_url=url
    )
    quarantined = events.order(VISITOR, order_id=f"q-{CANARY}", event_id="quarantined", letter="Q")
    theirs = events.touch(OTHER, VISITOR, at=NOON - 2 * DAY, event_id="theirs")
    told = [
        events.touch(VISITOR, at=NOON - 2 * DAY, event_id="gone", clicks={"gclid": CANARY}),
        events.order(CUSTOMER, order_id=f"late-{CANARY}", event_id="order", page_url=url),
        leaving(seen, CANARY.encode()),
        quarantined,
        theirs,
        events.touch(OTHER, at=NOON - 2 * DAY, event_id="other"),
    ]
    await attribution.handle(*told)
    await accept(own, *told)
    ids = sorted(one.event.event_id for _, one in told)
    assert [(one.event_id, one.state) for one in await find(own, repairs=False)] == [
        (one, FindingState.OPEN) for one in ids
    ]
    assert [(one.event_id, one.state) for one in await find(own)] == [(one, FindingState.RESOLVED) for one in ids]
    assert await canaries(attribution) == [keys.open_erasures()], "but what looks once more, no table is among them"
    rows = await attribution.clickhouse.execute(
        "SELECT event_id, kind, verdict, identity_tokens, conversion_id, value_micros, admitted != ''"
        " FROM events FINAL WHERE workspace = %(w)s AND event_id IN %(ids)s ORDER BY event_id",
        {"w": workspace, "ids": ids},
    )
    order_id = events.conversion_id("o-seen")
    assert [row[:6] for row in rows] == [
        ("gone", "erased", "ACCEPTED", [], "", None),
        ("order", "erased", "ACCEPTED", [], "", None),
        ("other", "touchpoint", "ACCEPTED", [OTHER], "", None),
        ("quarantined", "erased", "QUARANTINED", [], "", None),
        ("seen", "conversion", "DUPLICATE", [], order_id, 40_000_000),
        ("theirs", "touchpoint", "ACCEPTED", [OTHER], "", None),
    ]
    assert {row[0] for row in rows if not row[6]} == {"gone", "order", "quarantined"}
    assert await find(own) == [], "no repair is left to do"
    await end_all(attribution)
    assert await canaries(attribution) == []
    await own.run()
    assert await own.differences() == []
