"""A conversion that the browser's tag and we report under one id counts once; without an id to share it is not sent."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.all_destinations import TAKEN, WITHHELD, open_row
from tests.support.batches import NAMES, a_purchase, plan, publish
from tests.support.delivery import Rig, a_rig
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import INELIGIBLE_REASON_NO_PIXEL_ID

TAGGED = ("google", "linkedin", "meta", "pinterest", "reddit", "snap", "tiktok")
SHARED, SHARED_WITH_ONE, UNSHARED = "c1:0000", "c1:0001", "c1:0002"


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


def identified(message: ConversionRevised) -> None:
    """Gives one conversion an id for all tags, one an id for each, and one none."""
    if message.state.conversion_id == SHARED:
        return
    message.match.ClearField("pixel_event_id")
    if message.state.conversion_id == SHARED_WITH_ONE:
        message.match.pixel_event_ids.update(dict.fromkeys(TAGGED, f"p-{SHARED_WITH_ONE}"))


@pytest.mark.parametrize("is_tag_first", [True, False], ids=["the tag first", "the server first"])
async def test_tag_and_server_count_once_under_a_shared_id_and_without_one_the_tag_alone(
    rig: Rig, workspace: str, *, is_tag_first: bool
) -> None:
    with open_row(workspace, kinds=TAGGED, pixel="shared_id") as row:

        def tag() -> None:
            for stand in row:
                for number in range(3):
                    stand.front.fake.tag(NAMES.get(stand.kind, "Purchase"), f"p-c1:{number:04}", 90)

        if is_tag_first:
            tag()
        purchases = [a_purchase(row.lanes[0], number) for number in range(3)]
        await plan(rig, row.lanes, await publish(rig, row.lanes[0], purchases, identified))
        await row.deliver(rig)
        if not is_tag_first:
            tag()
        found = await row.fates(rig, [SHARED, SHARED_WITH_ONE, UNSHARED])
        counted = {stand.kind: dict(stand.front.fake.counted) for stand in row}
    once = {f"p-c1:{number:04}": 1 for number in range(3)}
    assert counted == dict.fromkeys(TAGGED, once)
    for kind in TAGGED:
        assert (found[kind, SHARED], found[kind, SHARED_WITH_ONE]) == (TAKEN, TAKEN)
        assert found[kind, UNSHARED].state == WITHHELD.state
        [line] = await rig.deliveries(row.stands[kind].lane, UNSHARED)
        assert line.ineligible_reason == INELIGIBLE_REASON_NO_PIXEL_ID


async def test_a_conversion_that_the_tag_reports_under_another_id_would_count_twice(rig: Rig, workspace: str) -> None:
    """What `pixel: shared_id` is for: the fakes tell two ids apart, as the destinations do."""
    with open_row(workspace, kinds=TAGGED) as row:
        await plan(rig, row.lanes, await publish(rig, row.lanes[0], [a_purchase(row.lanes[0])], identified))
        for stand in row:
            stand.front.fake.tag(NAMES.get(stand.kind, "Purchase"), "an id of the tag's own", 90)
        await row.deliver(rig)
        assert {stand.kind: stand.front.fake.accepted for stand in row} == dict.fromkeys(TAGGED, 2)


async def test_an_order_number_is_the_id_that_google_s_tag_shares(rig: Rig, workspace: str) -> None:
    with open_row(workspace, kinds=["google"]) as row:
        [stand] = row
        order = a_purchase(stand.lane, 2, order_id="o-77")
        await publish(rig, stand.lane, [order], identified)
        stand.front.fake.tag("99", "o-77", 90)
        await row.deliver(rig)
        assert dict(stand.front.fake.counted) == {"o-77": 1}
