"""Who is erased out of a lead or a subscription leaves a stand-in: the others count as before, whatever comes later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.test_erasure import by_time
from tests.integration.test_families import (
    UNIT,
    Names,
    a_lead_of_two_names,
    an_order_told_twice,
    assert_batch_agrees,
    causes,
    reconcile,
)
from tests.integration.test_rebuild import bring_back, lose_all
from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, running_attribution
from tests.support.families import Families
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tests.support.stores import Stores
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import UnattributedReason
from tributary_domain.erasures import Erasure, ErasureState
from tributary_domain.event_order import event_hash
from tributary_domain.findings import FindingKind
from tributary_runtime.errors import Backpressure
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.conversion_history import ConversionHistory
from tributary_storage.clickhouse.erasures import ErasureRecords
from tributary_storage.clickhouse.reconciliation_runs import ReconciliationRuns
from tributary_storage.codec.event_references import event_reference

ANN, BOB, CAROL = "visitor:ann", "visitor:bob", "visitor:carol"


@pytest.fixture
async def attribution(stores: Stores, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    declared: dict[str, Any] = {"conversions": [{"name": "lead"}, {"name": "purchase"}, {"name": "payment"}]}
    about = (stores.empty_redis_url(), clickhouse_url, workspace)
    async with (
        running_attribution(*about, delivery_seconds=PATIENCE_SECONDS, **declared) as running,
        forgetting(running),
    ):
        yield running


async def happen(attribution: Attribution, named: Names) -> None:
    """Lets events happen and be recorded."""
    await attribution.record(*named.values())
    await attribution.handle(*named.values())


async def erase(attribution: Attribution, who: str = ANN, mode: ErasureMode = ErasureMode.SEVER) -> None:
    planned = attribution.erasing.plan(attribution.workspace.id, [who], mode)
    erasure = await attribution.erasing.go_on(await attribution.erasing.request(planned))
    assert not any(erasure.remaining.values()), erasure.remaining


async def totals(attribution: Attribution) -> tuple[list[Any], dict[str, tuple[int, int]]]:
    """Returns what is counted by day and channel, and the same added up over all revisions."""
    added = await attribution.clickhouse.execute(
        "SELECT name, sum(value_delta_micros), sum(counted_delta) FROM conversion_revisions FINAL"
        " WHERE workspace = %(w)s GROUP BY name ORDER BY name",
        {"w": attribution.workspace.id},
    )
    return await by_time(attribution), {name: (micros, count) for name, micros, count in added}


async def state_of(attribution: Attribution, admitted: Admitted) -> Any:
    revised: ConversionRevised | None = await attribution.published(admitted[1].conversion_id)
    assert revised is not None
    return revised.state


def a_world(workspace: str) -> Names:
    """Ann and Bob share three leads and a subscription, each after a touch of theirs."""
    events = Events(workspace)
    families = Families(events)
    lead_1, lead_2, order = {"lead_id": "l-1"}, {"lead_id": "l-2"}, {"root": "o-3"}
    won: dict[str, Any] = {"stage": "won", "at": NOON + 40 * UNIT, "micros": 900 * UNIT}
    return {
        "touch of ann": events.touch(ANN, at=NOON - DAY, channel="Email", event_id="ann"),
        "touch of bob": events.touch(BOB, at=NOON - DAY, channel="Display", event_id="bob"),
        "new 1": families.stage(BOB, stage="new", micros=20 * UNIT, event_id="new-1", **lead_1),
        "won 1": families.stage(ANN, event_id="won-1", **lead_1, **won),
        "new 2": families.stage(ANN, stage="new", micros=20 * UNIT, event_id="new-2", **lead_2),
        "won 2": families.stage(BOB, event_id="won-2", **lead_2, **won),
        "root 3": families.root(ANN, order_id=order["root"], micros=20 * UNIT, event_id="root-3"),
        "won 3": families.stage(BOB, event_id="won-3", **order, **won),
        "first": families.cycle(ANN, kind="FIRST", cycle="1", micros=10 * UNIT, event_id="first"),
        "second": families.cycle(BOB, kind="RENEWAL", cycle="2", at=NOON + DAY, micros=20 * UNIT, event_id="second"),
    }


def late(workspace: str) -> Names:
    return {"late": Events(workspace).touch(BOB, at=NOON - 2 * DAY, channel="Affiliates", event_id="late")}


def a_stage(workspace: str, lead: int, stage: str, at: int, micros: int, who: str = BOB) -> Names:
    families, name = Families(Events(workspace)), f"{stage} {lead}"
    own = families.stage(who, stage=stage, lead_id=f"l-{lead}", at=at, micros=micros, event_id=name)
    return {name: own}


def a_renewal(workspace: str) -> Names:
    families = Families(Events(workspace))
    at = NOON + 9 * DAY
    return {"third": families.cycle(BOB, kind="RENEWAL", cycle="3", at=at, micros=30 * UNIT, event_id="third")}


async def channels(attribution: Attribution, named: Names, *names: str) -> list[str]:
    """Returns the channels that earned each of some conversions, in one text each."""
    states = [await state_of(attribution, named[name]) for name in names]
    return ["".join(touch.source.channel for touch in state.touches) for state in states]


async def test_the_others_of_a_family_count_as_before_whatever_comes_after(
    attribution: Attribution, workspace: str
) -> None:
    named = a_world(workspace)
    await happen(attribution, named)
    before = await totals(attribution)
    heirs = ("won 2", "won 3", "second")
    assert await channels(attribution, named, *heirs) == ["Email"] * 3
    await erase(attribution)
    assert await totals(attribution) == before
    assert [(await causes(attribution, named[name]))[-1] for name in heirs] == [["erasure"]] * 3
    assert (await state_of(attribution, named["won 2"])).inherited_from.conversion_id.startswith("s1:")
    await happen(attribution, late(workspace))
    assert await totals(attribution) == before
    assert await channels(attribution, named, *heirs) == ["Email"] * 3

    families = Families(Events(workspace))
    more = a_stage(workspace, 1, "qualified", NOON - 2 * 60 * UNIT, 50 * UNIT)
    more |= a_stage(workspace, 2, "paid", NOON + DAY, 1000 * UNIT) | a_renewal(workspace)
    more["refund"] = families.adjusted(families.events.refund(UNIT, at=NOON + 9 * DAY), named["second"])
    await happen(attribution, more)
    assert await channels(attribution, more, "paid 2", "third") == ["Email"] * 2
    added = {"lead": (2800 * UNIT, 3), "payment": (59 * UNIT, 3)}
    assert (await totals(attribution))[1] == added
    await assert_batch_agrees(attribution)

    paid = a_stage(workspace, 1, "paid", NOON + DAY, 1000 * UNIT)
    await happen(attribution, paid)
    assert (await totals(attribution))[1] == added | {"lead": (2900 * UNIT, 3)}
    await assert_batch_agrees(attribution)
    await happen(
        attribution, {"taken back": families.adjusted(families.events.retraction(at=NOON + 2 * DAY), paid["paid 1"])}
    )
    assert (await totals(attribution))[1] == added
    now = await totals(attribution)
    for harm in (
        "counted = false WHERE startsWith(conversion_id, 's1:') AND value_micros = 900000000",
        f"touch_event_ids = ['x1:0000000000000001'] WHERE conversion_id = '{named['won 3'][1].conversion_id}'",
    ):
        harmed = f"ALTER TABLE conversions UPDATE {harm} AND workspace = %(w)s SETTINGS mutations_sync = 2"
        await attribution.clickhouse.execute(harmed, {"w": workspace})
    run = await reconcile(attribution, repairs=True)
    assert (run.counts["differences"], run.counts["repaired"]) == (2, 2)
    assert await totals(attribution) == now


async def test_a_lead_stays_one_where_the_conversion_that_carried_both_its_names_is_erased(
    attribution: Attribution, workspace: str
) -> None:
    lead, bob = a_lead_of_two_names(workspace, 1), Families(Events(workspace))
    named = {name: one for name, one in lead.items() if name != "end"}
    await happen(attribution, named)
    await erase(attribution, "visitor:1")
    await happen(attribution, {"end": lead["end"]})
    assert (await totals(attribution))[1] == {"lead": (100 * UNIT, 1)}
    await assert_batch_agrees(attribution)
    paid = bob.stage(BOB, stage="paid", lead_id="l-1", at=NOON + 9 * DAY, micros=110 * UNIT, event_id="paid")
    await happen(attribution, {"paid": paid})
    assert (await totals(attribution))[1] == {"lead": (110 * UNIT, 1)}
    await assert_batch_agrees(attribution)


async def test_what_was_published_of_others_before_names_no_touch_of_the_person(
    attribution: Attribution, workspace: str
) -> None:
    named = a_world(workspace)
    named["touch of ann"][1].event.event_time.FromMicroseconds(NOON - DAY + 7_000_000)
    await happen(attribution, named)
    heirs = [named[name][1].conversion_id for name in ("won 2", "won 3", "second")]
    ann, anns = event_reference(event_hash("ann")), [named[name][1].conversion_id for name in ("new 2", "first")]
    asked = {"w": workspace, "heirs": heirs, "ann": ann, "anns": anns}
    old = await attribution.clickhouse.execute(_OLD_REVISIONS, asked)
    assert [row[2:] for row in old] == [(1, 1)] * 3
    kept = await attribution.clickhouse.execute(_KEPT_OF_HEIRS, asked)
    assert {row[:2] for row in old} <= set(await attribution.clickhouse.execute(_CAUSED, asked))
    latest = {"w": workspace, "latest": named["won 1"][1].conversion_id}
    assert (await state_of(attribution, named["new 1"])).superseded_by == latest["latest"]
    await erase(attribution)
    assert await attribution.clickhouse.execute(_NAMED, latest) == [(0,)]
    assert (await state_of(attribution, named["new 1"])).superseded_by.startswith("s1:")
    now = await attribution.clickhouse.execute(_OLD_REVISIONS, asked)
    assert [row[2:] for row in now if row[:2] in [one[:2] for one in old]] == [(0, 0)] * 3
    assert not any(row[2] or row[3] for row in now)
    assert not {row[:2] for row in old}.intersection(await attribution.clickhouse.execute(_CAUSED, asked))
    again = await attribution.clickhouse.execute(_KEPT_OF_HEIRS, asked)
    assert [row for row in again if row[:2] in [one[:2] for one in kept]] == kept, "credit stays"
    assert await attribution.clickhouse.execute(
        "SELECT count() FROM conversions WHERE workspace = %(w)s AND has(touch_event_ids, %(ann)s)", asked
    ) == [(0,)]
    [published] = [row[1] for row in old if row[0] == heirs[0]]
    revised = await ConversionHistory(attribution.clickhouse).as_of(workspace, heirs[0], published)
    assert revised is not None
    assert revised.state.inherited_from.conversion_id.startswith("s1:")
    assert [touch.source.channel for touch in revised.state.touches] == ["Email"]
    assert all(touch.touch_time.ToSeconds() % 60 == 0 for touch in revised.state.touches)
    [stored] = [one for one in await ErasureRecords(attribution.clickhouse).all() if one.workspace == workspace]
    assert (stored.destroyed["revisions_of_heirs"], stored.remaining["revisions_of_heirs"]) == (7, 0)


_NAMED = """
    SELECT count()
    FROM conversion_revisions FINAL
    WHERE workspace = %(w)s AND position(revised, %(latest)s) > 0"""
_OLD_REVISIONS = """
    SELECT conversion_id, revision, has(touch_event_ids, %(ann)s) OR arrayExists(t -> toSecond(t) > 0, touch_times),
        multiSearchAny(revised, [%(ann)s, %(anns)s[1], %(anns)s[2]])
    FROM conversion_revisions FINAL
    WHERE workspace = %(w)s AND conversion_id IN %(heirs)s
    ORDER BY conversion_id, revision"""
_CAUSED = """
    SELECT conversion_id, revision
    FROM conversion_revisions FINAL
    WHERE workspace = %(w)s AND conversion_id IN %(heirs)s
        AND (notEmpty(causing_event_ids) OR traceparent != '' OR cause_accept_time > toDateTime64(0, 6, 'UTC'))"""
_KEPT_OF_HEIRS = """
    SELECT conversion_id, revision, touch_channels, linear_credit_micros, linear_value_micros, value_delta_micros,
        counted_delta, posting_date, person_id
    FROM conversion_revisions FINAL
    WHERE workspace = %(w)s AND conversion_id IN %(heirs)s
    ORDER BY conversion_id, revision"""


def a_chain(workspace: str) -> Names:
    """Ann ordered; Bob's deal has the credit of her order, and is the first payment of what Carol renews for ever."""
    events = Events(workspace)
    families = Families(events)
    signed = families.stage(BOB, stage="won", root="o-1", at=NOON + DAY, event_id="signed")[1].event.conversion
    paid = families.cycle(BOB, kind="FIRST", cycle="1", name="lead", at=NOON + DAY, event_id="signed")
    paid[1].event.conversion.lead.CopyFrom(signed.lead)
    own = families.cycle(CAROL, kind="RENEWAL", cycle="2", name="lead", at=NOON + 2 * DAY, event_id="renewed")
    return {
        "touch of ann": events.touch(ANN, at=NOON - DAY + 7_000_000, channel="Email", event_id="ann"),
        "touch of carol": events.touch(CAROL, at=NOON - DAY, channel="Display", event_id="carol"),
        "root": families.root(ANN, order_id="o-1", event_id="root"),
        "signed": paid,
        "renewed": own,
        "renewed again": families.cycle(
            CAROL, kind="RENEWAL", cycle="3", name="lead", at=NOON + 3 * DAY, event_id="again"
        ),
    }


