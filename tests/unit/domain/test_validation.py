"""Tier 1: each reason, with its field; and what is right stays right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import ReasonCode as WireCode
from tributary_domain import texts
from tributary_domain.amounts import MAX_AMOUNT_MICROS
from tributary_domain.event_times import AcceptWindow, clock_correction, read_micros
from tributary_domain.personal import holds_email
from tributary_domain.reasons import Reason, ReasonCode
from tributary_domain.unexpected_amounts import ExpectedAmounts
from tributary_domain.validation import Expectations, refuse, suspect, warn

DAY = 86_400 * 10**6


def a_visit() -> Event:
    event = Event(event_id="e-1")
    event.event_time.seconds = 1_795_000_000
    event.touchpoint.kind = 1
    event.identifiers.visitor_id = "v-1"
    return event


def a_purchase() -> Event:
    event = Event(event_id="e-1")
    event.event_time.seconds = 1_795_000_000
    event.conversion.name = "purchase"
    event.conversion.order_id = "o-1"
    event.conversion.value.currency_code = "EUR"
    event.conversion.value.amount_micros = 10_000_000
    return event


def a_refund() -> Event:
    event = Event(event_id="e-1")
    event.adjustment.conversion_name = "purchase"
    event.adjustment.order_id = "o-1"
    event.adjustment.reason = 1
    event.adjustment.amount.currency_code = "EUR"
    event.adjustment.amount.amount_micros = 5_000_000
    return event


def a_consent_change() -> Event:
    event = Event(event_id="e-1")
    event.consent_change.SetInParent()
    event.consent.ad_storage = 2
    event.consent.consent_time.seconds = 1_795_000_000
    return event


def problems(event: Event, expected: Expectations | None = None) -> list[tuple[str, str]]:
    """Returns (code, field) of every reason to reject, texts' lengths included."""
    kind = event.WhichOneof("kind")
    readings = texts.read_texts(event, kind)
    found = texts.check_texts(readings)
    refuse(event, kind, readings, expected or Expectations(), found)
    return [(reason.code.value, reason.field) for reason in found]


@pytest.mark.parametrize("make", [a_visit, a_purchase, a_refund, a_consent_change])
def test_what_is_right_has_no_problem(make: Callable[[], Event]) -> None:
    assert problems(make()) == []


def changed(make: Callable[[], Event], **fields: Any) -> Event:
    """Returns an event with fields set by their path, `__` for the dot; `None` clears."""
    event = make()
    for path, value in fields.items():
        *parents, name = path.split("__")
        message: Any = event
        for parent in parents:
            message = getattr(message, parent)
        if value is None:
            message.ClearField(name)
        else:
            setattr(message, name, value)
    return event


