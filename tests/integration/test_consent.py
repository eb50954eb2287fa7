"""Consent holds at the touch and when data leaves, in whatever order it is heard of; and batch agrees with stream."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from tests.integration.test_reconciliation import reconciled
from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, running_attribution
from tests.support.consent_strings import NOBODY
from tests.support.delivery import SHARDS, a_destination, a_rig
from tests.support.destinations import running_endpoint
from tests.support.eventually import eventually_async
from tests.support.families import Families
from tests.support.revisions import Revision
from tributary.attribution.v1.conversion_pb2 import REVISION_CAUSE_CONSENT_WITHDRAWN
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import DELIVERY_STATE_INELIGIBLE, INELIGIBLE_REASON_NO_CONSENT
from tributary.event.v1.consent_pb2 import CONSENT_STATE_DENIED, CONSENT_STATE_GRANTED, ConsentState
from tributary_attribution.consents import ConsentLedger
from tributary_domain.consent import DENIED, GRANTED, Decision, packed
from tributary_domain.vendor_consent import VendorDecision
from tributary_storage.clickhouse.consent_decisions import ConsentDecisions
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.redis.consents import Consents, Ledger
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.ties import person_key

YES, NO = CONSENT_STATE_GRANTED, CONSENT_STATE_DENIED
VISITOR, CUSTOMER = "visitor:11", "customer:22"
MOST = "CQdZmkAQdZmkAAKACBENCWFgALIAAAAAABpYF5wAQF5gAAAA.IF5wAQF5gAAA.YAAAAAAAAAAA"
STRINGS: Any = [
    # what an event says, when that was decided (0: nobody says), what it decides beyond itself
    ({"tcf_string": NOBODY}, 0, (DENIED, 0, DENIED, DENIED, 0)),
    ({"tcf_string": MOST}, 0, (0, 0, 0, 0, 0)),
    ({"tcf_string": MOST}, NOON - DAY, (GRANTED, 0, GRANTED, GRANTED, 0)),
    ({"tcf_string": MOST, "ad_user_data": NO}, NOON - DAY, (GRANTED, 0, DENIED, GRANTED, 0)),
    ({"tcf_string": NOBODY, "ad_user_data": YES, "analytics_storage": YES}, NOON, (DENIED, GRANTED, DENIED, DENIED, 0)),
    ({"gpp_string": "DBABLA~CFAVAAAAAACA.YA"}, 0, (0, 0, 0, 0, DENIED)),
    ({"gpc": True, "sale_or_sharing": YES}, 0, (0, 0, 0, 0, DENIED)),
    ({"tcf_string": "undefined"}, NOON, (0, 0, 0, 0, 0)),
]


@pytest.fixture
async def attribution(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    async with running_attribution(migrated_redis_url, clickhouse_url, workspace) as running:
        yield running


def consent(
    events: Events, token: str, state: ConsentState.ValueType, *, at: int, event_id: str, **more: Any
) -> Admitted:
    """Returns a decision about measurement and about sending."""
    _, event = events.identify(token, at=at, event_id=event_id)
    event.event.consent_change.SetInParent()
    event.event.consent.analytics_storage = event.event.consent.ad_user_data = state
    event.event.consent.consent_time.CopyFrom(timestamp(at))
    for name, value in more.items():
        setattr(event.event.consent, name, value)
    return "A", event


def a_life(events: Events) -> list[Admitted]:
    """Returns a person who said no between two of their three touches, and yes before the last."""
    return [
        events.touch(VISITOR, at=NOON - 5 * DAY, channel="Email", event_id="t-1"),
        consent(events, VISITOR, NO, at=NOON - 4 * DAY, event_id="c-1"),
        events.touch(VISITOR, at=NOON - 3 * DAY, channel="Display", event_id="t-2"),
        consent(events, CUSTOMER, YES, at=NOON - 2 * DAY, event_id="c-2"),
        events.touch(VISITOR, at=NOON - DAY, channel="Paid Search", event_id="t-3"),
        events.order(CUSTOMER, VISITOR, event_id="o-1"),
    ]


async def channels(attribution: Attribution, events: Events) -> list[str]:
    published = await attribution.published(events.conversion_id())
    assert published is not None
    return [touch.source.channel for touch in published.state.touches]


async def test_a_touch_needs_the_consent_of_its_moment_in_whatever_order_it_is_heard_of(
    attribution: Attribution, workspace: str
) -> None:
    numbered = list(itertools.permutations(range(6)))
    for number, order in enumerate(numbered[:: len(numbered) // 8]):
        events = Events(workspace)
        life = a_life(events)
        for _, event in life:  # another person each time
            event.event.event_id = f"{number}-{event.event.event_id}"
            event.identity_tokens[:] = [f"{token}-{number}" for token in event.identity_tokens]
            if event.conversion_id:
                event.conversion_id = events.conversion_id(f"o-{number}")
        for at in order:
            await attribution.handle(life[at])
        published = await attribution.published(events.conversion_id(f"o-{number}"))
        assert published is not None
        assert [touch.source.channel for touch in published.state.touches] == ["Email", "Paid Search"], order


async def test_a_withdrawal_that_is_heard_of_late_is_a_revision_with_its_cause_and_again_is_none(
    attribution: Attribution, workspace: str
) -> None:
    events = Events(workspace)
    email, late_no, display, *_ = a_life(events)
    await attribution.handle(email, display, events.order(CUSTOMER, VISITOR, event_id="o-1"))
    assert await channels(attribution, events) == ["Email", "Display"]
    for _ in range(2):
        await attribution.handle(late_no)
    assert await channels(attribution, events) == ["Email"]
    published = await attribution.published(events.conversion_id())
    assert published is not None
    assert list(published.causes) == [REVISION_CAUSE_CONSENT_WITHDRAWN]
    assert len(await attribution.stored_revisions(events.conversion_id())) == 2


async def test_where_nothing_was_said_what_is_assumed_of_the_region_holds(
    migrated_redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    defaults = [{"regions": ["US"], "granted": ["analytics_storage"]}]
    settings = {"consent_defaults": defaults, "default_region": "DE"}
    async with running_attribution(migrated_redis_url, clickhouse_url, workspace, **settings) as attribution:
        events = Events(workspace)
        german, american = (
            events.touch(VISITOR, at=NOON - 3 * DAY, channel="Email"),
            events.touch(VISITOR, at=NOON - DAY, channel="Display"),
        )
        american[1].event.consent.region = "US-CA"
        await attribution.handle(german, american, events.order(VISITOR))
        assert await channels(attribution, events) == ["Display"]
        await attribution.handle(consent(events, VISITOR, YES, at=NOON - 4 * DAY, event_id="late-yes"))
        assert await channels(attribution, events) == ["Email", "Display"]


async def test_batch_applies_the_same_rule(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> None:
    defaults = [{"regions": ["US"], "granted": ["analytics_storage"]}]
    settings = {"consent_defaults": defaults, "default_region": "US"}
    async with reconciled(migrated_redis_url, clickhouse_url, workspace, **settings) as own:
        events = Events(workspace)
        german = events.touch(VISITOR, at=NOON - 6 * DAY, channel="Affiliates")
        german[1].event.consent.region = "DE"
        stale = events.touch(VISITOR, at=NOON - 3 * DAY + 7, channel="Referral")
        stale[1].event.consent.analytics_storage = YES
        stale[1].event.consent.consent_time.CopyFrom(timestamp(NOON - 5 * DAY))
        fresh = events.touch(VISITOR, at=NOON - 3 * DAY + 8, channel="Organic Social")
        fresh[1].event.consent.analytics_storage = YES
        for event in [german, stale, fresh, *reversed(a_life(events))]:
            await own.happen(event)
        assert await channels(own.attribution, events) == ["Email", "Organic Social", "Paid Search"]
        await own.run()
        assert await own.differences() == []


async def test_who_says_yes_on_every_page_is_judged_by_what_they_said_before(
    migrated_redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(migrated_redis_url, clickhouse_url, workspace) as own:
        events, place = Events(workspace), (workspace, VISITOR)
        told = [
            consent(events, VISITOR, state, at=NOON - days * DAY, event_id=f"c-{days}")
            for days, state in ((58, NO), (56, YES), (55, NO), (54, YES))
        ]
        touches = [
            events.touch(VISITOR, at=NOON - days * DAY, channel=channel)
            for days, channel in ((57, "Email"), (53, "Display"))
        ]
        await own.happen(*told, *touches, events.order(VISITOR, at=NOON - 52 * DAY))
        for begin in (NOON - 51 * DAY, NOON - 50 * DAY, NOON):  # the last makes the others old
            await own.happen(
                *(consent(events, VISITOR, YES, at=begin + more, event_id=f"{begin}-{more}") for more in range(70))
            )
        assert len((await own.attribution.consents.read([place]))[place].decisions) == len(told) + 2 + 2 + 70
        await own.happen(events.refund(1_000_000))
        assert await channels(own.attribution, events) == ["Display"]
        await own.run()
        assert await own.differences() == []


async def test_the_ledger_is_read_back_from_clickhouse_after_a_loss(
    migrated_redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with running_attribution(migrated_redis_url, clickhouse_url, workspace) as attribution:
        events = Events(workspace)
        life = a_life(events)
        for place, allowed, denied in ((1, [4], [755]), (3, [755], [])):
            life[place][1].allowed_vendors.extend(allowed)
            life[place][1].denied_vendors.extend(denied)
        await attribution.record(*life)
        loss_micros = 10**17  # after all that other tests lost
        ledger = ConsentLedger(attribution.consents, ConsentDecisions(attribution.clickhouse), lambda: loss_micros)
        await ledger.restore()
        held = await attribution.consents.read([(workspace, VISITOR), (workspace, CUSTOMER)])
        states = packed([0, DENIED, DENIED, 0, 0]), packed([0, GRANTED, GRANTED, 0, 0])
        of_vendors = [VendorDecision(NOON - 4 * DAY, 4, GRANTED), VendorDecision(NOON - 4 * DAY, 755, DENIED)]
        assert {place: Ledger(own.decisions, sorted(own.of_vendors)) for place, own in held.items()} == {
            (workspace, VISITOR): Ledger([Decision(NOON - 4 * DAY, states[0])], of_vendors),
            (workspace, CUSTOMER): Ledger(
                [Decision(NOON - 2 * DAY, states[1])], [VendorDecision(NOON - 2 * DAY, 755, GRANTED)]
            ),
        }
        assert await attribution.consents.restored_micros() >= loss_micros


async def test_what_a_later_string_or_browser_says_is_decided_alike_in_the_ledger_and_in_clickhouse(
    attribution: Attribution, workspace: str
) -> None:
    events, said = Events(workspace), {}
    for number, (words, decided_micros, states) in enumerate(STRINGS):
        token = f"visitor:s{number}"
        _, event = events.identify(token, at=NOON)
        for name, value in words.items():
            setattr(event.event.consent, name, value)
        if decided_micros:
            event.event.consent.consent_time.CopyFrom(timestamp(decided_micros))
        await attribution.handle(("A", event))
        await attribution.record(("A", event))
        said[workspace, token] = [Decision(decided_micros or NOON, packed(states))] if any(states) else []
    assert await attribution.consents.read(list(said)) == {place: Ledger(own, []) for place, own in said.items()}
    pages = [page async for page in ConsentDecisions(attribution.clickhouse).pages()]
    stored = {place: own for page in pages for place, own in page.items() if place[0] == workspace}
    assert stored == {place: own for place, own in said.items() if own}


async def test_whom_a_later_string_drops_is_decided_alike_in_the_ledger_and_in_clickhouse_and_changes_no_credit(
    attribution: Attribution, workspace: str
) -> None:
    events, said = Events(workspace), {}
    await attribution.handle(events.touch("visitor:v0"), events.order("visitor:v0", at=NOON - DAY))
    for number, (decided_micros, letter, expected) in enumerate(
        [
            (0, "A", [VendorDecision(NOON, 755, DENIED)]),
            (NOON - 7, "A", [VendorDecision(NOON - 7, 4, GRANTED), VendorDecision(NOON - 7, 755, DENIED)]),
            (0, "Q", []),
        ]
    ):
        token = f"visitor:v{number}"
        _, event = events.identify(token, at=NOON)
        event.event.consent.SetInParent()
        event.allowed_vendors.append(4)
        event.denied_vendors.append(755)
        if decided_micros:
            event.event.consent.consent_time.CopyFrom(timestamp(decided_micros))
        for _ in range(2):
            await attribution.handle((letter, event))
        await attribution.record((letter, event))
        said[workspace, token] = expected
    held = await attribution.consents.read(list(said))
    assert {place: sorted(own.of_vendors) for place, own in held.items()} == said
    pages = [page async for page in ConsentDecisions(attribution.clickhouse).pages()]
    stored = {place: own for page in pages for place, own in page.items() if place[0] == workspace}
    assert stored == {place: own for place, own in said.items() if own}
    assert len(await attribution.stored_revisions(events.conversion_id())) == 1


async def _withheld(
    urls: tuple[str, str], workspace: str, own: ConsentState.ValueType, decisions: Sequence[Decision]
) -> tuple[int, list[tuple[int, int]]]:
    """Plans a conversion, lets its person decide, then lets the lane run; returns calls, and what the ledger says."""
    lane = Lane(workspace, "crm")
    async with a_rig(*urls) as rig, running_endpoint() as endpoint:
        revision = Revision(workspace=workspace, order_id="o-1")
        message = revision.message()
        message.state.person_id = person_key(workspace, CUSTOMER)
        message.match.consent.ad_user_data = own

        class Said(Revision):
            def message(self) -> ConversionRevised:
                return message

        await rig.plan(lane, await rig.publisher.publish(Said(workspace=workspace)))
        await Consents(rig.redis, SHARDS).record({(workspace, CUSTOMER): decisions})

        async def is_idle() -> bool:
            return await rig.stores.jobs.waiting(lane) == 0

        async with rig.running_lane(lane, a_destination(endpoint.url)):
            await eventually_async(is_idle)
        lines = await rig.deliveries(lane, message.state.conversion_id)
        return len(endpoint.calls), [(line.state, line.ineligible_reason) for line in lines]


async def test_consent_withdrawn_between_planning_and_sending_means_no_call(
    migrated_redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    decisions = [Decision(2_000_000_000_000_000, packed([0, 0, DENIED, 0, 0]))]
    calls, lines = await _withheld((migrated_redis_url, clickhouse_url), workspace, YES, decisions)
    assert calls == 0
    assert lines == [(DELIVERY_STATE_INELIGIBLE, INELIGIBLE_REASON_NO_CONSENT)]


async def test_a_later_grant_does_not_upgrade_what_was_collected_without_it(
    migrated_redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    decisions = [
        Decision(1_000_000_000_000_000, packed([0, 0, DENIED, 0, 0])),
        Decision(2_000_000_000_000_000, packed([0, 0, GRANTED, 0, 0])),
    ]
    calls, _ = await _withheld((migrated_redis_url, clickhouse_url), workspace, 0, decisions)
    assert calls == 0


async def test_consent_to_something_else_that_was_withdrawn_holds_nothing_back(
    migrated_redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    decisions = [Decision(2_000_000_000_000_000, packed([DENIED, DENIED, 0, DENIED, 0]))]
    calls, _ = await _withheld((migrated_redis_url, clickhouse_url), workspace, YES, decisions)
    assert calls == 1


@pytest.mark.parametrize(
    ("how", "who"),
    [
        *itertools.product(("an order", "a lead"), ("", "customer:b", "email:a", "visitor:a")),
        *itertools.product(("an order, with an address of both",), ("", "customer:b")),
    ],
)
async def test_all_who_told_one_conversion_and_whom_nobody_linked_have_to_allow_it(
    attribution: Attribution, migrated_redis_url: str, clickhouse_url: str, workspace: str, how: str, who: str
) -> None:
    events = Events(workspace)
    families = Families(events)
    a, b = ("email:a", "visitor:a"), ("customer:b",)
    if how == "an order, with an address of both":
        a, b = ("customer:a", "email:a"), ("customer:b", "email:a")
    if how == "a lead":
        told = [
            families.stage(*a, stage="new", lead_id="l-1", event_id="e-a"),
            families.stage(*b, stage="won", lead_id="l-1", event_id="e-b", at=NOON + DAY),
        ]
    else:
        told = [events.order(*a, event_id="e-a", rank=1), events.order(*b, event_id="e-b", rank=2, at=NOON + 1)]
    for _, event in told:
        event.sealed_match_keys = f"keys of {event.event.event_id}".encode()
    await attribution.handle(*told)
    if who:
        await attribution.handle(consent(events, who, NO, at=NOON + 2 * DAY, event_id="no"))
    published = await attribution.published(told[1][1].conversion_id)
    assert published is not None
    assert (b"keys of e-a" in published.match.sealed_match_keys) == (how != "a lead")
    async with a_rig(migrated_redis_url, clickhouse_url) as rig:
        permits = await rig.stores.permissions.read(workspace, [published])
    assert (permits[published.state.conversion_id].ad_user_data == DENIED) == bool(who)