async def test_whose_credit_came_from_the_person_through_others_names_no_touch_of_hers_either(
    attribution: Attribution, workspace: str
) -> None:
    named = a_chain(workspace)
    await happen(attribution, named)
    chain = ("signed", "renewed", "renewed again")
    assert await channels(attribution, named, *chain) == ["Email"] * 3
    before = await totals(attribution)
    asked = {
        "w": workspace,
        "heirs": [named[name][1].conversion_id for name in chain],
        "ann": event_reference(event_hash("ann")),
        "anns": [named["root"][1].conversion_id] * 2,
    }
    old = await attribution.clickhouse.execute(_OLD_REVISIONS, asked)
    assert [row[2:] for row in old] == [(1, 1)] * 3
    await erase(attribution)
    now = await attribution.clickhouse.execute(_OLD_REVISIONS, asked)
    assert {row[:2] for row in old} < {row[:2] for row in now}
    assert not any(row[2] or row[3] for row in now)
    assert await totals(attribution) == before
    assert await channels(attribution, named, *chain) == ["Email"] * 3


@pytest.mark.parametrize(
    "who",
    [
        pytest.param(["visitor:1", "visitor:2"], id="who told it plainly"),
        pytest.param(["customer:1", "customer:2"], id="who told it with its cycle"),
        pytest.param(["visitor:1", "customer:1", "customer:2", "visitor:2"], id="both"),
    ],
)
async def test_an_order_told_twice_counts_once_and_as_before_whoever_is_erased(
    attribution: Attribution, workspace: str, who: list[str]
) -> None:
    named = {
        f"{name} of {number}": one
        for number, worth in ((1, 90 * UNIT), (2, None))
        for name, one in an_order_told_twice(workspace, number, worth=worth).items()
    }
    await happen(attribution, named)
    before = await totals(attribution)
    assert before[1] == {"purchase": ((60 + 70 + 70 + 70) * UNIT, 4)}
    for one in who:
        await erase(attribution, one)
        assert await totals(attribution) == before
    cycles = [named[f"cycle of {number}"][1].conversion_id for number in (1, 2)]
    asked = {"w": workspace, "cycles": cycles if "customer:1" in who else ["none"]}
    assert await attribution.clickhouse.execute(_MERGED, asked) == [(0,), (0,)]
    await assert_batch_agrees(attribution)
    more = {"renewal": Families(Events(workspace)).cycle(CAROL, **_RENEWED)}
    await happen(attribution, more)
    assert await channels(attribution, more, "renewal") == ["Email"]
    assert (await totals(attribution))[1] == {"purchase": (280 * UNIT, 5)}
    await assert_batch_agrees(attribution)


