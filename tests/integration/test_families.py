"""Stages of a lead, renewals of a subscription: whatever arrives first, one journey earns them, one stage counts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, record, running_attribution
from tests.support.eventually import moment_passed
from tests.support.families import Families, awkward_families
from tests.support.seeds import seeds
from tests.support.stores import Stores
from tributary.attribution.v1.conversion_pb2 import (
    ConversionState,
    InheritanceReason,
    NotCountedReason,
    RevisionCause,
)
from tributary.attribution.v1.explanation_pb2 import TouchpointExclusion
from tributary.event.v1.adjustment_pb2 import AdjustmentReason
from tributary.event.v1.event_pb2 import Traffic
from tributary_attribution.reconcile import reconciliation_of
from tributary_attribution.runs import begun
from tributary_domain.event_order import event_hash
from tributary_domain.findings import FindingKind
from tributary_runtime.clock import SystemClock
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.reconciliation_families import ReconciliationFamilies
from tributary_storage.clickhouse.reconciliation_runs import ReconciliationRuns, Run
from tributary_storage.clickhouse.reconciliation_staging import ReconciliationStaging, Scope
from tributary_storage.clickhouse.statements import statement
from tributary_storage.codec.event_references import event_reference
from tributary_storage.redis.conversions import Conversions, Publication

UNIT = 1_000_000
Names = dict[str, Admitted]
"""What a test calls an event -> the event."""
Opened = Callable[..., AbstractAsyncContextManager[Attribution]]


@pytest.fixture
def opened(stores: Stores, clickhouse_url: str, workspace: str) -> Opened:
    """Opens an attribution whose workspace declares leads and purchases."""
    declared = {"conversions": [{"name": "lead"}, {"name": "purchase"}]}

    def opening(**own: Any) -> AbstractAsyncContextManager[Attribution]:
        return running_attribution(redis_url, clickhouse_url, workspace, **(declared | own))

    redis_url = stores.empty_redis_url()
    return opening


@pytest.fixture
async def attribution(opened: Opened) -> AsyncIterator[Attribution]:
    async with opened() as running:
        yield running


async def arrive(attribution: Attribution, named: Names, rng: random.Random) -> str:
    """Brings events in some order, in batches of some size, and records them; returns in which order."""
    arriving = list(named)
    rng.shuffle(arriving)
    size = rng.choice((1, 1, 2, len(named)))
    for start in range(0, len(arriving), size):
        await attribution.handle(*(named[name] for name in arriving[start : start + size]))
    await attribution.record(*named.values())
    return f"{size} at once of {arriving}"


async def told(attribution: Attribution, named: Names) -> dict[str, tuple[str, int, list[str], str]]:
    """Returns per conversion why it is not counted, its value, which touches earned it, and whose credit that is."""
    by_id = {event.conversion_id: name for name, (_, event) in named.items() if event.event.HasField("conversion")}
    touches = {event_reference(event_hash(event.event.event_id)): name for name, (_, event) in named.items()}
    found = {}
    for conversion_id, name in by_id.items():
        revised = await attribution.published(conversion_id)
        assert revised is not None, name
        state = revised.state
        reason = NotCountedReason.Name(state.not_counted_reason).removeprefix("NOT_COUNTED_REASON_")
        found[name] = (
            "" if state.counted else reason,
            state.value.amount_micros // UNIT,
            [touches[touch.event_id] for touch in state.touches],
            by_id.get(state.inherited_from.conversion_id, ""),
        )
    return found


async def causes(attribution: Attribution, admitted: Admitted) -> list[list[str]]:
    """Returns the causes of each revision of a conversion, oldest first."""
    conversion_id = admitted[1].conversion_id
    revised = [one for one in await attribution.logged() if one.state.conversion_id == conversion_id]
    words = [[RevisionCause.Name(cause).removeprefix("REVISION_CAUSE_") for cause in one.causes] for one in revised]
    return [[word.lower() for word in own] for own in words]


async def reconcile(
    attribution: Attribution,
    *,
    repairs: bool = False,
    begin: int = NOON - DAY // 2,
    end: int = NOON + 60 * DAY,
    with_changes: bool = False,
) -> Run:
    """Reconciles the conversions of some days."""
    clickhouse, clock = attribution.clickhouse, SystemClock()
    parts = attribution.attributor, attribution.people, attribution.conversions, attribution.opened
    own = reconciliation_of(clickhouse, *parts, clock)
    workspace = attribution.workspace
    days = begin, end
    run = begun(workspace.id, *days, clock.unix_micros(), repairs=repairs, slices=1, with_changes=with_changes)
    return await own.run(run, workspace, grace_seconds=-1e9)


async def assert_batch_agrees(attribution: Attribution, *begins: int, end: int = NOON + 60 * DAY) -> None:
    """Reconciles: what was recorded gives what was published, of all days or from each of some on."""
    for begin in begins or (NOON - DAY // 2,):
        run = await reconcile(attribution, begin=begin, end=end)
        assert run.counts["conversions"]
        found = await ReconciliationRuns(attribution.clickhouse).findings(attribution.workspace.id)
        kinds = (FindingKind.MISSING, FindingKind.EXTRA, FindingKind.DIFFERENT)
        assert [one for one in found if one.kind in kinds] == []


def a_lead(workspace: str, number: int, *, ends: str, by_order: bool = False) -> Names:
    """A lead with touches before, between and after its stages; the CRM knows the person by another identifier."""
    events = Events(workspace)
    families = Families(events)
    visitor, contact, own = f"visitor:{number}", f"email:{number}", f"l-{number}"
    called = {"root": own} if by_order else {"lead_id": own}
    root = (
        families.root(visitor, order_id=own, micros=20 * UNIT, event_id=f"{number}-new")
        if by_order
        else families.stage(visitor, stage="new", micros=20 * UNIT, event_id=f"{number}-new", **called)
    )

    def touch(at: int, channel: str, token: str = visitor) -> Admitted:
        return events.touch(token, at=at, channel=channel, event_id=f"{number}-{channel}")

    def stage(stage: str, name: str, at: int, micros: int) -> Admitted:
        event_id = f"{number}-{stage}"
        return families.stage(contact, stage=stage, name=name, at=at, micros=micros, event_id=event_id, **called)

    return {
        "before": touch(NOON - DAY, "Email"),
        "between": touch(NOON + DAY, "Display"),
        "elsewhere": touch(NOON - DAY, "Referral", contact),
        "root": root,
        "qualified": stage("qualified", "deal", NOON + 2 * DAY, 50 * UNIT),
        "end": stage(ends, "purchase", NOON + 9 * DAY, 900 * UNIT),
    }


@pytest.mark.parametrize("by_order", [pytest.param(False, id="by lead id"), pytest.param(True, id="by root order")])
async def test_stages_share_the_journey_of_the_root_and_only_the_latest_counts_in_any_order_of_arrival(
    attribution: Attribution, workspace: str, by_order: bool
) -> None:
    rng = random.Random(5)
    for number in range(4):
        ends = ("won", "lost")[number % 2]
        named = a_lead(workspace, number, ends=ends, by_order=by_order)
        how = await arrive(attribution, named, rng)
        standings = [("SUPERSEDED_STAGE", 20), ("SUPERSEDED_STAGE", 50), ("", 900)]
        if ends == "lost":
            standings = [("RETRACTED", 0)] * 3
        assert await told(attribution, named) == {
            name: (*standing, ["before"], "" if name == "root" else "root")
            for name, standing in zip(("root", "qualified", "end"), standings, strict=True)
        }, how
    revisions = await attribution.logged()
    assert sum(one.counted_delta for one in revisions) == 2
    assert sum(one.value_delta_micros for one in revisions) == 2 * 900 * UNIT
    await assert_batch_agrees(attribution)


def a_lead_of_two_names(workspace: str, number: int, *, ends: str = "won") -> Names:
    """A lead that began with an order which tells its id; one stage is named by this id, the last by the order."""
    families, own, order_id = Families(Events(workspace)), f"l-{number}", f"o-{number}"
    visitor, contact = f"visitor:{number}", f"email:{number}"
    new: dict[str, Any] = {"lead_id": own, "order_id": order_id, "micros": 10 * UNIT, "event_id": f"{number}-new"}
    qualified: dict[str, Any] = {"lead_id": own, "micros": 40 * UNIT, "event_id": f"{number}-qualified"}
    end: dict[str, Any] = {"root": order_id, "micros": 100 * UNIT, "event_id": f"{number}-end"}
    return {
        "before": families.events.touch(visitor, at=NOON - DAY, channel="Email", event_id=f"{number}-before"),
        "root": families.stage(visitor, stage="new", **new),
        "qualified": families.stage(contact, stage="qualified", at=NOON + DAY, **qualified),
        "end": families.stage(contact, stage=ends, at=NOON + 2 * DAY, **end),
    }


def a_stage_of_two_leads(workspace: str, number: int) -> Names:
    """A stage that is an order, of which the shop and the CRM call the lead differently; each goes on with its own."""
    families, order_id = Families(Events(workspace)), f"o-{number}"
    visitor, contact = f"visitor:{number}", f"email:{number}"
    shop, crm = {"lead_id": f"shop-{number}"}, {"lead_id": f"crm-{number}"}

    def stage(who: str, stage: str, at: int, micros: int, **more: Any) -> Admitted:
        event_id = f"{number}-{stage}-{more['lead_id']}"
        return families.stage(who, stage=stage, at=at, micros=micros, event_id=event_id, **more)

    return {
        "before": families.events.touch(visitor, at=NOON - DAY, channel="Email", event_id=f"{number}-before"),
        "root": stage(visitor, "new", NOON, 10 * UNIT, **shop),
        "won": stage(visitor, "won", NOON + DAY, 50 * UNIT, order_id=order_id, rank=1, **shop),
        "won again": stage(contact, "won", NOON + DAY + UNIT, 50 * UNIT, order_id=order_id, letter="M", **crm),
        "upsold": stage(contact, "upsell", NOON + 2 * DAY, 70 * UNIT, **crm),
        "end": stage(visitor, "renewed", NOON + 3 * DAY, 30 * UNIT, **shop),
    }


async def test_a_lead_is_one_by_all_names_that_its_conversions_have_in_any_order_of_arrival(
    attribution: Attribution, workspace: str
) -> None:
    rng = random.Random(7)
    for number in range(6):
        lead = a_lead_of_two_names(workspace, number, ends=("won", "lost")[number % 2])
        how = await arrive(attribution, lead, rng)
        counts = [("SUPERSEDED_STAGE", 10), ("SUPERSEDED_STAGE", 40), ("", 100)]
        if number % 2:
            counts = [("RETRACTED", 0)] * 3
        assert await told(attribution, lead) == {
            name: (*standing, ["before"], "" if name == "root" else "root")
            for name, standing in zip(("root", "qualified", "end"), counts, strict=True)
        }, how
    for number in range(6, 9):
        lead = a_stage_of_two_leads(workspace, number)
        how = await arrive(attribution, lead, rng)
        found = await told(attribution, lead)
        assert {name: (one[0], one[3]) for name, one in found.items()} == {
            "root": ("SUPERSEDED_STAGE", ""),
            "won again": ("SUPERSEDED_STAGE", "root"),
            "upsold": ("SUPERSEDED_STAGE", "root"),
            "end": ("", "root"),
        }, how
    await assert_batch_agrees(attribution)


@pytest.mark.parametrize("last", ["root", "qualified", "end"])
async def test_a_lead_is_one_by_all_names_after_redis_has_forgotten_it(
    attribution: Attribution, workspace: str, last: str
) -> None:
    lead = a_lead_of_two_names(workspace, 1)
    await attribution.record(*lead.values())
    await attribution.handle(*(one for name, one in lead.items() if name != last))
    await attribution.lose_state()
    await attribution.handle(lead[last])
    found = await told(attribution, lead)
    assert [one[:2] for one in found.values()] == [("SUPERSEDED_STAGE", 10), ("SUPERSEDED_STAGE", 40), ("", 100)]


async def test_a_lead_is_found_by_what_another_observer_calls_it_after_redis_has_forgotten_it(
    attribution: Attribution, workspace: str
) -> None:
    lead = a_stage_of_two_leads(workspace, 1)
    await attribution.record(*lead.values())
    await attribution.handle(*(one for name, one in lead.items() if name != "end"))
    await attribution.lose_state()
    await attribution.handle(lead["end"])
    found = {name: (one[0], one[3]) for name, one in (await told(attribution, lead)).items()}
    superseded = dict.fromkeys(("won again", "upsold"), ("SUPERSEDED_STAGE", "root"))
    assert found == {"root": ("SUPERSEDED_STAGE", ""), **superseded, "end": ("", "root")}
    await assert_batch_agrees(attribution)
    asked = {"workspace": workspace, "leads": ["shop-1"], "roots": ["o-1"], "orders": [("", "o-1")]}
    plan = await attribution.clickhouse.execute(f"EXPLAIN indexes = 1 {statement('past_leads')}", asked)
    used = "\n".join(line for (line,) in plan)
    assert all(f"Name: {name}" in used for name in ("by_lead_id", "by_root_order_id")), "not all events are read"


async def test_a_revision_says_that_the_lead_moved_on_and_because_of_which_event(
    attribution: Attribution, workspace: str
) -> None:
    named = a_lead(workspace, 1, ends="lost")
    for name in ("before", "qualified", "root", "end"):
        await attribution.handle(named[name])
    assert await causes(attribution, named["qualified"]) == [["initial"], ["stage_change"], ["stage_change"]]
    assert await causes(attribution, named["root"]) == [["initial"], ["stage_change"]]
    root = await attribution.published(named["root"][1].conversion_id)
    assert root is not None
    assert list(root.causing_event_ids) == ["1-lost"]
    late = Events(workspace).touch("visitor:1", at=NOON - 2 * DAY, channel="Affiliates", event_id="late")
    await attribution.handle(late)
    assert (await causes(attribution, named["end"])) == [["initial"], ["late_touchpoint"]]
    found = await told(attribution, {**named, "late": late})
    assert [found[name][2] for name in ("root", "qualified", "end")] == [["late", "before"]] * 3


@pytest.mark.parametrize("rule", ["once_per_person", "once_per_session"])
async def test_the_latest_stage_counts_in_place_of_those_before_it_where_a_name_counts_once(
    opened: Opened, workspace: str, rule: str
) -> None:
    events = Events(workspace)
    families = Families(events)
    named = {
        f"{stage} {lead}": families.stage(
            "visitor:1", stage=stage, lead_id=lead, at=NOON + at * UNIT, event_id=f"{stage}-{lead}"
        )
        for lead, stage, at in (("l-1", "new", 0), ("l-2", "new", 60), ("l-1", "won", 120), ("l-2", "won", 180))
    }
    async with opened(conversions=[{"name": "lead", "counting": rule}]) as attribution:
        await arrive(attribution, named, random.Random(3))
        found = await told(attribution, named)
        assert [found[name][0] for name in ("new l-1", "new l-2")] == ["SUPERSEDED_STAGE"] * 2
        assert [found[name][0] for name in ("won l-1", "won l-2")] == ["", rule.upper()]
        await assert_batch_agrees(attribution)


async def test_a_stage_that_is_taken_back_gives_way_to_the_one_before(attribution: Attribution, workspace: str) -> None:
    named = a_lead(workspace, 1, ends="lost")
    families = Families(Events(workspace))
    await attribution.handle(*named.values())
    taken_back = families.adjusted(families.events.retraction(at=NOON + 10 * DAY), named["end"])
    await attribution.handle(taken_back)
    found = await told(attribution, named)
    assert [found[name][:2] for name in ("root", "qualified", "end")] == [
        ("SUPERSEDED_STAGE", 20),
        ("", 50),
        ("RETRACTED", 0),
    ]
    root = await attribution.published(named["root"][1].conversion_id)
    assert root is not None
    assert root.state.superseded_by == named["qualified"][1].conversion_id
    explained = (await attribution.explainer.explain(attribution.workspace.id, root.state.conversion_id)).message
    assert explained.reproduces_revision
    await attribution.record(*named.values(), taken_back)
    await assert_batch_agrees(attribution)


async def test_of_any_moment_a_lead_is_explained_as_it_was_published_then(opened: Opened, workspace: str) -> None:
    """Before its root was known, while it was lost, and before the root was taken back; beside what counts once."""
    named = a_lead(workspace, 1, ends="lost", by_order=True)
    families = Families(Events(workspace))
    named["last"] = families.root("visitor:1", order_id="last", at=NOON + DAY, event_id="last")
    back = families.adjusted(families.events.retraction(at=NOON + 12 * DAY), named["root"])
    reopened = families.stage("email:1", stage="won", name="deal", root="l-1", at=NOON + 10 * DAY, event_id="reopened")
    batches = [
        [named[name] for name in ("before", "elsewhere", "between", "qualified", "last")],
        [named["root"]],
        [named["end"]],
        [reopened],
        [back],
    ]
    moments: list[int] = []
    reasons: list[list[str]] = []
    async with opened(conversions=[{"name": "lead", "counting": "once_per_person"}]) as attribution:
        for batch in batches:
            accepted = SystemClock().unix_micros()
            await attribution.record(*batch, accept_micros=accepted)
            await attribution.handle(*batch, accept_micros=accepted)
            moments.append(moment_passed())
        revisions = await attribution.logged()
        for moment in moments:
            then = {one.state.conversion_id: one.state for one in revisions if one.revision <= moment}
            reasons.append([])
            for conversion_id in (named[name][1].conversion_id for name in ("root", "qualified", "last")):
                if conversion_id not in then:
                    continue
                said = (await attribution.explainer.explain(workspace, conversion_id, moment)).message
                state, is_as_published = then[conversion_id], said.reproduces_revision
                assert is_as_published, (moment, conversion_id)
                assert said.not_counted_reason == state.not_counted_reason
                assert said.inherited_from == state.inherited_from
                assert said.value == state.value
                reasons[-1].append(NotCountedReason.Name(said.not_counted_reason).removeprefix("NOT_COUNTED_REASON_"))
    assert reasons == [
        ["UNSPECIFIED"] * 2,
        ["SUPERSEDED_STAGE", "UNSPECIFIED", "ONCE_PER_PERSON"],
        ["RETRACTED", "RETRACTED", "UNSPECIFIED"],
        ["SUPERSEDED_STAGE", "SUPERSEDED_STAGE", "ONCE_PER_PERSON"],
        ["RETRACTED", "SUPERSEDED_STAGE", "UNSPECIFIED"],
    ]


async def test_a_stage_that_comes_while_another_is_credited_supersedes_it_all_the_same(
    opened: Opened, workspace: str
) -> None:
    named = a_lead(workspace, 1, ends="won")
    meanwhile: list[Callable[[], Awaitable[None]]] = []

    class Overtaken(Conversions):
        """Something happens between computing and publishing."""

        async def publish(self, publications: Sequence[Publication]) -> list[bool]:
            while meanwhile:
                await meanwhile.pop()()
            return await super().publish(publications)

    async with opened(conversions_as=Overtaken) as attribution:
        await attribution.handle(named["before"])
        meanwhile.append(partial(attribution.handle, named["end"]))
        await attribution.handle(named["root"])
        found = await told(attribution, {name: named[name] for name in ("before", "root", "end")})
        assert found == {"root": ("SUPERSEDED_STAGE", 20, ["before"], ""), "end": ("", 900, ["before"], "root")}


def a_subscription(workspace: str, number: int) -> Names:
    """A trial, a first payment, two renewals and an upgrade, with a touch before each; renewals are another's card."""
    events = Events(workspace)
    families = Families(events)
    own = f"s-{number}"
    named: Names = {}
    for month, kind in enumerate(("TRIAL", "FIRST", "RENEWAL", "UPGRADE", "RENEWAL")):
        who = f"{'email' if kind == 'RENEWAL' else 'visitor'}:{number}"
        at = NOON + month * 9 * DAY
        named[f"touch {month}"] = events.touch(
            who,
            at=at - DAY,
            channel=("Email", "Display", "Referral", "Affiliates", "Paid Social")[month],
            event_id=f"{number}-t{month}",
        )
        named[f"{kind.lower()} {month}"] = families.cycle(
            who, kind=kind, cycle=f"{month}", subscription=own, at=at, micros=month * UNIT, event_id=f"{number}-{month}"
        )
    return named