@pytest.mark.parametrize(
    ("event", "code", "field"),
    [
        (Event(event_id="e"), "KIND_MISSING", "kind"),
        (changed(a_visit, event_id="x" * 129), "EVENT_ID_TOO_LONG", "event_id"),
        (changed(a_visit, event_id="d1:x"), "EVENT_ID_RESERVED", "event_id"),
        (changed(a_visit, event_id="t1:x"), "EVENT_ID_RESERVED", "event_id"),
        (changed(a_visit, session_id="x" * 129), "FIELD_TOO_LONG", "session_id"),
        (changed(a_visit, touchpoint__kind=0), "FIELD_MISSING", "touchpoint.kind"),
        (changed(a_visit, touchpoint__title="x" * 257), "FIELD_TOO_LONG", "touchpoint.title"),
        (changed(a_visit, touchpoint__utm__source="x" * 513), "FIELD_TOO_LONG", "touchpoint.utm.source"),
        (changed(a_visit, touchpoint__ad__destination="x" * 65), "FIELD_TOO_LONG", "touchpoint.ad.destination"),
        (changed(a_visit, touchpoint__utm__term="a@b.de"), "PERSONAL_DATA_IN_CLEAR", "touchpoint.utm.term"),
        (changed(a_visit, identifiers__visitor_id="x" * 257), "FIELD_TOO_LONG", "identifiers.visitor_id"),
        (changed(a_visit, click_ids__gclid="x" * 513), "FIELD_TOO_LONG", "click_ids.gclid"),
        (changed(a_visit, browser_ids__fbp="x" * 513), "FIELD_TOO_LONG", "browser_ids.fbp"),
        (changed(a_visit, context__user_agent="x" * 1025), "FIELD_TOO_LONG", "context.user_agent"),
        (changed(a_visit, context__page_url="x" * 4097), "FIELD_TOO_LONG", "context.page_url"),
        (changed(a_visit, context__language="x" * 36), "FIELD_TOO_LONG", "context.language"),
        (changed(a_visit, consent__tcf_string="x" * 4097), "FIELD_TOO_LONG", "consent.tcf_string"),
        (changed(a_visit, experiment__id="x"), "FIELD_MISSING", "experiment.arm"),
        (changed(a_visit, experiment__arm="x"), "FIELD_MISSING", "experiment.id"),
        (changed(a_visit, human_check__token="x"), "FIELD_MISSING", "human_check.provider"),
        (changed(a_visit, human_check__score_percent=101), "FIELD_MALFORMED", "human_check.score_percent"),
        (changed(a_visit, click_ids__click_time__nanos=-1), "TIME_MALFORMED", "click_ids.click_time"),
        (changed(a_visit, touchpoint__cost__currency_code="XXY"), "CURRENCY_UNKNOWN", "touchpoint.cost.currency_code"),
        (changed(a_purchase, conversion__name=""), "FIELD_MISSING", "conversion.name"),
        (changed(a_purchase, conversion__name="x" * 65), "FIELD_TOO_LONG", "conversion.name"),
        (changed(a_purchase, conversion__order_id="x" * 129), "FIELD_TOO_LONG", "conversion.order_id"),
        (changed(a_purchase, conversion__store="x" * 65), "FIELD_TOO_LONG", "conversion.store"),
        (
            changed(a_purchase, conversion__value__currency_code="eur"),
            "CURRENCY_UNKNOWN",
            "conversion.value.currency_code",
        ),
        (changed(a_purchase, conversion__value__amount_micros=-1), "AMOUNT_NEGATIVE", "conversion.value.amount_micros"),
        (changed(a_purchase, conversion__amounts__tax_micros=-1), "AMOUNT_NEGATIVE", "conversion.amounts.tax_micros"),
        (
            changed(a_purchase, conversion__recurrence__subscription_id="s", conversion__recurrence__kind=1),
            "FIELD_MISSING",
            "conversion.recurrence.cycle",
        ),
        (changed(a_purchase, conversion__lead__stage="won"), "FIELD_MISSING", "conversion.lead.lead_id"),
        (changed(a_purchase, conversion__lead__lead_id="l"), "FIELD_MISSING", "conversion.lead.stage"),
        (changed(a_refund, adjustment__order_id=None), "FIELD_MISSING", "adjustment.order_id"),
        (changed(a_refund, adjustment__conversion_name=""), "FIELD_MISSING", "adjustment.conversion_name"),
        (changed(a_refund, adjustment__reason=0), "FIELD_MISSING", "adjustment.reason"),
        (changed(a_refund, adjustment__amount=None), "FIELD_MISSING", "adjustment.amount"),
        (changed(a_refund, adjustment__amount__amount_micros=-1), "AMOUNT_NEGATIVE", "adjustment.amount.amount_micros"),
        (changed(a_refund, adjustment__conversion_id="o-1"), "FIELD_MALFORMED", "adjustment.conversion_id"),
        (changed(a_refund, adjustment__adjustment_id="x" * 129), "FIELD_TOO_LONG", "adjustment.adjustment_id"),
        (changed(a_consent_change, consent=None), "FIELD_MISSING", "consent"),
        (changed(a_consent_change, consent__consent_time=None), "FIELD_MISSING", "consent.consent_time"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_can_never_be_right_is_named_with_its_field(event: Event, code: str, field: str) -> None:
    assert problems(event) == [(code, field)]


@pytest.mark.parametrize("reason", range(1, 8))
def test_a_new_total_alone_may_lie_below_zero(reason: int) -> None:
    below = changed(a_refund, adjustment__reason=reason, adjustment__amount__amount_micros=-5_000_000)
    is_total = reason == 2 or reason > 5  # an unknown one stands for a restatement
    field = "adjustment.amount.amount_micros"
    assert problems(below) == ([] if is_total else [("AMOUNT_NEGATIVE", field)])
    vast = changed(a_refund, adjustment__reason=2, adjustment__amount__amount_micros=-MAX_AMOUNT_MICROS - 1)
    assert problems(vast) == [("AMOUNT_TOO_LARGE", field)]


@pytest.mark.parametrize(
    ("event", "length"), [(changed(a_visit, session_id="ä" * 128), 128), (changed(a_visit, event_id="x" * 128), 128)]
)
def test_a_text_of_exactly_its_limit_is_right_and_characters_are_counted_not_bytes(event: Event, length: int) -> None:
    assert problems(event) == []


def test_lists_have_limits() -> None:
    event = a_purchase()
    event.conversion.coupon_codes.extend(["c"] * 17)
    event.conversion.pixel_event_ids.update({f"d{n}": "x" for n in range(17)})
    for _ in range(201):
        event.conversion.items.add(item_id="i")
    event.properties.update({f"p{n}": "x" for n in range(65)})
    assert problems(event) == [
        ("FIELD_TOO_LONG", "conversion.coupon_codes"),
        ("FIELD_TOO_LONG", "conversion.pixel_event_ids"),
        ("FIELD_TOO_LONG", "conversion.items"),
        ("FIELD_TOO_LONG", "properties"),
    ]


def test_every_problem_is_told_at_once() -> None:
    event = changed(a_purchase, conversion__value__currency_code="?", conversion__value__amount_micros=-1)
    event.conversion.items.add(quantity=-1)
    assert [code for code, _ in problems(event)] == [
        "CURRENCY_UNKNOWN",
        "AMOUNT_NEGATIVE",
        "FIELD_MISSING",
        "FIELD_MALFORMED",
    ]


@pytest.mark.parametrize(
    ("value", "is_personal"),
    [("ann@example.com", True), ("to ann%40example.com", True), ("5 @ 3.99", False), ("@ann", False), ("", False)],
)
def test_properties_that_look_like_e_mail_addresses_are_refused(value: str, is_personal: bool) -> None:
    assert holds_email(value) is is_personal
    event = a_visit()
    event.properties["note"] = value
    assert problems(event) == ([("PERSONAL_DATA_IN_CLEAR", "properties")] if is_personal else [])


@pytest.mark.parametrize(
    ("defined", "codes"), [({"lead"}, ["CONVERSION_NAME_UNKNOWN"]), ({"purchase"}, []), (set(), [])]
)
def test_a_name_that_the_workspace_does_not_define_is_taken_with_a_warning(defined: set[str], codes: list[str]) -> None:
    expected = Expectations(conversion_names=frozenset(defined))
    warnings: list[Reason] = []
    warn(a_purchase(), "conversion", expected, warnings)
    assert [reason.code for reason in warnings] == codes
    assert problems(a_purchase(), expected) == []


@pytest.mark.parametrize(
    ("micros", "codes"), [(1, []), (9, ["AMOUNT_UNEXPECTED"]), (0, ["AMOUNT_UNEXPECTED"]), (5, [])]
)
def test_an_amount_outside_the_expected_range_is_suspicious_and_its_edges_are_inside(
    micros: int, codes: list[str]
) -> None:
    event = changed(a_purchase, conversion__value__amount_micros=micros)
    found: list[Any] = []
    expected = Expectations(amounts=ExpectedAmounts({("purchase", "EUR"): (1, 5)}))
    suspect(event, "conversion", texts.read_texts(event, "conversion"), expected, found)
    assert [reason.code.value for reason in found] == codes


@pytest.mark.parametrize(
    ("name", "currency", "is_suspicious", "suspicions", "warnings"),
    [
        pytest.param("purchase", "EUR", False, [], [], id="in a range"),
        pytest.param("purchase", "HUF", False, [], ["AMOUNT_UNCHECKED"], id="told of"),
        pytest.param("purchase", "HUF", True, ["AMOUNT_UNEXPECTED"], [], id="suspicious"),
        pytest.param("lead", "HUF", True, [], [], id="of a name without ranges"),
        pytest.param("", "HUF", True, [], ["AMOUNT_UNCHECKED"], id="of any name"),
        pytest.param("", "EUR", True, [], [], id="of any name, in a range"),
    ],
)
def test_an_amount_in_a_currency_without_a_range_does_not_pass_unsaid(
    name: str, currency: str, is_suspicious: bool, suspicions: list[str], warnings: list[str]
) -> None:
    restated = changed(
        a_refund,
        adjustment__reason=2,
        adjustment__conversion_name=name,
        adjustment__amount__currency_code=currency,
        adjustment__amount__amount_micros=3,
    )
    events = {"adjustment": restated}
    if name:
        sold = changed(a_purchase, conversion__name=name, conversion__value__currency_code=currency)
        sold.conversion.value.amount_micros = 3
        events["conversion"] = sold
    expected = Expectations(amounts=ExpectedAmounts({("purchase", "EUR"): (1, 5)}, {"purchase": is_suspicious}))
    for kind, event in events.items():
        found: list[Reason] = []
        told: list[Reason] = []
        suspect(event, kind, texts.read_texts(event, kind), expected, found)
        warn(event, kind, expected, told)
        assert [reason.code.value for reason in found] == suspicions
        assert [reason.code.value for reason in told] == warnings
        assert all(reason.field.startswith(kind) for reason in found + told)


@pytest.mark.parametrize(
    ("reason", "name", "micros", "codes"),
    [
        pytest.param(2, "purchase", 6, ["AMOUNT_UNEXPECTED"], id="restated above the range"),
        pytest.param(5, "purchase", 6, ["AMOUNT_UNEXPECTED"], id="more put back than there may be"),
        pytest.param(2, "purchase", 5, [], id="restated to its edge"),
        pytest.param(2, "purchase", 0, [], id="restated to nothing"),
        pytest.param(1, "purchase", 6, [], id="a refund leaves less"),
        pytest.param(2, "lead", 6, [], id="of a name without a range"),
        pytest.param(2, "", 6, [], id="without a name, within the widest range"),
        pytest.param(2, "", 10, ["AMOUNT_UNEXPECTED"], id="without a name, above it"),
    ],
)
def test_an_adjustment_gives_no_value_that_a_conversion_may_not_have(
    reason: int, name: str, micros: int, codes: list[str]
) -> None:
    event = changed(
        a_refund,
        adjustment__reason=reason,
        adjustment__conversion_name=name,
        adjustment__amount__amount_micros=micros,
    )
    found: list[Reason] = []
    expected = Expectations(amounts=ExpectedAmounts({("purchase", "EUR"): (1, 5), ("contract", "EUR"): (1, 9)}))
    suspect(event, "adjustment", texts.read_texts(event, "adjustment"), expected, found)
    assert [reason.code.value for reason in found] == codes
    assert {reason.field for reason in found} <= {"adjustment.amount.amount_micros"}


def test_a_failed_human_check_is_suspicious() -> None:
    found: list[Any] = []
    event = changed(a_visit, human_check__verdict=2)
    suspect(event, "touchpoint", texts.read_texts(event, "touchpoint"), Expectations(), found)
    assert [reason.code for reason in found] == [ReasonCode.HUMAN_CHECK_FAILED]


@pytest.mark.parametrize(
    ("age_micros", "has_key", "backfill", "is_held"),
    [
        pytest.param(28 * DAY, False, False, True, id="28 days old"),
        pytest.param(28 * DAY + 1, False, False, False, id="a microsecond older"),
        pytest.param(28 * DAY + 1, True, False, True, id="with a business key"),
        pytest.param(399 * DAY, True, False, True, id="399 days old"),
        pytest.param(399 * DAY + 1, True, False, False, id="a microsecond older, with key"),
        pytest.param(3_653 * DAY, False, True, True, id="ten years by backfill"),
        pytest.param(3_653 * DAY + 1, False, True, False, id="older than ten years"),
        pytest.param(-300 * 10**6, False, False, True, id="five minutes ahead"),
        pytest.param(-300 * 10**6 - 1, False, True, False, id="further ahead, even by backfill"),
    ],
)
def test_the_accept_window_includes_its_edges(age_micros: int, has_key: bool, backfill: bool, is_held: bool) -> None:
    now = 1_795_000_000 * 10**6
    held = AcceptWindow().holds(now - age_micros, now, has_business_key=has_key, backfill=backfill)
    assert held is is_held


@pytest.mark.parametrize(
    ("sent", "correction"),
    [(0, 0), (10_000_000, 0), (10_000_001, -10_000_001), (-10_000_000, 0), (3 * 3_600 * 10**6, -3 * 3_600 * 10**6)],
)
def test_a_clock_is_corrected_only_beyond_the_tolerance(sent: int, correction: int) -> None:
    assert clock_correction(sent, 0) == correction


@pytest.mark.parametrize(
    ("seconds", "nanos", "micros"),
    [
        (1, 1_999, 1_000_001),
        (-1, 0, -1_000_000),
        (253_402_300_799, 999_999_999, 253_402_300_799_999_999),
        (253_402_300_800, 0, None),
        (-62_135_596_801, 0, None),
        (0, -1, None),
        (0, 1_000_000_000, None),
    ],
)
def test_times_are_truncated_to_microseconds_and_impossible_ones_are_none(
    seconds: int, nanos: int, micros: int | None
) -> None:
    event = Event()
    event.event_time.seconds, event.event_time.nanos = seconds, nanos
    assert read_micros(event.event_time) == micros


@pytest.mark.parametrize(
    ("make", "is_refused"),
    [pytest.param(a_visit, True, id="a kind that needs one"), pytest.param(a_purchase, False, id="another kind")],
)
def test_a_session_id_is_required_of_the_kinds_the_workspace_names(make: Callable[[], Event], is_refused: bool) -> None:
    expected = Expectations(kinds_with_session=frozenset({"touchpoint"}))
    assert problems(make(), expected) == ([("SESSION_ID_MISSING", "session_id")] if is_refused else [])
    assert problems(changed(make, session_id="s-1"), expected) == []
    assert problems(make()) == []


def test_every_code_is_one_of_the_contract() -> None:
    assert {f"REASON_CODE_{code}" for code in ReasonCode} <= set(WireCode.keys())


def test_every_text_of_an_event_has_a_limit() -> None:
    """Walks the descriptor, so that a field added to the contract without a limit is found."""
    groups = {group.path: set(group.names) for group in vars(texts).values() if isinstance(group, texts.TextGroup)}
    unlimited = set()

    def walk(descriptor: Any, path: str) -> None:
        for field in descriptor.fields:
            here = f"{path}.{field.name}" if path else field.name
            if field.is_repeated:
                continue  # lists and maps: see test_lists_have_limits
            if field.message_type is not None and field.message_type.full_name.startswith("tributary.event"):
                walk(field.message_type, here)
            elif field.type == field.TYPE_STRING and field.name not in groups.get(path, set()):
                unlimited.add(here)

    walk(Event.DESCRIPTOR, "")
    assert unlimited == {"event_id"}, "event ids have a rule, and a reason, of their own"
