"""Conversions that are marked TEST: shown where a destination has a test mode, and counted nowhere, there or here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.all_destinations import KINDS, WITHHELD, Fate, differences, open_row
from tests.support.batches import a_purchase, clicked, plan, publish
from tests.support.delivery import Rig, a_rig
from tributary.attribution.v1.conversion_pb2 import NOT_COUNTED_REASON_TRAFFIC
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.event.v1.event_pb2 import TRAFFIC_TEST

VALIDATING = ("google", "google_ads", "meta", "pinterest", "reddit", "snap", "tiktok")
"""Their APIs have a test mode."""
CODES = {"meta": {"test_event_code": "T1"}, "tiktok": {"test_event_code": "T1"}, "reddit": {"test_id": "t1"}}
SHOWN = Fate(0, "ACCEPTED")


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


def a_test(message: ConversionRevised) -> None:
    """Makes a conversion one that nobody observed for real."""
    clicked(message)
    message.state.not_counted_reason, message.state.traffic = NOT_COUNTED_REASON_TRAFFIC, TRAFFIC_TEST


async def test_a_test_is_shown_by_test_modes_alone_and_counts_nowhere_until_it_is_real(
    rig: Rig, workspace: str
) -> None:
    kinds = [kind for kind in KINDS if kind != "webhook"]
    with open_row(workspace, kinds=kinds, send_test_traffic=True) as row:
        for stand in row:
            stand.declared |= CODES.get(stand.kind, {})
        tried = a_purchase(row.lanes[0], counted=False)
        [message] = await publish(rig, row.lanes[0], [tried], a_test, is_planned=False)
        await plan(rig, row.lanes, [message])
        await row.deliver(rig)
        expected = {(kind, "c1:0000"): SHOWN if kind in VALIDATING else WITHHELD for kind in kinds}
        assert differences(expected, await row.fates(rig, ["c1:0000"])) == []
        assert {stand.kind: stand.front.fake.refused for stand in row} == dict.fromkeys(kinds, 0)
        assert await funnel(rig, workspace) == {
            stand.lane.destination: (1, 0, 0, {"TRAFFIC" if stand.kind in VALIDATING else "NO_TEST_MODE": 1})
            for stand in row
        }
        real = tried.then(counted=True)  # the shop's backend observed the same order, for real
        [message] = await publish(rig, row.lanes[0], [real], clicked, is_planned=False)
        await plan(rig, row.lanes, [message])
        await row.deliver(rig)
        for stand in row:
            assert stand.front.fake.counted == {"p-c1:0000": 1}, stand.kind
        assert await funnel(rig, workspace) == {stand.lane.destination: (1, 1, 1, {}) for stand in row}


async def funnel(rig: Rig, workspace: str) -> dict[str, tuple[Any, ...]]:
    """Returns of each destination: captured, sent, accepted, and why not."""
    rows = await rig.publisher.clickhouse.execute(
        "SELECT destination_id, captured, sent, accepted, ineligible_reasons FROM bi_delivery_funnel"
        " WHERE workspace = %(workspace)s",
        {"workspace": workspace},
    )
    return {destination: tuple(rest) for destination, *rest in rows}