async def test_a_renewal_has_the_credit_of_the_first_payment_in_any_order_of_arrival(
    attribution: Attribution, workspace: str
) -> None:
    rng = random.Random(6)
    for number in range(4):
        named = a_subscription(workspace, number)
        how = await arrive(attribution, named, rng)
        paid = ["touch 0", "touch 1"]
        assert await told(attribution, named) == {
            "trial 0": ("", 0, ["touch 0"], ""),
            "first 1": ("", 1, paid, ""),
            "renewal 2": ("", 2, paid, "first 1"),
            "upgrade 3": ("", 3, [*paid, "touch 3"], ""),
            "renewal 4": ("", 4, paid, "first 1"),
        }, how
    await assert_batch_agrees(attribution)


def an_order_told_twice(
    workspace: str, number: int, *, plain_rank: int = 1, worth: int | None = 90 * UNIT, later: int = 60 * UNIT
) -> Names:
    """An order that a browser tells plainly and a backend as a first cycle, adjusted either way, and its renewal."""
    events = Events(workspace)
    families = Families(events)
    visitor, customer, own = f"visitor:{number}", f"customer:{number}", f"o-{number}"
    plain = events.order(visitor, order_id=own, micros=100 * UNIT, rank=plain_rank, event_id=f"{own}-plain")
    told: dict[str, Any] = {"subscription": f"s-{number}", "name": "purchase"}
    at, rank = NOON + later, 3 - plain_rank
    cycle = families.cycle(
        customer, kind="FIRST", cycle="1", order_id=own, at=at, micros=worth, rank=rank, event_id=own, **told
    )
    renewal = families.cycle(
        customer, kind="RENEWAL", cycle="2", at=NOON + 30 * DAY, micros=70 * UNIT, event_id=f"{own}-2", **told
    )
    refunds = [
        events.refund(micros * UNIT, at=NOON + DAY, order_id=own, event_id=f"{own}-refund-{micros}")
        for micros in (10, 20, 10)
    ]
    families.adjusted(refunds[0], cycle)
    for _, refund in (refunds[0], refunds[2]):  # two systems report one
        refund.event.event_id += refund.conversion_id
        refund.event.adjustment.adjustment_id = f"{own}-r"
    return {
        "browsed": events.touch(visitor, at=NOON - DAY, channel="Email", event_id=f"{own}-browsed"),
        "elsewhere": events.touch(customer, at=NOON - DAY, channel="Referral", event_id=f"{own}-elsewhere"),
        "between": events.touch(visitor, at=NOON + 30 * UNIT, channel="Display", event_id=f"{own}-between"),
        "plain": plain,
        "cycle": cycle,
        "renewal": renewal,
        **dict(zip(("refund 10", "refund 20", "refund 10 again"), refunds, strict=True)),
    }


