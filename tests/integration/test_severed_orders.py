"""An order whose person was erased counts once: what is left of it counts, whoever tells it again, and in which way."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.test_erased_families import ANN, erase, happen, totals
from tests.integration.test_families import UNIT, Names, assert_batch_agrees
from tests.integration.test_rebuild import bring_back, lose_all
from tests.support.attribution import DAY, NOON, Attribution, Events, running_attribution
from tests.support.families import Families
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tests.support.stores import Stores
from tributary.attribution.v1.conversion_pb2 import NotCountedReason
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.integrity import StoredIntegrity
from tributary_storage.clickhouse.report_query import Basis, Dimension, Metric, ReportQuery
from tributary_storage.clickhouse.reports import read_report

CUSTOMER = "customer:x"
SEVERED = NotCountedReason.NOT_COUNTED_REASON_SEVERED_ORDER
_FIRST: dict[str, Any] = {"kind": "FIRST", "cycle": "1", "name": "purchase"}
_RENEWED: dict[str, Any] = {"kind": "RENEWAL", "cycle": "2", "subscription": "s-renewed"}
_WON: dict[str, Any] = {"stage": "won", "lead_id": "l-1"}
_AGAIN: dict[str, Any] = {"at": NOON + 90 * UNIT, "micros": 95 * UNIT, "letter": "M"}


@pytest.fixture
async def attribution(stores: Stores, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    names = ({"name": "lead"}, {"name": "purchase"}, {"name": "signup", "counting": "once_per_person"})
    about = (stores.empty_redis_url(), clickhouse_url, workspace)
    async with (
        running_attribution(*about, delivery_seconds=PATIENCE_SECONDS, conversions=list(names)) as running,
        forgetting(running),
    ):
        yield running


def told_by_ann(workspace: str) -> Names:
    """Ann's orders, one of each kind."""
    events = Events(workspace)
    families = Families(events)
    named = {
        "touch": events.touch(ANN, channel="Email", event_id="touch"),
        "plain": events.order(ANN, order_id="plain", event_id="plain"),
        "as cycle": events.order(ANN, order_id="as cycle", event_id="as cycle"),
        "cycle": families.cycle(ANN, order_id="cycle", subscription="s-2", event_id="cycle", **_FIRST),
        "plainly": families.cycle(ANN, order_id="plainly", subscription="s-3", event_id="plainly", **_FIRST),
        "renewal": families.cycle(ANN, event_id="renewal", **_RENEWED),
        "stage": families.stage(ANN, event_id="stage", **_WON),
        "root": families.root(ANN, order_id="root", event_id="root"),
        "grown": families.stage(ANN, stage="won", root="root", at=NOON + 60 * UNIT, event_id="grown"),
        "once": families.root(ANN, order_id="once", name="signup", event_id="once"),
        "taken back": events.order(ANN, order_id="taken back", event_id="taken back"),
    }
    named["retraction"] = families.adjusted(events.retraction(), named["taken back"])
    return named


def told_again(workspace: str) -> Names:
    """The same as somebody tells them whom nobody knows to be Ann."""
    events = Events(workspace)
    families = Families(events)
    as_cycle = families.cycle(CUSTOMER, subscription="s-4", order_id="as cycle", event_id="2", **_AGAIN, **_FIRST)
    return {
        "touch": events.touch(CUSTOMER, at=NOON - 2 * DAY, channel="Display", event_id="own touch"),
        "plain": events.order(CUSTOMER, order_id="plain", event_id="1", **_AGAIN),
        "as cycle": as_cycle,
        "cycle": families.cycle(CUSTOMER, order_id="cycle", subscription="s-2", event_id="3", **_AGAIN, **_FIRST),
        "plainly": events.order(CUSTOMER, order_id="plainly", event_id="4", **_AGAIN),
        "renewal": families.cycle(CUSTOMER, event_id="5", **_AGAIN, **_RENEWED),
        "stage": families.stage(CUSTOMER, event_id="6", **_AGAIN, **_WON),
        "root": families.root(CUSTOMER, order_id="root", event_id="7", **_AGAIN),
        "once": families.root(CUSTOMER, order_id="once", name="signup", event_id="9", **_AGAIN),
        "taken back": events.order(CUSTOMER, order_id="taken back", event_id="8", **_AGAIN),
    }


