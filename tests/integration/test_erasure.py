"""Who was erased is found nowhere, comes back by no way, and is missing from no total."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest
from click.testing import CliRunner

from tests.integration.test_closed_books import _report as report
from tests.integration.test_consent import consent
from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, leaving
from tests.support.families import Families
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tributary.attribution.v1.attribution_service_pb2 import ErasePersonRequest, ErasePersonResponse
from tributary.attribution.v1.attribution_service_pb2_grpc import (
    AttributionServiceServicer,
    AttributionServiceStub,
    add_AttributionServiceServicer_to_server,
)
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.erasure_pb2 import ERASURE_STATE_DESTROYED, ERASURE_STATE_REQUESTED
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.dedup.v1.decision_pb2 import ERASURE_MODE_REMOVE
from tributary.delivery.v1.delivery_pb2 import Delivery
from tributary.event.v1.consent_pb2 import CONSENT_STATE_GRANTED
from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary.query.v1 import query_service_pb2 as contract
from tributary_attribution.erasure_messages import erase
from tributary_attribution.journeys import identification
from tributary_attribution.tombstones import Tombstones
from tributary_cli.migrate import migrate
from tributary_domain.erasures import Erasure, ErasureState
from tributary_domain.ids import person_id
from tributary_domain.sealing import key_name
from tributary_query.erasures import Erasures
from tributary_runtime.errors import StorageUnavailableError
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.conversion_history import ConversionHistory
from tributary_storage.clickhouse.erasures import ErasureRecords
from tributary_storage.clickhouse.identity_changes import IdentityChanges
from tributary_storage.clickhouse.integrity import StoredIntegrity
from tributary_storage.clickhouse.report_query import Basis
from tributary_storage.clickhouse.role_marks import PublishedMarks
from tributary_storage.clickhouse.writer import DeliveryWriter
from tributary_storage.redis import keys
from tributary_storage.redis.conversions import Conversions, conversion_key
from tributary_storage.redis.data_keys import Candidate, DataKeys
from tributary_storage.redis.dead_letters import DeadLetters
from tributary_storage.redis.ties import person_key

if TYPE_CHECKING:
    from tributary_storage.clickhouse.client import ClickHouse

CANARY = f"canary-{secrets.token_hex(4)}"
VISITOR, CUSTOMER, OTHER = f"visitor:{CANARY}-v", f"customer:{CANARY}-c", "customer:other"
SHARDS = 4
_READ = {
    b"hash": ("hgetall",),
    b"string": ("get",),
    b"list": ("lrange", 0, -1),
    b"zset": ("zrange", 0, -1),
    b"set": ("smembers",),
}


@pytest.fixture
async def own(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Reconciled]:
    patience = {"delivery_seconds": PATIENCE_SECONDS}
    async with (
        reconciled(migrated_redis_url, clickhouse_url, workspace, **patience) as opened,
        forgetting(opened.attribution),
    ):
        yield opened


def a_life(events: Events) -> list[Admitted]:
    """Returns all that somebody did: three touches, a log-in, an order seen twice, a refund, consent."""
    touch = events.touch(VISITOR, at=NOON - 3 * DAY, channel="Email", event_id="t-1", clicks={"gclid": CANARY})
    touch[1].event.context.page_url = f"https://shop.example/{CANARY}"
    order = events.order(CUSTOMER, VISITOR, event_id="o-1", order_id=f"o-{CANARY}")
    order[1].event.context.page_url = f"https://shop.example/thanks/{CANARY}"
    lead = events.order(CUSTOMER, at=NOON + 7, event_id="l-1", order_id=f"l-{CANARY}")
    lead[1].event.conversion.lead.lead_id = f"lead-{CANARY}"
    lead[1].event.conversion.lead.root_order_id = f"root-{CANARY}"
    return [
        lead,
        touch,
        events.touch(VISITOR, at=NOON - 2 * DAY, channel="Display", event_id="t-2"),
        consent(events, CUSTOMER, CONSENT_STATE_GRANTED, at=NOON - 2 * DAY, event_id="c-1"),
        events.identify(CUSTOMER, VISITOR, at=NOON - DAY, event_id="i-1"),
        order,
        events.order(VISITOR, at=NOON + 5, event_id="o-2", order_id=f"o-{CANARY}", letter="M", rank=1),
        events.refund(10_000_000, order_id=f"o-{CANARY}", event_id="r-1"),
    ]


def sealed_under(workspace: str, token: str, text: str) -> bytes:
    """Returns what looks like match keys that are sealed under the data key of an identifier."""
    return b"\x01" + key_name(workspace, token) + b"n" * 12 + text.encode()


def told_by(token: str, change: Admitted) -> Admitted:
    """Returns a change of a conversion as somebody told it, from a page of their own."""
    change[1].identity_tokens.append(token)
    change[1].event.context.page_url = f"https://shop.example/{CANARY}"
    return change


async def put_aside(attribution: Attribution, *events: Admitted) -> None:
    """Makes dead letters of events, and of all revisions that were published."""
    workspace, state = attribution.workspace.id, attribution.state
    for letter, one in events:
        fields = {"workspace": workspace, "payload": one.SerializeToString(), "letter": letter, "position": 0}
        await state.xadd(keys.event_dead_letters(0, keys.RECORD_GROUP), fields)  # type: ignore[arg-type]
    for revised in await attribution.logged():
        if revised.workspace == workspace:
            fields = {"workspace": workspace, "payload": revised.SerializeToString()}
            await state.xadd(keys.conversion_dead_letters(0, keys.DELIVER_GROUP), fields)  # type: ignore[arg-type]


async def sent_as_published(attribution: Attribution, conversion_id: str) -> None:
    """Writes into the ledger that each revision of a conversion was sent, with what its match holds."""
    lines = []
    for revised in await attribution.logged():
        if revised.state.conversion_id == conversion_id:
            hashes = {"em": CANARY if CANARY.encode() in b"".join(revised.match.sealed_match_keys) else "theirs"}
            line = Delivery(destination_id="google", conversion_id=conversion_id, revision=revised.revision, attempts=1)
            line.visible_id = revised.state.order_key.order_id
            line.identifier_digests.update(hashes)
            for click in revised.match.click_ids:
                line.click_id_family, line.click_id = click.family, click.value
            lines.append((attribution.workspace.id, line))
    await DeliveryWriter(attribution.clickhouse).write(lines)


def somebody_else(events: Events) -> list[Admitted]:
    return [
        events.touch(OTHER, at=NOON - DAY, channel="Email", event_id="x-1"),
        events.order(OTHER, order_id="o-other", event_id="x-2"),
    ]


async def end_all(attribution: Attribution) -> None:
    """Goes on with all erasures of the workspace until they are over."""
    while opened := [one for one in await attribution.erasures.opened() if one.workspace == attribution.workspace.id]:
        for one in opened:
            await attribution.erasing.go_on(replace(one, due_micros=0))


async def lived(own: Reconciled, workspace: str) -> tuple[Events, list[Admitted]]:
    """Lets the person and somebody else live; returns what the person did."""
    events = Events(workspace)
    life = a_life(events)
    for some in (life[:6], [*life[6:], *somebody_else(events)]):  # the order has two revisions
        await own.happen(*some)
    made = {(workspace, key_name(workspace, VISITOR)): Candidate(b"w" * 40, NOON)}
    await DataKeys(own.attribution.state, SHARDS).obtain(made, 1000)
    return events, life


async def requested(attribution: Attribution, mode: ErasureMode = ErasureMode.SEVER) -> Erasure:
    people = await attribution.people.people_of({(attribution.workspace.id, CUSTOMER)})
    tokens = next(iter(people.values())).tokens
    assert set(tokens) == {CUSTOMER, VISITOR}
    return await attribution.erasing.request(attribution.erasing.plan(attribution.workspace.id, tokens, mode))


async def received(attribution: Attribution) -> list[Any]:
    """Returns how many events there are, by what became of them, and how many conversions they observed."""
    return await attribution.clickhouse.execute(
        "SELECT verdict, count(), uniqExact(event_id), uniqExactIf(conversion_id, kind = 'conversion')"
        " FROM events FINAL WHERE workspace = %(w)s GROUP BY ALL ORDER BY ALL",
        {"w": attribution.workspace.id},
    )


async def by_time(attribution: Attribution) -> list[Any]:
    """Returns what reports by conversion time add up, by day and channel."""
    asked = """
        SELECT toDate(conversion_time), name, touch_channel, count(), sum(value_micros), sum(linear), sum(decay)
        FROM (SELECT * FROM conversions FINAL WHERE workspace = %(w)s AND counted)
        ARRAY JOIN touch_channels AS touch_channel, linear_value_micros AS linear, time_decay_credit_micros AS decay
        GROUP BY ALL ORDER BY ALL"""
    return await attribution.clickhouse.execute(asked, {"w": attribution.workspace.id})


async def totals(attribution: Attribution) -> list[Any]:
    """Returns what reports add up: by day and channel, and by the day it was posted."""
    posted = """
        SELECT posting_date, name, count(), sum(value_delta_micros), sum(counted_delta), arraySort(groupArray(causes))
        FROM (SELECT * FROM conversion_revisions FINAL WHERE workspace = %(w)s ORDER BY conversion_time, revision)
        GROUP BY ALL ORDER BY ALL"""
    asked = {"w": attribution.workspace.id}
    counted = [await by_time(attribution), await attribution.clickhouse.execute(posted, asked)]
    return [*counted, *[await report(attribution, basis=basis) for basis in Basis]]


async def everything(attribution: Attribution) -> list[tuple[bytes, bytes]]:
    """Returns all keys of the state store with what they hold; without streams, which end by themselves."""
    keys = [key async for key in attribution.state.scan_iter(count=5000)]
    held: list[tuple[bytes, bytes]] = []
    for start in range(0, len(keys), 2000):
        some = keys[start : start + 2000]
        asking = attribution.state.pipeline(transaction=False)
        for key in some:
            asking.type(key)
        kinds = await asking.execute()
        asking = attribution.state.pipeline(transaction=False)
        wanted = [(key, kind) for key, kind in zip(some, kinds, strict=True) if kind in _READ]
        for key, kind in wanted:
            getattr(asking, _READ[kind][0])(key, *_READ[kind][1:])
        for (key, _), answer in zip(wanted, await asking.execute(), strict=True):
            held.append((key, repr(answer).encode()))
    return held


async def canaries(attribution: Attribution) -> list[str]:
    """Returns where anything of the person is found: in Redis, dead letters included, and the texts of all tables."""
    found = [key.decode() for key, content in await everything(attribution) if CANARY.encode() in key + content]
    tables = await attribution.clickhouse.execute(
        "SELECT table, groupArray(name) FROM system.columns WHERE database = currentDatabase() AND table IN"
        " (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%%MergeTree')"
        " AND table IN (SELECT table FROM system.columns WHERE database = currentDatabase() AND name = 'workspace')"
        " GROUP BY table ORDER BY table"
    )
    for table, columns in tables:
        text = " , ".join(f"ifNull(toString({column}), '')" for column in columns)
        [(number,)] = await attribution.clickhouse.execute(
            f"SELECT countIf(position(concat({text}, ''), %(needle)s) > 0) FROM {table} WHERE workspace = %(w)s",  # noqa: S608
            {"needle": CANARY, "w": attribution.workspace.id},
        )
        if number:
            found.append(table)
    letters = DeadLetters(attribution.state, attribution.state, SHARDS).all()
    return [*found, *[one.letter_id async for one in letters if CANARY.encode() in repr(one.fields).encode()]]


async def test_nothing_of_the_person_is_left_and_no_total_changes(own: Reconciled, workspace: str) -> None:
    await lived(own, workspace)
    attribution = own.attribution
    before, counts = await totals(attribution), await received(attribution)
    assert await canaries(attribution) != []
    dry = await attribution.erasing.survey(attribution.erasing.plan(workspace, [CUSTOMER, VISITOR]))
    assert dry["events"] == 8
    assert dry["data_keys"] == 1
    erasure = await attribution.erasing.go_on(await requested(attribution))
    assert erasure.state is ErasureState.DESTROYED
    assert erasure.destroyed["journey_events"] == 5
    assert erasure.destroyed["data_keys"] == 1
    assert erasure.destroyed["events"] == 8
    assert not any(erasure.remaining.values()), erasure.remaining
    attribution.waiting.append(erasure.request_micros)  # the recorder is behind
    assert await attribution.erasing.go_on_with_due() >= 1
    assert (await attribution.erasing.get(workspace, erasure.erasure_id)).state is ErasureState.DESTROYED
    attribution.waiting.clear()
    assert await attribution.erasing.go_on_with_due() >= 1
    assert (await attribution.erasing.get(workspace, erasure.erasure_id)).state is ErasureState.FINISHED
    assert await canaries(attribution) == []
    assert (await totals(attribution), await received(attribution)) == (before, counts)


async def test_no_dead_letter_brings_back_who_was_erased(own: Reconciled, workspace: str) -> None:
    events, life = await lived(own, workspace)
    attribution = own.attribution
    letters = DeadLetters(attribution.state, attribution.state, SHARDS)
    theirs = events.touch(OTHER, at=NOON - DAY, channel="Email", event_id="x-1")
    shared = events.order(OTHER, VISITOR, order_id="o-tablet", event_id="s-1")
    observed = events.order(OTHER, VISITOR, order_id=f"o-{CANARY}", event_id="s-2", letter="M", rank=1)
    await put_aside(attribution, life[1], theirs, shared, observed)
    of_others = events.conversion_id("o-other")
    erasure = await attribution.erasing.go_on(await requested(attribution))
    left = [letter async for letter in letters.all() if letter.text("workspace") == workspace]
    of_events = [letter for letter in left if letter.group == keys.RECORD_GROUP]
    shared[1].identity_tokens[:] = [OTHER]
    assert [AdmittedEvent.FromString(letter.payload) for letter in of_events] == [theirs[1], shared[1]]
    assert [(letter.text("letter"), letter.text("position")) for letter in of_events] == [("A", "0")] * 2
    told = [ConversionRevised.FromString(letter.payload) for letter in left if letter.group == keys.DELIVER_GROUP]
    assert {one.state.conversion_id for one in told} == {of_others}
    assert erasure.destroyed["dead_letters"] >= 4
    assert not erasure.remaining["dead_letters"]


async def test_no_data_key_comes_back_for_what_was_erased_after_the_state_store_was_lost(
    own: Reconciled, workspace: str, migrated_redis_url: str, clickhouse_url: str
) -> None:
    await lived(own, workspace)
    attribution = own.attribution
    erasure = await attribution.erasing.go_on(await requested(attribution))
    await attribution.state.flushdb()
    stores = {f"TRIBUTARY_{role}_URL": migrated_redis_url for role in ("LOG", "STATE", "JOBS")}
    environment = stores | {"TRIBUTARY_CLICKHOUSE_URL": clickhouse_url}
    told = await asyncio.to_thread(CliRunner().invoke, migrate, ["--confirm-loss", "state"], env=environment)
    assert told.exit_code == 0, told.output
    name, keys = (workspace, key_name(workspace, VISITOR)), DataKeys(attribution.state, SHARDS)
    assert await keys.obtain({name: Candidate(b"old", erasure.until_micros)}, 1000) == {name: b""}
    assert await keys.obtain({name: Candidate(b"new", erasure.until_micros + 1)}, 1000) == {name: b"new"}


async def test_who_shares_a_device_with_the_person_is_not_erased_with_them(own: Reconciled, workspace: str) -> None:
    events, attribution = Events(workspace), own.attribution
    named = Identifiers(customer_id="mine")
    mine, *_ = identification(attribution.workspace).identify(named).tokens
    await own.happen(events.identify(mine, "visitor:shared", at=NOON - DAY, event_id="mine"))
    await own.happen(events.identify("customer:theirs", "email:theirs", at=NOON - DAY, event_id="theirs"))
    await own.happen(events.identify("email:theirs", "visitor:shared", at=NOON, event_id="both"))
    assert await attribution.erasing.tokens_of(workspace, named, "") == [mine, "visitor:shared"]


@pytest.mark.parametrize(
    ("mode", "is_first"),
    [(mode, False) for mode in ErasureMode] + [pytest.param(ErasureMode.SEVER, True, id="the person saw it first")],
)
async def test_an_order_of_somebody_else_stays_theirs_though_the_person_saw_it_too(
    own: Reconciled, workspace: str, mode: ErasureMode, is_first: bool
) -> None:
    events, _ = await lived(own, workspace)
    attribution = own.attribution
    clicked = {"order_id": "o-shared", "rank": 1, "click_ids": {"gclid": CANARY}}
    letters = "MA" if is_first else "AM"
    theirs = events.order(OTHER, order_id="o-shared", event_id="s-1", micros=None, letter=letters[0])
    seen = events.order(VISITOR, event_id="s-2", at=NOON + 9, micros=70_000_000, letter=letters[1], **clicked)
    leaving(theirs, sealed_under(workspace, OTHER, "theirs"))
    leaving(seen, sealed_under(workspace, VISITOR, CANARY))
    for told in (seen, theirs) if is_first else (theirs, seen):
        await own.happen(told)
    changes = events.refund(1, order_id="o-shared"), events.refund(2, of_event="s-1")
    refunds = [told_by(VISITOR, one) for one in changes]
    await own.happen(*refunds)
    await put_aside(attribution, seen, *refunds)
    await sent_as_published(attribution, events.conversion_id("o-shared"))
    erasure = await attribution.erasing.go_on(await requested(attribution, mode))
    assert not any(erasure.remaining.values()), erasure.remaining
    await put_aside(attribution, seen)  # by who had it in hand; and revisions of then
    await attribution.erasing.go_on(erasure)
    assert await canaries(attribution) == []
    revisions = await attribution.clickhouse.execute(
        "SELECT revised FROM conversion_revisions FINAL WHERE workspace = %(w)s AND conversion_id = %(c)s",
        {"w": workspace, "c": events.conversion_id("o-shared")},
        raw_strings=True,
    )
    told = [ConversionRevised.FromString(revised) for (revised,) in revisions]
    persons = {person_key(workspace, token) for token in (VISITOR, CUSTOMER)}
    assert not [one for one in told if persons.intersection((*one.match.person_ids, one.state.person_id))]
    shared = await attribution.published(events.conversion_id("o-shared"))
    assert shared is not None
    assert (shared.state.counted, shared.state.value.amount_micros) == (True, 69_999_997)
    await own.happen(events.refund(10_000_000, order_id="o-shared", event_id="s-3"))
    await own.run()
    assert await own.differences() == []
    assert ("o-shared", 59_999_997) in await attribution.stored("order_id, value_micros")
    sent = "SELECT click_id_family, click_id, identifier_digests['em'], visible_id FROM deliveries FINAL"
    rows = await attribution.clickhouse.execute(f"{sent} WHERE workspace = %(w)s ORDER BY revision", {"w": workspace})
    first, *others = rows
    assert first == (("gclid", "", "", "o-shared") if is_first else ("", "", "theirs", "o-shared"))
    assert set(others) == {("gclid", "", "", "o-shared")}
    letters = DeadLetters(attribution.state, attribution.state, SHARDS).all()
    own_letters = [one async for one in letters if one.text("workspace") == workspace and one.text("letter")]
    kept = [AdmittedEvent.FromString(one.payload) for one in own_letters]
    assert [len(one.identity_tokens) for one in kept] == [0] * 4
    assert {one.event.adjustment.amount.amount_micros for one in kept} == {0, 1, 2}


@pytest.mark.parametrize("mode", list(ErasureMode))
@pytest.mark.parametrize("is_over", [False, True], ids=["on the way", "over"])
async def test_what_the_person_saw_of_somebody_elses_order_counts_though_it_comes_after_the_erasure(
    own: Reconciled, workspace: str, mode: ErasureMode, is_over: bool
) -> None:
    events, life = await lived(own, workspace)
    attribution = own.attribution
    numbers = ("o-seen", "o-refunded", "o-waiting")
    await own.happen(*[events.order(OTHER, order_id=one, event_id=one, micros=50_000_000, rank=1) for one in numbers])
    await attribution.erasing.go_on(await requested(attribution, mode))
    if is_over:
        await end_all(attribution)

    def late(number: str, letter: str = "M") -> Admitted:
        told = events.order(
            CUSTOMER,
            VISITOR,
            at=NOON + 9,
            order_id=number,
            event_id=f"{number} late",
            micros=40_000_000,
            letter=letter,
            click_ids={"gclid": CANARY},
            page_url=f"https://shop.example/{CANARY}",
        )
        return leaving(told, sealed_under(workspace, CUSTOMER, CANARY))

    async def worth(number: str) -> int:
        published = await attribution.published(events.conversion_id(number))
        return 0 if published is None else published.state.value.amount_micros

    told_again = AdmittedEvent.FromString(life[5][1].SerializeToString())
    told_again.event.event_id = "o-1 again"
    await own.happen(late("o-seen"), late("o-refunded"), late("o-waiting", "Q"), late("o-unknown", "A"))
    await own.happen(
        told_by(VISITOR, events.refund(5_000_000, order_id="o-refunded", event_id="r-late")),
        told_by(VISITOR, events.refund(1_000_000, of_event="o-seen", order_id="", event_id="r-event")),
        events.order(OTHER, order_id="o-unknown", event_id="o-unknown", micros=50_000_000, rank=1, letter="M"),
        ("M", told_again),
    )
    assert [await worth(number) for number in numbers] == [40_000_000, 35_000_000, 50_000_000]
    await end_all(attribution)
    assert await canaries(attribution) == []
    told = [await worth(number) for number in (*numbers, "o-unknown")]
    assert told == [39_000_000, 35_000_000, 50_000_000, 40_000_000]
    key = conversion_key(workspace, events.conversion_id(f"o-{CANARY}"))
    assert not (await attribution.conversions.observe({key: {}}, 0))[key].parts, "an own one does not come back"
    await own.run()
    assert await own.differences() == []
    assert [await worth(number) for number in (*numbers, "o-unknown")] == told
    integrity = StoredIntegrity(attribution.clickhouse)
    observed = (await integrity.events(workspace)).observed_conversions
    assert observed == (await integrity.conversions(workspace)).rows


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_an_order_of_somebody_new_stays_one_though_what_was_seen_of_it_before_the_erasure_comes_late(
    own: Reconciled, workspace: str, mode: ErasureMode
) -> None:
    events, _ = await lived(own, workspace)
    attribution = own.attribution
    erasure = await requested(attribution, mode)
    await attribution.erasing.go_on(erasure)
    await end_all(attribution)
    told = {"order_id": "o-new", "micros": 40_000_000}
    await own.happen(events.order(CUSTOMER, at=erasure.until_micros + 2_000_000, event_id="backend", **told))
    await own.happen(
        events.order(CUSTOMER, VISITOR, at=erasure.until_micros - 1_000_000, event_id="browser", letter="M", **told)
    )
    await end_all(attribution)
    published = await attribution.published(events.conversion_id("o-new"))
    assert published is not None
    assert (published.state.counted, published.state.value.amount_micros) == (True, 40_000_000)
    assert published.state.conversion_time.ToMicroseconds() == erasure.until_micros + 2_000_000


@pytest.mark.parametrize(
    ("settings", "reaches"),
    [
        pytest.param({}, ["Referral"], id="goes on"),
        pytest.param({"attribution": [{"path_after_conversion": {"reset": ["purchase"]}}]}, [], id="begins anew"),
        pytest.param(
            {"conversions": [{"name": "purchase", "counting": "once_per_person"}]}, ["Referral"], id="counts once"
        ),
    ],
)
@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_what_somebody_elses_device_saw_of_an_order_stays_in_their_journey(
    migrated_redis_url: str,
    clickhouse_url: str,
    workspace: str,
    mode: ErasureMode,
    settings: dict[str, Any],
    reaches: list[str],
) -> None:
    """A direct visit shortly after the order is part of the session that it was in, and no touch."""
    own_settings = {**settings, "delivery_seconds": PATIENCE_SECONDS}
    async with (
        reconciled(migrated_redis_url, clickhouse_url, workspace, **own_settings) as own,
        forgetting(own.attribution),
    ):
        events, attribution = Events(workspace), own.attribution
        device, minute = "visitor:others", 60_000_000
        await own.happen(
            events.identify(OTHER, device, at=NOON - 9 * DAY, event_id="i-1"),
            events.touch(device, at=NOON - 5 * DAY, channel="Email", event_id="t-1"),
            events.touch(device, at=NOON - 5 * DAY + 40 * minute, channel="Direct", event_id="t-2"),
        )
        erased = {"at": NOON - 5 * DAY + 20 * minute, "order_id": f"o-{CANARY}"}
        await own.happen(events.order(CUSTOMER, event_id="o-1", **erased))
        await own.happen(events.order(device, event_id="o-2", letter="M", rank=1, **erased))
        await own.happen(events.order(OTHER, order_id="o-other", event_id="o-3"))
        *_, (touches,) = await attribution.stored("touch_channels")  # the newest is theirs
        erasure = attribution.erasing.plan(workspace, [CUSTOMER], mode)
        erasure = await attribution.erasing.go_on(await attribution.erasing.request(erasure))
        assert not any(erasure.remaining.values()), erasure.remaining
        await own.run()
        assert await own.differences() == []
        await attribution.erasing.go_on(erasure)
        assert await canaries(attribution) == []

        await attribution.state.flushdb()
        attribution.losses.append(NOON + 30 * DAY)
        while not attribution.rebuild.is_whole():
            await attribution.rebuild.some()
            await attribution.count_people()
        await own.happen(events.touch(device, at=NOON - 6 * DAY, channel="Referral", event_id="late"))
        *_, after = await attribution.stored("touch_channels, counted")
        assert after == ([*reaches, *touches], True)
        await own.run()
        assert await own.differences() == []
        orders = {name for (name,) in await attribution.stored("conversion_id") if not name.startswith("s1:")}
        assert orders == {events.conversion_id("o-other")}
        assert not any((await attribution.erasing.survey(erasure)).values())


async def test_what_others_did_while_they_were_taken_for_the_person_names_the_person_no_more(
    own: Reconciled, workspace: str
) -> None:
    events, attribution = Events(workspace), own.attribution
    await own.happen(
        events.touch(VISITOR, at=NOON - 2 * DAY, channel="Email", event_id="t-1", clicks={"gclid": CANARY}),
        events.touch("visitor:b", channel="Display", event_id="t-2"),
        events.order("visitor:b", event_id="o-1"),
    )
    await own.happen(events.identify(VISITOR, "visitor:b", at=NOON - DAY, event_id="by mistake"))
    await own.happen(events.identify("visitor:b", "visitor:c", at=NOON - DAY // 2, event_id="rightly"))
    changes = IdentityChanges(attribution.clickhouse)
    [mistaken] = [one for one in await changes.of_tokens(workspace, [VISITOR]) if one.causing_event_id == "by mistake"]
    await attribution.identities.undo(workspace, mistaken.change_id)
    erasure = await attribution.erasing.request(attribution.erasing.plan(workspace, [VISITOR]))
    erasure = await attribution.erasing.go_on(erasure)
    assert not any(erasure.remaining.values()), erasure.remaining
    await attribution.erasing.go_on(erasure)
    assert await canaries(attribution) == []
    published = await attribution.published(events.conversion_id())
    assert published is not None
    assert [touch.source.channel for touch in published.state.touches] == ["Display"]
    [others] = await changes.of_tokens(workspace, ["visitor:c"])
    assert (others.causing_event_id, others.tokens_after) == ("rightly", [["visitor:b", "visitor:c"]])


async def test_what_others_did_where_the_person_was_seen_too_is_theirs_and_names_nobody_else(
    own: Reconciled, workspace: str
) -> None:
    """The person's tablet: somebody else orders on it, and an address turns up that nobody knew to be the person's."""
    events, _ = await lived(own, workspace)
    attribution = own.attribution
    shared = events.order(OTHER, VISITOR, at=NOON + 20, order_id="o-tablet", event_id="s-1")
    await own.happen(events.touch(OTHER, VISITOR, at=NOON - DAY // 2, channel="Referral", event_id="s-0"))
    await own.happen(shared)
    before = await totals(attribution)
    erasure = await attribution.erasing.go_on(await requested(attribution))
    assert not any(erasure.remaining.values()), erasure.remaining
    assert erasure.destroyed["events_of_others"] == 2
    assert await canaries(attribution) == ["trb:{erasures}:open"], "it is not finished yet"
    assert await totals(attribution) == before

    unknown = events.touch("email:unknown", VISITOR, at=NOON - 2 * DAY, channel="Email", event_id="u-1")
    await own.happen(unknown)
    await own.happen(events.order(OTHER, VISITOR, letter="M", order_id="o-tablet", event_id="s-2", at=NOON + 30))
    later = erasure.until_micros + 1
    await own.happen(events.touch(VISITOR, at=later, channel="Display", event_id="n-1"))
    await own.happen(events.order(VISITOR, at=later + 1, order_id="o-new", event_id="n-2"))
    people = await attribution.people.people_of({(workspace, VISITOR), (workspace, OTHER)})
    assert {person.tokens for person in people.values()} == {(VISITOR,), (OTHER,)}
    for one in await attribution.erasures.opened():
        if one.workspace == workspace:
            await attribution.erasing.go_on(replace(one, due_micros=0))
    await own.run()
    assert await own.differences() == []
    published = await attribution.published(events.conversion_id("o-new"))
    assert published is not None
    assert [touch.source.channel for touch in published.state.touches] == ["Display"]


def of_store(store: str, events: Events, order: Admitted) -> Admitted:
    """Returns an order as one of a store."""
    conversion = order[1].event.conversion
    conversion.store = store
    order[1].event.event_id = f"{store}-{conversion.order_id}"
    order[1].conversion_id = events.conversion_id(f"{store}-{conversion.order_id}")
    return order


async def test_deals_of_the_person_name_nobody_and_are_no_evidence_any_more(own: Reconciled, workspace: str) -> None:
    """By contact, by an order of the shop they name, or of any where they name none, by a lead without a contact.

    A number or a lead that somebody else's conversion has by now tells nothing, nor does one without a shop, or a lead,
    beside their contact.
    """
    events, _ = await lived(own, workspace)
    families = Families(events)
    attribution = own.attribution
    email = f"email:{CANARY}"
    await own.happen(
        events.identify(CUSTOMER, email, at=NOON - DAY, event_id="i-2"),
        of_store("a", events, events.order(CUSTOMER, order_id="1001")),
        of_store("a", events, events.order(CUSTOMER, order_id="1002")),
        of_store("a", events, events.order(CUSTOMER, order_id="1003")),
        of_store("b", events, events.order(OTHER, order_id="1002")),
        families.stage(CUSTOMER, stage="open", lead_id="shared"),
        families.stage(OTHER, stage="won", lead_id="shared"),
        families.stage(CUSTOMER, stage="won", lead_id="handed on"),
        events.identify(OTHER, "email:other", at=NOON - DAY, event_id="i-3"),
    )
    columns = ("workspace", "system", "deal_id", "modify_time", "status", "currency", "amount_micros")
    named = ("order_id", "lead_id", "contact_id", "contact_token", "store")
    rows = (
        ("by contact", NOON, "", "", f"{CANARY}-1", email),
        ("by contact", NOON + DAY, "", "", f"{CANARY}-1", ""),
        ("by order", NOON + 900 * DAY, f"o-{CANARY}", "", f"{CANARY}-2", "email:unknown"),
        ("by lead", NOON, "", f"lead-{CANARY}", "", ""),
        ("another's lead", NOON, "", "lead", "", "email:other"),
        ("a lead of both", NOON, "", "shared"),
        ("a lead handed on", NOON, "", "handed on"),
        ("a lead handed on", NOON + DAY, "", "handed on", "", "email:other"),
        ("of another", NOON, "o-other", "", "x", "email:other"),
        ("1001 of a", NOON, "1001", "", "", "", "a"),
        ("1001 of b", NOON, "1001", "", "", ""),  # as it was told before deals named stores
        ("1001 of b", NOON + DAY, "1001", "", "", "", "b"),
        ("1001 of some shop", NOON, "1001", "", "", ""),
        ("1002 of a", NOON, "1002", "", "", "", "a"),
        ("1002 of b", NOON, "1002", "", "", "", "b"),
        ("1002 of some shop", NOON, "1002", "", "", ""),
    )

    async def told(rows: Iterable[tuple[Any, ...]]) -> None:
        for deal_id, modified, *of in rows:
            row = (workspace, "crm", deal_id, modified, "WON", "EUR", 90_000_000, *of)
            await attribution.clickhouse.insert("deals", (*columns, *named)[: len(row)], [[value] for value in row])

    await told(rows)
    tokens = [CUSTOMER, VISITOR, email]
    planned = attribution.erasing.plan(workspace, tokens)
    assert (await attribution.erasing.survey(planned))["deals"] == 6
    erasure = await attribution.erasing.go_on(await attribution.erasing.request(planned))
    assert (erasure.destroyed["deals"], erasure.remaining["deals"]) == (6, 0)
    assert (await attribution.erasing.survey(planned))["deals"] == 0
    assert await canaries(attribution) == ["trb:{erasures}:open"], "it is not finished yet"
    left = await attribution.clickhouse.execute(
        "SELECT deal_id, erased, count(), sum(amount_micros) FROM deals WHERE workspace = %(w)s"
        " GROUP BY ALL ORDER BY ALL",
        {"w": workspace},
    )
    assert left == [
        ("1001 of a", True, 1, 90_000_000),
        ("1001 of b", False, 2, 180_000_000),
        ("1001 of some shop", True, 1, 90_000_000),
        ("1002 of a", True, 1, 90_000_000),
        ("1002 of b", False, 1, 90_000_000),
        ("1002 of some shop", False, 1, 90_000_000),
        ("a lead handed on", False, 2, 180_000_000),
        ("a lead of both", False, 1, 90_000_000),
        ("another's lead", False, 1, 90_000_000),
        ("by contact", True, 2, 180_000_000),
        ("by lead", True, 1, 90_000_000),
        ("by order", True, 1, 90_000_000),
        ("of another", False, 1, 90_000_000),
    ]
    later = NOON + 950 * DAY  # a CRM tells it again by another name, when no conversion has these numbers any more
    theirs = ("1001", "", "", "", "a"), ("", f"lead-{CANARY}"), ("1001", "", "", "email:unknown")
    others = ("1001", "", "", "", "c"), ("1002", "", "", "", "b"), ("another",), ("1001", "", "", "email:other")
    await told((f"again {number}", later, *of) for number, of in enumerate((*theirs, *others)))
    await told([("of another", later, "1001")])  # whose contact it is, an earlier state says
    again = attribution.erasing.plan(workspace, [VISITOR])
    assert (await attribution.erasing.survey(again))["deals"] == 3
    in_c = of_store("c", events, events.order(OTHER, at=NOON + 20 * DAY, order_id="1001"))
    in_a = of_store("a", events, events.order(OTHER, at=NOON + 20 * DAY, order_id="1003"))
    in_a[1].event.event_id, in_a[1].conversion_id = "1003 given again", events.conversion_id("1003 given again")
    await own.happen(in_c, in_a)
    await told([("given again", later, "1001"), ("given again in a", later, "1003", "", "", "", "a")])
    erasure = await attribution.erasing.go_on(await attribution.erasing.request(again))
    assert (erasure.destroyed["deals"], erasure.remaining["deals"]) == (2, 0)
    stripped = await attribution.clickhouse.execute(
        "SELECT DISTINCT deal_id FROM deals WHERE workspace = %(w)s AND erased"
        " AND modify_time = fromUnixTimestamp64Micro(%(later)s, 'UTC') ORDER BY ALL",
        {"w": workspace, "later": later},
    )
    assert stripped == [("again 0",), ("again 1",)]


async def test_what_is_heard_of_again_brings_nobody_back_and_batch_finds_nothing(
    own: Reconciled, workspace: str
) -> None:
    events, life = await lived(own, workspace)
    attribution = own.attribution
    before = await totals(attribution)
    await attribution.erasing.go_on(await requested(attribution))
    await own.happen(*life)  # redelivered, and recorded by a recorder that was behind
    await attribution.handle(*life, backfill=True)
    assert await attribution.published(events.conversion_id("o-other")) is not None
    assert await attribution.people.find(workspace, [CUSTOMER, VISITOR]) is None
    for one in await attribution.erasures.opened():
        if one.workspace == workspace:
            await attribution.erasing.go_on(replace(one, due_micros=0))
    assert await canaries(attribution) == []
    assert await totals(attribution) == before
    await own.run()
    assert await own.differences() == []
    assert await totals(attribution) == before


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_an_order_of_the_person_that_comes_too_late_is_no_conversion_that_is_missing(
    own: Reconciled, workspace: str, mode: ErasureMode
) -> None:
    events, life = await lived(own, workspace)
    attribution, integrity = own.attribution, StoredIntegrity(own.attribution.clickhouse)

    async def missing() -> int:
        observed = (await integrity.events(workspace)).observed_conversions
        return observed - (await integrity.conversions(workspace)).rows

    await attribution.erasing.go_on(await requested(attribution, mode))
    late = events.order(CUSTOMER, at=NOON + 11, order_id="o-late", event_id="o-late")
    life[5][1].event.event_id = "o-1 again"
    await own.happen(late, life[5])
    assert await missing() > 0, "nothing is stripped of them yet"
    await end_all(attribution)
    assert await missing() == 0
    [(rows,)] = await attribution.clickhouse.execute(
        "SELECT countIf(verdict = 'ACCEPTED') FROM events FINAL WHERE workspace = %(w)s", {"w": workspace}
    )
    assert rows == 11, "accepted ones are still there"
    if mode is ErasureMode.SEVER:
        await own.execute("DELETE FROM conversions WHERE workspace = %(w)s AND startsWith(conversion_id, 's1:')")
        assert await missing() == 2, "severed ones that are lost are found"


async def test_the_same_identifier_is_somebody_new_afterwards(own: Reconciled, workspace: str) -> None:
    events, _ = await lived(own, workspace)
    attribution = own.attribution
    erasure = await requested(attribution)
    erasure = await attribution.erasing.go_on(erasure)
    later = erasure.until_micros + 1
    await own.happen(events.touch(VISITOR, at=later, channel="Referral", event_id="n-1"))
    await own.happen(events.order(VISITOR, at=later + 1, order_id="o-new", event_id="n-2"))
    await attribution.erasing.go_on(erasure)  # its second time takes nothing of the new
    published = await attribution.published(events.conversion_id("o-new"))
    assert published is not None
    assert [touch.source.channel for touch in published.state.touches] == ["Referral"]
    journey = await attribution.people.find(workspace, [VISITOR])
    assert journey is not None
    assert len(journey.entries) == 2
    assert journey.tokens == {VISITOR}


async def test_a_run_that_stops_after_any_step_is_gone_on_with(own: Reconciled, workspace: str) -> None:
    await lived(own, workspace)
    attribution = own.attribution
    before, events = await totals(attribution), await received(attribution)
    erasure = await requested(attribution)

    async def held() -> Erasure:
        return next(one for one in await attribution.erasures.opened() if one.erasure_id == erasure.erasure_id)

    steps = attribution.erasing.steps()
    for last in range(len(steps)):  # the next run knows no more than what is kept
        going = await held()
        for step in steps[: last + 1]:
            going = await step(going)
        assert await received(attribution) == events
    await attribution.erasing.go_on(await held())
    assert await totals(attribution) == before
    assert await canaries(attribution) == []
    stored = await attribution.erasing.get(workspace, erasure.erasure_id)
    assert stored.state is ErasureState.FINISHED
    assert not any(stored.remaining.values())


async def test_a_caller_who_does_not_wait_for_the_end_is_told_how_far_it_is_and_it_goes_on(
    own: Reconciled, workspace: str
) -> None:
    await lived(own, workspace)
    erasing, asked = own.attribution.erasing, ErasePersonRequest(workspace=workspace)
    asked.person_id = person_id(workspace, VISITOR)
    told = (await erase(erasing, asked, remaining_seconds=0.0)).erasure
    assert (told.state, dict(told.destroyed)) == (ERASURE_STATE_REQUESTED, {})
    [kept] = [one for one in await own.attribution.erasures.opened() if one.workspace == workspace]
    assert kept.erasure_id == told.erasure_id
    await erasing.go_on(kept)
    assert (await erasing.get(workspace, told.erasure_id)).state is ErasureState.DESTROYED
    asked.person_id = person_id(workspace, OTHER)
    assert (await erase(erasing, asked, remaining_seconds=600.0)).erasure.state == ERASURE_STATE_DESTROYED


@pytest.mark.parametrize(("waits", "least"), [(300.0, 200.0), (None, 30.0)], ids=["minutes", "does not say"])
async def test_query_lets_attribution_work_for_as_long_as_its_caller_waits(waits: float | None, least: float) -> None:
    class Asked(AttributionServiceServicer):
        """Notes how long it may take."""

        async def ErasePerson(self, request: ErasePersonRequest, context: Any) -> ErasePersonResponse:
            return ErasePersonResponse(erasure={"identifiers": int(context.time_remaining())})

    server = grpc.aio.server()
    add_AttributionServiceServicer_to_server(Asked(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            asked = contract.ErasePersonRequest(person_id="p1:somebody")
            told = await Erasures(AttributionServiceStub(channel)).erase(asked, "shop", "key", waits)
    finally:
        await server.stop(None)
    assert told.erasure.identifiers >= least


async def test_a_copy_and_its_original_are_both_in_totals_for_one_statement_only(
    own: Reconciled, workspace: str
) -> None:
    await lived(own, workspace)
    attribution = own.attribution
    before = await by_time(attribution)
    noted = await requested(attribution)
    for step in attribution.erasing.steps()[:4]:
        noted = await step(noted)
    stands: list[bool] = []

    async def execute(*asked: Any) -> list[Any]:
        answer = await attribution.clickhouse.execute(*asked)
        stands.append(await by_time(attribution) == before)
        return answer

    records = ErasureRecords(cast("ClickHouse", SimpleNamespace(execute=execute)))
    await records.severed.sever(noted)
    await records.severed.delete(noted)
    assert stands.count(False) == 1
    assert stands[-1]


async def test_who_is_erased_again_while_that_is_not_through_is_in_no_total_twice(
    own: Reconciled, workspace: str
) -> None:
    await lived(own, workspace)
    attribution = own.attribution
    before = await totals(attribution)
    noted = await requested(attribution)
    for step in attribution.erasing.steps()[:6]:
        noted = await step(noted)
    records = ErasureRecords(attribution.clickhouse)
    await records.severed.sever(noted)  # the caller's time was up before originals were deleted
    second = await attribution.erasing.go_on(await requested(attribution))
    assert second.erasure_id != noted.erasure_id
    assert not any(second.remaining.values()), second.remaining
    assert await totals(attribution) == before
    assert (await attribution.erasing.get(workspace, noted.erasure_id)).state is ErasureState.DESTROYED


@pytest.mark.parametrize(
    ("done", "stays"),
    [pytest.param(3, 0, id="severs nothing yet"), pytest.param(4, 1, id="may have begun to sever")],
)
async def test_who_is_to_be_removed_while_that_was_asked_for_otherwise_is_removed_or_told_what_stays(
    own: Reconciled, workspace: str, done: int, stays: int
) -> None:
    events, attribution = Events(workspace), own.attribution
    await own.happen(events.order(VISITOR, CUSTOMER, order_id="o", event_id="o"))
    noted = await requested(attribution)
    for step in attribution.erasing.steps()[:done]:
        noted = await step(noted)
    asked = ErasePersonRequest(workspace=workspace, person_id=person_id(workspace, VISITOR), mode=ERASURE_MODE_REMOVE)
    dry = ErasePersonRequest(dry_run=True)
    dry.MergeFrom(asked)
    would = (await erase(attribution.erasing, dry)).erasure
    told = (await erase(attribution.erasing, asked)).erasure
    assert (told.state, told.mode) == (ERASURE_STATE_DESTROYED, ERASURE_MODE_REMOVE)
    assert [would.severed_before, told.severed_before] == [stays] * 2
    assert len(await attribution.stored("conversion_id")) == stays
    for one in await attribution.erasures.opened():
        await attribution.erasing.go_on(one)
    assert await attribution.erasures.opened() == []
    assert (await attribution.erasing.get(workspace, told.erasure_id)).severed_before == stays


async def test_removing_takes_the_conversions_along(own: Reconciled, workspace: str) -> None:
    events, _ = await lived(own, workspace)
    attribution = own.attribution
    await attribution.erasing.go_on(await requested(attribution, ErasureMode.REMOVE))
    assert [row[0] for row in await attribution.stored("conversion_id")] == [events.conversion_id("o-other")]
    await own.run()
    assert await own.differences() == []


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_an_erasure_looks_like_no_loss_of_the_state_store_and_a_loss_still_does(
    own: Reconciled, workspace: str, mode: ErasureMode
) -> None:
    """The newest of all conversions are the person's, and random ids are of other shards than these were."""
    events, attribution = Events(workspace), own.attribution
    await own.happen(*somebody_else(events))
    mine = [events.order(CUSTOMER, VISITOR, order_id=f"o-{number}", event_id=f"o-{number}") for number in range(12)]
    await own.happen(*mine)
    await attribution.erasing.go_on(await requested(attribution, mode))
    revisions = {revision for (revision,) in await attribution.stored("revision")}
    marks = await PublishedMarks(attribution.clickhouse, SHARDS).marks()
    recorded = {place: mark for place, mark in marks.items() if mark in revisions}  # the rest are other tests'
    there = await Conversions(attribution.state, SHARDS).marks(recorded)
    assert recorded
    assert [place for place, mark in recorded.items() if there[place] < mark] == []
    await attribution.state.flushdb()
    assert set((await Conversions(attribution.state, SHARDS).marks(recorded)).values()) == {0}


async def test_tombstones_are_read_back_after_a_loss_before_any_event(own: Reconciled, workspace: str) -> None:
    _, life = await lived(own, workspace)
    attribution = own.attribution
    await attribution.erasing.go_on(await requested(attribution))
    await attribution.state.delete("trb:{erasures}:tombstones")
    records = ErasureRecords(attribution.clickhouse)
    history = ConversionHistory(attribution.clickhouse)
    made = Tombstones(attribution.erasures, records, history, lambda *who: _unused(*who), lambda: 10**17 + 1)
    with pytest.raises(StorageUnavailableError):
        await made.living([_arrival(attribution, life[0])])


def _unused(*who: Any) -> Erasure:
    raise StorageUnavailableError(f"an event came back: {who[0]}")


def _arrival(attribution: Attribution, admitted: Admitted) -> Any:
    letter, event = admitted
    return attribution.attributor._reader.read(attribution.workspace.id, letter, event.SerializeToString(), NOON, "")
