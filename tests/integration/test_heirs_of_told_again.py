"""What others had of an order whose person was erased goes, also if it is told again before the first run is over."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.test_erased_families import _OLD_REVISIONS, ANN, BOB, happen
from tests.integration.test_families import UNIT
from tests.integration.test_severed_orders import CUSTOMER, stop_after
from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, running_attribution
from tests.support.families import Families
from tests.support.forgetting import forgetting
from tests.support.stores import Stores
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_domain.erasures import ErasureState
from tributary_domain.event_order import event_hash
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.erasures import ErasureRecords
from tributary_storage.clickhouse.stand_ins import StandInRecords
from tributary_storage.codec.event_references import event_reference
from tributary_storage.redis import keys
from tributary_storage.redis.erased_names import ErasedNames


@pytest.fixture
async def attribution(stores: Stores, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    about = (stores.empty_redis_url(), clickhouse_url, workspace)
    async with running_attribution(*about, conversions=[{"name": "purchase"}]) as running:
        yield running


async def first_told(attribution: Attribution, who: str, event_id: str, at: int, accept_micros: int) -> Admitted:
    """Tells the first payment, the only one that Ann made."""
    families = Families(Events(attribution.workspace.id))
    own: dict[str, Any] = {"kind": "FIRST", "cycle": "1", "micros": 10 * UNIT, "letter": "M"}
    told = families.cycle(who, at=at, event_id=event_id, **own)
    await attribution.record(told, accept_micros=accept_micros)
    await attribution.handle(told, accept_micros=accept_micros)
    return told


async def letter_of(attribution: Attribution, revised: bytes) -> None:
    """Puts a revision aside, as delivery does with what it cannot handle."""
    fields: Any = {"payload": revised, "workspace": attribution.workspace.id}
    await attribution.state.xadd(keys.conversion_dead_letters(0, keys.DELIVER_GROUP), fields)


@pytest.mark.parametrize(
    ("who", "is_late"),
    [
        pytest.param(ANN, False, id="by herself"),
        pytest.param(CUSTOMER, False, id="by another"),
        pytest.param(CUSTOMER, True, id="by another whose event was on its way"),
    ],
)
@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_what_others_had_of_an_order_told_again_before_the_first_run_was_over_goes(
    attribution: Attribution, workspace: str, mode: ErasureMode, who: str, is_late: bool
) -> None:
    events, families = Events(workspace), Families(Events(workspace))
    touches = {
        "ann": events.touch(ANN, at=NOON - DAY + 7_000_000, channel="Email", event_id="ann"),
        "x": events.touch(CUSTOMER, at=NOON - DAY, channel="Referral", event_id="x"),
    }
    renewal = families.cycle(BOB, kind="RENEWAL", cycle="2", at=NOON + DAY, micros=20 * UNIT, event_id="renewal")
    named = {"first": families.cycle(ANN, kind="FIRST", cycle="1", micros=10 * UNIT, event_id="first")}
    await happen(attribution, touches | named | {"renewal": renewal})
    first, heir = named["first"][1].conversion_id, renewal[1].conversion_id
    ann = event_reference(event_hash("ann"))
    about = {"w": workspace, "heirs": [heir], "ann": ann, "anns": [first] * 2}
    [old] = await attribution.clickhouse.execute(_OLD_REVISIONS, about)
    assert old[2:] == (1, 1)
    records = StandInRecords(attribution.clickhouse)
    for content in (await records.revisions(workspace, [first])).values():
        await letter_of(attribution, content)

    on_its_way = time.time_ns() // 1000
    await stop_after("_forget", attribution, mode)
    now = time.time_ns() // 1000
    at = now + 60 * UNIT if who == ANN else NOON + UNIT
    await first_told(attribution, who, "again", at, on_its_way if is_late else now)
    for content in (await records.revisions(workspace, [heir, first])).values():
        await letter_of(attribution, content)
    [_, (_, newest)] = await told(attribution, heir)

    [erasure] = await attribution.erasures.opened()
    for step in attribution.erasing.steps():
        erasure = await step(erasure)
        if step.__name__ == "ask":
            break
    assert [first in one.conversion_ids for one in await ErasedNames(attribution.state).asked()] == [True]
    async with forgetting(attribution):
        await attribution.erasing.go_on_with_due()
        await attribution.erasing.go_on_with_due()
    assert await attribution.erasures.opened() == []
    [stored] = [one for one in await ErasureRecords(attribution.clickhouse).all() if one.workspace == workspace]
    assert (stored.state, any(stored.remaining.values())) == (ErasureState.FINISHED, False)

    revisions = await told(attribution, heir)
    before, after = revisions[heir, old[1]], revisions[heir, newest]
    for one in (*revisions.values(), *await letters(attribution, heir)):
        assert ann not in str(one)
    assert before.state.inherited_from.conversion_id.startswith("s1:")
    if mode is ErasureMode.REMOVE and who == CUSTOMER:
        assert after.state.inherited_from.conversion_id == first, "that of somebody new"
        assert after.HasField("match")
    elif mode is ErasureMode.SEVER:
        assert after.state.inherited_from == before.state.inherited_from
    own = await told(attribution, first)
    assert [one.revision for one in await letters(attribution, first)] == [number for _, number in own]
    published = await attribution.published(first)
    assert published is not None, "what was told again is there"


async def told(attribution: Attribution, conversion_id: str) -> dict[tuple[str, int], ConversionRevised]:
    """Returns the revisions of a conversion, by id and number, oldest first."""
    found = await StandInRecords(attribution.clickhouse).revisions(attribution.workspace.id, [conversion_id])
    return {place: ConversionRevised.FromString(found[place]) for place in sorted(found)}


async def letters(attribution: Attribution, conversion_id: str) -> list[ConversionRevised]:
    """Returns the revisions of a conversion that are put aside."""
    found: Any = await attribution.state.xrange(keys.conversion_dead_letters(0, keys.DELIVER_GROUP))
    revisions = [ConversionRevised.FromString(fields[b"payload"]) for _, fields in found]
    return [one for one in revisions if one.state.conversion_id == conversion_id]
