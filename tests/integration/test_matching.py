"""A conversion is matched by what its person left anywhere before it, as long as they allowed it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.test_identity import changes
from tests.support.attribution import DAY, NOON, SHARDS, Attribution, Events, leaving, running_attribution
from tests.support.families import Families
from tributary.attribution.v1.conversion_pb2 import (
    REVISION_CAUSE_CONSENT_WITHDRAWN,
    REVISION_CAUSE_IDENTITY_MERGE,
    REVISION_CAUSE_QUARANTINE_RELEASE,
    MatchResolution,
)
from tributary.event.v1.context_pb2 import OBSERVER_BROWSER
from tributary_attribution.attributor import Replayed
from tributary_domain.shards import shard_of_key
from tributary_runtime.clock import SystemClock
from tributary_storage.redis import keys
from tributary_storage.redis.ties import person_key

MINUTE = 60_000_000
HOUR = 60 * MINUTE


@pytest.fixture
async def attribution(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    async with running_attribution(redis_url, clickhouse_url, workspace) as running:
        yield running


@pytest.fixture
def events(workspace: str) -> Events:
    return Events(workspace)


def traces_of(attribution: Attribution, token: str) -> str:
    """Returns where the traces of an identifier are kept."""
    key = person_key(attribution.workspace.id, token)
    return keys.traces(shard_of_key(key, SHARDS), key)


async def match_of(attribution: Attribution, conversion_id: str) -> MatchResolution:
    revised = await attribution.published(conversion_id)
    assert revised is not None
    return revised.match


def clicks(match: MatchResolution) -> dict[str, str]:
    return {click.family: click.value for click in match.click_ids}


def seen(match: MatchResolution) -> tuple[dict[str, str], dict[str, str], bytes]:
    """Returns click ids, browser ids and the device."""
    return clicks(match), dict(match.browser_ids), match.sealed_device_keys


NOTHING: tuple[dict[str, str], dict[str, str], bytes] = ({}, {}, b"")


async def test_every_family_of_a_click_is_matched_not_only_the_one_that_names_it(
    attribution: Attribution, events: Events
) -> None:
    ids = {"gclid": "g", "fbclid": "f", "gbraid": "many share it", "gad_source": "1", "srsltid": "no ad"}
    await attribution.handle(events.touch("visitor:a", clicks=ids), events.order("visitor:a"))
    match = await match_of(attribution, events.conversion_id())
    assert clicks(match) == {"fbclid": "f", "gbraid": "many share it", "gclid": "g"}


async def test_a_click_id_that_stands_in_an_orders_page_url_alone_is_its_own(
    attribution: Attribution, events: Events
) -> None:
    await attribution.handle(
        events.touch("visitor:a", clicks={"gclid": "older"}),
        events.order("visitor:a", page_url="https://shop.example/thanks?gclid=in-the-url&msclkid=m"),
        events.order("visitor:a", at=NOON + HOUR, order_id="o-2"),
    )
    match = await match_of(attribution, events.conversion_id())
    assert [(one.family, one.value, one.own) for one in match.click_ids] == [
        ("gclid", "in-the-url", True),
        ("msclkid", "m", True),
    ]
    later = await match_of(attribution, events.conversion_id("o-2"))
    assert [(one.family, one.value, one.own) for one in later.click_ids] == [
        ("gclid", "in-the-url", False),
        ("msclkid", "m", False),
    ]


async def test_browser_ids_and_the_last_device_are_the_persons_and_never_a_backends(
    attribution: Attribution, events: Events
) -> None:
    await attribution.handle(
        leaving(events.touch("visitor:a", at=NOON - DAY), b"phone", fbp="fbp-1", ttp="t"),
        leaving(events.touch("visitor:a", at=NOON - HOUR), b"laptop", fbp="fbp-2"),
        leaving(events.touch("visitor:a", at=NOON + HOUR), b"too late", fbp="too late"),
        leaving(events.order("visitor:a", "customer:c", at=NOON - 3 * DAY, order_id="o-0"), b"a backend's"),
        leaving(events.order("visitor:a", "customer:c"), b"own"),
    )
    match = await match_of(attribution, events.conversion_id())
    assert dict(match.browser_ids) == {"fbp": "fbp-2", "ttp": "t"}
    assert match.browser_id_times["fbp"].ToMicroseconds() == NOON - HOUR
    assert (list(match.sealed_match_keys), match.sealed_device_keys) == ([b"own"], b"laptop")
    assert match.device_time.ToMicroseconds() == NOON - HOUR


async def test_an_order_that_its_browser_observed_needs_no_other_device(
    attribution: Attribution, events: Events
) -> None:
    order = leaving(events.order("visitor:a"), b"own", fbp="own")
    order[1].event.context.observed_by = OBSERVER_BROWSER
    await attribution.handle(leaving(events.touch("visitor:a"), b"phone", fbp="fbp", ttp="t"), order)
    match = await match_of(attribution, events.conversion_id())
    assert (match.sealed_device_keys, dict(match.browser_ids)) == (b"", {"fbp": "own", "ttp": "t"})
    assert list(match.browser_id_times) == ["ttp"]


async def test_an_order_that_names_no_address_has_the_one_of_an_earlier_sign_up(
    attribution: Attribution, events: Events
) -> None:
    await attribution.handle(
        leaving(events.identify("customer:c", "email:old", at=NOON - 9 * DAY), b"old address"),
        leaving(events.identify("customer:c", "email:new", at=NOON - 5 * DAY), b"address"),
        leaving(events.identify("customer:c", "phone:p", at=NOON - 7 * DAY), b"number"),
        leaving(events.order("customer:c"), b"own"),
        leaving(events.order("customer:c", "email:new", at=NOON + 1, order_id="o-2"), b"own address"),
    )
    match = await match_of(attribution, events.conversion_id())
    assert [(one.sealed, one.has_email, one.has_phone) for one in match.person_keys] == [
        (b"address", True, False),
        (b"number", False, True),
    ]
    assert match.person_keys[0].event_time.ToMicroseconds() == NOON - 5 * DAY
    named = await match_of(attribution, events.conversion_id("o-2"))
    assert [one.sealed for one in named.person_keys] == [b"number"]


async def test_an_address_that_comes_late_is_a_revision_and_again_is_none(
    attribution: Attribution, events: Events
) -> None:
    sign_up = leaving(events.identify("customer:c", "email:e", at=NOON - DAY), b"address")
    await attribution.handle(events.order("customer:c"))
    await attribution.handle(sign_up)
    await attribution.handle(sign_up)
    await attribution.handle(leaving(events.identify("customer:c", "email:e", at=NOON + DAY), b"after it"))
    revisions = [one for one in await attribution.logged() if one.state.order_key.order_id == "o-1"]
    assert [[one.sealed for one in revised.match.person_keys] for revised in revisions] == [[], [b"address"]]
    assert (list(revisions[1].causes), list(revisions[1].deltas)) == ([REVISION_CAUSE_IDENTITY_MERGE], [])
    assert len(await attribution.stored_revisions(events.conversion_id())) == 2


async def test_people_who_become_one_are_matched_by_what_either_left_until_they_are_two_again(
    attribution: Attribution, events: Events
) -> None:
    await attribution.handle(
        leaving(events.touch("visitor:a", clicks={"gbraid": "b"}), b"phone", ttp="t"),
        events.order("customer:c"),
    )
    assert not (await match_of(attribution, events.conversion_id())).browser_ids
    await attribution.handle(events.identify("customer:c", "visitor:a"))
    match = await match_of(attribution, events.conversion_id())
    assert seen(match) == (
        {"gbraid": "b"},
        {"ttp": "t"},
        b"phone",
    )
    [merge] = await changes(attribution, "customer:c")
    await attribution.identities.undo(attribution.workspace.id, merge.change_id)
    alone = await match_of(attribution, events.conversion_id())
    assert seen(alone) == NOTHING


@pytest.mark.parametrize("purpose", ["ad_storage", "ad_user_data", "analytics_storage"])
async def test_what_was_left_without_consent_is_not_matched_whatever_is_granted_later(
    attribution: Attribution, events: Events, purpose: str
) -> None:
    visit = events.touch("visitor:a", at=NOON - HOUR, clicks={"gclid": "g", "wbraid": "w"})
    await attribution.handle(leaving(visit, b"phone", fbp="f", denies=purpose), events.order("visitor:a"))
    match = await match_of(attribution, events.conversion_id())
    assert seen(match) == NOTHING


async def test_what_was_left_before_consent_was_taken_back_is_not_matched_after_it(
    attribution: Attribution, events: Events
) -> None:
    await attribution.handle(
        leaving(events.touch("visitor:a", at=NOON - 2 * DAY, clicks={"gclid": "g", "wbraid": "w"}), b"phone", fbp="f"),
        events.order("visitor:a", at=NOON - DAY, order_id="o-0"),
        events.order("visitor:a"),
    )
    assert clicks(await match_of(attribution, events.conversion_id())) == {"gclid": "g", "wbraid": "w"}
    await attribution.handle(leaving(events.identify("visitor:a", at=NOON - HOUR), denies="ad_user_data"))
    match = await match_of(attribution, events.conversion_id())
    assert seen(match) == NOTHING
    newest = await attribution.published(events.conversion_id())
    assert newest is not None
    assert (list(newest.causes), list(newest.deltas)) == ([REVISION_CAUSE_CONSENT_WITHDRAWN], [])
    assert clicks(await match_of(attribution, events.conversion_id("o-0"))) == {"gclid": "g", "wbraid": "w"}


async def test_what_is_quarantined_is_matched_once_it_is_released(attribution: Attribution, events: Events) -> None:
    held = leaving(events.touch("visitor:a", letter="Q", clicks={"wbraid": "w"}), fbp="f")
    await attribution.handle(held, events.order("visitor:a"))
    assert not (await match_of(attribution, events.conversion_id())).click_ids
    await attribution.handle(events.release(held))
    match = await match_of(attribution, events.conversion_id())
    assert (clicks(match), dict(match.browser_ids)) == ({"wbraid": "w"}, {"fbp": "f"})
    newest = await attribution.published(events.conversion_id())
    assert newest is not None
    assert list(newest.causes) == [REVISION_CAUSE_QUARANTINE_RELEASE]


async def test_what_the_journey_forgot_is_matched_and_what_was_pushed_out_stays_published(
    attribution: Attribution, events: Events, workspace: str
) -> None:
    touches = [
        leaving(
            events.touch("visitor:a", at=NOON - DAY + at * HOUR, clicks={"wbraid": f"w-{at}"}),
            b"%d" % at,
            fbp=f"f-{at}",
        )
        for at in range(8)
    ]
    await attribution.handle(*touches[:4], events.order("visitor:a", at=NOON - DAY + 4 * HOUR))
    before = await match_of(attribution, events.conversion_id())
    assert (clicks(before), before.browser_ids["fbp"], before.sealed_device_keys) == ({"wbraid": "w-3"}, "f-3", b"3")
    await attribution.handle(*touches[5:])
    await attribution.handle(events.refund(1))
    assert await match_of(attribution, events.conversion_id()) == before
    await attribution.state.delete(traces_of(attribution, "visitor:a").removesuffix(":traces"))
    await attribution.handle(events.order("visitor:a", order_id="o-2"))
    later = await match_of(attribution, events.conversion_id("o-2"))
    assert (clicks(later), later.browser_ids["fbp"], later.sealed_device_keys) == ({"wbraid": "w-7"}, "f-7", b"7")


async def test_what_was_seen_before_an_order_that_comes_late_is_no_less_known_for_the_visits_after_it(
    attribution: Attribution, events: Events
) -> None:
    visits = [leaving(events.touch("visitor:a", at=NOON + n * DAY), b"%d" % n, fbp="f") for n in range(-1, 4)]
    logins = [leaving(events.identify("visitor:a", "email:e", at=NOON + n * DAY), b"%d" % n) for n in range(-1, 4)]
    await attribution.handle(*visits, *logins)
    await attribution.handle(events.order("visitor:a"))
    match = await match_of(attribution, events.conversion_id())
    assert dict(match.browser_ids) == {"fbp": "f"}
    assert [keys.sealed for keys in match.person_keys] == [b"-1"]


async def test_of_a_slot_two_are_kept_and_what_is_seen_again_within_a_half_hour_once(
    attribution: Attribution, events: Events
) -> None:
    at = NOON - NOON % (30 * MINUTE)
    await attribution.handle(
        *[
            leaving(events.touch("visitor:a", at=at + n * MINUTE, clicks={"gclid": "g"}), b"%d" % n, fbp="f")
            for n in range(9)
        ]
    )
    await attribution.handle(
        *[leaving(events.touch("visitor:a", at=at + n * HOUR, clicks={"gclid": f"g-{n}"}), b"%d" % n) for n in range(9)]
    )
    assert set(await attribution.state.hgetall(traces_of(attribution, "visitor:a"))) == {
        *(b"click:gclid#0", b"click:gclid#1"),
        *(b"browser:fbp#0", b"device#0", b"device#1"),
    }


async def test_the_stage_of_a_lead_that_names_nobody_is_matched_by_what_began_it(
    redis_url: str, clickhouse_url: str, workspace: str, events: Events
) -> None:
    families = Families(events)
    root = families.stage("visitor:a", stage="new", lead_id="l-1", at=NOON)
    won = families.stage("other:crm", stage="won", lead_id="l-1", at=NOON + DAY)
    async with running_attribution(redis_url, clickhouse_url, workspace, conversions=[{"name": "lead"}]) as attribution:
        await attribution.handle(leaving(events.touch("visitor:a", clicks={"wbraid": "w"}), b"phone", fbp="f"))
        await attribution.handle(leaving(root, b"form"), won)
        match = await match_of(attribution, won[1].conversion_id)
    assert seen(match) == (
        {"wbraid": "w"},
        {"fbp": "f"},
        b"phone",
    )


async def test_what_the_store_lost_is_left_again_when_recorded_events_come_back(
    attribution: Attribution, events: Events
) -> None:
    life = [
        leaving(events.touch("visitor:a", clicks={"gclid": "g", "wbraid": "w"}), b"phone", fbp="f"),
        leaving(events.identify("visitor:a", "email:e", at=NOON - DAY), b"address"),
        events.order("visitor:a"),
    ]
    await attribution.handle(*life)
    await attribution.record(*life)
    before = await match_of(attribution, events.conversion_id())
    assert (seen(before), len(before.person_keys)) == (({"gclid": "g", "wbraid": "w"}, {"fbp": "f"}, b"phone"), 1)
    held = await attribution.state.hgetall(traces_of(attribution, "visitor:a"))
    await attribution.state.delete(traces_of(attribution, "visitor:a"))
    again = [Replayed(letter, event.SerializeToString(), NOON, "") for letter, event in life]
    await attribution.attributor.replay(attribution.workspace, again, ())
    assert await attribution.state.hgetall(traces_of(attribution, "visitor:a")) == held
    assert await match_of(attribution, events.conversion_id()) == before
    assert len(await attribution.stored_revisions(events.conversion_id())) == 1


async def test_what_was_published_stays_where_the_store_lost_the_person_and_hears_of_them_again(
    attribution: Attribution, events: Events
) -> None:
    sold = SystemClock().unix_micros() - 2 * DAY
    visit = events.touch("visitor:a", at=sold - HOUR, channel="Direct", clicks={"wbraid": "w"})
    order = events.order("visitor:a", at=sold)
    await attribution.handle(leaving(visit, b"phone", fbp="f"), order)
    before = await match_of(attribution, events.conversion_id())
    assert seen(before) == ({"wbraid": "w"}, {"fbp": "f"}, b"phone")
    await attribution.state.delete(
        traces_of(attribution, "visitor:a"), traces_of(attribution, "visitor:a").removesuffix(":traces")
    )
    await attribution.handle(leaving(events.touch("visitor:a", at=sold + HOUR), b"later", fbp="later"))
    await attribution.handle(events.refund(1, at=sold + DAY))
    assert await match_of(attribution, events.conversion_id()) == before


async def test_an_erased_persons_traces_are_gone_and_looked_for(attribution: Attribution, events: Events) -> None:
    await attribution.handle(
        leaving(events.touch("visitor:a", clicks={"gclid": "g", "wbraid": "w"}), b"phone", fbp="f"),
        events.order("visitor:a"),
    )
    erasure = await attribution.erasing.request(attribution.erasing.plan(attribution.workspace.id, ["visitor:a"]))
    assert (await attribution.erasing.survey(erasure))["traces"] == 4
    erasure = await attribution.erasing.go_on(erasure)
    assert (erasure.destroyed["traces"], erasure.remaining["traces"]) == (4, 0)
    assert not await attribution.state.exists(traces_of(attribution, "visitor:a"))
