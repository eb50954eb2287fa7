"""Every field of an event has a limit: at it the event is right, one beyond it is named with its field.

The rows are made from the contract itself, so that a field added without a limit fails here; what its comment states is
held against the rule in `contract/test_limits.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tributary.event.v1.event_pb2 import Event
from tributary_domain import texts
from tributary_domain.amounts import MAX_AMOUNT_MICROS
from tributary_domain.identifiers import Identification
from tributary_domain.validation import Expectations, refuse

NOW = 1_795_000_000


def a_touchpoint() -> Event:
    event = Event(event_id="e-1")
    event.event_time.seconds = NOW
    event.touchpoint.kind = 1
    return event


def a_conversion() -> Event:
    event = Event(event_id="e-1")
    event.event_time.seconds = NOW
    event.conversion.name = "purchase"
    event.conversion.value.currency_code = "EUR"
    return event


def an_adjustment(target: str = "order_id") -> Event:
    event = Event(event_id="e-1")
    event.event_time.seconds = NOW
    event.adjustment.conversion_name = "purchase"
    setattr(event.adjustment, target, "c1:1")
    event.adjustment.reason = 1
    event.adjustment.amount.currency_code = "EUR"
    return event


def a_cycle() -> Event:
    event = a_conversion()
    event.conversion.recurrence.subscription_id = event.conversion.recurrence.cycle = "1"
    event.conversion.recurrence.kind = 2
    return event


def a_stage() -> Event:
    event = a_conversion()
    event.conversion.lead.lead_id = event.conversion.lead.stage = "1"
    return event


def an_experiment() -> Event:
    event = a_touchpoint()
    event.experiment.id = event.experiment.arm = "1"
    return event


def a_check() -> Event:
    event = a_touchpoint()
    event.human_check.provider = 1
    return event


def problems(event: Event) -> list[tuple[str, str]]:
    kind = event.WhichOneof("kind")
    readings = texts.read_texts(event, kind)
    found = texts.check_texts(readings)
    refuse(event, kind, readings, Expectations(), found)
    found += Identification(b"p" * 16, "DE").identify(event.identifiers).rejections
    return [(reason.code.value, reason.field) for reason in found]


MAKERS: dict[str, Callable[[], Event]] = {
    "conversion.recurrence": a_cycle,
    "conversion.lead": a_stage,
    "conversion": a_conversion,
    "experiment": an_experiment,
    "human_check": a_check,
}
OWN_REASONS = {"event_id": "EVENT_ID_TOO_LONG"}
HASHES = {"identifiers.email_sha256", "identifiers.phone_sha256"}
"""At 256 characters they are too short a text to be too long, and no hash all the same."""


def text_paths() -> list[tuple[str, int]]:
    groups = [group for group in vars(texts).values() if isinstance(group, texts.TextGroup)]
    return [("event_id", 128)] + [
        (group.field(position), limit) for group in groups for position, limit in enumerate(group.limits)
    ]


def set_at(path: str, value: Any) -> Event:
    if path.startswith("adjustment."):
        target = path.rpartition(".")[2]
        event = an_adjustment(target if target in ("event_id", "conversion_id") else "order_id")
    else:
        parent = path.rpartition(".")[0]
        event = MAKERS.get(parent, a_touchpoint)()
    *parents, name = path.split(".")
    message: Any = event
    for parent in parents:
        message = getattr(message, parent)
    setattr(message, name, value)
    return event


def test_a_text_is_right_at_its_limit_and_too_long_beyond_it() -> None:
    refused, taken = {}, []
    for path, limit in text_paths():
        prefix = "c1:" if path == "adjustment.conversion_id" else ""
        if path not in HASHES:
            refused[path] = problems(set_at(path, prefix + "ä" * (limit - len(prefix))))
        too_long = problems(set_at(path, prefix + "ä" * (limit + 1 - len(prefix))))
        if (OWN_REASONS.get(path, "FIELD_TOO_LONG"), path) not in too_long:
            taken.append(path)
    assert {path: found for path, found in refused.items() if found} == {}, "at its limit"
    assert taken == [], "beyond it"
    assert len(text_paths()) == 106


def test_no_text_of_the_contract_was_forgotten() -> None:
    listed = {path for path, _ in text_paths()}
    found = set()

    def walk(descriptor: Any, path: str) -> None:
        for field in descriptor.fields:
            here = f"{path}.{field.name}" if path else field.name
            if field.is_repeated:
                continue  # below
            if field.message_type is not None and field.message_type.full_name.startswith("tributary.event"):
                walk(field.message_type, here)
            elif field.type == field.TYPE_STRING:
                found.add(here)

    walk(Event.DESCRIPTOR, "")
    assert found == listed


def filled(make: Callable[[], Event], fill: Callable[[Event], Any]) -> Event:
    event = make()
    fill(event)
    return event


def item(event: Event, **fields: Any) -> None:
    event.conversion.items.add(**{"item_id": "i", **fields})


COLLECTIONS: list[Any] = [
    pytest.param(
        a_touchpoint,
        lambda e, n: e.properties.update({f"p{i}": "" for i in range(n)}),
        64,
        "properties",
        id="properties",
    ),
    pytest.param(
        a_touchpoint, lambda e, n: e.properties.update({"p" * n: ""}), 64, "properties", id="a property's name"
    ),
    pytest.param(
        a_touchpoint, lambda e, n: e.properties.update({"p": "x" * n}), 1024, "properties", id="a property's value"
    ),
    pytest.param(
        a_touchpoint,
        lambda e, n: e.identifiers.device_ids.extend(map(str, range(n))),
        8,
        "identifiers.device_ids",
        id="device ids",
    ),
    pytest.param(
        a_touchpoint,
        lambda e, n: e.identifiers.device_ids.append("x" * n),
        256,
        "identifiers.device_ids",
        id="a device id",
    ),
    pytest.param(
        a_touchpoint,
        lambda e, n: e.identifiers.apple_advertising_ids.extend(map(str, range(n))),
        8,
        "identifiers.apple_advertising_ids",
        id="advertising ids",
    ),
    pytest.param(
        a_touchpoint,
        lambda e, n: e.identifiers.android_advertising_ids.append("x" * n),
        256,
        "identifiers.android_advertising_ids",
        id="an advertising id",
    ),
    pytest.param(
        a_touchpoint,
        lambda e, n: e.identifiers.other_ids.update({f"k{i}": "x" for i in range(n)}),
        8,
        "identifiers.other_ids",
        id="other ids",
    ),
    pytest.param(
        a_touchpoint,
        lambda e, n: e.identifiers.other_ids.update({"k" * n: "x"}),
        64,
        "identifiers.other_ids",
        id="the kind of an other id",
    ),
    pytest.param(
        a_touchpoint,
        lambda e, n: e.identifiers.other_ids.update({"k": "x" * n}),
        256,
        "identifiers.other_ids",
        id="an other id",
    ),
    pytest.param(
        a_conversion,
        lambda e, n: e.conversion.coupon_codes.extend("c" * n),
        16,
        "conversion.coupon_codes",
        id="coupon codes",
    ),
    pytest.param(
        a_conversion,
        lambda e, n: e.conversion.coupon_codes.append("c" * n),
        64,
        "conversion.coupon_codes",
        id="a coupon code",
    ),
    pytest.param(
        a_conversion,
        lambda e, n: e.conversion.pixel_event_ids.update({f"d{i}": "x" for i in range(n)}),
        16,
        "conversion.pixel_event_ids",
        id="pixel event ids",
    ),
    pytest.param(
        a_conversion,
        lambda e, n: e.conversion.pixel_event_ids.update({"d" * n: "x"}),
        64,
        "conversion.pixel_event_ids",
        id="the destination of a pixel event id",
    ),
    pytest.param(
        a_conversion,
        lambda e, n: e.conversion.pixel_event_ids.update({"d": "x" * n}),
        128,
        "conversion.pixel_event_ids",
        id="a pixel event id",
    ),
    pytest.param(a_conversion, lambda e, n: [item(e) for _ in range(n)], 200, "conversion.items", id="items"),
    pytest.param(
        a_conversion, lambda e, n: item(e, item_id="x" * n), 128, "conversion.items[0].item_id", id="an item's id"
    ),
    pytest.param(
        a_conversion, lambda e, n: item(e, name="x" * n), 256, "conversion.items[0].name", id="an item's name"
    ),
    pytest.param(
        a_conversion,
        lambda e, n: item(e, category="x" * n),
        256,
        "conversion.items[0].category",
        id="an item's category",
    ),
    pytest.param(
        a_conversion, lambda e, n: item(e, brand="x" * n), 128, "conversion.items[0].brand", id="an item's brand"
    ),
    pytest.param(
        an_adjustment,
        lambda e, n: [e.adjustment.items.add(item_id="i") for _ in range(n)],
        200,
        "adjustment.items",
        id="an adjustment's items",
    ),
]


@pytest.mark.parametrize(("make", "fill", "limit", "field"), COLLECTIONS)
def test_a_list_or_map_is_right_at_its_limits_and_too_long_beyond_them(
    make: Callable[[], Event], fill: Callable[[Event, int], Any], limit: int, field: str
) -> None:
    assert problems(filled(make, lambda event: fill(event, limit))) == []
    assert problems(filled(make, lambda event: fill(event, limit + 1))) == [("FIELD_TOO_LONG", field)]


AMOUNTS = ("goods", "discount", "tax", "shipping", "fees", "gift_card", "cost_of_goods")
NUMBERS: list[Any] = [
    *(
        pytest.param(path, 0, MAX_AMOUNT_MICROS, "AMOUNT_NEGATIVE", "AMOUNT_TOO_LARGE", id=path)
        for path in (
            "touchpoint.cost.amount_micros",
            "conversion.value.amount_micros",
            "adjustment.amount.amount_micros",
            *(f"{kind}.amounts.{name}_micros" for kind in ("conversion", "adjustment") for name in AMOUNTS),
        )
    ),
    *(
        pytest.param(path, 0, highest, "FIELD_MALFORMED", "FIELD_MALFORMED", id=path)
        for path, highest in (
            ("traffic", 3),
            ("context.observed_by", 4),
            ("human_check.verdict", 3),
            ("human_check.score_percent", 100),
            ("conversion.customer_type", 2),
            ("consent.ad_storage", 2),
            ("consent.analytics_storage", 2),
            ("consent.ad_user_data", 2),
            ("consent.ad_personalization", 2),
            ("consent.sale_or_sharing", 2),
        )
    ),
]


@pytest.mark.parametrize(("path", "lowest", "highest", "below", "above"), NUMBERS)
def test_a_number_is_right_within_its_range_and_named_outside_of_it(
    path: str, lowest: int, highest: int, below: str, above: str
) -> None:
    def problem(number: int) -> list[tuple[str, str]]:
        if path.startswith("conversion."):
            event = a_conversion()
        elif path.startswith("adjustment."):
            event = an_adjustment()
        else:
            event = a_check() if path.startswith("human_check.") else a_touchpoint()
            if path.startswith("touchpoint.cost"):
                event.touchpoint.cost.currency_code = "EUR"
        *parents, name = path.split(".")
        message: Any = event
        for parent in parents:
            message = getattr(message, parent)
        setattr(message, name, number)
        return problems(event)

    assert problem(lowest) == problem(highest) == []
    assert problem(lowest - 1) == [(below, path)]
    assert problem(highest + 1) == [(above, path)]


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        pytest.param({"quantity": -1}, "FIELD_MALFORMED", "quantity", id="a negative quantity"),
        pytest.param({"quantity": 10**9 + 1}, "AMOUNT_TOO_LARGE", "quantity", id="a vast quantity"),
        pytest.param({"price_micros": -1}, "AMOUNT_NEGATIVE", "price_micros", id="a negative price"),
        pytest.param({"price_micros": 10**18 + 1}, "AMOUNT_TOO_LARGE", "price_micros", id="a vast price"),
        pytest.param({"item_id": ""}, "FIELD_MISSING", "item_id", id="no id"),
    ],
)
def test_the_numbers_of_an_item_have_limits(fields: dict[str, Any], code: str, field: str) -> None:
    assert problems(filled(a_conversion, lambda event: item(event, **fields))) == [
        (code, f"conversion.items[0].{field}")
    ]
    right = {"quantity": 10**9, "price_micros": 10**18}
    assert problems(filled(a_conversion, lambda event: item(event, **right))) == []


@pytest.mark.parametrize(
    ("seconds", "nanos", "is_right"),
    [
        (1, 0, True),
        (0, 1, True),
        (3_660 * 86_400, 0, True),
        (0, 0, False),
        (-1, 0, False),
        (3_660 * 86_400 + 1, 0, False),
        (1, -1, False),
    ],
)
def test_a_cycle_lasts_some_time_and_not_for_ever(seconds: int, nanos: int, is_right: bool) -> None:
    event = a_cycle()
    event.conversion.recurrence.period.seconds, event.conversion.recurrence.period.nanos = seconds, nanos
    assert problems(event) == ([] if is_right else [("FIELD_MALFORMED", "conversion.recurrence.period")])


@pytest.mark.parametrize(
    ("code", "day", "is_right"),
    [
        pytest.param("EUR", "2026-11-25", True, id="in use"),
        pytest.param("KWD", "2026-11-25", True, id="with three decimals"),
        pytest.param("JPY", "2026-11-25", True, id="without decimals"),
        pytest.param("eur", "2026-11-25", False, id="in small letters"),
        pytest.param("DEM", "2026-11-25", False, id="withdrawn long ago"),
        pytest.param("XXX", "2026-11-25", False, id="no currency"),
        pytest.param("XTS", "2026-11-25", False, id="for tests"),
        pytest.param("XAU", "2026-11-25", False, id="gold"),
        pytest.param("HRK", "2022-12-31", True, id="before it was withdrawn"),
        pytest.param("HRK", "2024-02-04", True, id="400 days after"),
        pytest.param("HRK", "2024-02-05", False, id="a day later"),
        pytest.param("BGN", "2026-11-25", True, id="within 400 days after"),
        pytest.param("", "2026-11-25", False, id="none"),
    ],
)
def test_a_currency_is_one_of_iso_4217_when_the_event_happened(code: str, day: str, is_right: bool) -> None:
    event = a_conversion()
    event.event_time.FromJsonString(f"{day}T00:00:00Z")
    event.conversion.value.currency_code = code
    assert problems(event) == ([] if is_right else [("CURRENCY_UNKNOWN", "conversion.value.currency_code")])