async def test_an_order_told_with_and_without_its_cycle_counts_once_in_any_order_of_arrival(
    attribution: Attribution, workspace: str
) -> None:
    rng = random.Random(7)
    for number, (plain_rank, worth, later, left) in enumerate(
        ((1, 90, 60, 60), (1, 90, 0, 60), (1, None, 60, 70), (2, 90, 60, 70))
    ):
        stated = None if worth is None else worth * UNIT
        named = an_order_told_twice(workspace, number, plain_rank=plain_rank, worth=stated, later=later * UNIT)
        how = await arrive(attribution, named, rng)
        earned, nearest = (["browsed"], "plain") if plain_rank == 1 else (["elsewhere"], "cycle")
        expected = {
            "plain": ("MERGED_ORDER", 70, earned, "" if nearest == "plain" else nearest),
            "cycle": ("", left, earned, "" if nearest == "cycle" else nearest),
            "renewal": ("", 70, earned, "cycle"),
        }
        assert await told(attribution, named) == expected, how
        await attribution.handle(*reversed(named.values()))
        assert await told(attribution, named) == expected, "once more"
    revisions = await attribution.logged()
    assert sum(one.counted_delta for one in revisions) == 2 * 4
    assert sum(one.value_delta_micros for one in revisions) == (60 + 60 + 70 + 70 + 4 * 70) * UNIT
    await assert_batch_agrees(attribution)
    found = await ReconciliationRuns(attribution.clickhouse).findings(workspace)
    assert found == []


