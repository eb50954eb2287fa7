"""Personal data is hashed at the door: what was sent in the clear is nowhere afterwards, whatever the verdict."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import grpc
import pytest
import redis
from google.protobuf.message_factory import GetMessageClass

from tests.e2e.conftest import Observed
from tests.support.eventually import eventually
from tests.support.shop import (
    BOT,
    BROWSER,
    CALL_SECONDS,
    EURO,
    Shop,
    a_login,
    a_visit,
    an_adjustment,
    an_order,
    named,
    open_shop,
)
from tests.support.stack import log_files
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.dedup.v1.match_keys_pb2 import MatchKeys
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import EventVerdict
from tributary.ingestion.v1 import ingestion_service_pb2
from tributary.query.v1 import query_service_pb2
from tributary.query.v1.query_service_pb2 import GetJourneyRequest
from tributary_domain.sealing import DataKey, SealError, name_of, wrap

EMAIL = "Mark.Edmark@post.example"
PHONE = "+49 30 90182077"
PHONE_DIGITS = "493090182077"
CLIENT_IP = "203.0.113.77"
AGENT = BROWSER.replace("X11", "QqzMark7")
ADDRESS = "Markedstreet 7"

_EMAIL_BASE64 = base64.urlsafe_b64encode(EMAIL.encode()).decode()
_EMAIL_HASH = hashlib.sha256(EMAIL.lower().encode())
_PHONE_HASH = hashlib.sha256(f"+{PHONE_DIGITS}".encode())
MARKS = {
    "e-mail": b"edmark",
    "phone": b"90182077",
    "phone-as-written": b"30 90182077",
    "client-ip": CLIENT_IP.encode(),
    "user-agent": b"qqzmark7",
    "postal-address": b"markedstreet",
    "base64-of-the-e-mail": _EMAIL_BASE64.lower().encode(),
    "sha256-of-the-e-mail": _EMAIL_HASH.hexdigest().encode(),
    "sha256-of-the-phone": _PHONE_HASH.hexdigest().encode(),
    "sha256-of-the-e-mail-in-bytes": _EMAIL_HASH.digest(),
    "sha256-of-the-phone-in-bytes": _PHONE_HASH.digest(),
}
"""What must be nowhere, in whatever case."""

_MARKED = (EMAIL, PHONE, CLIENT_IP, AGENT)
_KEY_OF_NOBODY = (("authorization", f"Bearer {EMAIL}"),)

PAGES = [
    f"https://shop.example/?utm_source=news&utm_medium=email&email={EMAIL}",
    f"https://shop.example/?gclid=g-1&e={quote(EMAIL, safe='')}",
    f"https://shop.example/?contact={quote(quote(EMAIL, safe=''), safe='')}",
    f"https://shop.example/thanks/{EMAIL}/?utm_source=news",
    f"https://shop.example/?next=https%3A%2F%2Fshop.example%2F%3Fmail%3D{quote(EMAIL, safe='')}",
    f"https://shop.example/?phone={quote(PHONE)}&tel={PHONE_DIGITS}",
    f"https://shop.example/#{EMAIL}",
    f"https://{EMAIL}:secret@shop.example/",
    f"https://shop.example/?utm_content={EMAIL}",
    "https://shop.example/?name=Edmark&first_name=Edmark&zip=edmark&postcode=edmark&address=Markedstreet&dob=edmark",
    f"https://shop.example/?u={_EMAIL_BASE64}&utm_content={_EMAIL_BASE64}",
    f"https://shop.example/?_kx={EMAIL}",
    f"https://shop.example/?user[phone]={PHONE_DIGITS}&customerEmail=edmark;email=edmark",
    f"https://shop.example/?next={quote('/reset?email=edmark&token=edmark', safe='')}#/account?email=edmark",
    f"https://shop.example/call/{quote(PHONE)}/edmark@localhost",
]


def _marked(event: Event) -> Event:
    """Puts personal data wherever an event has a place for it."""
    event.identifiers.email, event.identifiers.phone = EMAIL, PHONE
    event.identifiers.address.street = ADDRESS
    event.context.client_ip, event.context.user_agent = CLIENT_IP, AGENT
    event.click_ids.kx = EMAIL
    event.context.referrer_url = f"https://mail.example/?to={EMAIL}"
    return event


def _kinds() -> dict[str, list[Event]]:
    """Returns events by the verdict they must get."""
    order = _marked(an_order("p-1", visitor_id="v-1", event_id="p-1"))
    conflicting = _marked(an_order("p-1", 7 * EURO, visitor_id="v-1"))
    repeated = Event()
    repeated.CopyFrom(order)
    repeated.identifiers.phone = "+49 30 90182078"
    bot = _marked(a_visit(timedelta(hours=2), visitor_id="v-1"))
    bot.context.user_agent = f"{AGENT} {BOT}"
    refund = _marked(an_adjustment("p-1", EURO))
    misused = _marked(an_order(EMAIL, visitor_id="v-3", event_id="p-3"))
    misused.session_id = misused.conversion.pixel_event_id = misused.conversion.store = EMAIL
    misused.click_ids.gclid = misused.browser_ids.fbp = EMAIL
    misused.conversion.coupon_codes.append(quote(EMAIL, safe=""))
    misused.conversion.pixel_event_ids["inbox"] = EMAIL
    misused.conversion.items.add(item_id=EMAIL, name=f"Mug for {EMAIL}")
    return {
        "ACCEPTED": [
            order,
            refund,
            misused,
            *_of_devices(),
            *(_marked(a_visit(timedelta(hours=3 + place), page)) for place, page in enumerate(PAGES)),
        ],
        "CONFLICT": [conflicting, repeated],
        "QUARANTINED": [bot],
        "REJECTED": _rejected(),
    }


def _of_devices() -> list[Event]:
    """Returns events whose ids and words are of the address or the agent, each with its own kind of texts."""
    events = []
    for at, text in enumerate((CLIENT_IP, AGENT)):
        order = _marked(an_order(f"{at} {text}", visitor_id="v-4"))
        order.conversion.items.add(item_id=text, name=text, category=text, brand=text)
        order.conversion.coupon_codes.append(text[:64])
        for group in (order.click_ids, order.browser_ids):
            for field in group.DESCRIPTOR.fields:
                if field.type == field.TYPE_STRING:
                    setattr(group, field.name, text)
        visit = _marked(a_visit(timedelta(hours=30 + at), visitor_id="v-4"))
        visit.event_id, visit.session_id = f"{at} {text}"[:128], text
        visit.touchpoint.title = visit.touchpoint.interaction_id = visit.touchpoint.ad.campaign_name = text
        visit.touchpoint.ad.campaign_id = visit.touchpoint.ad.keyword = visit.touchpoint.ad.placement = text
        events += [order, visit]
    return events


def _rejected() -> list[Event]:
    events = []
    for change in (
        lambda event: event.conversion.value.__setattr__("currency_code", EMAIL),
        lambda event: event.conversion.value.__setattr__("amount_micros", -1),
        lambda event: event.ClearField("conversion"),
        lambda event: event.ClearField("event_time"),
        lambda event: event.conversion.__setattr__("name", ""),
        lambda event: event.identifiers.__setattr__("email_sha256", EMAIL),
        lambda event: event.identifiers.__setattr__("email", EMAIL * 30),
        lambda event: event.identifiers.__setattr__("customer_id", EMAIL * 30),
        lambda event: event.context.__setattr__("user_agent", AGENT * 30),
        lambda event: event.context.__setattr__("page_url", PAGES[0] * 100),
        lambda event: event.properties.__setitem__("contact", EMAIL),
        lambda event: event.properties.__setitem__(EMAIL, "contact"),
        lambda event: event.experiment.__setattr__("arm", "a"),
    ):
        event = _marked(an_order("p-2", visitor_id="v-2"))
        event.conversion.items.add(item_id="i", name="n")
        change(event)
        events.append(event)
    for field in ("title", "interaction_id"):
        visit = _marked(a_visit(timedelta(hours=1), visitor_id="v-2"))
        setattr(visit.touchpoint, field, EMAIL)
        events.append(visit)
    visit = _marked(a_visit(timedelta(hours=1), visitor_id="v-2"))
    visit.touchpoint.utm.content = EMAIL
    return [*events, visit]


@pytest.fixture(scope="module")
def replies(observed: Observed) -> list[bytes]:
    """Sends everything, unless that was done; returns every reply and error."""
    if not observed.replies:
        observed.replies.extend(_send_everything(observed))
    return observed.replies


def _send_everything(observed: Observed) -> list[bytes]:
    """Sends everything, asks for what came of it, and waits until it is everywhere; returns every reply and error."""
    workspace = observed.workspaces["personal"]
    with open_shop(observed.stack.addresses, workspace, observed.inbox) as shop:
        verdicts: list[EventVerdict] = []
        for verdict, events in _kinds().items():
            for event in events:
                (one,) = shop.send(event)
                assert named(one) == verdict, (one, event.context.page_url)
                one.event_id = ""  # as sent
                verdicts.append(one)
        shop.wait_until_settled()
        found = shop.order("p-1")
        shop.wait_for_webhooks(found.newest.state.conversion_id, found.newest.revision)
        journey = shop.query.GetJourney(
            GetJourneyRequest(identifiers={"email": EMAIL}), timeout=CALL_SECONDS, metadata=shop.metadata
        )
        assert len(journey.journey.steps) >= len(PAGES)
        _ask_for_nobody(shop)
        errors = _call_everything(shop)
        _wait_for_spans(observed)
        return [*(reply.SerializeToString() for reply in (*verdicts, found, journey)), *errors]


def _call_everything(shop: Shop) -> list[bytes]:
    """Calls every method with personal data in every text, with the key and with such a text for one.

    Returns:
        What was said of the calls that failed. Answers are left out: they repeat what was asked for.
    """
    said: list[bytes] = []
    for stub, service in (
        (shop.ingestion, ingestion_service_pb2.DESCRIPTOR.services_by_name["IngestionService"]),
        (shop.query, query_service_pb2.DESCRIPTOR.services_by_name["QueryService"]),
    ):
        for method in service.methods:
            for text, metadata in (*((text, shop.metadata) for text in _MARKED), (EMAIL, _KEY_OF_NOBODY)):
                request = GetMessageClass(method.input_type)()
                _fill(request, text)
                sent = iter([request]) if method.client_streaming else request
                try:
                    answer = getattr(stub, method.name)(sent, timeout=CALL_SECONDS, metadata=metadata)
                    list(answer if method.server_streaming else [answer])
                except grpc.RpcError as error:
                    said.append(repr(error).encode())
    return said


def _fill(message: Any, text: str, depth: int = 0) -> None:
    """Puts a text wherever a message has a place for one."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type and field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].type == field.TYPE_STRING:
                getattr(message, field.name).update({"k": text, text: "v"})
        elif field.message_type:
            if depth < 6 and not field.message_type.full_name.startswith("google."):
                _fill(
                    getattr(message, field.name).add() if field.is_repeated else getattr(message, field.name),
                    text,
                    depth + 1,
                )
        elif field.type == field.TYPE_STRING:
            if field.is_repeated:
                getattr(message, field.name).append(text)
            else:
                setattr(message, field.name, text)


