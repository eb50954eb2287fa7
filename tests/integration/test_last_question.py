"""People are asked last: what they take back while a call waits for its access token is not in it."""

from __future__ import annotations

import json
import threading

import pytest

from tests.support.batches import (
    TOKEN,
    FakeTokens,
    a_batch_destination,
    a_purchase,
    match_keys,
    oauth,
    publish,
    running_fake,
    seal,
)
from tests.support.delivery import IDENTIFICATION, SHARDS, a_rig
from tests.support.eventually import eventually_async
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_INELIGIBLE,
    INELIGIBLE_REASON_NO_CONSENT,
)
from tributary_cli.demo.fakes.server import FakeServer, Fault
from tributary_domain.consent import DENIED, GRANTED, Decision, packed
from tributary_domain.vendor_consent import VendorDecision
from tributary_runtime.clock import SystemClock
from tributary_storage.redis.consents import AnyDecision, Consents, Place
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.ties import person_key

LATER, DAY = 2_000_000_000_000_000, 86_400_000_000


async def test_what_is_taken_back_while_a_token_is_waited_for_does_not_leave(
    migrated_redis_url: str, clickhouse_url: str, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tributary_delivery.turns.FRESH_SECONDS", 0.0)
    lane, may_go, clicked_micros = Lane(workspace, "google"), threading.Event(), SystemClock().unix_micros() - DAY

    def of_its_own_person(message: ConversionRevised) -> None:
        message.state.person_id = person_key(workspace, f"customer:{message.state.conversion_id}")
        message.match.click_ids.add(family="gclid", value="a-click").click_time.FromMicroseconds(clicked_micros)
        if message.state.conversion_id == "c1:0006":
            message.match.sealed_match_keys[:] = [of_another]

    async with a_rig(migrated_redis_url, clickhouse_url) as rig:
        [address] = IDENTIFICATION.identify(match_keys("another@example.com").identifiers).tokens
        of_another = await seal(rig, workspace, match_keys("another@example.com"))
        with running_fake("google") as server, FakeServer(FakeTokens(TOKEN)) as tokens:
            tokens.faults.append(Fault(takes=True, reply=None, until=may_go))
            purchases = [a_purchase(lane, number) for number in range(7)]
            await publish(rig, lane, purchases, of_its_own_person)

            async def is_waiting() -> bool:
                return bool(tokens.asks)

            async def is_idle() -> bool:
                return await rig.stores.jobs.waiting(lane) == 0

            async with rig.running_lane(lane, a_batch_destination("google", server.url, **oauth(tokens.url))):
                await eventually_async(is_waiting)
                said = {"c1:0001": [0, 0, DENIED, 0, 0], "c1:0002": [0, 0, 0, 0, DENIED]}
                decided: dict[Place, list[AnyDecision]] = {
                    (workspace, f"customer:{name}"): [Decision(LATER, packed(states))] for name, states in said.items()
                }
                for name, vendor in (("c1:0003", 755), ("c1:0004", 4)):
                    decided[workspace, f"customer:{name}"] = [VendorDecision(LATER, vendor, DENIED)]
                left = [
                    (clicked_micros, DENIED),
                    (clicked_micros + 1, GRANTED),
                ]  # dropped with the click, and named again after it
                decided[workspace, "customer:c1:0005"] = [VendorDecision(time, 755, state) for time, state in left]
                decided[workspace, address] = [Decision(LATER, packed([0, 0, DENIED, 0, 0]))]
                await Consents(rig.redis, SHARDS).record(decided)
                may_go.set()
                await eventually_async(is_idle)
            consents = {
                event["transactionId"]: event["consent"].get("adPersonalization")
                for ask in server.asks
                for event in json.loads(ask.body)["events"]
            }
            clicked = [
                event["transactionId"]
                for ask in server.asks
                for event in json.loads(ask.body)["events"]
                if event.get("adIdentifiers", {}).get("gclid")
            ]
            unnamed = [
                event["transactionId"]
                for ask in server.asks
                for event in json.loads(ask.body)["events"]
                if "userData" not in event
            ]
        told = {f"p-c1:{number:04}": None for number in (0, 2, 4, 5, 6)}
        assert consents == {**told, "p-c1:0002": "CONSENT_DENIED"}
        assert sorted({*told} - {*clicked}) == ["p-c1:0005"], "who did not want it told when they clicked"
        assert unnamed == ["p-c1:0006"], "whose address was another's, who withdrew it"
        lines = [await rig.deliveries(lane, one.conversion_id) for one in purchases]
        assert [[one.state for one in own] for own in lines] == [
            [DELIVERY_STATE_ACCEPTED],
            [DELIVERY_STATE_INELIGIBLE],
            [DELIVERY_STATE_ACCEPTED],
            [DELIVERY_STATE_INELIGIBLE],
            [DELIVERY_STATE_ACCEPTED],
            [DELIVERY_STATE_ACCEPTED],
            [DELIVERY_STATE_ACCEPTED],
        ]
        for [line] in (lines[1], lines[3]):
            assert (line.ineligible_reason, line.attempts) == (INELIGIBLE_REASON_NO_CONSENT, 0)
            assert line.consent_basis == "denied"
        assert "tcf_vendor" in lines[3][0].message