_MERGED = """
    SELECT count() FROM conversion_revisions WHERE workspace = %(w)s AND merged_into IN %(cycles)s
    UNION ALL
    SELECT count() FROM conversions WHERE workspace = %(w)s AND merged_into IN %(cycles)s"""


@pytest.mark.parametrize("taken_back", ["plain", "cycle"])
@pytest.mark.parametrize("who", [["visitor:1", "customer:1"], ["customer:1", "visitor:1"]])
async def test_an_order_told_twice_and_taken_back_counts_as_before_whoever_is_erased(
    attribution: Attribution, workspace: str, taken_back: str, who: list[str]
) -> None:
    named = an_order_told_twice(workspace, 1, worth=None)
    del named["renewal"]
    families = Families(Events(workspace))
    named["taken back"] = families.adjusted(families.events.retraction(at=NOON + 2 * DAY), named[taken_back])
    await happen(attribution, named)
    before = await totals(attribution)
    assert before[1] == {"purchase": (0, 0)}
    for one in who:
        await erase(attribution, one)
        assert await totals(attribution) == before
        await assert_batch_agrees(attribution)


@pytest.mark.parametrize("by_id", [False, True])
async def test_an_order_is_adjusted_without_its_cycle_after_who_told_it_so_is_erased(
    attribution: Attribution, workspace: str, by_id: bool
) -> None:
    named = an_order_told_twice(workspace, 1)
    del named["renewal"]
    await happen(attribution, named)
    await erase(attribution, "visitor:1")
    for number, left in ((1, 55),) if by_id else ((1, 55), (2, 50)):
        late = Events(workspace).refund(5 * UNIT, at=NOON + 3 * DAY, order_id="o-1", event_id=f"late {number}")
        if by_id:
            late = Families(Events(workspace)).adjusted(late, named["plain"])
        await happen(attribution, {"late": late})
        assert (await totals(attribution))[1] == {"purchase": (left * UNIT, 1)}
        await assert_batch_agrees(attribution)
        found = await ReconciliationRuns(attribution.clickhouse).findings(workspace)
        assert [one for one in found if one.kind is FindingKind.UNMATCHED_ADJUSTMENT] == []
        await attribution.lose_state()


