"""Whatever goes wrong at a destination, of whatever type: a conversion counts once there, or is dead with the reason.

One table of faults, each met by every type at the same time: their fakes stand behind one port, a lane runs for each.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.all_destinations import (
    KINDS,
    REFUSED,
    TAKEN,
    WITHHELD,
    Fate,
    Row,
    Stand,
    differences,
    in_doubt,
    open_row,
)
from tests.support.batches import EXPIRED, Ahead, a_purchase, clicked, plan, publish
from tests.support.certificates import Authority
from tests.support.delivery import PACE, SHARDS, Rig, a_rig
from tests.support.destinations import SECRET
from tests.support.eventually import eventually_async
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.event.v1.event_pb2 import ORIGIN_STORE
from tributary_cli.demo.fakes.fake import Ask, Reply
from tributary_cli.demo.fakes.http import Cut
from tributary_cli.demo.fakes.server import FAILED_AFTER, LOST, Disturbed, Fault
from tributary_delivery.destinations import TOKEN_URLS
from tributary_delivery.lane import Pace
from tributary_domain.consent import DENIED, Decision, packed
from tributary_runtime.clock import SystemClock
from tributary_storage.redis.consents import Consents
from tributary_storage.redis.ties import person_key

PATIENT = Pace(concurrency=16, call_seconds=60.0, margin_seconds=60.0)
"""For nine thousand conversions in one process."""
IDS = [f"c1:{number:04}" for number in range(4)]
BROKEN = Fault(takes=False, reply=Reply(502))


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


async def wait_for(rig: Rig, row: Row, count: int = len(IDS)) -> list[str]:
    """Publishes conversions, and plans at each destination as many as one call of it holds; returns their ids."""
    lane = row.lanes[0]
    messages = await publish(
        rig, lane, [a_purchase(lane, number) for number in range(count)], clicked, is_planned=False
    )
    for stand in row:
        most = max(len(IDS), stand.most_per_call)
        await plan(rig, [stand.lane], messages[:most])
    return [one.state.conversion_id for one in messages]


def all_of(row: Row, fate: Callable[[Stand], Fate]) -> dict[tuple[str, str], Fate]:
    """Returns the fate of every conversion at each destination."""
    return {(stand.kind, one): fate(stand) for stand, one in product(row, IDS)}


def lost_if_unknown(effects: int) -> Callable[[Stand], Fate]:
    """Returns the fate after an answer that tells nothing: sent again, where it would be known again."""
    return lambda stand: TAKEN if stand.knows_again else in_doubt(effects)


@pytest.mark.parametrize(
    ("fault", "fate"),
    [
        pytest.param(LOST, lost_if_unknown(1), id="the reply is lost after it was taken"),
        pytest.param(FAILED_AFTER, lost_if_unknown(1), id="500 after it was taken"),
        pytest.param(BROKEN, lost_if_unknown(0), id="502 before it was taken"),
        pytest.param(Fault(True, Cut.RESET), lost_if_unknown(1), id="TLS is reset in the middle of the answer"),
        pytest.param(Fault(False, Cut.RESET), lost_if_unknown(0), id="TLS is reset before it was taken"),
    ],
)
async def test_a_call_that_ends_badly_repeats_no_conversion_and_loses_none(
    rig: Rig, workspace: str, tmp_path: Path, fault: Fault, fate: Callable[[Stand], Fate]
) -> None:
    server = None
    if fault.reply is Cut.RESET:
        authority = Authority(tmp_path)
        server, rig.tls = authority.server("destinations"), authority.client()
    with open_row(workspace, tls=server) as row:
        for stand in row:
            stand.front.faults.append(fault)
        await wait_for(rig, row)
        await row.deliver(rig)
        assert differences(all_of(row, fate), await row.fates(rig, IDS)) == []


async def test_nobody_there_means_later_and_nothing_is_in_doubt(rig: Rig, workspace: str) -> None:
    with open_row(workspace) as closed:
        pass
    await wait_for(rig, closed)

    async def has_failed() -> bool:
        return len(await rig.history.deliveries(workspace, IDS[0])) == len(KINDS)

    await closed.deliver(rig, has_failed)
    with open_row(workspace) as row:
        await row.deliver(rig)
        assert differences(all_of(row, lambda _: TAKEN), await row.fates(rig, IDS)) == []


async def test_too_many_calls_are_told_so_and_come_again_when_they_may(rig: Rig, workspace: str) -> None:
    with open_row(workspace) as row:
        for stand in row:
            said = replace(stand.front.fake.too_many(), headers={"retry-after": "1"})
            stand.front.faults.append(Fault(takes=False, reply=said))
        await wait_for(rig, row)
        await row.deliver(rig)
        assert differences(all_of(row, lambda _: TAKEN), await row.fates(rig, IDS)) == []
        early = {
            stand.kind: waited
            for stand in row
            if (waited := stand.front.asked_seconds[-1] - stand.front.asked_seconds[0]) < 0.99
        }
        assert early == {}, "each waited as long as it was asked to"
        slowed = [await rig.stores.states.slow_down(stand.lane) for stand in row]
        assert max(slowed) < 0.6, "each was slowed down a moment ago"


@pytest.mark.parametrize("takes_late", [False, True], ids=["taken at once", "taken after it was sent again"])
async def test_a_destination_that_answers_too_late_counts_once(rig: Rig, workspace: str, *, takes_late: bool) -> None:
    over = threading.Event()
    with open_row(workspace) as row:
        for stand in row:
            stand.front.faults.append(Fault(True, Reply(200), until=over, takes_late=takes_late))
        await wait_for(rig, row)
        try:
            await row.deliver(rig, pace=replace(PACE, call_seconds=1.0))
        finally:
            over.set()
        for stand in row:
            asks = len(stand.front.asks)
            await eventually_async(lambda stand=stand, asks=asks: stand.front.fake.requests == asks)
        assert differences(all_of(row, lost_if_unknown(1)), await row.fates(rig, IDS)) == []


class Strict(Disturbed):
    """Refuses the whole request where the fake would refuse a part of it."""

    def respond(self, ask: Ask) -> Reply | Cut:
        """Looks for what is poison."""
        if self.fake.name in ROWS and any(f'"{one}"'.encode() in ask.body for one in self.fake.poison):
            self.asks.append(ask)
            return Reply(400)
        return super().respond(ask)


ROWS = ("google_ads", "hubspot", "microsoft", "pinterest", "salesforce")
"""Who answers row by row."""
NAMES_IT = ("google", "linkedin")
"""Who says which one is to blame."""


async def test_one_bad_one_in_a_full_request_is_the_only_one_that_is_not_taken(rig: Rig, workspace: str) -> None:
    """A thousand, or as many as the destination takes: whoever refuses the whole request is sent it in parts."""
    with open_row(workspace, front=Strict, batch_size=1_000, kinds=[one for one in KINDS if one not in SMALL]) as big:
        ids = await wait_for(rig, big, 1_000)
        bad = ids[617]
        with capture_logs() as logs:
            await refuse_one(rig, big, bad, seconds=90, pace=PATIENT)
        assert {stand.kind: stand.front.fake.accepted for stand in big} == {stand.kind: 999 for stand in big}
        assert {stand.kind: stand.front.fake.repeats for stand in big if stand.front.fake.repeats} == {}
        most = Counter({stand.kind: 2 if stand.kind in NAMES_IT else 21 for stand in big})
        # where a store was late, a call was not made, and its part begins anew
        most.update(one["destination"] for one in logs if one["event"] == "call_not_made")
        asks = {stand.kind: len(stand.front.asks) for stand in big}
        assert {kind: count for kind, count in asks.items() if count > most[kind]} == {}
        near = await big.fates(rig, [bad, ids[616], ids[618]])
        assert differences({**near, **{key: REFUSED if key[1] == bad else TAKEN for key in near}}, near) == []


SMALL = ("hubspot", "salesforce", "webhook")
"""Whose requests hold fewer than a thousand."""


async def test_one_bad_one_in_a_small_request_is_the_only_one_that_is_not_taken(rig: Rig, workspace: str) -> None:
    with open_row(workspace, front=Strict, kinds=SMALL) as small:
        ids = await wait_for(rig, small, 200)
        await refuse_one(rig, small, ids[2], horizon_seconds=3.0)
        sizes = {"hubspot": 100, "salesforce": 200, "webhook": len(IDS)}
        assert {stand.kind: stand.front.fake.accepted for stand in small} == {
            kind: size - 1 for kind, size in sizes.items()
        }
        fates = await small.fates(rig, ids[:4])
    # A webhook says nothing of what is wrong: it is tried until it is given up.
    refused = {kind: Fate(0, "DEAD", "RETRY") if kind == "webhook" else REFUSED for kind in sizes}
    assert differences({key: refused[key[0]] if key[1] == ids[2] else TAKEN for key in fates}, fates) == []


async def refuse_one(rig: Rig, row: Row, conversion_id: str, **own: Any) -> None:
    for stand in row:
        stand.front.fake.poison.add(stand.known_as(conversion_id))
    await row.deliver(rig, **own)


@pytest.mark.parametrize("faults", [[], [LOST]], ids=["at once", "after its reply was lost"])
async def test_what_is_wrong_in_a_request_that_is_taken_in_part_is_not_sent_again_with_the_rest(
    rig: Rig, workspace: str, faults: list[Fault]
) -> None:
    halved = {"reddit", "snap"}  # they do not say which it was: the others come again, and are known
    with open_row(workspace) as row:
        for stand in row:
            stand.front.fake.takes_the_rest = True
            stand.front.fake.poison.add(stand.known_as(IDS[3]))
            stand.front.faults.extend(faults)
        await wait_for(rig, row)
        await row.deliver(rig, horizon_seconds=3.0)
        found = await row.fates(rig, IDS)
        assert faults or {stand.kind for stand in row if stand.front.fake.repeats} == halved
    expected = all_of(row, lost_if_unknown(1) if faults else lambda _: TAKEN)
    for stand in row:
        in_time = faults and not stand.knows_again
        expected[stand.kind, IDS[3]] = in_doubt(0) if in_time else REFUSED
    expected["webhook", IDS[3]] = Fate(0, "DEAD", "RETRY")  # it says nothing of what is wrong
    assert differences(expected, found) == []


async def test_what_was_locked_for_a_moment_was_not_taken_and_is_sent_again(rig: Rig, workspace: str) -> None:
    """Also where nothing is sent again that may have been taken."""
    with open_row(workspace, kinds=["linkedin", "hubspot"]) as row:
        for stand in row:
            stand.front.faults.append(Fault(takes=False, reply=Reply(423)))
        await wait_for(rig, row)
        await row.deliver(rig)
        assert differences(all_of(row, lambda _: TAKEN), await row.fates(rig, IDS)) == []


def in_a_store(message: ConversionRevised) -> None:
    message.state.origin = ORIGIN_STORE


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        pytest.param("pinterest", in_a_store, id="pinterest: it happened offline"),
        pytest.param("microsoft", None, id="microsoft: it has no click"),
    ],
)
async def test_what_a_destination_would_not_know_again_is_sent_once_though_others_of_it_are(
    rig: Rig, workspace: str, kind: str, change: Callable[[ConversionRevised], None] | None
) -> None:
    with open_row(workspace, kinds=[kind]) as row:
        [stand] = row
        stand.front.faults.append(LOST)
        lane = stand.lane
        await publish(rig, lane, [a_purchase(lane, number) for number in range(len(IDS))], change)
        await row.deliver(rig)
        assert stand.front.fake.accepted == len(IDS)
        found = await row.fates(rig, IDS)
    assert {(fate.state, fate.outcome) for fate in found.values()} == {("DEAD", "UNKNOWN")}


REFRESHED = (*TOKEN_URLS, "salesforce")


async def test_a_token_that_has_expired_is_renewed_or_waited_for(rig: Rig, workspace: str) -> None:
    """Where tokens are refreshed, at once; else the destination is paused until the file holds another."""
    with open_row(workspace, refresh=REFRESHED) as row:
        row.tokens.expires_at_once = True
        for stand in row:
            stand.front.fake.expired.add(EXPIRED)
        given = [stand for stand in row if stand.kind not in REFRESHED]
        for stand in given:
            stand.front.fake.token = SECRET[:-4] + "AAAA" if stand.kind == "webhook" else "the-next-token"
        await wait_for(rig, row)

        async def has_come_as_far_as_it_can() -> bool:
            for stand in row:
                state = await rig.stores.states.read(stand.lane)
                done = state.paused_until_millis or not await rig.stores.jobs.waiting(stand.lane)
                if not done and not (stand.kind == "webhook" and stand.front.asks):
                    return False
            return True

        await row.deliver(rig, has_come_as_far_as_it_can)
        assert {stand.kind for stand in given if stand.front.fake.accepted} == set()
        for stand in given:
            key = "secret" if stand.kind == "webhook" else "access_token"
            stand.declared[key] = {"value": stand.front.fake.token}
        await row.deliver(rig)
        assert differences(all_of(row, lambda _: TAKEN), await row.fates(rig, IDS)) == []


@pytest.mark.parametrize("is_over", [False, True], ids=["an hour before", "an hour after"])
async def test_what_may_have_been_taken_is_sent_again_only_while_it_would_be_known_again(
    rig: Rig, workspace: str, *, is_over: bool
) -> None:
    """Of a webhook nobody says for how long it remembers: the specification leaves that to the receiver."""
    windows: dict[int, list[str]] = {}
    with open_row(workspace) as probe:
        for stand in probe:
            windows.setdefault(getattr(stand.settings, "resend_hours", 0), []).append(stand.kind)
    assert windows.pop(0) == ["linkedin", "webhook"]  # LinkedIn is never sent anything again
    assert set(windows) == {47, 72}
    for hours, kinds in windows.items():
        with open_row(workspace, kinds=kinds) as row:
            for stand in row:
                stand.front.faults.extend([LOST] * 100)
            await wait_for(rig, row)
            await row.deliver(rig, lambda row=row: all(stand.front.asks for stand in row))
            asked = {}
            for stand in row:
                stand.front.faults.clear()
                asked[stand.kind] = len(stand.front.asks)
            clock = Ahead(hours=hours + (1 if is_over else -1))
            await row.deliver(rig, clock=clock, horizon_seconds=72 * 3600)
            again = {stand.kind: len(stand.front.asks) - asked[stand.kind] for stand in row}
            fates = await row.fates(rig, IDS)
        if is_over:
            assert again == dict.fromkeys(kinds, 0)
            assert differences(dict.fromkeys(fates, in_doubt(1)), fates) == []
        else:
            assert min(again.values()) > 0
            assert differences(dict.fromkeys(fates, TAKEN), fates) == []


async def test_who_takes_consent_back_before_it_is_sent_is_sent_nowhere(rig: Rig, workspace: str) -> None:
    def of_person(message: ConversionRevised) -> None:
        clicked(message)
        message.state.person_id = person_key(workspace, "customer:1")

    with open_row(workspace) as row:
        messages = await publish(
            rig, row.lanes[0], [a_purchase(row.lanes[0], number) for number in range(4)], of_person
        )
        await plan(rig, row.lanes, messages)
        denial = Decision(SystemClock().unix_micros(), packed([0, 0, DENIED, 0, 0]))
        await Consents(rig.redis, SHARDS).record({(workspace, "customer:1"): [denial]})
        await row.deliver(rig)
        assert {stand.kind for stand in row if stand.front.asks} == set()
        found = await row.fates(rig, IDS)
    assert differences(dict.fromkeys(found, WITHHELD), found) == []