async def test_an_order_that_turns_out_to_be_a_first_cycle_says_so_and_stays_one_when_that_is_taken_back(
    attribution: Attribution, workspace: str
) -> None:
    named = an_order_told_twice(workspace, 1)
    families = Families(Events(workspace))
    for name in ("browsed", "elsewhere", "plain", "cycle"):
        await attribution.handle(named[name])
    assert await causes(attribution, named["plain"]) == [["initial"], ["observation_merged"]]
    assert await causes(attribution, named["cycle"]) == [["initial"]]
    plain, cycle = (named[name][1].conversion_id for name in ("plain", "cycle"))
    explained = (await attribution.explainer.explain(attribution.workspace.id, cycle)).message
    assert explained.inherited_from.conversion_id == plain
    assert explained.inherited_from.reason == InheritanceReason.INHERITANCE_REASON_SAME_ORDER
    assert explained.reproduces_revision
    published = await attribution.published(plain)
    assert published is not None
    assert published.state.merged_into.conversion_id == cycle
    counting = await attribution.published(cycle)
    assert counting is not None
    assert counting.state.merged_from.conversion_id == plain
    await attribution.handle(named["refund 20"])
    assert (await causes(attribution, named["cycle"]))[1:] == [["refund"]]

    taken_back = families.adjusted(families.events.retraction(at=NOON + 2 * DAY), named["cycle"])
    await attribution.handle(taken_back)
    known = {name: named[name] for name in ("browsed", "elsewhere", "plain", "cycle")}
    found = await told(attribution, known)
    assert [found[name][:2] for name in ("plain", "cycle")] == [("MERGED_ORDER", 80), ("RETRACTED", 0)]
    await attribution.record(*known.values(), named["refund 20"], taken_back)
    await assert_batch_agrees(attribution)