@pytest.mark.parametrize("rank", [1, 2])
async def test_an_order_counts_once_when_another_tells_it_without_its_cycle_after_who_did_is_erased(
    attribution: Attribution, workspace: str, rank: int
) -> None:
    named = an_order_told_twice(workspace, 1)
    del named["renewal"]
    await happen(attribution, named)
    await erase(attribution, "visitor:1")
    events = Events(workspace)
    once = {"purchase": (60 * UNIT, 1)}
    told: dict[str, Any] = {"order_id": "o-1", "micros": 95 * UNIT, "at": NOON + 90 * UNIT, "letter": "M", "rank": rank}
    await happen(attribution, {"again": events.order("customer:1", event_id="again", **told)})
    assert (await totals(attribution))[1] == once
    touched = events.touch("customer:1", at=NOON - 2 * DAY, channel="Display", event_id="late")
    await happen(attribution, {"late": touched})
    assert (await totals(attribution))[1] == once
    await happen(attribution, {"refund": events.refund(5 * UNIT, at=NOON + 3 * DAY, order_id="o-1", event_id="r")})
    assert (await totals(attribution))[1] == {"purchase": (55 * UNIT, 1)}
    await assert_batch_agrees(attribution)


_RENEWED: dict[str, Any] = {
    **{"kind": "RENEWAL", "cycle": "3", "subscription": "s-1", "name": "purchase"},
    **{"at": NOON + 40 * DAY, "event_id": "renewed"},
}