def _ask_for_nobody(shop: Shop) -> None:
    """Makes calls that fail, with personal data in them."""
    for identifiers in ({"email": f"other.{EMAIL}"}, {"phone": "+49 30 90182079", "email": EMAIL[:4]}):
        with pytest.raises(grpc.RpcError):
            shop.journey(identifiers=identifiers)


def _wait_for_spans(observed: Observed) -> None:
    services = {"ingestion", "dedup", "attribution", "delivery", "query"}
    eventually(lambda: services <= {span.service for span in list(observed.collector.spans)})


def _found(text: bytes) -> list[str]:
    lowered = text.lower()
    return [name for name, mark in MARKS.items() if mark in lowered or mark in text]


def test_the_search_would_find_it() -> None:
    sent = b"".join(event.SerializeToString() for events in _kinds().values() for event in events)
    sent += (_EMAIL_HASH.hexdigest() + _PHONE_HASH.hexdigest()).encode() + _EMAIL_HASH.digest() + _PHONE_HASH.digest()
    assert _found(sent) == list(MARKS)


def test_no_key_and_no_value_in_redis_names_anybody(replies: list[bytes], observed: Observed) -> None:
    port = observed.stack.installation.ports["redis"]
    with redis.Redis(port=port) as client:
        keys = list(client.scan_iter(count=1000))
        assert len(keys) > 20
        for key in keys:
            assert _found(key) == [], key
            assert _found(_content(client, key)) == [], key