async def reasons(attribution: Attribution, named: Names) -> dict[str, str]:
    """Returns why conversions are not counted, by name; empty: they are."""
    found = {}
    for name, (_, admitted) in named.items():
        if admitted.event.HasField("conversion"):
            revised = await attribution.published(admitted.conversion_id)
            assert revised is not None, name
            number = revised.state.not_counted_reason
            found[name] = NotCountedReason.Name(number).removeprefix("NOT_COUNTED_REASON_") if number else ""
    return found


async def books(attribution: Attribution) -> list[Any]:
    """Returns what counts: by posting day, by conversion time, and by that as of now."""
    query = ReportQuery(
        workspace=attribution.workspace.id,
        metrics=(Metric.CONVERSIONS, Metric.VALUE),
        dimensions=(Dimension.MODEL, Dimension.CHANNEL),
        basis=Basis.POSTING,
        start_date="2020-01-01",
        end_date="2200-01-01",
        end_micros=2 * NOON,
    )
    by_time = replace(query, basis=Basis.CONVERSION)
    queries = (query, by_time, replace(by_time, as_of_micros=time.time_ns() // 1000 + DAY))
    reports = [await read_report(attribution.clickhouse, one) for one in queries]
    return [tuple((line.key, line.values) for line in lines if any(line.values)) for lines in reports]


async def stop_after(last: str, attribution: Attribution, mode: ErasureMode, *names: str) -> None:
    """Begins to erase Ann, and stops after a step; the next run knows no more than what is kept."""
    planned = attribution.erasing.plan(attribution.workspace.id, names or [ANN], mode, own_seconds=0)
    erasure = await attribution.erasing.request(planned)
    for step in attribution.erasing.steps():
        erasure = await step(erasure)
        if step.__name__ == last:
            break


async def test_a_run_that_stopped_goes_on_over_what_is_kept_of_somebody_erased_before(
    attribution: Attribution, workspace: str
) -> None:
    """They observed the same orders, each one of them first: what is left of the first one has no identifiers.

    One names her by what tells more than what names him: it is hers though he was the first to tell. Something happened
    to his journey since anything did to hers.
    """
    events, bob, own = Events(workspace), "visitor:bob", "customer:ann"
    named = {}
    for order_id, first, second in (("a", bob, ANN), ("b", ANN, bob), ("c", bob, own)):
        named[f"{order_id} 1"] = events.order(first, order_id=order_id, event_id=f"{order_id} 1")
        named[f"{order_id} 2"] = events.order(second, order_id=order_id, event_id=f"{order_id} 2", at=NOON + UNIT)
    await happen(attribution, named)
    await happen(attribution, {"touch": events.touch(bob, at=NOON - DAY, event_id="touch")})
    before = await totals(attribution)
    await erase(attribution, bob)
    await stop_after("_note", attribution, ErasureMode.SEVER, ANN, own)
    await attribution.erasing.go_on_with_due()
    await attribution.erasing.go_on_with_due()
    assert await attribution.erasures.opened() == []
    assert await totals(attribution) == before


@pytest.mark.parametrize("is_lost", [False, True], ids=["kept", "lost"])
async def test_an_order_of_somebody_erased_counts_once_whoever_tells_it_again(
    attribution: Attribution, workspace: str, is_lost: bool
) -> None:
    await happen(attribution, told_by_ann(workspace))
    before = await totals(attribution)
    await erase(attribution)
    assert await totals(attribution) == before
    if is_lost:
        await lose_all(attribution)
        await bring_back(attribution)
    again = told_again(workspace)
    await happen(attribution, again)
    names = set(again) - {"touch"}
    severed = dict.fromkeys(names, "SEVERED_ORDER") | {"plainly": "MERGED_ORDER"}
    assert await reasons(attribution, again) == severed
    assert await attribution.erasing.go_on_with_due() == 1, "what is told again is not the person's"
    assert await reasons(attribution, again) == severed
    assert await totals(attribution) == before
    assert await attribution.erasures.opened() == []
    await assert_batch_agrees(attribution)
    explained = (await attribution.explainer.explain(workspace, again["plain"][1].conversion_id)).message
    assert (explained.not_counted_reason, explained.reproduces_revision) == (SEVERED, True)

    events = Events(workspace)
    own = Families(events).root(CUSTOMER, order_id="own", name="signup", at=NOON + DAY, event_id="own")
    refund = events.refund(5 * UNIT, order_id="plain", event_id="refund")
    late = events.touch(CUSTOMER, at=NOON - 3 * DAY, channel="Referral", event_id="late")
    await happen(attribution, {"own": own, "refund": refund, "late": late})
    assert (await totals(attribution))[1] == before[1] | {"signup": (180 * UNIT, 2)}
    await assert_batch_agrees(attribution)


@pytest.mark.parametrize(
    ("mode", "runs"),
    [
        pytest.param(ErasureMode.SEVER, 2, id="severed"),
        pytest.param(ErasureMode.SEVER, 1, id="severed before its second run"),
        pytest.param(ErasureMode.REMOVE, 1, id="removed before its second run"),
        pytest.param(ErasureMode.SEVER, 0, id="severed by a run that stopped"),
        pytest.param(ErasureMode.REMOVE, 0, id="removed by a run that stopped"),
    ],
)
async def test_what_who_was_erased_tells_afterwards_is_somebody_new_to_every_run(
    attribution: Attribution, workspace: str, mode: ErasureMode, runs: int
) -> None:
    events, families = Events(workspace), Families(Events(workspace))
    stage = families.stage(ANN, event_id="stage", **_WON)
    orders = {number: events.order(ANN, order_id=number, event_id=number) for number in ("o", "p")}
    await happen(attribution, orders | {"stage": stage})
    if runs:
        await erase(attribution, mode=mode)
    else:
        await stop_after("_forget", attribution, mode)
    if runs > 1:
        await attribution.erasing.go_on_with_due()
    before = await books(attribution)
    later: dict[str, Any] = _AGAIN | {"at": time.time_ns() // 1000 + 60 * UNIT}
    again = {
        "again": events.order(ANN, order_id="o", event_id="again", **later),
        "stage": families.stage(ANN, event_id="stage again", **later, **_WON),
    }
    refund = events.refund(10 * UNIT, order_id="p", event_id="refund", at=later["at"])
    await happen(attribution, again | {"refund": refund})
    told = await books(attribution)
    if mode is ErasureMode.SEVER:
        assert told == before
    why = "SEVERED_ORDER" if mode is ErasureMode.SEVER else ""
    assert await reasons(attribution, again) == dict.fromkeys(again, why)
    for _ in range(2 - runs):
        await attribution.erasing.go_on_with_due()
    assert await attribution.erasures.opened() == [], "it is over"
    assert await books(attribution) == told
    assert len(set(told)) == 1, "by posting day, by conversion time and as of now"
    assert await reasons(attribution, again) == dict.fromkeys(again, why)
    again["p"] = events.order(ANN, order_id="p", event_id="p again", **later)
    await happen(attribution, {"p": again["p"]})
    assert await reasons(attribution, again) == dict.fromkeys(again, why)
    refunded = await attribution.published(again["p"][1].conversion_id)
    assert refunded is not None
    assert refunded.state.value.amount_micros == 85 * UNIT, "the refund waited for it"
    revisions = await StoredIntegrity(attribution.clickhouse).revisions(workspace)
    assert (revisions.linked, revisions.firsts) == (revisions.rows, revisions.conversions)
    await assert_batch_agrees(attribution, end=later["at"] + DAY)