async def test_where_conversions_go_too_the_others_count_as_if_these_had_never_been(
    attribution: Attribution, workspace: str
) -> None:
    named = a_world(workspace)
    await happen(attribution, named)
    await erase(attribution, mode=ErasureMode.REMOVE)
    assert (await totals(attribution))[1] == {"lead": (1820 * UNIT, 3), "payment": (20 * UNIT, 1)}
    assert await channels(attribution, named, "new 1", "won 2", "won 3", "second") == ["Display"] * 4
    assert (await causes(attribution, named["new 1"]))[-1] == ["erasure"]
    await assert_batch_agrees(attribution)


async def test_a_run_that_stops_after_any_step_and_a_loss_of_the_state_store_change_no_total(
    attribution: Attribution, workspace: str
) -> None:
    steps, events = attribution.erasing.steps(), Events(workspace)
    orders = {f"order {at}": events.order(ANN, order_id=f"{at}", event_id=f"order {at}") for at in range(len(steps))}
    named = a_world(workspace) | orders
    await happen(attribution, named)
    before = await totals(attribution)
    erasure = await attribution.erasing.request(attribution.erasing.plan(workspace, [ANN]))

    async def held() -> Erasure:
        return next(one for one in await attribution.erasures.opened() if one.erasure_id == erasure.erasure_id)

    async def go_on(before_the_last: Names, last: int) -> None:
        going = await held()
        for step in steps[:last]:
            going = await step(going)
        await happen(attribution, before_the_last)
        try:
            await steps[last](going)
        except Backpressure:
            await go_on({}, last)

    for last in range(len(steps)):
        told: dict[str, Any] = {"order_id": f"{last}", "name": "purchase", "subscription": f"{last}-s", "cycle": "1"}
        told |= {"kind": "FIRST", "at": NOON + UNIT, "micros": 95 * UNIT, "event_id": f"again {last}"}
        await go_on({"again": Families(events).cycle("customer:x", **told)}, last)
        assert await totals(attribution) == before, last
    await attribution.erasing.go_on(await held())
    stored = await attribution.erasing.get(workspace, erasure.erasure_id)
    assert stored.state is ErasureState.FINISHED
    assert await totals(attribution) == before
    await happen(attribution, {"late": events.touch("customer:x", channel="Display", event_id="late of others")})
    assert (await totals(attribution))[1] == before[1]
    await assert_batch_agrees(attribution)

    await attribution.lose_state()
    more = a_renewal(workspace)
    await happen(attribution, late(workspace) | more)
    assert await channels(attribution, more, "third") == ["Email"]
    await erase(attribution, BOB)
    await lose_all(attribution)
    await bring_back(attribution)
    await happen(attribution, a_stage(workspace, 1, "paid", NOON + DAY, 1000 * UNIT, "visitor:carol"))
    ordered = {"purchase": (len(steps) * 90 * UNIT, len(steps))}
    assert (await totals(attribution))[1] == ordered | {"lead": (2800 * UNIT, 3), "payment": (60 * UNIT, 3)}
    await assert_batch_agrees(attribution)


async def test_whoever_has_the_credit_of_a_stand_in_is_told_of_nobodys_touches_as_before(
    attribution: Attribution, workspace: str
) -> None:
    families = Families(Events(workspace))
    named = {
        "new": families.stage(ANN, stage="new", lead_id="l-9", event_id="new"),
        "won": families.stage(BOB, stage="won", lead_id="l-9", at=NOON + DAY, micros=900 * UNIT, event_id="won"),
        "first": families.cycle(ANN, kind="FIRST", cycle="1", micros=10 * UNIT, event_id="first"),
        "second": families.cycle(BOB, kind="RENEWAL", cycle="2", at=NOON + DAY, micros=20 * UNIT, event_id="second"),
    }
    await happen(attribution, named)
    own = named["won"], named["second"]
    before = [(await state_of(attribution, one)).models for one in own]
    assert {one.unattributed.reason for models in before for one in models} == {
        UnattributedReason.UNATTRIBUTED_REASON_NO_TOUCHPOINT
    }
    await erase(attribution)
    assert [(await state_of(attribution, one)).models for one in own] == before
    await assert_batch_agrees(attribution)
