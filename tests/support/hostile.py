"""Requests that nobody sends by mistake: random bytes, hostile values, too large, too deep, no UTF-8. Seeded."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

from tributary.event.v1.adjustment_pb2 import ADJUSTMENT_REASON_RETRACTION
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.touchpoint_pb2 import TOUCHPOINT_KIND_VISIT
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest

TEXTS: Final = (
    *(
        "",
        "a",
        "null",
        "0",
        "-1",
        "1e999",
        "NaN",
        "a@b.example",
        "%40",
        "%",
        "%ff%fe",
        "\0",
        "\0\0x",
        "\u202e",
        "😀" * 60,
    ),
    *(
        "https://",
        "https://[::1]:80/x?y",
        "https://[",
        "//",
        "?",
        "#",
        "=&&=",
        "javascript:alert(1)",
        "http://" + "a." * 200,
    ),
    *("https://u:p@h/?gclid=%ff%fe&utm_source=%00&email=x#a=@", "https://shop.example/?utm_source=a%40b.example"),
    *("x" * 129, "é" * 300, "x" * 5000, "d1:x", "t1:x", "c1:", "c1:" + "g" * 32, "trb_a_b", "+", "+49 171 2345678"),
    *(
        "EUR",
        "XXX",
        "eur",
        "purchase",
        "Googlebot",
        "٣٤٥٦٧٨٩٠١٢",
        "ﷺ" * 40,
        "A\u0301" * 100,
        "{l0}",
        "trb:{l0}:dead:record",
    ),
    *(
        "'; DROP TABLE events; --",
        "%(workspace)s",
        "\\'",
        "\x1b[31m",
        "../../etc/passwd",
        "\ud7ff",
        "\uffff",
        "1.2.3.4",
        "::1",
    ),
    *("999.999.999.999", "fe80::1%eth0", "0" * 64, "g" * 64, "de-DE", "iPhone" * 50),
    *("(a+)+$" + "a" * 60 + "!", "%25" * 300 + "40", ".@." * 150, "+" + "1(-" * 60, "email=" * 300, "=:" * 900),
    *(
        "https://x.example/?" + "a=%2525" * 400,
        "https://x.example/#" + "/;" * 900,
        "{{" * 99,
        "f" * 250,
        "%%" + "a" * 99,
    ),
)
INTEGERS: Final = (0, 1, -1, 2, 7, 99, 2**31 - 1, -(2**31), 1_000_000)
LONG_INTEGERS: Final = (0, 1, -1, 2**63 - 1, -(2**63), 10**12, -62_135_596_800, 253_402_300_800, 1_795_000_000)
KINDS: Final = ("nearly right", "values", "bytes", "mutated", "texts", "deep", "many", "large")
WEIGHTS: Final = (35.0, 25.0, 10.0, 14.0, 8.0, 5.0, 2.9, 0.1)
"""What is wrong all over is refused at once; most bugs are met by what is let in, and so nearly right."""
MOST_BYTES: Final = 20 * 1024 * 1024
"""A little more than a server takes."""


def fill(message: Any, rng: random.Random, now_seconds: int, depth: int = 0) -> None:
    """Sets about half of the fields of a message to values that somebody forgot to think of."""
    for field in message.DESCRIPTOR.fields:
        if rng.random() < 0.5:
            continue
        if field.message_type and field.message_type.GetOptions().map_entry:
            for _ in range(rng.choice((0, 1, 3, 60))):
                getattr(message, field.name)[rng.choice(TEXTS)] = rng.choice(TEXTS)
        elif field.message_type and field.message_type.full_name == "google.protobuf.Timestamp":
            moment = getattr(message, field.name)
            moment.seconds = rng.choice((now_seconds, now_seconds - 3600, *LONG_INTEGERS))
            moment.nanos = rng.choice((0, 1, 999_999_999, -1, 2**31 - 1))
        elif field.message_type:
            parts = getattr(message, field.name)
            if field.is_repeated:
                for _ in range(rng.choice((0, 1, 3))):
                    fill(parts.add(), rng, now_seconds, depth + 1)
            else:
                parts.SetInParent()
                fill(parts, rng, now_seconds, depth + 1)
        else:
            draw = _drawer(field, rng)
            if field.is_repeated:
                getattr(message, field.name).extend(draw() for _ in range(rng.choice((0, 1, 20))))
            else:
                setattr(message, field.name, draw())


def _drawer(field: Any, rng: random.Random) -> Callable[[], Any]:
    if field.type == field.TYPE_STRING:
        return lambda: rng.choice(TEXTS)
    if field.type == field.TYPE_BYTES:
        return lambda: rng.randbytes(rng.choice((0, 1, 9, 300)))
    if field.type == field.TYPE_BOOL:
        return lambda: rng.random() < 0.5
    if field.type in (field.TYPE_DOUBLE, field.TYPE_FLOAT):
        return lambda: rng.choice((0.0, -1.0, float("inf"), float("nan")))
    if field.type in (field.TYPE_INT64, field.TYPE_SINT64, field.TYPE_SFIXED64):
        return lambda: rng.choice(LONG_INTEGERS)
    if field.type in (field.TYPE_UINT64, field.TYPE_UINT32, field.TYPE_FIXED32, field.TYPE_FIXED64):
        return lambda: rng.choice((0, 1, 2**31))
    return lambda: rng.choice(INTEGERS)  # enums too: unknown values are kept


def spoil(message: Any, rng: random.Random, now_seconds: int) -> None:
    """Sets one field of a message, or of a message within it, to what somebody forgot to think of."""
    field = rng.choice(message.DESCRIPTOR.fields)
    if field.message_type and not field.message_type.GetOptions().map_entry and field.message_type.fields:
        parts = getattr(message, field.name)
        if field.message_type.full_name != "google.protobuf.Timestamp":
            if not field.is_repeated:
                parts.SetInParent()
            spoil(parts.add() if field.is_repeated else parts, rng, now_seconds)
        return
    if field.message_type and not field.message_type.fields:
        return
    if field.message_type:
        getattr(message, field.name)[rng.choice(TEXTS)] = rng.choice(TEXTS)
    elif field.is_repeated:
        getattr(message, field.name).append(_drawer(field, rng)())
    else:
        setattr(message, field.name, _drawer(field, rng)())


def nearly_right(event: Event, rng: random.Random, now_seconds: int) -> None:
    """Makes an event that the door would let in, and spoils a field or two of it."""
    event.event_id = rng.randbytes(8).hex()
    event.event_time.seconds = now_seconds - rng.choice((0, 60, 86_400))
    event.identifiers.visitor_id = f"v-{rng.randrange(500)}"
    event.context.observed_by = rng.choice((0, 2, 4))  # type: ignore[assignment]
    event.context.user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    kind = rng.choice(("touchpoint", "conversion", "adjustment", "identify", "consent_change"))
    getattr(event, kind).SetInParent()
    if kind == "touchpoint":
        event.touchpoint.kind = TOUCHPOINT_KIND_VISIT
    elif kind == "conversion":
        event.conversion.name, event.conversion.order_id = "purchase", f"o-{rng.randrange(500)}"
        event.conversion.value.currency_code, event.conversion.value.amount_micros = "EUR", rng.randrange(10**9)
    elif kind == "adjustment":
        event.adjustment.conversion_name, event.adjustment.order_id = "purchase", f"o-{rng.randrange(500)}"
        event.adjustment.reason = ADJUSTMENT_REASON_RETRACTION
    elif kind == "consent_change":
        event.consent.consent_time.seconds = now_seconds
    for _ in range(rng.choice((1, 1, 2))):
        spoil(event, rng, now_seconds)


def request(rng: random.Random, now_seconds: int) -> tuple[str, bytes]:
    """Returns what kind of hostility it is, and the bytes of a request."""
    (kind,) = rng.choices(KINDS, WEIGHTS)
    if kind == "nearly right":
        right = IngestEventsRequest()
        for _ in range(rng.choice((1, 1, 3))):
            nearly_right(right.events.add(), rng, now_seconds)
        return kind, right.SerializeToString()
    if kind == "bytes":
        return kind, rng.randbytes(rng.choice((0, 1, 10, 100, 5_000)))
    if kind == "deep":
        return kind, _nested(rng.choice((50, 99, 101, 5_000)))
    if kind == "large":
        return kind, _field(1, b"x" * rng.choice((MOST_BYTES, 1024 * 1024)))
    if kind == "many":
        return kind, _field(1, b"") * rng.choice((1_000, 1_001, 50_000))
    message = IngestEventsRequest()
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        fill(message.events.add(), rng, now_seconds)
    message.validate_only = rng.random() < 0.1
    message.backfill = rng.random() < 0.1
    body = bytearray(message.SerializeToString())
    if kind == "texts":  # no UTF-8 where text is expected
        return kind, bytes(body) + _field(1, _field(1, rng.choice((b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"a\x80"))))
    if kind == "mutated":
        for _ in range(rng.choice((1, 3, 20))):
            if body:
                body[rng.randrange(len(body))] = rng.randrange(256)
        if rng.random() < 0.3:
            del body[rng.randrange(len(body) + 1) :]
    return kind, bytes(body)


def _nested(levels: int) -> bytes:
    """Returns an event in an unknown field of an event, and so on."""
    inner = b""
    for _ in range(levels):
        inner = _field(14, inner)
    return _field(1, inner)


def _field(number: int, content: bytes) -> bytes:
    """Returns a length-delimited field."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
