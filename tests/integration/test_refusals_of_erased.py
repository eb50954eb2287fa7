"""What was refused of somebody who is erased names them no more, whenever it is refused; nobody is credited by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.integration.test_erasure import CANARY, CUSTOMER, OTHER, VISITOR, end_all, lived, own, requested
from tests.integration.test_reconciliation import Reconciled
from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, entry
from tributary_attribution.erasure_plans import again
from tributary_attribution.lost_refusals import LostRefusals
from tributary_attribution.tombstones import Tombstones
from tributary_storage.clickhouse.conversion_history import ConversionHistory
from tributary_storage.clickhouse.erasures import ErasureRecords
from tributary_storage.clickhouse.event_rows import REFUSAL_COLUMNS, EventBatch, LogPlace
from tributary_storage.clickhouse.reconciliation_sources import ReconciliationSources
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.clickhouse.writer import EventWriter
from tributary_storage.redis import keys
from tributary_storage.redis.log_side import LogSide

__all__ = ["own"]  # a fixture

URL = f"https://shop.example/{CANARY}?gclid={CANARY}"


async def refuse(attribution: Attribution, *events: Admitted, accept_micros: int) -> None:
    await attribution.handle(*events, accept_micros=accept_micros)
    await attribution.record(*events, accept_micros=accept_micros)


async def kept(attribution: Attribution) -> set[str]:
    """Returns the ids of the refused events of which there still is what was sent; of all others the reasons are."""
    rows = await attribution.clickhouse.execute(
        "SELECT event_id, admitted != '' FROM refusals FINAL WHERE workspace = %(w)s",
        {"w": attribution.workspace.id},
    )
    return {str(name) for name, is_there in rows if is_there}


async def rows(attribution: Attribution) -> list[Sequence[Any]]:
    """Returns all refusals, but for where in the log they are."""
    columns = ", ".join(one for one in REFUSAL_COLUMNS if not one.startswith("log_"))
    return await attribution.clickhouse.execute(
        f"SELECT DISTINCT {columns} FROM refusals FINAL WHERE workspace = %(w)s ORDER BY event_id",  # noqa: S608 - our own words
        {"w": attribution.workspace.id},
        raw_strings=True,
    )


async def left(attribution: Attribution) -> int:
    own = attribution.erasing.plan(attribution.workspace.id, [CUSTOMER, VISITOR])
    return (await attribution.erasing.survey(own))["refusals"]


def untimed(refused: Admitted) -> Admitted:
    refused[1].event.ClearField("event_time")
    return refused


def of_before(events: Events) -> list[Admitted]:
    return [
        events.order(CUSTOMER, order_id=f"o-{CANARY}", event_id="payload", letter="C", page_url=URL),
        events.order(VISITOR, order_id=f"o-{CANARY}", event_id="value", letter="V", page_url=URL),
        events.touch(VISITOR, at=NOON - 90 * DAY, event_id="rejected", letter="R", clicks={"gclid": CANARY}),
        events.order(OTHER, VISITOR, order_id="o-other", event_id="names", letter="V"),
    ]


async def test_what_is_refused_after_an_erasure_of_before_it_goes_and_nothing_else_does(
    own: Reconciled, workspace: str
) -> None:
    events, _ = await lived(own, workspace)
    attribution = own.attribution
    erasure = await attribution.erasing.go_on(await requested(attribution))
    await end_all(attribution)
    later = erasure.until_micros + DAY
    new = [
        events.order(OTHER, order_id="o-other", event_id="theirs", letter="V"),
        events.touch(VISITOR, at=later - 1, event_id="of after", letter="R"),
        untimed(events.touch(VISITOR, event_id="untimed", letter="R")),
    ]
    await refuse(attribution, *of_before(events), *new, accept_micros=later)
    assert await left(attribution) == 4
    await end_all(attribution)
    assert (await kept(attribution), await left(attribution)) == ({"theirs", "of after", "untimed"}, 0)
    assert await attribution.people.find(workspace, [CUSTOMER, VISITOR]) is None
    await own.run()
    assert await own.differences() == []


async def test_of_a_row_that_was_lost_only_that_it_was_refused_and_why_is_written_again_of_who_was_erased(
    own: Reconciled, workspace: str
) -> None:
    events, _ = await lived(own, workspace)
    attribution = own.attribution
    erasure = await attribution.erasing.go_on(await requested(attribution))
    theirs = events.order(OTHER, order_id="o-other", event_id="theirs", letter="V")
    one = entry(workspace, [*of_before(events), theirs], erasure.until_micros + DAY)
    fields = {"schema": one.schema, "payload": one.payload, "mask": one.mask, "accept_time": one.accept_micros}
    await attribution.state.xadd(keys.event_log(0, "live"), fields)  # type: ignore[arg-type]
    log, sources = LogSide(attribution.state, 4), ReconciliationSources(attribution.clickhouse)
    records, history = ErasureRecords(attribution.clickhouse), ConversionHistory(attribution.clickhouse)
    tombstones = Tombstones(attribution.erasures, records, history, lambda *who: again(*who, NOON))
    lost = LostRefusals(log, sources, EventWriter(attribution.clickhouse), tombstones.names_erased)
    found = await lost.find(Scope("r1:test", workspace, 0, 2**60, 2), 2**60, NOON, repairs=True)
    assert {one.event_id for one in found} == {
        "theirs",
        *(admitted.event.event_id for _, admitted in of_before(events)),
    }
    assert (await kept(attribution), await left(attribution)) == ({"theirs"}, 0)
    written = await rows(attribution)
    await refuse(attribution, *of_before(events), theirs, accept_micros=erasure.until_micros + DAY)
    await end_all(attribution)
    assert await rows(attribution) == written, "as the erasure leaves them"
    assert await lost.find(Scope("r1:test", workspace, 0, 2**60, 2), 2**60, NOON, repairs=True) == []


async def test_of_the_living_nothing_is_looked_for_whatever_is_refused(own: Reconciled, workspace: str) -> None:
    events, _ = await lived(own, workspace)
    attribution = own.attribution
    await attribution.erasing.go_on(await requested(attribution))
    await end_all(attribution)
    await refuse(attribution, events.order(OTHER, order_id="o-other", letter="V"), accept_micros=NOON + 5 * DAY)
    assert [one for one in await attribution.erasures.opened() if one.workspace == workspace] == []


@pytest.mark.parametrize("days", [-1, 1])
async def test_what_an_earlier_release_recorded_happened_when_it_was_refused(
    own: Reconciled, workspace: str, days: int
) -> None:
    events, _ = await lived(own, workspace)
    attribution = own.attribution
    erasure = await requested(attribution)
    batch = EventBatch()
    one = entry(workspace, of_before(events), erasure.until_micros + days * DAY)
    for position, letter, admission, admitted in one.events():
        place = LogPlace.of(one.shard, one.lane, one.entry_id, one.accept_micros)
        batch.add(place, position, letter, workspace, admitted, admission.accept_context)
    *columns, last = REFUSAL_COLUMNS
    assert last == "event_time"
    *values, _ = zip(*batch.refusals, strict=True)
    await attribution.clickhouse.insert("refusals", columns, values)
    await attribution.erasing.go_on(erasure)
    assert len(await kept(attribution)) == (4 if days > 0 else 0)