async def test_a_renewal_has_the_credit_of_a_first_cycle_that_counts_by_what_was_said_of_its_order(
    attribution: Attribution, workspace: str
) -> None:
    named = {name: one for name, one in an_order_told_twice(workspace, 1).items() if not name.startswith("refund")}
    families = Families(Events(workspace))
    named["taken back"] = families.adjusted(families.events.retraction(at=NOON + DAY), named["cycle"])
    named["restated"] = families.events.refund(5 * UNIT, at=NOON + 2 * DAY, order_id="o-1", event_id="restated")
    named["restated"][1].event.adjustment.reason = AdjustmentReason.ADJUSTMENT_REASON_RESTATEMENT
    how = await arrive(attribution, named, random.Random(5))
    found = await told(attribution, {name: named[name] for name in ("browsed", "plain", "cycle", "renewal")})
    assert found == {
        "plain": ("MERGED_ORDER", 5, ["browsed"], ""),
        "cycle": ("", 5, ["browsed"], "plain"),
        "renewal": ("", 70, ["browsed"], "cycle"),
    }, how
    await assert_batch_agrees(attribution)


async def test_who_takes_an_order_back_without_its_cycle_takes_back_what_counts_in_any_order_of_arrival(
    attribution: Attribution, workspace: str
) -> None:
    rng = random.Random(11)
    for number in range(3):
        named = an_order_told_twice(workspace, number)
        letter, cancelled = Events(workspace).retraction(at=NOON + 2 * DAY, order_id=f"o-{number}")
        cancelled.event.event_id = f"o-{number}-cancelled"
        named = {name: named[name] for name in ("browsed", "plain", "refund 20", "cycle")}
        if number == 2:
            del named["plain"]  # nobody told the order so but who cancels it
        how = await arrive(attribution, {**named, "cancelled": (letter, cancelled)}, rng)
        found = await told(attribution, named)
        expected = {name: ("RETRACTED", 0) for name in ("plain", "cycle") if name in named}
        assert {name: one[:2] for name, one in found.items()} == expected, how
        if "plain" in named:
            published = await attribution.published(named["plain"][1].conversion_id)
            assert published is not None
            counted_id = named["cycle"][1].conversion_id
            assert published.state.merged_into.conversion_id == counted_id, "destinations are told by that one"
    assert sum(one.counted_delta for one in await attribution.logged()) == 0
    assert sum(one.value_delta_micros for one in await attribution.logged()) == 0
    await assert_batch_agrees(attribution)
    assert await ReconciliationRuns(attribution.clickhouse).findings(workspace) == []


@pytest.mark.parametrize("rule", ["once_per_person", "once_per_session"])
async def test_an_order_is_no_repeat_of_itself_where_a_name_counts_once(
    opened: Opened, workspace: str, rule: str
) -> None:
    families = Families(Events(workspace))
    told_twice: dict[str, Any] = {"order_id": "o-1", "name": "purchase"}
    named = {
        "plain": families.root("visitor:1", rank=1, event_id="plain", **told_twice),
        "cycle": families.cycle("visitor:1", kind="FIRST", cycle="1", at=NOON + 2, event_id="cycle", **told_twice),
        "another": families.root("visitor:1", name="purchase", order_id="o-2", at=NOON + 1, event_id="another"),
    }
    async with opened(conversions=[{"name": "purchase", "counting": rule}]) as attribution:
        await arrive(attribution, named, random.Random(3))
        found = await told(attribution, named)
        assert [one[0] for one in found.values()] == ["MERGED_ORDER", "", rule.upper()]
        await reconcile(attribution)
        assert await ReconciliationRuns(attribution.clickhouse).findings(workspace) == []


@pytest.mark.parametrize("what", ["order", "cycle", "lead"])
async def test_where_a_name_counts_once_the_next_counts_once_a_whole_order_or_lead_is_taken_back(
    opened: Opened, workspace: str, what: str
) -> None:
    """By what names the order without its cycle or with it, where the cycle is another person's; by a later stage."""
    events = Events(workspace)
    families = Families(events)
    last = events.order("visitor:1", order_id="last", at=NOON + 3 * UNIT, event_id="last")
    named: Names
    if what == "lead":
        stage = partial(families.stage, "visitor:1", lead_id="l-1")
        named = {
            "new": stage(stage="new", event_id="new"),
            "won": stage(stage="won", name="purchase", at=NOON + UNIT, event_id="won"),
            "last": last,
        }
        back = families.stage("email:1", stage="lost", lead_id="l-1", at=NOON + 4 * UNIT, event_id="back")
        reopened = families.stage("email:1", stage="again", lead_id="l-1", at=NOON + 5 * UNIT, event_id="reopened")
        held = {"new": "SUPERSEDED_STAGE", "won": "", "last": "ONCE_PER_PERSON"}
        reopens = {"new": "SUPERSEDED_STAGE", "won": "SUPERSEDED_STAGE", "last": "ONCE_PER_PERSON"}
    else:
        told_twice: dict[str, Any] = {"order_id": "o-1", "name": "purchase"}
        named = {
            "plain": families.root("visitor:1", rank=1, event_id="plain", **told_twice),
            "cycle": families.cycle(
                "customer:1", kind="FIRST", cycle="1", at=NOON + UNIT, event_id="cycle", **told_twice
            ),
            "last": last,
        }
        back, reopened = events.retraction(at=NOON + DAY, order_id="o-1"), events.refund(0, at=NOON + 2 * DAY)
        reopened[1].event.adjustment.reason = AdjustmentReason.ADJUSTMENT_REASON_RESTATEMENT
        reopened[1].event.adjustment.amount.amount_micros = 7 * UNIT
        if what == "cycle":
            back, reopened = (families.adjusted(one, named["cycle"]) for one in (back, reopened))
        held = reopens = {"plain": "MERGED_ORDER", "cycle": "", "last": "ONCE_PER_PERSON"}
    rule = [{"name": name, "counting": "once_per_person"} for name in ("lead", "purchase")]
    async with opened(conversions=rule) as attribution:
        await arrive(attribution, named, random.Random(3))
        assert {name: one[0] for name, one in (await told(attribution, named)).items()} == held
        await attribution.handle(back)
        await attribution.record(back)
        found = await told(attribution, named)
        assert [one[0] for one in found.values()] == [found[next(iter(named))][0], "RETRACTED", ""]
        assert (await causes(attribution, last))[-1] == ["counting"]
        await assert_batch_agrees(attribution)
        await attribution.handle(reopened)
        await attribution.record(reopened)
        assert {name: one[0] for name, one in (await told(attribution, named)).items()} == reopens
        await assert_batch_agrees(attribution)


