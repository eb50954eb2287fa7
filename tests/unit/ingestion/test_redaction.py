"""Wherever an e-mail address or a phone number is put, it is nowhere afterwards; no field is forgotten."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1.event_pb2 import Event
from tributary_domain import texts
from tributary_domain.event_order import event_hash
from tributary_domain.ids import event_digest
from tributary_ingestion.intake import take
from tributary_ingestion.workspace_rules import compile_rules
from tributary_runtime.workspaces import Workspace

NOW = 1_795_000_000_000_000
RULES = compile_rules(Workspace.model_validate({"id": "shop", "pepper": {"value": "p" * 16}, "default_region": "DE"}))
SPELLINGS = {
    "plain": "Ann.Quist@quist.example",
    "encoded": "Ann.Quist%40quist.example",
    "encoded twice": "Ann.Quist%2540quist%252Eexample",
    "a character reference": "Ann.Quist&#64;quist.example",
    "full-width": "Ann.Quist\uff20quist.example",
    "international": "Ann.Quist@quist.xn--p1ai",
}
PHONES = {
    "as machines write it": "+491715550177",
    "as people write it": "+49 (171) 555-0177",
    "with a slash": "+49 171/5550177",
    "with blanks that do not break": "+49\u00a0171\u00a05550177",
    "with its sign encoded": "%2B491715550177",
    "with its sign encoded twice": "tel:%252B491715550177",
    "full-width": "\uff0b491715550177",
}
PATHS = ["event_id"] + [
    group.field(position)
    for group in vars(texts).values()
    if isinstance(group, texts.TextGroup)
    for position in range(len(group.names))
]


def an_event(path: str) -> Event:
    """Returns an event that is right, and has the part that a path leads into."""
    event = Event(event_id="e-1")
    event.event_time.FromMicroseconds(NOW)
    event.identifiers.visitor_id = "v-1"
    if path.startswith("conversion"):
        event.conversion.name = event.conversion.order_id = "o-1"
        event.conversion.recurrence.subscription_id = event.conversion.recurrence.cycle = "1"
        event.conversion.recurrence.kind = 2
        event.conversion.lead.lead_id = event.conversion.lead.stage = "1"
    elif path.startswith("adjustment"):
        event.adjustment.conversion_name = event.adjustment.order_id = "o-1"
        event.adjustment.reason = 3
    else:
        event.touchpoint.kind = 1
        event.context.user_agent = "Mozilla/5.0 (X11; Linux x64) Gecko/20100101 Firefox/140.0"
    event.experiment.id = event.experiment.arm = "1"
    event.human_check.provider = 1
    return event


def leaves_something(event: Event) -> bool:
    """Says whether anything of an address or a number is left, or nothing of the event."""
    packed = take(event, RULES, NOW, backfill=False)
    left = packed.admitted.lower() + str(packed.reasons).lower().encode()
    is_told = any(said in left for said in (b"quist", b"5550177", b"555-0177"))
    return is_told or not AdmittedEvent.FromString(packed.admitted).event.event_id


@pytest.mark.parametrize("spelling", [*SPELLINGS.values(), *PHONES.values()], ids=[*SPELLINGS, *PHONES])
def test_no_text_of_an_event_carries_an_address_or_a_phone_number_through_the_door(spelling: str) -> None:
    in_url = "https://s.example/?a=" + spelling.replace("&", "%26").replace("#", "%23")
    leaks = []
    for path in PATHS:
        event = an_event(path)
        put(event, path, in_url if path.endswith("_url") else spelling)
        if leaves_something(event):
            leaks.append(path)
    assert leaks == []
    assert len(PATHS) == 106


DEVICES = {
    "an address": "203.0.113.77",
    "an address in an id": "s-203.0.113.77-1795000000",
    "an address and a moment": "203.0.113.77.1795000000",
    "an address and a port": "203.0.113.77:4711",
    "an address in an id behind what may be a version": "v-203.0.113.77-1795000000",
    "an address of the sixth version": "2001:db8:77::9",
    "one in brackets": "[2001:db8:77::9]:4711",
    "one in an id": "s:2001:db8:77::9:1795000000",
    "one that is encoded": "2001%3Adb8%3A77%3A%3A9",
    "a user agent": "Mozilla/5.0 (QqzMark; Linux x86_64) Gecko/20100101 Firefox/140.0",
    "an agent with its blanks encoded": "Mozilla/5.0+(QqzMark;+Linux)",
}
_WORDS = {
    *(texts.UTM.field(at) for at in range(len(texts.UTM.names))),
    *("touchpoint.title", "touchpoint.ad.campaign_name", "touchpoint.ad.keyword", "touchpoint.ad.placement"),
}
"""Words for people, in which an address within a sentence is a word."""


def put(event: Event, path: str, text: str) -> None:
    """Puts a text at a path of an event."""
    *parents, name = path.split(".")
    message: Any = event
    for parent in parents:
        message = getattr(message, parent)
    setattr(message, name, text)


def shows_device(event: Event) -> bool:
    """Says whether anything of an address or an agent is left."""
    packed = take(event, RULES, NOW, backfill=False)
    left = packed.admitted.lower() + str(packed.reasons).lower().encode()
    return any(said in left for said in (b"203.0.113.77", b"db8", b"qqzmark"))


@pytest.mark.parametrize(("name", "device"), DEVICES.items(), ids=DEVICES)
def test_no_text_of_an_event_carries_an_ip_address_or_a_user_agent_through_the_door(name: str, device: str) -> None:
    leaks = []
    for path in PATHS:
        if (path in _WORDS or path.endswith("_url")) and ("in an id" in name or "and a moment" in name):
            continue
        if path == "context.app_version" and "address" in name and "sixth" not in name:
            continue  # four numbers: what it is the field says
        for is_refused in (False, True):
            event = an_event(path)
            event.context.client_ip = "203.0.113.77"
            put(event, path, device)
            if is_refused:
                event.ClearField("event_time")
            if shows_device(event):
                leaks.append((path, is_refused))
    assert leaks == []


COLLECTIONS: list[Any] = [
    pytest.param(lambda e, text: e.conversion.coupon_codes.append(text), id="a coupon code"),
    pytest.param(lambda e, text: e.conversion.pixel_event_ids.update({"meta": text}), id="a pixel event id"),
    pytest.param(lambda e, text: e.conversion.pixel_event_ids.update({text: "x"}), id="its destination"),
    pytest.param(lambda e, text: e.conversion.items.add(item_id=text), id="the id of an item"),
    pytest.param(lambda e, text: e.conversion.items.add(item_id="i", name=f"Mug for {text}."), id="an item's name"),
    pytest.param(lambda e, text: e.conversion.items.add(item_id="i", category=text), id="an item's category"),
    pytest.param(lambda e, text: e.conversion.items.add(item_id="i", brand=text), id="an item's brand"),
    pytest.param(lambda e, text: e.properties.update({"note": text}), id="a property"),
    pytest.param(lambda e, text: e.properties.update({text: "note"}), id="the name of a property"),
    pytest.param(lambda e, text: e.identifiers.device_ids.append(text), id="a device id"),
    pytest.param(lambda e, text: e.identifiers.apple_advertising_ids.append(text), id="an advertising id"),
    pytest.param(lambda e, text: e.identifiers.android_advertising_ids.append(text), id="another one"),
    pytest.param(lambda e, text: e.identifiers.other_ids.update({"loyalty": text}), id="another id"),
    pytest.param(lambda e, text: e.identifiers.other_ids.update({text: "1"}), id="the kind of another id"),
]


@pytest.mark.parametrize("spelling", [*SPELLINGS.values(), *PHONES.values()], ids=[*SPELLINGS, *PHONES])
@pytest.mark.parametrize("put", COLLECTIONS)
def test_no_list_or_map_carries_an_address_or_a_phone_number_through_the_door(
    put: Callable[[Event, str], Any], spelling: str
) -> None:
    event = an_event("conversion")
    put(event, spelling)
    assert not leaves_something(event)


@pytest.mark.parametrize(
    "name", ["phone", "customerEmail", "client_ip", "user-agent", "billing.last_name", "IP address"]
)
def test_a_property_named_as_what_is_personal_is_cut_and_told(name: str) -> None:
    event = an_event("touchpoint")
    event.properties[name], event.properties["shelf"] = "quist", "b-7"
    packed = take(event, RULES, NOW, backfill=False)
    assert dict(AdmittedEvent.FromString(packed.admitted).event.properties) == {"shelf": "b-7"}
    assert [(reason.code.value, reason.field) for reason in packed.reasons] == [
        ("PERSONAL_DATA_REDACTED", "properties")
    ]


@pytest.mark.parametrize("name", ["email_consent", "phone_model", "product_name", "mobile", "zip_code", "tip"])
def test_a_property_that_only_speaks_of_such_things_stays(name: str) -> None:
    event = an_event("touchpoint")
    event.properties[name] = "1"
    packed = take(event, RULES, NOW, backfill=False)
    assert dict(AdmittedEvent.FromString(packed.admitted).event.properties) == {name: "1"}
    assert packed.reasons == []


def a_token(claims: bytes) -> str:
    """Returns a JWT."""
    parts = (b'{"alg":"HS256","typ":"JWT"}', claims, b"\xfb\x01signature")
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


TOKEN = a_token(b'{"sub":"7","email":"ann@example.com"}')
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7 Build/TQ3A)",
    "Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12",
    "okhttp/4.9.3",
    "Shop/312 CFNetwork/1240.0.4 Darwin/20.6.0",
    "Shop/3.1 (iPhone; iOS 16.0; Scale/3.00)",
)
ENCODED = base64.b64encode(b"ann@example.com").decode()
SHA256, MD5 = (hashlib.new(name, b"ann@example.com").hexdigest() for name in ("sha256", "md5"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("em", "u1", "user_hash", "customer_order", "note") for value in (SHA256, MD5)),
        ("tag", f"em={SHA256}&x=1"),
        ("tag", f'{{"em": "{MD5}"'),
        (SHA256, "1"),
        *(("note", value) for value in ("203.0.113.7", "2001:db8::7", "00491712345678", "0049 171 2345678")),
        ("note", ENCODED),
        *(("client", agent) for agent in AGENTS),
        *(("note", token) for token in (TOKEN, a_token(b'{"sub":"7"}'), f"Bearer {TOKEN}")),
        *(("note", f"203.0.113.7{port}") for port in (":8080", ", 198.51.100.2:443", ";proto=https")),
        *(
            ("note", said)
            for said in ("[2001:db8::7]:443", "for=203.0.113.7", 'for="[2001:db8::7]:4711";by=203.0.113.1')
        ),
        *(("note", f"tel:{number}") for number in ("00491712345678", "0171 2345678")),
        *(("order_id", f"tel:{number}") for number in ("00491712345678", "(0049) 171 2345678")),
        *(("note", f"{within}203.0.113.7") for within in ("q=", "u:", "a|", "b/")),
        *(
            ("note", said)
            for said in (
                *("203.0.113.7-1795000000", "s_203.0.113.7.1795000000", "1795000000123 203.0.113.7 left"),
                *("client:203.0.113.7:443", "a client 203.0.113.7:443 left", "203.0.113.7:4711 -> 198.51.100.2:443"),
                *("203.0.113.7 10.0.0.1", "203.0.113.7, 10.0.0.1", "ip_203.0.113.7_x", "IP 203.0.113.7 (Berlin)"),
                *("user-203.0.113.7", "b clientIp:203.0.113.7 c", "ip203.0.113.7", "x ::ffff:203.0.113.7 y"),
                *("v-2001:db8::7-1795000000", "by [2001:db8::7]:443 on", "a fe80::1 b", "order 203.0.113.7:443"),
            )
        ),
        *(("order_id", said) for said in ("203.0.113.7:443", "203.0.113.7-1795000000", "2001:db8::7")),
        *((name, "203.0.113.7") for name in ("order_address", "customer", "item_seen_by", "visitor_id")),
        *(
            (name, "203.0.113.7")
            for name in ("app_visitors", "os_seen_by", "v_from", "build_user_id", "version_clients")
        ),
        *((name, "00491712345678") for name in ("paid_by", "valid_for", "said", "bidders")),
        *(("note", said) for said in ("app_users=203.0.113.7; red", "203.0.113.7/24", "00491712345678/x")),
        *(("item_id", f"{said}203.0.113.7") for said in ("u:", "client=", "for=", "x;", "a|", "order-1, ")),
        *(("item_ids", said) for said in ("['10.20.30.40', 'u:203.0.113.7']", "[10.20.30.40,203.0.113.7:443]")),
        *(("seen", said) for said in ("['203.0.113.7', '203.0.113.8']", "[203.0.113.7,203.0.113.8]")),
        ("items", "203.0.113.7, 10.20.30.40; x"),
        ("note", "order:25.11.27.104, u:203.0.113.7"),
        ("remote_addr", "203.0.113.7 51234"),
        *(
            ("landing", said)
            for within in ("/u/{}", "https://x.example/u/{}", "https://x.example/?q={}", "q={}")
            for somebodys in ("203.0.113.7", "00491712345678", "+491712345678", "YW5uQGV4YW1wbGUuY29t", SHA256)
            for said in (quote(within.format(somebodys), safe=""), quote(quote(within.format(somebodys), safe="")))
        ),
        *(("landing", quote(f"https://x.example/{said}", safe="")) for said in ("?email=ann", "?ip=203.0.113.7")),
    ],
)
def test_a_property_that_looks_like_somebodys_is_cut_and_told(name: str, value: str) -> None:
    event = an_event("conversion")
    event.properties[name], event.properties["shelf"] = value, "b-7"
    packed = take(event, RULES, NOW, backfill=False)
    assert dict(AdmittedEvent.FromString(packed.admitted).event.properties) == {"shelf": "b-7"}
    (reason,) = packed.reasons
    assert (reason.code.value, reason.field) == ("PERSONAL_DATA_REDACTED", "properties")
    assert "order_id" in reason.message


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (f"https://ads.example/t?u={MD5}", "https://ads.example/t"),
        (
            "https://shop.example/reset?token=S3CRET&firstname=Ann&phone=01712345678&ip=203.0.113.7&a=1",
            "https://shop.example/reset?a=1",
        ),
        ("from https://shop.example/?token=S3CRET", "from https://shop.example/"),
        ("/u/203.0.113.7/x?a=1&firstname=Ann", "/u/-/x?a=1"),
        ("?firstname=Ann&a=1", "?a=1"),
        ('{"ip":"203.0.113.7","phone":"01712345678","firstname":"Ann", "shelf":"b-7"}', '{"shelf":"b-7"}'),
        ('{"phone": 1712345678, "name": "Shirt", "zip": 1}', '{"name":"Shirt","zip":1}'),
        (f'[{{"em": "{MD5}", "n": 1.5}}, "203.0.113.7"]', '[{"n":1.5}]'),
        ('{"to": "https://shop.example/?token=x", "of": {"last_name": "ä"}}', '{"to":"https://shop.example/","of":{}}'),
        ("[" * 17 + '"00491712345678"' + "]" * 17, "[" * 16 + "]" * 16),
        ('{"ip": "x", "n": "ä\\ud800"}', '{"n":"ä?"}'),
        ('{"203.0.113.7": 1, "u-203.0.113.7-1795000000": 1, "2001:db8::7": 1, "n": 2}', '{"n":2}'),
        (f'{{"file_hash":"{MD5}","em":"{MD5}","x":["{SHA256}"],"n":1}}', f'{{"file_hash":"{MD5}","x":[],"n":1}}'),
        (f'{{"of":[{{"image_hash":"{MD5}","u":"{MD5}"}}]}}', f'{{"of":[{{"image_hash":"{MD5}"}}]}}'),
        (f'{{"customer":{{"order":"{MD5}","cart":{{"v":"{MD5}","n":1}}}}}}', '{"customer":{"cart":{"n":1}}}'),
        (
            json.dumps({"a": json.dumps({"file_hash": MD5, "u": MD5})}),
            json.dumps({"a": json.dumps({"file_hash": MD5}, separators=(",", ":"))}, separators=(",", ":")),
        ),
        (f'{{"em":{{"v":"{MD5}"}},"hashed":{{"v":"{"a" * 43}","{"b" * 43}":1}},"n":1}}', '{"em":{},"hashed":{},"n":1}'),
        (f'{{"{MD5}":1,"em={SHA256}":1,"{ENCODED}":1,"n":2}}', '{"n":2}'),
        (f'{{"\\u{ord(MD5[0]):04x}{MD5[1:]}":1,"n":2}}', '{"n":2}'),
        (f'{{"x":"{MD5}","x":"a","y":"203.0.113.7","y":1}}', '{"x":"a","y":1}'),
        ('{"of":[{"seen":"00491712345678","seen":"x"}]}', '{"of":[{"seen":"x"}]}'),
        (
            '{"item_ids":{"10.20.30.40":2,"u:203.0.113.7":1,"203.0.113.7-1795000000":1,"2001:db8::7":1}}',
            '{"item_ids":{"10.20.30.40":2}}',
        ),
        ('{"items":{"a":{"10.20.30.40":2}},"cart":{"10.20.30.40":2}}', '{"items":{"a":{}},"cart":{}}'),
        *(
            (f'{{"{name}":{{"203.0.113.7":4,"ip203.0.113.7":4,"n":1}}}}', f'{{"{name}":{{"n":1}}}}')
            for name in ("app_ips", "mobile_app_sessions", "os_seen", "v_users", "app", "os", "v", "build_users")
        ),
        ('{"app":{"ids":{"203.0.113.7":1},"versions":{"10.2.1.4":1}}}', '{"app":{"ids":{},"versions":{"10.2.1.4":1}}}'),
        ('{"said":"00491712345678","paid":{"00491712345678":1},"n":1}', '{"paid":{},"n":1}'),
        ('{"seen":{"00491712345678":1,"tel:01712345678":1,"okhttp/4.9.3":1,"n":1}}', '{"seen":{"n":1}}'),
        ('{"x":"\\u002b491712345678","\\uff0b491712345678":1,"y":["a\\n","\\u002b4917123456"]}', '{"y":["a\\n"]}'),
        ('{"in":"{\\"x\\":\\"\\\\u002b491712345678\\",\\"n\\":1}"}', '{"in":"{\\"n\\":1}"}'),
        (f'{{"to":"https://a.example/?u={MD5}&b=1"}}', '{"to":"https://a.example/?b=1"}'),
        (
            '{"item_ids": ["10.20.30.40", "203.0.113.7:443", "u:203.0.113.7"], "seen": ["203.0.113.7", "a"]}',
            '{"item_ids":["10.20.30.40"],"seen":["a"]}',
        ),
    ],
)
def test_a_link_and_json_among_properties_lose_only_what_is_personal(value: str, kept: str) -> None:
    event = an_event("conversion")
    event.properties["page_location"] = value
    packed = take(event, RULES, NOW, backfill=False)
    assert dict(AdmittedEvent.FromString(packed.admitted).event.properties) == {"page_location": kept}
    (reason,) = packed.reasons
    assert (reason.code.value, reason.field) == ("PERSONAL_DATA_REDACTED", "properties")
    assert "lost that part" in reason.message


@pytest.mark.parametrize(
    ("name", "value", "is_kept"),
    [
        ("content", MD5, False),
        ("term", SHA256, False),
        ("source", ENCODED, False),
        ("content", TOKEN, False),
        ("term", "203.0.113.7", False),
        ("source", "203.0.113.7:8080", False),
        ("campaign", "00491712345678", False),
        ("medium", "okhttp/4.9.3", False),
        ("content", "Dalvik/2.1.0 (Linux; U; Android 13)", False),
        ("content", "https://x.example/u/203.0.113.7", False),
        ("term", "https%3A%2F%2Fx.example%2Fu%2F203.0.113.7", False),
        ("content", f"%65{TOKEN[1:]}", False),
        *(("content", f"{within}203.0.113.7", False) for within in ("q=", "u:", "a|")),
        *(("campaign", f"a {said} b", False) for said in ("203.0.113.7:443", "203.0.113.7-1795000000", "2001:db8::7")),
        *(("campaign", f"a {said} b", True) for said in ("203.0.113.7", "10.2.1.4-beta", "1.2.3.4.5:443")),
        *(("id", said, False) for said in ("s-203.0.113.7", "203.0.113.7-1", "u:2001:db8::7:1", "203.0.113.7%2D1")),
        *(("id", said, True) for said in ("build-10.2.1.4", "v1.2.3.4", "1.2.3.4.5", "2026.11.27.1")),
        *(
            (name, quote(f"https://x.example/{said}", safe=""), False)
            for name in ("content", "campaign")
            for said in ("u/+491712345678", "?q=+491712345678", "u/YW5uQGV4YW1wbGUuY29t", "?q=00491712345678")
        ),
        ("content", quote(quote("https://x.example/u/+491712345678", safe="")), False),
        ("content", "https://x.example/?email=ann", False),
        *((name, f"em|{SHA256}", False) for name in ("source", "medium", "campaign", "id")),
        ("content", "mail:button", True),
        ("content", "https://x.example/releases/10.2.1.4", True),
        ("id", MD5, True),
        ("id", "00491712345678", True),
        ("campaign", "00123456789", True),
        ("content", "spring-sale", True),
        ("content", "v1.2.3.4", True),
        ("source", "shop.example", True),
        ("campaign", "2026/11 (black; friday)", True),
    ],
)
def test_a_campaign_keeps_nothing_that_looks_like_somebodys(name: str, value: str, is_kept: bool) -> None:
    event = an_event("touchpoint")
    setattr(event.touchpoint.utm, name, value)
    packed = take(event, RULES, NOW, backfill=False)
    assert getattr(AdmittedEvent.FromString(packed.admitted).event.touchpoint.utm, name) == (value if is_kept else "")
    told = [] if is_kept else [("PERSONAL_DATA_REDACTED", f"touchpoint.utm.{name}")]
    assert [(reason.code.value, reason.field) for reason in packed.reasons] == told


def encoded_at(place: int) -> str:
    """Returns an address in base64 whose `@` is the byte of three at this place."""
    return base64.urlsafe_b64encode(f"{'a' * (3 + place)}@b.de".encode()).decode().rstrip("=")


_WORDS_OF_SOMEBODY = (
    *(SHA256, MD5, MD5.upper(), f"Pull {SHA256}", f"a mug ({MD5})", ENCODED, f"for {ENCODED}", "YUBiLmRl"),
    *(*map(encoded_at, range(3)), TOKEN, "0033677889910", "0049 (171) 234-5678", "0049+171+2345678", "red&email=ann"),
    *("203.0.113.7", "tel:01712345678", "okhttp/4.9.3"),
)
_WORDS_OF_A_THING = (
    *(
        "Premium Cotton T-Shirt",
        "Shoe 1001",
        "0012 pieces 00",
        "ADIDAS BRANDNAMEABCD",
        "MacBook Air",
        MD5[1:],
        "9" * 32,
    ),
    *("Sale 1.2.3.4", "v1.2.3.4", "a/b", "a=b", "00123456789", "kABELTROMMEL", "F\xe4rbe-Set f\xfcr 00 T\xf6ne"),
)


@pytest.mark.parametrize("name", ["name", "category", "brand"])
def test_a_word_of_an_item_keeps_what_a_campaigns_content_keeps(name: str) -> None:
    for kind in ("conversion", "adjustment"):
        for word, is_kept in (
            *((one, False) for one in _WORDS_OF_SOMEBODY),
            *((one, True) for one in _WORDS_OF_A_THING),
        ):
            event = an_event(kind)
            getattr(event, kind).items.add(item_id="i", **{name: word})
            packed = take(event, RULES, NOW, backfill=False)
            [item] = getattr(AdmittedEvent.FromString(packed.admitted).event, kind).items
            told = [] if is_kept else [("PERSONAL_DATA_REDACTED", f"{kind}.items[0].{name}")]
            assert [(reason.code.value, reason.field) for reason in packed.reasons] == told, word
            assert getattr(item, name) == (word if is_kept else "-"), word


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, SHA256) for name in ("order_id", "clickId", "file_hash", "session_id", "transactionId")),
        ("image", f"https://cdn.example/{MD5}.png"),
        ("digest", MD5[1:]),
        ("account", "9" * 32),
        *(
            ("browser", "Chrome/120.0.0.0"),
            ("sdk_version", "web/4.0.1.2"),
            ("path", "/docs/10.2.1.4"),
            ("at", "1/2/26"),
        ),
        *(("page", "/p?a=1&utm_source=b#top"), ("note", "/ or ? (100% wool)"), ("note", "a%20b%2Fc"), ("n", "?")),
        *(("app_version", "10.2.1.4"), ("at", "12:30:45"), ("order_id", "00491712345678"), ("size", "00123456789")),
        ("trace", "01890a5d-ac96-774b-bcce-b302099a8057"),
        *(("sdk", "4.0.1.2"), ("firmware_version", "10.0.0.1"), ("versions", "1.2.3.4, 1.2.3.5"), ("n", "1.2.3")),
        *(
            ("note", value)
            for value in (
                *("core-10.2.1.4.zip", "react@10.2.1.4", "1.2.3.4-beta", "Sale 1.2.3.4", "from 1.2.3.4 to 1.3.0.0"),
                *("SO-25.11.27.104", "order 25.11.27.104", "Rp 1.200.100.250", "IDR 1.200.100.250,00"),
                *("v10.2.1.4:443", "build 10.2.1.4 (102010400)", "1.2.3.4.5:443", "a::b c::d", "12:30:45 1.2.3.4"),
            )
        ),
        *((name, "25.11.27.104") for name in ("order_id", "orderNumber", "invoice no", "items", "transaction-ref")),
        *(("item_ids", said) for said in ("10.20.30.40,10.20.30.41", "10.20.30.40; 300.1.2.3;", '"10.20.30.40"|')),
        *(("item_ids", said) for said in ("['10.20.30.40', '10.20.30.41']", "[10.20.30.40,10.20.30.41]")),
        *(("item_ids", said) for said in ('{"10.20.30.40":2}', '[{"10.20.30.40":{"n":1}}]')),
        *(("versions", said) for said in ('{"10.2.1.4":true}', '{"ios-10.2.1.4":1}', "['10.2.1.4', '10.2.1.5']")),
        *((name, '{"10.2.1.4":1}') for name in ("os_versions", "buildNumbers", "app_version_history", "sdks")),
        *((name, "10.2.1.4") for name in ("app", "os", "v", "build_number", "versionName", "appVersionCode")),
        *(("order_id", "25.11.27.104/1"), ("price", "1.200.100.250/kg"), ("note", "Rp 1.200.100.250/kg")),
        *((name, "00491712345678") for name in ("orderid", "itemid", "productids")),
        ("order_ids", '{"00491712345678":1}'),
        *((name, "order:25.11.27.104; red") for name in ("note", "u")),
        *(
            ("cart", said)
            for said in (
                '{"item_ids":["10.20.30.40","10.20.30.41","10.20.30.42"],"colour":"red"}',
                '{"a":1,"order_ids":["x","00491712345678","y"]}',
                '{"versions":["1.2.3.4","1.2.3.5","1.2.3.6"],"v1.2.3.4":1}',
                f'{{"file_hash":"{MD5}"}}',
                f'{{"order_id": "{MD5}", "items": [{{"sku": "{SHA256}", "image": "https://cdn.example/{MD5}.png"}}]}}',
            )
        ),
        *((name, "1.200.100.250") for name in ("price", "item_price", "totalAmount", "order_total")),
        *(("note", value) for value in ("version 10.2.1.4", "1.2.3.4.5", "300.1.2.3", "10:30", "00:1a:2b:3c:4d:5e")),
        *(("note", value) for value in ("tel: none", "telescope:12345678", "sms:7", "Size/42 (slim; long)", "a/b (c)")),
        *(
            ("note", value)
            for value in ("eyJ.a.b", "eyJoaWdobGFuZGVy.eyJh", "www.shop.example.com", "Opera/Verdi (1853)")
        ),
        *((name, "00491712345678") for name in ("product_ids", "invoice_number", "sku")),
        *(("note", value) for value in ('{"name": "Shirt", "app_version": "1.2.3.4"}', "[sale]", "{}", "[1, null]")),
        *(("note", value) for value in ("https://shop.example/?utm_source=a&gclid=x#top", "a://b", "https:// x")),
    ],
)
def test_a_property_that_is_of_a_thing_stays(name: str, value: str) -> None:
    event = an_event("conversion")
    event.properties[name] = value
    packed = take(event, RULES, NOW, backfill=False)
    assert dict(AdmittedEvent.FromString(packed.admitted).event.properties) == {name: value}
    assert packed.reasons == []


@pytest.mark.parametrize("client_ip", ["203.0.113.7", "::ffff:203.0.113.7", "2001:db8::7"])
def test_no_property_keeps_the_address_that_the_event_came_from_whatever_it_is_named(client_ip: str) -> None:
    own = client_ip.removeprefix("::ffff:")
    event = an_event("conversion")
    event.context.client_ip = client_ip
    event.properties.update({"order_id": own, "app_version": f"a-{own}-b", "note": f"seen by {own} first"})
    event.properties["shelf"] = "1203.0.113.71"
    packed = take(event, RULES, NOW, backfill=False)
    assert dict(AdmittedEvent.FromString(packed.admitted).event.properties) == {"shelf": "1203.0.113.71"}
    assert [reason.field for reason in packed.reasons] == ["properties"]


@pytest.mark.parametrize("put_text", COLLECTIONS)
@pytest.mark.parametrize("device", ["203.0.113.77", "2001:db8:77::9", "Mozilla/5.0 (QqzMark; Linux)"])
def test_no_list_or_map_of_an_event_carries_a_device_through_the_door(put_text: Any, device: str) -> None:
    for is_refused in (False, True):
        event = an_event("conversion")
        event.context.client_ip = "203.0.113.77"
        put_text(event, device)
        for item in event.conversion.items:
            item.name = item.name.removeprefix("Mug for ").removesuffix(".")
        if is_refused:
            event.ClearField("event_time")
        assert not shows_device(event)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "v1.2.3.4",
            "build-10.2.1.4",
            "release 1.2.3.4",
            "1.2.3.4.5",
            "300.1.2.3",
            "01.2.3.4",
            "x1.2.3.4",
            "1.2.3.4x",
        ),
        *("120.0.0.0", "0.1.2.3", "2026.11.27.1", "fb.1.1795000000000.1116446470", "GA1.2.1234567890.1795000000"),
        *("GS1.1.1795000000.3.1.1795000123.60.0.0", "12:30:45", "00:1a:2b:3c:4d:5e", "store::1234::5", "cafe::1"),
        *("google/cpc", "Opera/Verdi (1853)", "2001:db8", "0193a1b2-7c3d-7e4f-8a9b-0c1d2e3f4a5b", "a.b.c.d"),
    ],
)
def test_an_id_that_is_like_an_ip_address_but_none_is_kept(text: str) -> None:
    for path in ("event_id", "session_id", "conversion.order_id", "click_ids.msclkid", "browser_ids.fbp"):
        event = an_event("conversion")
        put(event, path, text)
        packed = take(event, RULES, NOW, backfill=False)
        assert (text.encode() in packed.admitted, packed.reasons) == (True, []), path


_CHAINS = (
    *("Search::Brand::2025::01", "fb::retargeting::2024::de", "spring::2026::ad", "DE::2024::11", "Brand|2025::1"),
    *("gg:2024::de", "x::2001::ad", "2001::ad::x", "a 2003::1 b", "SHOP::2025::0001", "SHOP::2400::0001", "x::fd00::1"),
    *("2025::0001", "2025::01", "2026::11::27", "2026:11:27:12:30:45:1:7", "[2025::01]", "12:34::5", "3000::1", "::1"),
)
"""Of words, years and numbers, as campaigns and orders are named, which read in part like addresses of the sixth
version."""
_WITHIN = (
    *("user::2001:db8::7", "user::2001:db8::7::x", "u:2A02:8108::7:1", "x_2600:1:2:3:4:5:6:7", "u-fd12:3456::1-x"),
    *("by fe80::1c2a:3bff:fe4d:5e6f on", "x::fe80::1c2a:3bff:fe4d:5e6f", "a|2400:cb00::1", "s fd00::1"),
)
"""Addresses of it within longer texts."""
_ALONE = (
    *("[2001:db8::7]", "2c0f::1", " 2001:db8::7 ", "fe80::1%eth0", "fd00::1", "2400::1", "2001::ad"),
    *("::ffff:203.0.113.7", "::FFFF:cb00:7107", "0:0:0:0:0:ffff:cb00:7107", "64:ff9b::cb00:7107"),
)


@pytest.mark.parametrize(
    ("text", "is_kept"),
    [*((text, True) for text in _CHAINS), *((text, False) for text in (*_WITHIN, *_ALONE))],
)
def test_a_chain_of_words_and_years_is_no_address_of_the_sixth_version(text: str, is_kept: bool) -> None:
    ids = ("event_id", "session_id", "conversion.order_id", "conversion.pixel_event_id")
    words = ("touchpoint.utm.campaign", "touchpoint.utm.id", "touchpoint.title", "touchpoint.ad.campaign_name")
    for path in (*ids, *words):
        event = an_event(path.partition(".")[0] if "." in path else "conversion")
        put(event, path, text)
        told = [] if is_kept else [("PERSONAL_DATA_REDACTED", path)]
        packed = take(event, RULES, NOW, backfill=False)
        assert [(reason.code.value, reason.field) for reason in packed.reasons] == told, path
    event = an_event("conversion")
    event.properties["list"] = text
    admitted = AdmittedEvent.FromString(take(event, RULES, NOW, backfill=False).admitted).event
    assert dict(admitted.properties) == ({"list": text} if is_kept else {})


NUMBERS = {
    "conversion": ("order_id", "pixel_event_id", "lead.lead_id", "lead.root_order_id"),
    "adjustment": ("order_id",),
}
"""Ids of an event that leave the house, and are matched there by their text."""


@pytest.mark.parametrize(
    ("number", "client_ip", "is_kept"),
    [
        ("25.11.27.104", "", True),
        ("10.1.2.33", "203.0.113.7", True),
        ("12.11.25.7", "2001:db8::7", True),
        ("SO-25.11.27.104/2", "125.11.27.104", True),
        ("25.11.27.104-77", "", True),
        ("25.11.27.104-2026112701", "", True),
        ("203.0.113.7", "203.0.113.7", False),
        ("SO-203.0.113.7", "203.0.113.7", False),
        ("203.0.113.7", "::ffff:203.0.113.7", False),
        ("build-203.0.113.7", "203.0.113.7", False),
        ("203%2E0%2E113%2E7", "203.0.113.7", False),
        ("203.0.113.7-1795000000", "", False),
        ("1795000000123_203.0.113.7", "", False),
        ("203.0.113.7.1795000000", "", False),
        ("::ffff:203.0.113.7", "", False),
        ("2001:db8::7", "", False),
        ("Mozilla/5.0 (X11; Linux x86_64)", "", False),
    ],
)
def test_the_number_of_an_order_is_an_ip_address_only_with_a_moment_or_if_the_event_came_from_it(
    number: str, client_ip: str, is_kept: bool
) -> None:
    for kind, names in NUMBERS.items():
        for path in (f"{kind}.{name}" for name in names):
            event = an_event(kind)
            event.context.client_ip = client_ip
            put(event, path, number)
            packed = take(event, RULES, NOW, backfill=False)
            told = [] if is_kept else [("PERSONAL_DATA_REDACTED", path)]
            assert [(reason.code.value, reason.field) for reason in packed.reasons] == told
            assert (number.encode() in packed.admitted) is is_kept, path
    event = an_event("conversion")
    event.context.client_ip = client_ip
    event.conversion.pixel_event_ids["meta"] = number
    kept = AdmittedEvent.FromString(take(event, RULES, NOW, backfill=False).admitted).event.conversion.pixel_event_ids
    assert (kept["meta"] == number, kept["meta"].startswith("x1:")) == (is_kept, not is_kept)
    for kind in NUMBERS:
        event = an_event(kind)
        event.context.client_ip = client_ip
        getattr(event, kind).items.add(item_id=number)
        admitted = AdmittedEvent.FromString(take(event, RULES, NOW, backfill=False).admitted).event
        (item,) = getattr(admitted, kind).items
        assert (item.item_id == number, item.item_id.startswith("x1:")) == (is_kept, not is_kept), kind


@pytest.mark.parametrize(
    ("text", "is_kept"),
    [
        ("v1.2.3.4", True),
        ("V10.2.1.4-77", True),
        ("version 1.2.3.4", True),
        ("v-203.0.113.7", False),
        ("v 203.0.113.7", False),
        ("v.203.0.113.7", False),
        ("v-203.0.113.7-1795000000", False),
        ("v203.0.113.7-1795000000", False),
        ("build_203.0.113.7_1795000000123", False),
        ("1795000000 build 203.0.113.7", True),
        ("build-10.2.1.4-123456789", True),
        ("1795000000-203.0.113.7", False),
        ("release-203.0.113.7.1795000000", False),
    ],
)
def test_four_numbers_with_a_moment_beside_them_are_no_version(text: str, is_kept: bool) -> None:
    for path in ("event_id", "session_id", "click_ids.msclkid"):
        event = an_event("conversion")
        put(event, path, text)
        assert (text.encode() in take(event, RULES, NOW, backfill=False).admitted) is is_kept, path


def test_an_apps_version_may_have_four_numbers_unless_it_is_the_address_of_the_person() -> None:
    event = an_event("touchpoint")
    event.context.app_version = "10.2.1.4"
    assert b"10.2.1.4" in take(event, RULES, NOW, backfill=False).admitted
    event = an_event("touchpoint")
    event.context.app_version = event.context.client_ip = "10.2.1.4"
    assert b"10.2.1.4" not in take(event, RULES, NOW, backfill=False).admitted


@pytest.mark.parametrize("path", ["touchpoint.ad.campaign_name", "touchpoint.title", "touchpoint.ad.placement"])
def test_the_words_of_an_ad_keep_what_a_campaign_keeps(path: str) -> None:
    for text, is_kept in (
        ("v1.2.3.4", True),
        ("Sale 1.2.3.4", True),
        ("mobileapp::2-com.shop", True),
        ("1.2.3.4", False),
    ):
        event = an_event("touchpoint")
        put(event, path, text)
        packed = take(event, RULES, NOW, backfill=False)
        told = [] if is_kept else [("PERSONAL_DATA_REDACTED", path)]
        assert [(reason.code.value, reason.field) for reason in packed.reasons] == told
        assert (text.encode() in packed.admitted) is is_kept


def test_an_event_whose_id_is_of_a_device_is_known_by_the_id_that_was_sent() -> None:
    def sent() -> Event:
        event = an_event("touchpoint")
        event.event_id, event.session_id = "203.0.113.77-1795000000", "203.0.113.77"
        event.touchpoint.interaction_id = "i-203.0.113.77"
        return event

    packed, again = (take(sent(), RULES, NOW, backfill=False) for _ in range(2))
    admitted = AdmittedEvent.FromString(packed.admitted)
    assert (packed.event_digest, packed.payload_digest) == (again.event_digest, again.payload_digest)
    assert packed.event_digest == admitted.event_digest == event_digest("shop", "203.0.113.77-1795000000"), "as ever"
    told = (admitted.event.event_id, admitted.event.session_id, admitted.event.touchpoint.interaction_id)
    assert all(text.startswith("x1:") for text in told)
    assert packed.admitted == again.admitted
    assert (admitted.sent_event_hash, admitted.sent_target_hash) == (event_hash("203.0.113.77-1795000000"), 0)


def test_an_event_that_is_adjusted_is_found_by_the_id_that_was_sent_where_a_token_stands_for_it() -> None:
    for named, hashed in (("203.0.113.77-1795000000", event_hash("203.0.113.77-1795000000")), ("e-7", 0)):
        event = an_event("adjustment")
        event.adjustment.event_id = named
        admitted = AdmittedEvent.FromString(take(event, RULES, NOW, backfill=False).admitted)
        assert (admitted.sent_target_hash, admitted.event.adjustment.event_id != named) == (hashed, bool(hashed))


@pytest.mark.parametrize("path", ["event_id", "session_id", "conversion.order_id", "click_ids.msclkid"])
def test_an_id_in_hexadecimal_is_an_id(path: str) -> None:
    event = an_event("conversion")
    *parents, name = path.split(".")
    message: Any = event
    for parent in parents:
        message = getattr(message, parent)
    setattr(message, name, MD5)
    packed = take(event, RULES, NOW, backfill=False)
    assert MD5.encode() in packed.admitted
    assert packed.reasons == []


def test_an_event_whose_id_is_personal_says_what_it_is_claimed_by() -> None:
    event = an_event("conversion")
    event.event_id = "order of ann@example.com"
    packed = take(event, RULES, NOW, backfill=False)
    admitted = AdmittedEvent.FromString(packed.admitted)
    assert admitted.event.event_id.startswith("x1:")
    assert admitted.event_digest == packed.event_digest == event_digest("shop", "order of ann@example.com")
    plain = AdmittedEvent.FromString(take(an_event("conversion"), RULES, NOW, backfill=False).admitted)
    assert plain.event_digest == b"", "of its id"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        *((path, "a digest without a key") for path in ("event_id", "conversion.order_id", "adjustment.adjustment_id")),
        *((path, "among identifiers") for path in ("session_id", "conversion.pixel_event_id", "properties")),
    ],
)
def test_a_warning_says_of_an_id_that_its_digest_stays(path: str, said: str) -> None:
    event = an_event(path)
    if path == "properties":
        event.properties["customer_email"] = "ann"
    else:
        *parents, name = path.split(".")
        setattr(getattr(event, parents[0]) if parents else event, name, "ann@example.com")
    [reason] = take(event, RULES, NOW, backfill=False).reasons
    assert (reason.code.value, reason.field, said in reason.message) == ("PERSONAL_DATA_REDACTED", path, True)