def _content(client: redis.Redis, key: bytes) -> bytes:
    kind = client.type(key)
    readers = {
        b"string": lambda: client.get(key),
        b"hash": lambda: client.hgetall(key),
        b"stream": lambda: client.xrange(key),
        b"zset": lambda: client.zrange(key, 0, -1),
        b"set": lambda: client.smembers(key),
        b"list": lambda: client.lrange(key, 0, -1),
    }
    return b"\n".join(_leaves(readers[kind]()))


def _leaves(value: object) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _leaves(pair)
    elif isinstance(value, list | tuple | set):
        for member in value:
            yield from _leaves(member)


def test_nothing_redis_ever_wrote_to_disk_names_anybody(replies: list[bytes], observed: Observed) -> None:
    files = [file for file in observed.stack.directory.redis.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) > 10_000
    for file in files:
        assert _found(file.read_bytes()) == [], file


def test_no_column_in_clickhouse_names_anybody(replies: list[bytes], observed: Observed) -> None:
    tables = observed.stack.clickhouse.execute(
        "SELECT table FROM system.columns WHERE database = 'tributary' AND type LIKE '%String%' AND table IN"
        " (SELECT name FROM system.tables WHERE database = 'tributary' AND engine LIKE '%MergeTree')"
        " GROUP BY table FORMAT TSV"
    ).split()
    assert len(tables) > 5
    assert "event_id" in _columns_with(observed, "events", [b"p-1"]), "what is there is found"
    for table in tables:
        assert _columns_with(observed, table, MARKS.values()) == [], table