async def test_a_refund_that_names_no_cycle_finds_the_first_one_though_nobody_told_the_order_so(
    attribution: Attribution, workspace: str
) -> None:
    named = an_order_told_twice(workspace, 1)
    named = {name: named[name] for name in ("refund 20", "elsewhere", "cycle")}
    await attribution.handle(named["refund 20"])
    await attribution.handle(named["elsewhere"], named["cycle"])
    assert await told(attribution, named) == {"cycle": ("", 70, ["elsewhere"], "")}
    again = Events(workspace).refund(5 * UNIT, at=NOON + 2 * DAY, order_id="o-1", event_id="again")
    await attribution.record(*named.values(), again)
    await attribution.lose_state()
    await attribution.handle(again)
    assert await told(attribution, named) == {"cycle": ("", 65, ["elsewhere"], "")}
    await assert_batch_agrees(attribution)


async def test_an_order_is_found_told_plainly_after_redis_has_forgotten_it(
    attribution: Attribution, workspace: str
) -> None:
    named = an_order_told_twice(workspace, 1)
    await attribution.record(*named.values())
    first = ("browsed", "plain", "cycle", "refund 20")
    await attribution.handle(*(named[name] for name in first))
    await attribution.lose_state()
    for name in ("refund 10 again", "refund 10", "renewal"):
        await attribution.handle(named[name])
    found = await told(attribution, {name: named[name] for name in ("browsed", "plain", "cycle", "renewal")})
    assert {name: one[:2] for name, one in found.items()} == {
        "plain": ("MERGED_ORDER", 70),
        "cycle": ("", 60),
        "renewal": ("", 70),
    }


async def test_an_order_is_one_where_the_store_was_lost_before_it_was_told_plainly(
    attribution: Attribution, workspace: str
) -> None:
    named = an_order_told_twice(workspace, 1)
    named = {name: one for name, one in named.items() if not name.startswith("re")}
    await attribution.record(*named.values())
    await attribution.handle(named["cycle"])
    await attribution.lose_state()
    attribution.losses.append(SystemClock().unix_micros())
    await attribution.handle(named["plain"])
    found = await told(attribution, named)
    assert [one[:2] for one in found.values()] == [("MERGED_ORDER", 100), ("", 90)]


async def test_an_order_that_was_counted_twice_is_repaired(attribution: Attribution, workspace: str) -> None:
    named = an_order_told_twice(workspace, 1)
    own, told_apart = (named[name][1].event.conversion for name in ("cycle", "plain"))
    kept, own.order_id = own.order_id, told_apart.order_id + " "  # as if no release had known that they are one
    await attribution.handle(named["plain"], named["cycle"])
    own.order_id = kept
    await attribution.record(named["plain"], named["cycle"])
    await attribution.lose_state()
    run = await reconcile(attribution, repairs=True)
    assert (run.counts["differences"], run.counts["repaired"]) == (2, 2)
    found = await told(attribution, {name: named[name] for name in ("plain", "cycle")})
    assert [one[:2] for one in found.values()] == [("MERGED_ORDER", 100), ("", 90)]
    assert (await reconcile(attribution)).counts["differences"] == 0


