"""What a person left while a consent string did not name a destination: it is not told of that, whatever is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.batches import a_purchase, deliver, match_keys, publish, running_fake, seal
from tests.support.delivery import IDENTIFICATION, SHARDS, Rig, a_rig
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_INELIGIBLE,
    DELIVERY_STATE_UNDELIVERABLE_CORRECTION,
    INELIGIBLE_REASON_NO_MATCH_KEY,
    INELIGIBLE_REASON_OUT_OF_SCOPE,
)
from tributary_domain.consent import DENIED, GRANTED, Decision, packed
from tributary_domain.ties import edges_of
from tributary_domain.vendor_consent import VendorDecision
from tributary_runtime.clock import SystemClock
from tributary_storage.redis.consents import Consents
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.ties import IdentityTies, person_key

DAY = 86_400_000_000


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


async def dropped(rig: Rig, workspace: str, *, at: int) -> str:
    """Returns the id of a person whose string named Google at no moment but from one after this on."""
    decisions = [VendorDecision(at, 755, DENIED), VendorDecision(at + 1, 755, GRANTED)]
    await Consents(rig.redis, SHARDS).record({(workspace, "customer:1"): decisions})
    return person_key(workspace, "customer:1")


async def test_who_is_told_of_its_own_clicks_alone_is_not_told_of_a_conversion_whose_click_is_withheld(
    rig: Rig, workspace: str
) -> None:
    lane, clicked_micros = Lane(workspace, "google"), SystemClock().unix_micros() - DAY
    person_id = await dropped(rig, workspace, at=clicked_micros)

    def of_a_click(message: ConversionRevised) -> None:
        message.state.person_id = person_id if message.state.conversion_id == "c1:0000" else ""
        message.match.click_ids.add(family="gclid", value="a-click").click_time.FromMicroseconds(clicked_micros)

    with running_fake("google") as server:
        await publish(rig, lane, [a_purchase(lane, number) for number in range(2)], of_a_click)
        await deliver(rig, lane, server, send_scope="with_own_click")
        assert server.fake.counted == {"p-c1:0001": 1}
    [line] = await rig.deliveries(lane, "c1:0000")
    assert (line.state, line.ineligible_reason) == (DELIVERY_STATE_INELIGIBLE, INELIGIBLE_REASON_OUT_OF_SCOPE)
    assert (line.attempts, line.consent_basis, "when they clicked" in line.message) == (0, "granted", True)


async def test_what_is_withheld_of_a_conversion_is_withheld_of_its_refund_which_is_told(
    rig: Rig, workspace: str
) -> None:
    lane, left_micros = Lane(workspace, "google"), SystemClock().unix_micros() - DAY
    person_id, phone = await dropped(rig, workspace, at=left_micros), match_keys()
    phone.identifiers.phone = "+491701234567"
    sealed = await seal(rig, workspace, phone)

    def of_a_phone(message: ConversionRevised) -> None:
        message.state.person_id = person_id
        keys = message.match.person_keys.add(sealed=sealed, has_phone=True)
        keys.event_time.FromMicroseconds(left_micros)

    first = a_purchase(lane)
    with running_fake("google") as server:
        for revision in (first, first.then(value_micros=70_000_000)):
            await publish(rig, lane, [revision], of_a_phone)
            await deliver(rig, lane, server)
        assert server.fake.values == {"p-c1:0000": 70}
        assert not [ask for ask in server.asks if b"phoneNumber" in ask.body]
    assert [one.state for one in await rig.deliveries(lane, "c1:0000")] == [DELIVERY_STATE_ACCEPTED] * 2


async def test_what_was_told_before_anybody_knew_that_it_is_withheld_is_repeated_by_a_refund(
    rig: Rig, workspace: str
) -> None:
    lane, left_micros = Lane(workspace, "google"), SystemClock().unix_micros() - 2 * DAY
    phone = match_keys()
    phone.identifiers.phone = "+491701234567"
    sealed = await seal(rig, workspace, phone)

    def of_a_phone(message: ConversionRevised) -> None:
        message.state.person_id = person_key(workspace, "customer:1")
        keys = message.match.person_keys.add(sealed=sealed, has_phone=True)
        keys.event_time.FromMicroseconds(left_micros)

    first = a_purchase(lane)
    with running_fake("google") as server:
        await publish(rig, lane, [first], of_a_phone)
        await deliver(rig, lane, server)
        await dropped(rig, workspace, at=left_micros + DAY)
        await publish(rig, lane, [first.then(value_micros=70_000_000)], of_a_phone)
        await deliver(rig, lane, server)
        assert server.fake.values == {"p-c1:0000": 70}
    assert [one.state for one in await rig.deliveries(lane, "c1:0000")] == [DELIVERY_STATE_ACCEPTED] * 2


@pytest.mark.parametrize(
    ("whose", "decided", "is_told"),
    [
        pytest.param("by itself", ((1, DENIED),), False, id="withdrawn by itself"),
        pytest.param("of another", ((1, DENIED),), False, id="withdrawn by whom it is linked with"),
        pytest.param("by itself", ((1, GRANTED),), True, id="granted"),
        pytest.param("by itself", ((-2 * DAY, DENIED),), True, id="denied before it was given with a grant"),
        pytest.param(
            "left before", ((-DAY // 2, DENIED), (-DAY // 4, GRANTED)), False, id="withdrawn since it was left"
        ),
        pytest.param(
            "left before", ((-2 * DAY, DENIED), (-3 * DAY // 2, GRANTED)), True, id="granted when it was left"
        ),
    ],
)
async def test_what_is_linked_with_somebody_who_withdrew_is_no_match_key_of_another(
    rig: Rig, workspace: str, whose: str, decided: list[tuple[int, int]], is_told: bool
) -> None:
    lane, now_micros = Lane(workspace, "google"), SystemClock().unix_micros()
    [address] = IDENTIFICATION.identify(match_keys().identifiers).tokens
    sealed = await seal(rig, workspace, match_keys())
    who = address
    if whose == "of another":
        who = "customer:another"
        [tie] = edges_of((who, address), now_micros - DAY, 1)
        await IdentityTies(rig.redis, SHARDS).write({(workspace, one): (0, [tie], ()) for one in tie.pair}, 3_600)
    decisions = [Decision(now_micros + ahead, packed([0, 0, state, 0, 0])) for ahead, state in decided]
    await Consents(rig.redis, SHARDS).record({(workspace, who): decisions})

    def of_a_click(message: ConversionRevised) -> None:
        message.state.person_id = person_key(workspace, "customer:1")
        message.match.click_ids.add(family="gclid", value="a-click").click_time.FromMicroseconds(now_micros - DAY)
        if whose == "left before":
            del message.match.sealed_match_keys[:]
            keys = message.match.person_keys.add(sealed=sealed, has_email=True)
            keys.event_time.FromMicroseconds(now_micros - DAY)

    with running_fake("google") as server:
        await publish(rig, lane, [a_purchase(lane)], of_a_click)
        await deliver(rig, lane, server)
        assert server.fake.counted == {"p-c1:0000": 1}
        assert [b"emailAddress" in ask.body for ask in server.asks] == [is_told]


async def test_who_is_recognised_by_what_is_left_out_alone_is_not_told_and_it_is_said_why(
    rig: Rig, workspace: str
) -> None:
    lane, now_micros = Lane(workspace, "google"), SystemClock().unix_micros()
    [address] = IDENTIFICATION.identify(match_keys().identifiers).tokens
    with running_fake("google") as server:
        first = a_purchase(lane)
        await publish(rig, lane, [first])
        await deliver(rig, lane, server)
        denial = Decision(now_micros + DAY, packed([0, 0, DENIED, 0, 0]))
        await Consents(rig.redis, SHARDS).record({(workspace, address): [denial]})
        await publish(rig, lane, [first.then(value_micros=70_000_000), a_purchase(lane, 1)])
        await deliver(rig, lane, server)
        assert server.fake.counted == {"p-c1:0000": 1}
    [_, refund], [other] = [await rig.deliveries(lane, name) for name in ("c1:0000", "c1:0001")]
    assert refund.state == DELIVERY_STATE_UNDELIVERABLE_CORRECTION
    assert (other.state, other.ineligible_reason) == (DELIVERY_STATE_INELIGIBLE, INELIGIBLE_REASON_NO_MATCH_KEY)
    assert "does not allow it" in other.message