def _columns_with(observed: Observed, table: str, marks: Iterable[bytes]) -> list[str]:
    """Returns the columns of a table in which one of these is, in whatever case; asks once, for there are many."""
    columns = json.loads(
        observed.stack.clickhouse.execute(
            "SELECT groupArray(name) AS names FROM system.columns"  # noqa: S608 - names of our own
            f" WHERE database = 'tributary' AND table = '{table}' AND type LIKE '%String%' FORMAT JSONEachRow"
        )
    )["names"]
    needles = ", ".join(f"unhex('{mark.hex()}')" for mark in marks)
    names = ", ".join(f"'{column}'" for column in columns)
    texts = ", ".join(f"toString({column}) || ' ' || lower(toString({column}))" for column in columns)
    found = observed.stack.clickhouse.execute(
        "SELECT groupUniqArrayArray(arrayFilter((name, text) -> multiSearchAny(text, "  # noqa: S608 - names of our own
        f"[{needles}]), [{names}], [{texts}])) AS names FROM {table} FORMAT JSONEachRow"
    )
    return sorted(json.loads(found)["names"])


def test_no_log_names_anybody(replies: list[bytes], observed: Observed) -> None:
    logs = [file for file in log_files(observed.stack.directory.path) if file.stat().st_size]
    assert len(logs) >= 5
    for file in logs:
        assert _found(file.read_bytes()) == [], file