async def test_stream_and_batch_agree_on_awkward_families(opened: Opened, workspace: str) -> None:
    rng = random.Random(seeds().start)
    world = awkward_families(workspace, rng, 14)
    once = [{"name": name, "counting": "once_per_person"} for name in ("purchase", "deal")]
    async with opened(conversions=[{"name": "lead"}, *once]) as attribution:
        for start in range(0, len(world), 40):
            await attribution.handle(*world[start : start + 40])
        await attribution.record(*world)
        standings = Counter(one for [one] in await attribution.stored("not_counted_reason"))
        assert {"SUPERSEDED_STAGE", "MERGED_ORDER", "RETRACTED", "TRAFFIC", "ONCE_PER_PERSON", ""} == standings.keys()
        assert sum(one.state.HasField("inherited_from") for one in await attribution.logged()) > 10
        newest = {one.state.conversion_id: one.state for one in await attribution.logged()}
        assert list(_repeats_of_nothing(newest)) == []
        await assert_batch_agrees(attribution, NOON - DAY // 2, NOON + 5 * DAY)
        await attribution.record(*world, accept_micros=NOON + 50 * DAY)
        run = await reconcile(attribution, begin=NOON + 40 * DAY, with_changes=True)
        assert (run.counts["changed"], run.counts["differences"]) == (run.counts["conversions"], 0)
        assert run.counts["changed"] > 20


def _repeats_of_nothing(states: Mapping[str, ConversionState]) -> Iterator[str]:
    """Says which conversions do not count for the sake of others of their name and person, of which none stands."""
    reasons = {key: NotCountedReason.Name(one.not_counted_reason) for key, one in states.items()}

    def stands(conversion_id: str) -> bool:
        state, reason = states[conversion_id], reasons[conversion_id].removeprefix("NOT_COUNTED_REASON_")
        if reason == "MERGED_ORDER":
            return not states[state.merged_into.conversion_id].retracted
        return reason in ("UNSPECIFIED", "SUPERSEDED_STAGE")

    held = {(one.person_id, one.name) for key, one in states.items() if stands(key)}
    for key, one in states.items():
        if reasons[key].endswith("ONCE_PER_PERSON") and (one.person_id, one.name) not in held:
            yield key


async def test_a_run_reads_the_leads_and_subscriptions_of_its_conversions_and_no_others(
    clickhouse_url: str, workspace: str
) -> None:
    families, old = Families(Events(workspace)), NOON - 90 * DAY
    theirs = [
        families.stage("visitor:a", stage="won", lead_id="l-1"),
        families.stage("visitor:a", stage="new", lead_id="l-1", root="o-1", at=old),  # which names another way
        families.root("visitor:a", order_id="o-1", at=old),
        families.stage("visitor:a", stage="qualified", root="o-1", at=old),
        families.root("visitor:b", order_id="o-2"),
        families.stage("visitor:b", stage="new", root="o-2", at=old),
        families.cycle("visitor:c", kind="RENEWAL", cycle="2"),
        families.cycle("visitor:c", kind="FIRST", cycle="1", at=old),
    ]
    others = [
        families.stage("visitor:d", stage="new", lead_id="l-2", at=old),
        families.root("visitor:d", order_id="o-3", at=old),
        families.stage("visitor:d", stage="new", root="o-3", at=old),
        families.cycle("visitor:d", kind="FIRST", cycle="1", subscription="s-2", at=old),
    ]
    async with clickhouse_client.connect(clickhouse_url, name="tests", connections=1) as clickhouse:
        await record(clickhouse, workspace, *theirs, *others, families.root("visitor:e", order_id="plain"))
        scope = Scope(f"r-{workspace}", workspace, NOON, NOON + DAY, 1)
        staging, storage = ReconciliationStaging(clickhouse), ReconciliationFamilies(clickhouse)
        await staging.stage_targets(scope)
        await storage.relate(scope)
        read = [
            {one.conversion_id for one in await storage.related(scope, everything=every)} for every in (False, True)
        ]
        await staging.drop(scope)
    ids = [{event.conversion_id for _, event in some} for some in (theirs, others)]
    assert read[0] == ids[0]
    assert read[1] - read[0] == ids[1] - {others[-1][1].conversion_id}


@pytest.mark.parametrize("of", [pytest.param("its days"), pytest.param("what came in its days")])
async def test_what_was_recorded_and_never_credited_is_found_and_brings_its_family_along(
    attribution: Attribution, workspace: str, of: str
) -> None:
    named, came = a_lead(workspace, 1, ends="won"), of != "its days"
    await attribution.record(*(named[name] for name in named if name != "end"))
    await attribution.record(named["end"], accept_micros=NOON + (50 if came else 2) * DAY)
    await attribution.handle(*(named[name] for name in named if name != "end"))
    begin = NOON + 40 * DAY if came else NOON - DAY // 2
    run = await reconcile(attribution, repairs=True, begin=begin, with_changes=came)
    assert run.counts["open_errors"] == 0
    assert run.counts["differences"] == run.counts["repaired"] == 2
    found = await told(attribution, named)
    assert [found[name][0] for name in ("root", "qualified", "end")] == ["SUPERSEDED_STAGE", "SUPERSEDED_STAGE", ""]
    assert found["end"][2:] == (["before"], "root")


async def test_a_closed_month_keeps_what_the_stages_of_its_leads_were_worth(opened: Opened, workspace: str) -> None:
    named = a_lead(workspace, 1, ends="won")
    async with opened() as attribution:
        await attribution.handle(named["before"], named["root"], named["qualified"])
        before = [(one.state.conversion_id, one.revision) for one in await attribution.logged()]
    closed = datetime.fromtimestamp(SystemClock().unix_micros() / 1e6, UTC).date() + timedelta(days=1)
    async with opened(reporting={"books_closed_through": closed.isoformat()}) as attribution:
        await attribution.handle(named["end"])
        later = [one for one in await attribution.logged() if (one.state.conversion_id, one.revision) not in before]
    assert sum(one.value_delta_micros for one in later) == (900 - 50) * UNIT
    days = {date(one.posting_date.year, one.posting_date.month, one.posting_date.day) for one in later}
    assert days == {closed + timedelta(days=1)}


async def test_a_stage_that_a_crm_reports_is_recognised_by_the_click_that_led_to_its_root(
    attribution: Attribution, workspace: str
) -> None:
    named = a_lead(workspace, 1, ends="won")
    click = Events(workspace).touch("visitor:1", at=NOON - DAY, clicks={"gclid": "g-1"}, event_id="click")
    await attribution.handle(click, *named.values())
    won = await attribution.published(named["end"][1].conversion_id)
    assert won is not None
    assert [(one.family, one.value) for one in won.match.click_ids] == [("gclid", "g-1")]


async def test_by_setting_a_renewal_is_credited_on_its_own_journey(opened: Opened, workspace: str) -> None:
    named = a_subscription(workspace, 1)
    async with opened(attribution=[{"renewal_credit": "own_path"}]) as attribution:
        await arrive(attribution, named, random.Random(1))
        found = await told(attribution, named)
        assert found["renewal 2"] == ("", 2, ["touch 2"], "")
        assert found["renewal 4"] == ("", 4, ["touch 2", "touch 4"], "")
        await assert_batch_agrees(attribution)


async def test_a_refunded_first_payment_was_paid_and_one_that_is_taken_back_was_not(
    attribution: Attribution, workspace: str
) -> None:
    families = Families(Events(workspace))
    named = a_subscription(workspace, 1)
    await attribution.handle(*named.values())
    refund = families.adjusted(families.events.refund(UNIT, at=NOON + 45 * DAY, event_id="refund"), named["first 1"])
    await attribution.handle(refund)
    found = await told(attribution, named)
    assert found["first 1"][1] == 0
    assert found["renewal 2"][3] == found["renewal 4"][3] == "first 1"
    assert await causes(attribution, named["renewal 4"]) == [["initial"]]
    taken_back = families.adjusted(families.events.retraction(at=NOON + 46 * DAY), named["first 1"])
    await attribution.handle(taken_back)
    found = await told(attribution, named)
    assert found["renewal 2"][2:] == (["touch 2"], "")
    assert found["renewal 4"][2:] == (["touch 0", "touch 1", "touch 3"], "upgrade 3")
    assert await causes(attribution, named["renewal 4"]) == [["initial"], ["inheritance"]]
    await attribution.record(*named.values(), refund, taken_back)
    await assert_batch_agrees(attribution)


async def test_a_first_payment_is_renewed_long_after_redis_has_forgotten_it(
    attribution: Attribution, workspace: str
) -> None:
    named = a_subscription(workspace, 1)
    await attribution.record(*named.values())
    await attribution.handle(*(named[name] for name in list(named)[:4]))
    await attribution.lose_state()
    await attribution.handle(*(named[name] for name in list(named)[4:6]))
    renewal = await attribution.published(named["renewal 2"][1].conversion_id)
    assert renewal is not None
    assert renewal.state.inherited_from.conversion_id == named["first 1"][1].conversion_id
    touches = [event_reference(event_hash(named[name][1].event.event_id)) for name in ("touch 0", "touch 1")]
    assert [touch.event_id for touch in renewal.state.touches] == touches


@pytest.mark.parametrize("order", ["", "o-1"])
async def test_a_subscription_is_found_by_what_another_observer_calls_it_after_redis_has_forgotten_it(
    attribution: Attribution, workspace: str, order: str
) -> None:
    families = Families(Events(workspace))

    def paid(kind: str, cycle: str, subscription: str, number: int, order_id: str, **more: Any) -> Admitted:
        told = {"subscription": subscription, "order_id": order_id, "event_id": f"paid-{number}", **more}
        return families.cycle("customer:1", kind=kind, cycle=cycle, at=NOON + number * DAY // 4, **told)

    named = {
        "touch": families.events.touch("customer:1", at=NOON - DAY, channel="Email", event_id="touch"),
        "first": paid("FIRST", "1", "shop-1", 0, "o-1", rank=2),
        "billed": paid("FIRST", "1", "billing-1", 1, "o-1", rank=1),
        "later": families.events.touch("customer:1", at=NOON + 20 * DAY, channel="Direct", event_id="later"),
        "renewal": paid("RENEWAL", "2", "billing-1", 120, order),
    }
    await attribution.record(*named.values())
    await attribution.handle(*(one for name, one in named.items() if name != "renewal"))
    await attribution.lose_state()
    await attribution.handle(named["renewal"])
    renewal = await attribution.published(named["renewal"][1].conversion_id)
    assert renewal is not None
    assert renewal.state.inherited_from.conversion_id == named["first"][1].conversion_id
    await assert_batch_agrees(attribution)
    asked = {"workspace": workspace, "names": ["billing-1"], "subscriptions": [("", "billing-1")]}
    plan = await attribution.clickhouse.execute(f"EXPLAIN indexes = 1 {statement('past_subscriptions')}", asked)
    assert "Name: by_subscription_id" in "\n".join(line for (line,) in plan), "not all events are read"


async def test_when_the_payer_turns_out_to_be_somebody_known_the_renewals_follow(
    attribution: Attribution, workspace: str
) -> None:
    named = a_subscription(workspace, 1)
    await attribution.handle(*named.values())
    events = Events(workspace)
    earlier = events.touch("visitor:9", at=NOON - 3 * DAY, channel="Organic Video", event_id="earlier")
    await attribution.handle(earlier)
    await attribution.handle(events.identify("visitor:1", "visitor:9", at=NOON))
    found = await told(attribution, {**named, "earlier": earlier})
    paid = ["earlier", "touch 0", "touch 1"]
    assert [found[name][2] for name in ("first 1", "renewal 2", "renewal 4")] == [paid] * 3
    assert (await causes(attribution, named["renewal 4"]))[-1] == ["identity_merge"]


async def test_a_test_is_neither_a_stage_nor_a_first_payment(attribution: Attribution, workspace: str) -> None:
    families = Families(Events(workspace))
    named = {
        "test": families.stage("visitor:1", stage="won", lead_id="l-1", at=NOON + DAY, traffic=Traffic.TRAFFIC_TEST),
        "new": families.stage("visitor:1", stage="new", lead_id="l-1", name="purchase"),
        "suspicious": families.stage("visitor:1", stage="lost", lead_id="l-1", at=NOON + DAY, letter="Q"),
    }
    await attribution.handle(*named.values())
    del named["suspicious"]
    found = await told(attribution, named)
    assert [found["test"][0], found["new"][0]] == ["TRAFFIC", ""]


async def test_an_explanation_says_whose_credit_it_is_and_what_became_of_the_touches_between(
    attribution: Attribution, workspace: str
) -> None:
    named = a_subscription(workspace, 1)
    await attribution.handle(*named.values())
    renewal, first = named["renewal 4"][1].conversion_id, named["first 1"][1].conversion_id
    explained = (await attribution.explainer.explain(workspace, renewal)).message
    assert explained.inherited_from.conversion_id == first
    assert explained.inherited_from.reason == InheritanceReason.INHERITANCE_REASON_FIRST_PAYMENT
    assert explained.reproduces_revision
    assert explained.value.amount_micros == 4 * UNIT
    exclusions = list(_exclusions(explained))
    assert exclusions == ["UNSPECIFIED", "UNSPECIFIED", "AFTER_CONVERSION"]
    assert sum(share.value_micros for share in explained.models[3].shares) == 4 * UNIT


def _exclusions(explained: Any) -> Iterator[str]:
    for touchpoint in explained.touchpoints:
        yield TouchpointExclusion.Name(touchpoint.exclusion).removeprefix("TOUCHPOINT_EXCLUSION_")


async def test_a_state_tells_a_stage_that_is_lost_with_its_lead_from_one_that_is_taken_back_alone(
    attribution: Attribution, workspace: str
) -> None:
    events = Events(workspace)
    families = Families(events)
    new = families.stage("visitor:1", stage="new", lead_id="l-1", micros=20 * UNIT, event_id="e-new", at=NOON)
    won = families.stage("visitor:1", stage="won", lead_id="l-1", micros=90 * UNIT, event_id="e-won", at=NOON + DAY)
    alone = families.adjusted(events.retraction(at=NOON + 2 * DAY), new)
    lost = families.stage("visitor:1", stage="lost", lead_id="l-1", micros=0, event_id="e-lost", at=NOON + 3 * DAY)

    async def taken_back(one: Admitted) -> tuple[str, list[str]]:
        revised = await attribution.published(one[1].conversion_id)
        assert revised is not None
        reason = NotCountedReason.Name(revised.state.not_counted_reason).removeprefix("NOT_COUNTED_REASON_")
        return reason, [RevisionCause.Name(adjusted.cause) for adjusted in revised.state.adjustments]

    for one in (new, won, alone):
        await attribution.handle(one)
    assert await taken_back(new) == ("RETRACTED", ["REVISION_CAUSE_RETRACTION"])
    assert await taken_back(won) == ("UNSPECIFIED", [])
    await attribution.handle(lost)
    assert await taken_back(won) == ("RETRACTED", [])
