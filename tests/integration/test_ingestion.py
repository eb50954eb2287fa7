"""The door as a real process, in front of real dedup, Redis and ClickHouse."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from tests.support.admissions import age_claims, sweep_all
from tests.support.door import Door, running_door
from tests.support.earlier_dedup import running_earlier_dedup
from tests.support.eventually import eventually, eventually_async
from tests.support.stores import Stores, create_test_epoch, run_apart, running_redis
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent, AdmittedEvents
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import EventVerdict
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest
from tributary_cli.stack.redis_server import RedisServer
from tributary_client import Decision, TransportKind, Tributary
from tributary_client.clock import SystemClock
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.retention import RetentionRecords, RetentionState
from tributary_storage.redis.client import connect
from tributary_storage.redis.epoch import require_epoch

WORKSPACES = {
    "shop": {
        "default_region": "DE",
        "conversions": [
            {"name": "purchase", "expected_amounts": [{"currency": "EUR", "minimum": 1, "maximum": 10_000}]},
            {"name": "lead", "role": "LEAD"},
        ],
    },
    "other": {},
    "moved": {},
    "kept": {},
}

ACCEPTED = verdict_pb2.VERDICT_ACCEPTED
DUPLICATE = verdict_pb2.VERDICT_DUPLICATE
CONFLICT = verdict_pb2.VERDICT_CONFLICT
REJECTED = verdict_pb2.VERDICT_REJECTED
QUARANTINED = verdict_pb2.VERDICT_QUARANTINED
UNDECIDED = verdict_pb2.VERDICT_UNDECIDED
VALID = verdict_pb2.VERDICT_VALID
STORE_UNREACHABLE = verdict_pb2.REASON_CODE_STORE_UNREACHABLE
KEY_STORE_UNREACHABLE = verdict_pb2.REASON_CODE_KEY_STORE_UNREACHABLE

BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)


@pytest.fixture(scope="module")
def door(module_redis_url: str, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    run_apart(create_test_epoch(module_redis_url))
    with running_door(tmp_path_factory.mktemp("door"), module_redis_url, clickhouse_url, WORKSPACES) as running:
        yield running


def a_visit(event_id: str = "", **context: str) -> Event:
    event = Event(event_id=event_id or str(uuid.uuid4()))
    event.event_time.FromSeconds(int(time.time()))  # noqa: TID251 - a real service has a real clock
    event.touchpoint.kind = 1
    event.identifiers.visitor_id = f"v-{uuid.uuid4()}"
    for name, value in {"user_agent": BROWSER, "page_url": "https://shop.example/", **context}.items():
        setattr(event.context, name, value)
    return event


def a_purchase(order_id: str, micros: int = 99_000_000, event_id: str = "") -> Event:
    event = Event(event_id=event_id or str(uuid.uuid4()))
    event.event_time.FromSeconds(int(time.time()))  # noqa: TID251
    event.conversion.name = "purchase"
    event.conversion.order_id = order_id
    event.conversion.value.currency_code = "EUR"
    event.conversion.value.amount_micros = micros
    event.identifiers.customer_id = f"k-{order_id}"
    return event


def payloads(redis_url: str) -> list[bytes]:
    """Everything in the event log, refused events included."""

    async def read() -> list[bytes]:
        async with connect(redis_url, name="tests") as client:
            found = [await client.xrange(key) async for key in client.scan_iter(match="trb:*:log:*")]
            return [fields[b"payload"] for entries in found for _, fields in entries]

    return asyncio.run(read())


def stored(redis_url: str) -> list[AdmittedEvent]:
    """The same, read."""
    admissions = [one for payload in payloads(redis_url) for one in AdmittedEvents.FromString(payload).admissions]
    return [AdmittedEvent.FromString(event) for admission in admissions for event in admission.events]


def refused(
    door: Door, request: IngestEventsRequest | bytes, api_key: str
) -> tuple[grpc.StatusCode, status_pb2.Status]:
    with pytest.raises(grpc.RpcError) as caught:
        door.call(request, api_key)
    details = dict(caught.value.trailing_metadata()).get("grpc-status-details-bin", b"")
    return caught.value.code(), status_pb2.Status.FromString(details)


def retried(door: Door, event: Event) -> int | None:
    """Sends an event as a client that was told to come back does; None if it was told so again."""
    try:
        return door.send(event)[0].verdict
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return None


def test_callers_who_come_while_dedup_is_busy_share_a_call_and_get_their_own_answers(door: Door) -> None:
    callers, ids = 40, [str(uuid.uuid4()) for _ in range(10)]
    before, together = asked_of_dedup(door), threading.Barrier(callers + 1)

    def call(event: Event) -> list[EventVerdict]:
        together.wait()
        return door.send(event, a_visit())

    door.dedup.pause()
    try:
        with ThreadPoolExecutor(callers) as pool:
            sent = [pool.submit(call, a_visit(ids[number % 10])) for number in range(callers)]
            together.wait()
            for _ in range(5):  # what has come before these has been seen when they are answered
                door.send(a_visit(), validate_only=True)
            door.dedup.resume()
            answers = [one.result() for one in sent]
    finally:
        door.dedup.resume()
    told = [(ids.index(first.event_id), first.verdict) for first, _ in answers]
    assert [one for one in told if one[1] == ACCEPTED] != []
    assert sorted(verdict for _, verdict in told) == [ACCEPTED] * 10 + [CONFLICT] * 30
    assert {second.verdict for _, second in answers} == {ACCEPTED}

    def written() -> None:
        lines = asked_of_dedup(door)[len(before) :]
        assert sum(line["events"] for line in lines) == 2 * callers
        assert len(lines) < callers / 2

    eventually(written)


def test_a_visit_sent_again_over_another_network_is_known_and_a_bot_gains_nothing_by_it(door: Door) -> None:
    there, here = {"client_ip": "203.0.113.7"}, {"client_ip": "198.51.100.1", "user_agent": f"{BROWSER} Edg/141"}
    bot = {"user_agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}
    for first, retry, expected in ((there, here, ACCEPTED), (bot, here, QUARANTINED)):
        sent, again = a_visit(**first), a_visit(**retry)
        again.event_id = sent.event_id
        again.identifiers.CopyFrom(sent.identifiers)
        assert door.send(sent)[0].verdict == expected
        (answer,) = door.send(again)
        assert (answer.verdict, answer.first_verdict) == (DUPLICATE, expected)


class AMinuteSlow(SystemClock):
    """The clock of a backend that nobody sets."""

    def unix_nanos(self) -> int:
        return super().unix_nanos() - 60 * 10**9


@pytest.mark.parametrize("way", list(TransportKind))
def test_an_order_of_a_backend_whose_clock_is_slow_comes_after_its_click(
    door: Door, module_redis_url: str, way: TransportKind
) -> None:
    told: list[Decision] = []
    order_id, click = str(uuid.uuid4()), a_visit()
    door.send(click)
    target = door.ingestion.address
    with Tributary(
        target, api_key=door.keys["shop"], transport=way, clock=AMinuteSlow(), on_verdict=told.append
    ) as own:
        own.track_conversion("purchase", order_id=order_id, value=99, currency="EUR", customer_id="k")
        assert own.flush()
    assert [reason.code for reason in told[0].verdict.reasons] == [verdict_pb2.REASON_CODE_CLOCK_CORRECTED]
    (order,) = [one for one in stored(module_redis_url) if one.event.conversion.order_id == order_id]
    assert order.event.event_time.ToMicroseconds() >= click.event_time.ToMicroseconds()
    assert 59 * 10**6 < order.clock_correction_micros < 70 * 10**6


def asked_of_dedup(door: Door) -> list[dict[str, int]]:
    lines = [json.loads(line) for line in door.dedup.log_file.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("method") == "AdmitEvents"]


@pytest.mark.parametrize("part", ["touchpoint", "identifiers", "properties"])
def test_a_text_that_is_not_utf_8_makes_the_bytes_no_request_wherever_it_is(door: Door, part: str) -> None:
    event = a_visit()
    event.touchpoint.title = event.identifiers.customer_id = "XXXX"
    event.properties["name"] = "YYYY"
    body = IngestEventsRequest(events=[a_visit(), event]).SerializeToString()
    if part != "properties":
        first, second, third = body.split(b"XXXX")
        body = b"".join((first, b"\xff" * 4 if part == "touchpoint" else b"XXXX", second))
        body += (b"\xff" * 4 if part == "identifiers" else b"XXXX") + third
    else:
        body = body.replace(b"YYYY", b"\xff" * 4)
    code, status = refused(door, body, door.keys["shop"])
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    assert info.reason == "REQUEST_MALFORMED"


def test_an_event_is_accepted_and_sent_again_it_is_a_duplicate_of_the_first(door: Door) -> None:
    event = a_visit()
    first, second = door.send(event)[0], door.send(event)[0]
    assert (first.verdict, second.verdict, second.first_verdict) == (ACCEPTED, DUPLICATE, ACCEPTED)
    assert abs(second.first_accept_time.seconds - first.first_accept_time.seconds) <= 128


def test_a_retry_stamped_with_another_time_is_a_duplicate_and_no_conflict(door: Door) -> None:
    event = a_visit()
    door.send(event)
    event.event_time.seconds -= 60
    assert door.send(event)[0].verdict == DUPLICATE


def a_bots_visit() -> Event:
    return a_visit(user_agent="Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")


@pytest.mark.parametrize("make", [a_visit, a_bots_visit, lambda: a_purchase(str(uuid.uuid4()))])
def test_a_retry_is_known_also_once_its_event_has_left_the_window_and_when_its_senders_clock_was_set_right(
    door: Door, make: Callable[[], Event]
) -> None:
    ages, fast, other, nameless = make(), make(), make(), make()
    for event in (fast, nameless):
        event.event_time.seconds += 2 * 86_400
        event.sent_time.CopyFrom(event.event_time)
    nameless.event_id = ""
    sent = (ages, fast, other, nameless)
    first = door.send(*sent)
    assert {one.verdict for one in first} <= {ACCEPTED, QUARANTINED}
    fast.sent_time.GetCurrentTime()
    nameless.sent_time.GetCurrentTime()
    for event in (ages, other):
        event.event_time.seconds -= 500 * 86_400
    other.identifiers.customer_id = "another"
    unknown = make()
    unknown.event_time.seconds -= 500 * 86_400
    again = door.send(unknown, *sent)
    assert [one.verdict for one in again] == [REJECTED, DUPLICATE, DUPLICATE, CONFLICT, DUPLICATE]
    assert {one.first_verdict for one in again[1:3]} == {first[0].verdict}
    assert [one.event_id for one in again[1:]] == [one.event_id for one in first]
    assert [reason.code for reason in again[0].reasons] == [verdict_pb2.REASON_CODE_EVENT_TIME_OUT_OF_WINDOW]
    assert verdict_pb2.REASON_CODE_EVENT_TIME_OUT_OF_WINDOW not in [
        one.code for told in again[1:] for one in told.reasons
    ]
    assert [one.verdict for one in door.send(ages, validate_only=True)] == [REJECTED], "nothing is asked for"


def test_the_same_id_with_another_payload_is_a_conflict_with_its_reason(door: Door) -> None:
    event = a_visit()
    door.send(event)
    event.touchpoint.title = "another page"
    verdict = door.send(event)[0]
    assert verdict.verdict == CONFLICT
    assert [reason.code for reason in verdict.reasons] == [verdict_pb2.REASON_CODE_PAYLOAD_DIFFERS]


def test_one_id_twice_in_a_call_is_accepted_once(door: Door) -> None:
    event = a_visit()
    assert sorted(verdict.verdict for verdict in door.send(event, event)) == [ACCEPTED, DUPLICATE]


def test_one_id_sent_by_eight_callers_at_once_is_accepted_once(door: Door) -> None:
    event = a_visit()
    with ThreadPoolExecutor(8) as pool:
        verdicts = [verdicts[0].verdict for verdicts in pool.map(lambda _: door.send(event), range(8))]
    assert verdicts.count(ACCEPTED) == 1
    assert verdicts.count(DUPLICATE) == 7


def test_an_order_seen_under_two_event_ids_is_one_conversion(door: Door) -> None:
    order = str(uuid.uuid4())
    first, second = door.send(a_purchase(order))[0], door.send(a_purchase(order))[0]
    assert (first.verdict, second.verdict) == (ACCEPTED, DUPLICATE)
    assert first.conversion_id == second.conversion_id
    assert verdict_pb2.REASON_CODE_MERGED_OBSERVATION in [reason.code for reason in second.reasons]


def test_sales_whose_tag_knows_no_order_number_are_a_conversion_each(door: Door) -> None:
    sales = [a_purchase("undefined", micros) for micros in (49_000_000, 49_000_000, 79_000_000)]
    for number, sale in enumerate(sales):
        sale.identifiers.customer_id = f"stranger-{number}"
    answers = door.send(*sales)
    assert [answer.verdict for answer in answers] == [ACCEPTED] * 3
    assert {reason.code for answer in answers for reason in answer.reasons} == {
        verdict_pb2.REASON_CODE_PLACEHOLDER_IGNORED
    }
    assert len({answer.conversion_id for answer in answers}) == 3


def test_a_malformed_event_is_rejected_with_its_field_while_its_neighbours_are_accepted(door: Door) -> None:
    bad = a_purchase("o-bad")
    bad.conversion.value.currency_code = "EURO"
    verdicts = door.send(a_visit(), bad, a_visit())
    assert [verdict.verdict for verdict in verdicts] == [ACCEPTED, REJECTED, ACCEPTED]
    assert verdicts[1].event_id == bad.event_id
    assert [(reason.code, reason.field) for reason in verdicts[1].reasons] == [
        (verdict_pb2.REASON_CODE_CURRENCY_UNKNOWN, "conversion.value.currency_code")
    ]


def test_an_event_without_id_is_the_same_event_when_sent_again(door: Door) -> None:
    event = a_visit()
    event.event_id = ""
    first, second = door.send(event)[0], door.send(event)[0]
    assert first.event_id.startswith("d1:")
    assert (second.event_id, second.verdict) == (first.event_id, DUPLICATE)


@pytest.mark.parametrize(
    ("event", "code"),
    [
        pytest.param(
            a_visit(user_agent="Googlebot/2.1 (+http://www.google.com/bot.html)"),
            verdict_pb2.REASON_CODE_BOT_USER_AGENT,
            id="bot",
        ),
        pytest.param(a_visit(user_agent=""), verdict_pb2.REASON_CODE_USER_AGENT_MISSING, id="no user agent"),
        pytest.param(
            a_purchase("o-huge", 90_000_000_000), verdict_pb2.REASON_CODE_AMOUNT_UNEXPECTED, id="unexpected amount"
        ),
    ],
)
def test_what_is_suspicious_is_quarantined(door: Door, event: Event, code: int) -> None:
    verdict = door.send(event)[0]
    assert (verdict.verdict, verdict.reasons[0].code) == (QUARANTINED, code)


def test_validate_only_stores_nothing(door: Door) -> None:
    event = a_visit()
    assert door.send(event, validate_only=True)[0].verdict == VALID
    assert door.send(event)[0].verdict == ACCEPTED


def test_an_old_event_needs_backfill(door: Door) -> None:
    event = a_visit()
    event.event_time.seconds -= 60 * 86_400
    verdict = door.send(event)[0]
    assert (verdict.verdict, verdict.reasons[0].code) == (REJECTED, verdict_pb2.REASON_CODE_EVENT_TIME_OUT_OF_WINDOW)
    assert door.send(event, backfill=True)[0].verdict == ACCEPTED


def test_a_backfill_of_before_what_is_kept_of_people_is_refused(door: Door, clickhouse_url: str) -> None:
    kept, older = a_purchase("o-kept"), a_purchase("o-older")
    kept.event_time.seconds -= 500 * 86_400
    older.event_time.CopyFrom(kept.event_time)
    older.event_time.seconds -= 1
    assert door.send(older, workspace="kept", backfill=True, validate_only=True)[0].verdict == VALID

    async def retain() -> None:
        async with clickhouse_client.connect(clickhouse_url, name="tests", connections=1) as clickhouse:
            state, now = RetentionState(kept.event_time.seconds * 10**6), int(time.time())  # noqa: TID251
            await RetentionRecords(clickhouse).write(door.ids["kept"], state, now, now)

    run_apart(retain())
    told = door.send(older, kept, workspace="kept", backfill=True)
    assert [verdict.verdict for verdict in told] == [REJECTED, ACCEPTED]
    assert told[0].reasons[0].code == verdict_pb2.REASON_CODE_EVENT_TIME_OUT_OF_WINDOW
    assert "person_event_months" in told[0].reasons[0].message


def test_backfill_needs_its_own_scope(door: Door) -> None:
    request = IngestEventsRequest(events=[a_visit()], backfill=True)
    assert refused(door, request, door.keys["shop/ingest"])[0] is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("api_key", [pytest.param("", id="none"), pytest.param("trb_nobody_0", id="unknown")])
def test_an_unknown_key_is_unauthenticated(door: Door, api_key: str) -> None:
    assert refused(door, IngestEventsRequest(events=[a_visit()]), api_key)[0] is grpc.StatusCode.UNAUTHENTICATED


def test_a_key_without_the_scope_is_denied(door: Door) -> None:
    request = IngestEventsRequest(events=[a_visit()])
    assert refused(door, request, door.keys["shop/query"])[0] is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="no event"),
        pytest.param(IngestEventsRequest(events=[Event()] * 1001).SerializeToString(), id="1001 events"),
        pytest.param(b"\x0a\xff\xff\xff", id="no protobuf"),
        pytest.param(b"\x0a\x04\x0a\x02\xff\xfe", id="no UTF-8"),
    ],
)
def test_a_request_that_can_never_be_right_is_an_invalid_argument(door: Door, body: bytes) -> None:
    code, status = refused(door, body, door.keys["shop"])
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert any(detail.Is(error_details_pb2.BadRequest.DESCRIPTOR) for detail in status.details)


def test_a_thousand_events_are_answered_in_request_order(door: Door) -> None:
    events = [a_visit() for _ in range(1000)]
    verdicts = door.send(*events)
    assert [verdict.event_id for verdict in verdicts] == [event.event_id for event in events]
    assert {verdict.verdict for verdict in verdicts} == {ACCEPTED}


def test_two_workspaces_never_meet(door: Door) -> None:
    event = a_visit()
    assert door.send(event, workspace="shop")[0].verdict == ACCEPTED
    assert door.send(event, workspace="other")[0].verdict == ACCEPTED


def test_what_is_personal_is_not_in_the_event_log(door: Door, module_redis_url: str) -> None:
    canary = uuid.uuid4().hex
    hashes = [
        hashlib.new(name, said.encode()).hexdigest()
        for said in (f"ann{canary}@example.com", "+491717654321")
        for name in ("sha256", "md5")
    ]
    event = a_visit(
        page_url=f"https://shop.example/{canary}?utm_source=n&mc_eid=secret{canary}&x=ann{canary}%40example.com"
        f"&em={hashes[0]}&u={hashes[1]}#ph={hashes[2]}",
        referrer_url=f"https://a.example/?token=secret{canary}&user_hash={hashes[0]}&h={hashes[3]}",
        client_ip="203.0.113.77",
        user_agent=f"{BROWSER} canary/{canary}",
    )
    event.identifiers.email = f"Ann{canary}@Example.com"
    event.identifiers.phone = "0171 7654321"
    event.identifiers.customer_id = f"customer-{canary}"
    event.identifiers.address.family_name = f"Muster{canary}"
    event.properties.update({f"p{number}": said for number, said in enumerate(hashes)})
    bad = a_visit()
    bad.properties["note"] = f"bob{canary}@example.com"
    assert [verdict.verdict for verdict in door.send(event, bad)] == [ACCEPTED, REJECTED]

    lowered = b"".join(payloads(module_redis_url)).lower()
    assert canary.encode() in lowered, "the page's own path is kept"
    for personal in (
        f"secret{canary}", f"ann{canary}", f"customer-{canary}", f"muster{canary}", f"canary/{canary}", f"bob{canary}",
        "203.0.113.77", "7654321", *hashes,
    ):  # fmt: skip
        assert personal.encode() not in lowered, personal


def test_an_accepted_event_carries_tokens_channel_and_digest(door: Door, module_redis_url: str) -> None:
    event = a_visit(page_url="https://shop.example/?gclid=Cj0abc", referrer_url="https://www.google.com/")
    event.identifiers.email = "ann@example.com"
    door.send(event)
    admitted = next(one for one in stored(module_redis_url) if one.event.event_id == event.event_id)
    assert [token.partition(":")[0] for token in admitted.identity_tokens] == ["email", "visitor"]
    assert (admitted.channel_evidence.channel, admitted.channel_evidence.rule) == ("Paid Search", "click_id:gclid")
    assert admitted.channel_evidence.click_ids[0].value == "Cj0abc"
    assert len(admitted.payload_digest) == 9
    assert admitted.source_rank == 1


@pytest.fixture(scope="module")
def cut_off(
    stores: Stores, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Door, RedisServer]]:
    """A door whose dedup, of an earlier version, and whose state store may be taken away, and that store."""
    directory, url = tmp_path_factory.mktemp("door"), stores.empty_redis_url()
    run_apart(create_test_epoch(url))
    sealing = {"shop": {"data_key": {"value": base64.b64encode(bytes(32)).decode()}}}
    with running_redis(directory / "state") as state, running_earlier_dedup("FindClaims") as earlier:
        run_apart(create_test_epoch(state.url))
        own = {"ingestion": {"TRIBUTARY_STATE_URL": state.url, "TRIBUTARY_DEDUP_TARGET": earlier.address}}
        with running_door(directory, url, clickhouse_url, sealing, settings=own) as running:
            earlier.real = running.dedup.address
            yield running, state


def test_without_dedup_the_door_says_unavailable_with_a_delay_and_recovers(cut_off: tuple[Door, RedisServer]) -> None:
    own, _ = cut_off
    event = a_visit()
    own.dedup.kill()
    code, status = refused(own, IngestEventsRequest(events=[event]), own.keys["shop"])
    assert code is grpc.StatusCode.UNAVAILABLE
    assert any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details)
    own.dedup.start()
    own.dedup.wait_until_ready()
    assert eventually(lambda: retried(own, event) == ACCEPTED)


def test_where_nobody_can_tell_whether_old_events_are_known_they_are_undecided_and_all_others_are_decided(
    cut_off: tuple[Door, RedisServer],
) -> None:
    own, state = cut_off
    old, older, wrong, first, again, new = (a_visit() for _ in range(6))
    for event in (old, older):
        event.event_time.seconds -= 60 * 86_400
    wrong.ClearField("identifiers")
    again.identifiers.CopyFrom(first.identifiers)
    answers = own.send(old, first, older, wrong)
    assert [answer.verdict for answer in answers] == [UNDECIDED, ACCEPTED, UNDECIDED, REJECTED]
    assert {reason.code for answer in answers[::2] for reason in answer.reasons} == {STORE_UNREACHABLE}
    assert min(answer.retry_delay.ToMilliseconds() for answer in answers[::2]) > 0
    assert refused(own, IngestEventsRequest(events=[old, older]), own.keys["shop"])[0] is grpc.StatusCode.UNAVAILABLE
    state.kill()
    try:
        answers = own.send(again, old, new)
        assert [answer.verdict for answer in answers] == [ACCEPTED, UNDECIDED, UNDECIDED]
        assert [answer.reasons[0].code for answer in answers[1:]] == [STORE_UNREACHABLE, KEY_STORE_UNREACHABLE]
        assert refused(own, IngestEventsRequest(events=[old, new]), own.keys["shop"])[0] is grpc.StatusCode.UNAVAILABLE
    finally:
        state.start()
        state.wait_until_ready()
    assert eventually(lambda: retried(own, new) == ACCEPTED)


def test_without_the_state_store_somebody_new_is_undecided_and_all_others_are_decided(
    cut_off: tuple[Door, RedisServer],
) -> None:
    own, state = cut_off
    first, again, new, wrong = (a_visit() for _ in range(4))
    again.identifiers.CopyFrom(first.identifiers)
    wrong.ClearField("identifiers")
    assert own.send(first)[0].verdict == ACCEPTED
    state.kill()
    try:
        answers = own.send(new, again, wrong)
        assert [answer.verdict for answer in answers] == [UNDECIDED, ACCEPTED, REJECTED]
        assert [reason.code for reason in answers[0].reasons] == [KEY_STORE_UNREACHABLE]
        assert answers[0].retry_delay.ToMilliseconds() > 0
        assert refused(own, IngestEventsRequest(events=[new]), own.keys["shop"])[0] is grpc.StatusCode.UNAVAILABLE
    finally:
        state.start()
        state.wait_until_ready()
    assert eventually(lambda: retried(own, new) == ACCEPTED)


def test_a_workspace_whose_pepper_is_another_than_before_is_refused_and_no_other_is(
    door: Door, module_redis_url: str
) -> None:
    async def on_redis(*command: str) -> None:
        async with connect(module_redis_url, name="tests") as client:
            await client.execute_command(*command)

    asyncio.run(on_redis("HSET", "trb:peppers", door.ids["moved"], "check value of another pepper"))
    code, status = refused(door, IngestEventsRequest(events=[a_visit()]), door.keys["moved"])
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "Bring that one back" in status.message
    assert door.send(a_visit())[0].verdict == ACCEPTED
    asyncio.run(on_redis("HDEL", "trb:peppers", door.ids["moved"]))
    assert door.send(a_visit(), workspace="moved")[0].verdict == ACCEPTED


def test_a_burst_of_one_person_is_answered_in_the_acknowledgement(door: Door) -> None:
    events = [a_purchase(f"burst-{number}") for number in range(7)]
    for event in events:
        event.identifiers.customer_id = "in-a-hurry"
    first, rest = door.send(*events[:4]), door.send(*events[4:])
    assert [verdict.verdict for verdict in (*first, *rest)] == [ACCEPTED] * 5 + [QUARANTINED] * 2
    assert {reason.code for verdict in rest[1:] for reason in verdict.reasons} == {verdict_pb2.REASON_CODE_VELOCITY}
    again = door.send(*events)
    assert [verdict.verdict for verdict in again] == [DUPLICATE] * 7
    assert [verdict.first_verdict for verdict in again] == [ACCEPTED] * 5 + [QUARANTINED] * 2


def test_validate_only_counts_nothing(door: Door) -> None:
    events = [a_purchase(f"trial-{number}") for number in range(6)]
    for event in events:
        event.identifiers.customer_id = "only-trying"
    for _ in range(2):
        assert {verdict.verdict for verdict in door.send(*events, validate_only=True)} == {VALID}
    assert [verdict.verdict for verdict in door.send(*events)] == [ACCEPTED] * 5 + [QUARANTINED]


def test_an_old_order_that_is_sent_again_after_its_event_id_was_forgotten_is_a_duplicate_and_stays_as_it_was(
    door: Door, module_redis_url: str, clickhouse_url: str
) -> None:
    """As by who exports the orders of the last three months every night. The last test: it ages all claims."""
    names = str(uuid.uuid4()), str(uuid.uuid4())
    old, changed = (a_purchase(f"o-{name}", event_id=name) for name in names)
    for event in (old, changed):
        event.event_time.seconds -= 50 * 86_400
    first = door.send(old, a_visit("young"), changed)
    assert [one.verdict for one in first] == [ACCEPTED] * 3

    async def verdicts_recorded(table: str = "events FINAL") -> list[tuple[str, int]]:
        asked = f"SELECT verdict, count() FROM {table} WHERE event_id IN %(names)s GROUP BY 1"  # noqa: S608
        async with clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60) as clickhouse:
            return await clickhouse.execute(asked, {"names": names})

    async def forget() -> None:
        async def all_recorded() -> None:
            # Which dedup looks into; it is filled after `events`.
            assert await verdicts_recorded("events_by_id FINAL") == [("ACCEPTED", 2)]

        await eventually_async(all_recorded)
        async with connect(module_redis_url, name="tests") as client:
            await age_claims(client, 38)
            assert await sweep_all(client, await require_epoch(client, "log"))

    asyncio.run(forget())
    changed.conversion.coupon_codes.append("another")
    again = door.send(old, a_visit("younger"), changed)
    assert [one.verdict for one in again] == [DUPLICATE, ACCEPTED, CONFLICT]
    assert again[0].reasons == []
    assert again[0].first_accept_time == first[0].first_accept_time
    assert asyncio.run(verdicts_recorded()) == [("ACCEPTED", 2)]
    assert door.send(old)[0].verdict == DUPLICATE, "claimed again"
    young = a_visit("young")
    young.event_time.seconds -= 60 * 86_400
    assert door.send(young)[0].verdict == REJECTED, "known no more, and out of the window"