def test_no_span_and_no_metric_names_anybody(replies: list[bytes], observed: Observed) -> None:
    assert [name for body in observed.collector.bodies for name in _found(body)] == []


def test_no_reply_and_no_webhook_names_anybody(replies: list[bytes], observed: Observed) -> None:
    assert len(replies) > 30
    for reply in replies:
        assert _found(reply) == [], reply
    for webhook in observed.inbox.webhooks:
        assert _found(webhook.body + repr(webhook.headers).encode()) == []


def _sealed(observed: Observed) -> bytes:
    """Returns what was sealed of the accepted order, from the raw event in ClickHouse."""
    (row,) = observed.stack.clickhouse.execute(
        "SELECT hex(admitted) FROM events FINAL WHERE workspace = 'personal' AND event_id = 'p-1' FORMAT TSV"
    ).split()
    return AdmittedEvent.FromString(bytes.fromhex(row)).sealed_match_keys


def test_an_order_of_a_backend_is_recognised_by_what_its_customer_left_at_the_door_before(
    replies: list[bytes], observed: Observed
) -> None:
    page = "https://shop.example/?gclid=g-7&utm_source=google&utm_medium=cpc"
    visit = a_visit(timedelta(hours=5), page, visitor_id="v-7", customer_id="c-7")
    visit.context.client_ip, visit.browser_ids.fbp = "198.51.100.7", "fb.1.7"
    sign_up = a_login(timedelta(hours=4), customer_id="c-7", email="seven@post.example")
    with open_shop(observed.stack.addresses, observed.workspaces["personal"], observed.inbox) as shop:
        shop.accept(visit)
        shop.accept(sign_up)
        shop.accept(an_order("p-7", customer_id="c-7"))
        match = shop.wait(lambda: shop.order("p-7")).newest.match
    assert [(click.family, click.value, click.own) for click in match.click_ids] == [("gclid", "g-7", False)]
    assert dict(match.browser_ids) == {"fbp": "fb.1.7"}
    device, (keys,) = _opened(observed, match.sealed_device_keys), match.person_keys
    assert (device.client_ip, device.user_agent) == ("198.51.100.7", BROWSER)
    assert (keys.has_email, keys.has_phone) == (True, False)
    assert _opened(observed, keys.sealed).identifiers.email == "seven@post.example"


def _opened(observed: Observed, sealed: bytes) -> MatchKeys:
    name = name_of(sealed)
    with redis.Redis(port=observed.stack.installation.ports["redis"]) as client:
        (key,) = client.scan_iter(match=f"*data-key:personal|{name.hex()}", count=10_000)
        wrapped = client.get(key)
    assert isinstance(wrapped, bytes)
    return MatchKeys.FromString(DataKey("personal", name, wrapped, [bytes(range(32))]).open(sealed))


def test_match_keys_are_kept_sealed_and_go_with_the_persons_key(replies: list[bytes], observed: Observed) -> None:
    sealed = _sealed(observed)
    name = name_of(sealed)
    with redis.Redis(port=observed.stack.installation.ports["redis"]) as client:
        (key,) = client.scan_iter(match=f"*data-key:personal|{name.hex()}", count=10_000)
        wrapped = client.get(key)
        assert isinstance(wrapped, bytes)
        plain = MatchKeys.FromString(DataKey("personal", name, wrapped, [bytes(range(32))]).open(sealed))
        assert (plain.identifiers.email, plain.identifiers.phone) == (EMAIL, PHONE)
        assert plain.identifiers.address.street == ADDRESS
        assert 0 < client.ttl(key) <= 100 * 86_400
        client.delete(key)
    fresh = wrap(b"n" * 32, bytes(range(32)))  # what the next event of the same person would be sealed under
    with pytest.raises(SealError):
        DataKey("personal", name, fresh, [bytes(range(32))]).open(sealed)
