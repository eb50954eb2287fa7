"""One event at the door: what is decided, what is learned, what is left outside."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from time import process_time
from typing import Any

import pytest

from tests.support.batches import declared_batches
from tests.support.consent_strings import naming
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.dedup.v1.match_keys_pb2 import MatchKeys
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary.event.v1.touchpoint_pb2 import Touchpoint
from tributary_domain.addresses import AddressBook, read_network
from tributary_domain.channel import CHANNEL_RULES_VERSION
from tributary_domain.channel_evidence import click_ids_of
from tributary_domain.ids import conversion_id, event_digest, order_digest
from tributary_domain.texts import read_texts
from tributary_domain.urls import read_referrer, read_url
from tributary_ingestion.admitted import join
from tributary_ingestion.intake import take, take_all
from tributary_ingestion.packed import Packed
from tributary_ingestion.touches import touch_of
from tributary_ingestion.visit_parts import VisitParts
from tributary_ingestion.workspace_rules import WorkspaceRules, compile_rules
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.event_details import event_details
from tributary_storage.codec.own_clicks import own_click_ids

NOW = 1_795_000_000_000_000
BROWSER = "Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
ACCEPTED, QUARANTINED, REJECTED = (
    verdict_pb2.VERDICT_ACCEPTED,
    verdict_pb2.VERDICT_QUARANTINED,
    verdict_pb2.VERDICT_REJECTED,
)


def rules(**settings: Any) -> WorkspaceRules:
    workspace = {"id": "shop", "pepper": {"value": "p" * 16}, "default_region": "DE", **settings}
    return compile_rules(Workspace.model_validate(workspace))


def pack(
    event: Event,
    own: WorkspaceRules | None = None,
    *,
    call_micros: int | None = None,
    backfill: bool = False,
    retained_micros: int = 0,
) -> tuple[Packed, AdmittedEvent]:
    packed = take(event, own or rules(), NOW, call_micros, backfill=backfill, retained_micros=retained_micros)
    return packed, AdmittedEvent.FromString(packed.admitted)


def codes(packed: Packed) -> list[str]:
    return [reason.code.value for reason in packed.reasons]


def a_visit(**context: str) -> Event:
    event = Event(event_id="e-1")
    event.event_time.FromMicroseconds(NOW)
    event.touchpoint.kind = 1
    event.identifiers.visitor_id = "v-1"
    for name, value in {"user_agent": BROWSER, **context}.items():
        setattr(event.context, name, value)
    return event


def a_purchase(micros: int = 10_000_000) -> Event:
    event = Event(event_id="e-2")
    event.event_time.FromMicroseconds(NOW)
    event.conversion.name = "purchase"
    event.conversion.order_id = "o-1"
    event.conversion.value.currency_code = "EUR"
    event.conversion.value.amount_micros = micros
    event.identifiers.customer_id = "k-1"
    return event


def a_sign_up() -> Event:
    event = a_purchase()
    event.conversion.order_id = ""
    return event


def a_renewal() -> Event:
    event = a_purchase()
    event.conversion.recurrence.subscription_id, event.conversion.recurrence.cycle = "s-1", "2"
    return event


def a_refund(adjustment_id: str = "") -> Event:
    event = Event(event_id="e-3")
    event.event_time.FromMicroseconds(NOW)
    event.adjustment.conversion_name = "purchase"
    event.adjustment.order_id = "o-1"
    event.adjustment.adjustment_id = adjustment_id
    event.adjustment.reason = 1
    event.adjustment.amount.currency_code = "EUR"
    event.adjustment.amount.amount_micros = 1
    return event


def an_identification() -> Event:
    event = Event(event_id="e-4")
    event.event_time.FromMicroseconds(NOW)
    event.identify.SetInParent()
    event.identifiers.visitor_id, event.identifiers.customer_id = "v-1", "k-1"
    return event


def test_a_touchpoint_carries_what_the_door_learned() -> None:
    packed, admitted = pack(
        a_visit(page_url="https://shop.example/?gclid=G1&utm_campaign=spring", client_ip="203.0.113.7")
    )
    assert (packed.verdict, packed.reasons, packed.key.conversion_id) == (ACCEPTED, [], "")
    assert packed.event_digest == event_digest("shop", "e-1")
    evidence = admitted.channel_evidence
    assert (evidence.channel, evidence.campaign, evidence.rule) == ("Paid Search", "spring", "click_id:gclid")
    assert [(one.family, one.value, one.click_time.ToMicroseconds()) for one in evidence.click_ids] == [
        ("gclid", "G1", NOW)
    ]
    assert evidence.rules_version == CHANNEL_RULES_VERSION
    assert admitted.identity_tokens[0].startswith("visitor:")
    assert admitted.payload_digest == b"\x02" + packed.payload_digest
    assert admitted.source_rank == 1
    assert len(admitted.agent_evidence.address_token) == 16
    assert not admitted.agent_evidence.bot


def test_a_conversion_claims_its_order_and_speaks_for_the_backend() -> None:
    packed, admitted = pack(a_purchase())
    digest = order_digest("shop", "purchase", "", "o-1")
    assert packed.key.order_digest == digest
    assert packed.key.conversion_id == conversion_id(digest) == admitted.conversion_id
    assert (packed.source_rank, admitted.source_rank) == (2, 2)
    assert not admitted.HasField("channel_evidence")


def test_a_conversion_that_a_browser_observed_ranks_below_the_backend() -> None:
    event = a_purchase()
    event.context.observed_by = 1
    assert pack(event)[0].source_rank == 1


@pytest.mark.parametrize(
    ("source_rank", "ranks"),
    [
        pytest.param(["backend"], [2, 1, 1, 1, 2], id="as by default"),
        pytest.param(["browser", "backend"], [2, 3, 1, 1, 2], id="browser first, two not named"),
        pytest.param(["forwarded", "app", "browser", "backend"], [1, 2, 3, 4, 1], id="all named"),
    ],
)
def test_a_name_may_say_itself_whose_word_counts_more(source_rank: list[str], ranks: list[int]) -> None:
    own = rules(conversions=[{"name": "purchase", "source_rank": source_rank}, {"name": "other"}])
    event = a_purchase()
    for observer, rank in enumerate(ranks):
        event.context.observed_by = observer  # type: ignore[assignment]
        copy = Event.FromString(event.SerializeToString())
        packed, admitted = pack(copy, own)
        assert (packed.source_rank, admitted.source_rank) == (rank, rank)
    event.context.observed_by = 1
    event.conversion.name = "other"
    assert pack(event, own)[0].source_rank == 1


def test_an_adjustment_names_its_conversion_and_claims_its_number() -> None:
    packed, admitted = pack(a_refund("refund-1"))
    assert admitted.conversion_id == conversion_id(order_digest("shop", "purchase", "", "o-1"))
    assert admitted.adjustment_key == packed.key.order_digest != b""
    assert pack(a_refund())[1].adjustment_key == b""


@pytest.mark.parametrize("number", [7, 99, 300, -1])
@pytest.mark.parametrize(
    ("make", "field", "stored"),
    [
        pytest.param(lambda: a_visit(), "touchpoint.kind", 1, id="a touchpoint's kind: VISIT"),
        pytest.param(lambda: a_refund(), "adjustment.reason", 2, id="an adjustment's reason: RESTATEMENT"),
        pytest.param(lambda: a_purchase(), "conversion.value_source", 0, id="a value's source: not said"),
        pytest.param(lambda: a_renewal(), "conversion.recurrence.kind", 3, id="a cycle's kind: RENEWAL"),
    ],
)
def test_a_number_that_stands_for_nothing_is_taken_as_the_contract_says_and_told(
    make: Callable[[], Event], field: str, stored: int, number: int
) -> None:
    event = make()
    part, name = attrgetter(field.rpartition(".")[0])(event), field.rpartition(".")[2]
    setattr(part, name, number)
    event.origin = 99  # type: ignore[assignment]
    sent = pack(Event.FromString(event.SerializeToString()), backfill=True)[0].payload_digest
    packed, admitted = pack(event)
    assert (packed.verdict, packed.payload_digest) == (ACCEPTED, sent)
    assert [(reason.code.value, reason.field) for reason in packed.reasons] == [
        ("VALUE_UNKNOWN", "origin"),
        ("VALUE_UNKNOWN", field),
    ]
    assert (attrgetter(field)(admitted.event), admitted.event.origin) == (stored, 8)


def test_a_touchpoint_of_an_unknown_kind_is_no_usual_visit() -> None:
    known, unknown = (Touchpoint(kind=kind).SerializeToString() for kind in (1, 99))  # type: ignore[arg-type]
    parts = VisitParts(rules())
    assert (parts.touch(known) is None, parts.touch(unknown) is None) == (False, True)


@pytest.mark.parametrize(("make", "is_carrier"), [(a_purchase, True), (a_visit, False), (an_identification, False)])
def test_a_solved_token_is_used_up_by_conversions_alone(make: Callable[[], Event], is_carrier: bool) -> None:
    event = make()
    event.human_check.provider, event.human_check.token = 3, "token"
    packed, _ = pack(event)
    assert packed.token is not None
    assert packed.token.carrier == (packed.key.order_digest if is_carrier else b"")


def test_an_adjustment_needs_no_identifier() -> None:
    assert pack(a_refund())[0].verdict == ACCEPTED


def test_nothing_personal_is_left_in_the_event() -> None:
    event = a_visit(
        client_ip="203.0.113.7",
        page_url="https://shop.example/?email=a%40b.de&x=1",
        referrer_url="https://mail.example/?token=t",
    )
    event.identifiers.email = "a@b.de"
    event.identifiers.address.city = "Berlin"
    event.human_check.token = "token"
    event.human_check.provider = 1
    event.click_ids.kx = "k"
    _, admitted = pack(event)
    kept = admitted.event
    assert not kept.HasField("identifiers")
    assert (kept.context.client_ip, kept.context.user_agent) == ("", "")
    assert kept.context.page_url == "https://shop.example/?x=1"
    assert kept.context.referrer_url == "https://mail.example/"
    assert kept.human_check.token == ""
    assert kept.click_ids.kx == ""
    assert "kx" not in [one.family for one in admitted.channel_evidence.click_ids]


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        pytest.param(lambda e: e.ClearField("identifiers"), "IDENTIFIER_MISSING", "identifiers", id="nobody"),
        pytest.param(lambda e: e.ClearField("event_time"), "EVENT_TIME_MISSING", "event_time", id="no time"),
        pytest.param(lambda e: setattr(e.event_time, "nanos", -1), "TIME_MALFORMED", "event_time", id="bad time"),
        pytest.param(lambda e: setattr(e.sent_time, "nanos", -1), "TIME_MALFORMED", "sent_time", id="bad sent time"),
        pytest.param(
            lambda e: e.event_time.FromMicroseconds(NOW + 301 * 10**6),
            "EVENT_TIME_OUT_OF_WINDOW",
            "event_time",
            id="ahead",
        ),
        pytest.param(
            lambda e: setattr(e.identifiers, "email_sha256", "x"),
            "HASH_MALFORMED",
            "identifiers.email_sha256",
            id="bad hash",
        ),
        pytest.param(
            lambda e: e.identifiers.device_ids.extend(["d"] * 9),
            "FIELD_TOO_LONG",
            "identifiers.device_ids",
            id="nine devices",
        ),
        pytest.param(
            lambda e: e.identifiers.device_ids.append("d" * 257),
            "FIELD_TOO_LONG",
            "identifiers.device_ids",
            id="a long device id",
        ),
    ],
)
def test_what_can_never_be_right_is_rejected_with_its_field(change: Any, code: str, field: str) -> None:
    event = a_visit()
    change(event)
    packed, admitted = pack(event)
    assert packed.verdict == admitted.verdict == REJECTED
    assert [(reason.code.value, reason.field) for reason in packed.reasons] == [(code, field)]
    assert [reason.field for reason in admitted.reasons] == [field]
    assert packed.key.order_digest == b""


def test_an_identifier_that_stands_for_nobody_is_no_identifier() -> None:
    event = a_visit()
    event.identifiers.visitor_id = "undefined"
    assert codes(pack(event)[0]) == ["IDENTIFIER_MISSING", "IDENTIFIER_BLOCKED"]


def test_beside_a_good_identifier_a_blocked_one_is_a_warning() -> None:
    event = a_visit()
    event.identifiers.customer_id = "null"
    packed, admitted = pack(event)
    assert (packed.verdict, codes(packed)) == (ACCEPTED, ["IDENTIFIER_BLOCKED"])
    assert len(admitted.identity_tokens) == 1


@pytest.mark.parametrize("event_id", ["d1:mine", "x" * 129])
def test_an_unusable_id_is_counted_under_a_derived_one(event_id: str) -> None:
    event, twin = a_visit(), a_visit()
    event.event_id = twin.event_id = event_id
    packed, admitted = pack(event)
    assert packed.verdict == REJECTED
    assert packed.event_digest != event_digest("shop", event_id)
    assert packed.event_digest == pack(twin)[0].event_digest
    assert len(admitted.event.event_id) <= 128


def test_a_refused_event_keeps_no_personal_data_and_no_endless_text() -> None:
    event = a_visit()
    event.properties["note"] = "ann@example.com"
    assert b"ann@" not in pack(event)[0].admitted
    event = a_visit()
    event.touchpoint.cost.currency_code = "ann@example.com"
    assert b"ann@" not in pack(event)[0].admitted
    event = a_visit()
    event.touchpoint.title = "x" * 1_000_000
    assert len(pack(event)[0].admitted) < 1_000


def tells_of_somebody(event: Event, mark: str) -> Event:
    """Gives an event all by which whoever sent it is known again, and makes it one that can never be right."""
    event.session_id, event.experiment.id = f"session-{mark}", f"experiment-{mark}"
    event.browser_ids.fbp, event.click_ids.gclid = f"fb.1.{mark}", f"gclid-{mark}"
    event.context.page_url = f"https://shop.example/{mark}?gclid=gclid-{mark}"
    event.context.referrer_url = f"https://mail.example/{mark}"
    event.properties["size"] = f"size-{mark}"
    event.consent.tcf_string, event.consent.ad_storage = f"tcf-{mark}", 1
    kind = event.WhichOneof("kind")
    if kind == "touchpoint":
        event.touchpoint.interaction_id = event.touchpoint.title = event.touchpoint.coupon_code = f"touch-{mark}"
        event.touchpoint.cost.currency_code = "XXZ"
    elif kind == "conversion":
        event.conversion.value.currency_code = "XXZ"
        event.conversion.pixel_event_ids["meta"] = event.conversion.pixel_event_id = f"pixel-{mark}"
        event.conversion.coupon_codes.append(f"coupon-{mark}")
    else:
        event.adjustment.amount.currency_code = "XXZ"
    return event


@pytest.mark.parametrize("make", [a_visit, a_purchase])
def test_what_is_rejected_of_somebody_is_found_by_whom_it_names(make: Callable[[], Event]) -> None:
    tokens = pack(make())[1].identity_tokens
    packed, admitted = pack(tells_of_somebody(make(), "qq"))
    assert (packed.verdict, admitted.identity_tokens) == (REJECTED, tokens)
    assert len(tokens) == 1
    assert (packed.match_keys, packed.counts, packed.key.conversion_id, admitted.conversion_id) == (None, (), "", "")
    assert admitted.event.session_id == "session-qq"
    long = make()
    long.context.page_url = f"https://shop.example/{'x' * 10_000}"
    assert pack(long)[1].identity_tokens == tokens


@pytest.mark.parametrize("make", [a_visit, a_purchase, a_renewal, a_refund])
@pytest.mark.parametrize(
    "unname",
    [
        pytest.param(lambda e: e.ClearField("identifiers"), id="nobody"),
        pytest.param(lambda e: e.identifiers.CopyFrom(Identifiers(customer_id="null")), id="a blocked one"),
        pytest.param(lambda e: e.identifiers.CopyFrom(Identifiers(email_sha256="qq")), id="a wrong hash"),
    ],
)
def test_what_is_rejected_and_names_nobody_tells_of_nobody_and_still_what_was_sold(
    make: Callable[[], Event], unname: Callable[[Event], None]
) -> None:
    event = tells_of_somebody(make(), "qq")
    unname(event)
    packed, admitted = pack(event)
    assert packed.verdict == REJECTED
    assert list(admitted.identity_tokens) == []
    assert b"qq" not in packed.admitted
    plain, kept = make(), admitted.event
    assert (kept.event_id, kept.event_time, kept.WhichOneof("kind")) == (
        *(plain.event_id, plain.event_time),
        plain.WhichOneof("kind"),
    )
    assert kept.consent.ad_storage == 1
    if plain.HasField("conversion"):
        plain.conversion.value.currency_code = "XXZ"
        plain.conversion.recurrence.subscription_id = ""
        if not make().conversion.HasField("recurrence"):
            plain.conversion.ClearField("recurrence")
        assert kept.conversion == plain.conversion
    elif plain.HasField("adjustment"):
        plain.adjustment.amount.currency_code = "XXZ"
        assert kept.adjustment == plain.adjustment


def test_an_event_without_id_gets_one_from_its_content() -> None:
    event, twin, later = a_visit(), a_visit(), a_visit()
    for one in (event, twin, later):
        one.event_id = ""
    later.event_time.nanos += 1_000
    packed, admitted = pack(event)
    assert packed.event_id.startswith("d1:")
    assert admitted.event.event_id == packed.event_id == pack(twin)[0].event_id != pack(later)[0].event_id


def test_times_are_truncated_to_microseconds() -> None:
    event = a_visit()
    event.event_time.nanos = 1_999
    assert pack(event)[1].event.event_time.nanos == 1_000


def test_a_phone_offline_for_48_hours_with_a_clock_3_hours_fast_gets_its_times_right() -> None:
    fast = 3 * 3_600 * 10**6
    happened = NOW - 48 * 3_600 * 10**6
    event = a_visit()
    event.event_time.FromMicroseconds(happened + fast)
    event.sent_time.FromMicroseconds(NOW + fast)
    packed, admitted = pack(event)
    assert (packed.verdict, codes(packed)) == (ACCEPTED, ["CLOCK_CORRECTED"])
    assert admitted.event.event_time.ToMicroseconds() == happened
    assert admitted.clock_correction_micros == -fast


@pytest.mark.parametrize("backfill", [True, False])
def test_what_is_older_than_what_is_kept_of_people_is_refused_unless_it_is_a_late_order_or_adjusts_one(
    backfill: bool,
) -> None:
    since = NOW - 99 * 86_400 * 10**6

    def packed(make: Callable[[], Event], micros: int) -> Packed:
        event = make()
        event.event_time.FromMicroseconds(micros)
        return pack(event, backfill=backfill, retained_micros=since)[0]

    for make, age_days in ((a_visit, 99), (a_sign_up, 99), (a_purchase, 400)):
        refused = packed(make, NOW - age_days * 86_400 * 10**6 - 1)
        assert [(one.code.value, one.field) for one in refused.reasons] == [("EVENT_TIME_OUT_OF_WINDOW", "event_time")]
        assert ("person_event_months" in refused.reasons[0].message) == backfill
    assert packed(lambda: a_refund("r-1"), since - 1).verdict == ACCEPTED
    assert packed(a_purchase, since - 1).verdict == ACCEPTED


def test_what_is_refused_for_its_time_alone_is_packed_for_the_case_that_it_is_known() -> None:
    event = a_visit()
    event.event_time.FromMicroseconds(NOW - 100 * 86_400 * 10**6)
    wrong = Event()
    wrong.CopyFrom(event)
    wrong.ClearField("identifiers")
    known, usual = pack(event)[0].if_known, pack(a_visit())[0]
    assert known is not None
    assert (known.verdict, known.payload_digest, known.counts) == (ACCEPTED, usual.payload_digest, ())
    assert known.match_keys is known.token is known.if_known is None
    assert usual.if_known is pack(wrong)[0].if_known is None


def test_an_old_order_is_taken_for_longer_than_an_old_visit() -> None:
    visit, purchase = a_visit(), a_purchase()
    for event in (visit, purchase):
        event.event_time.FromMicroseconds(NOW - 100 * 86_400 * 10**6)
    assert codes(pack(visit)[0]) == ["EVENT_TIME_OUT_OF_WINDOW"]
    assert pack(purchase)[0].verdict == ACCEPTED


def test_backfill_lifts_the_window_and_leaves_clocks_alone() -> None:
    event = a_visit()
    event.event_time.FromMicroseconds(NOW - 900 * 86_400 * 10**6)
    event.sent_time.FromMicroseconds(NOW - 900 * 86_400 * 10**6)
    packed, admitted = pack(event, backfill=True)
    assert packed.verdict == ACCEPTED
    assert admitted.clock_correction_micros == 0


def test_a_bot_is_quarantined_and_named() -> None:
    packed, admitted = pack(
        a_visit(user_agent="Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")
    )
    assert (packed.verdict, codes(packed)) == (QUARANTINED, ["BOT_USER_AGENT"])
    assert (admitted.agent_evidence.bot, admitted.agent_evidence.bot_name, admitted.agent_evidence.bot_category) == (
        True,
        "Googlebot",
        "search",
    )


def test_an_http_library_is_a_warning() -> None:
    packed, admitted = pack(a_visit(user_agent="python-requests/2.31"))
    assert (packed.verdict, codes(packed)) == (ACCEPTED, ["HTTP_LIBRARY_USER_AGENT"])
    assert (admitted.agent_evidence.bot, admitted.agent_evidence.bot_category) == (False, "library")


def test_an_unexpected_amount_is_quarantined() -> None:
    amounts = [{"currency": "EUR", "minimum": 1, "maximum": 100}]
    own = rules(conversions=[{"name": "purchase", "expected_amounts": amounts}])
    assert codes(pack(a_purchase(101 * 10**6), own)[0]) == ["AMOUNT_UNEXPECTED"]
    assert pack(a_purchase(100 * 10**6), own)[0].verdict == ACCEPTED


def test_an_amount_of_a_currency_without_a_range_is_told_of_or_quarantined() -> None:
    amounts = [{"currency": "HUF", "maximum": 100}]
    for said, verdict, code in (
        ("warn", ACCEPTED, "AMOUNT_UNCHECKED"),
        ("quarantine", QUARANTINED, "AMOUNT_UNEXPECTED"),
    ):
        own = rules(conversions=[{"name": "purchase", "expected_amounts": amounts, "other_currencies": said}])
        packed, _ = pack(a_purchase(101 * 10**6), own)
        assert (packed.verdict, codes(packed)) == (verdict, [code])


def test_a_visit_without_session_is_rejected_where_the_workspace_requires_one() -> None:
    own = rules(session_id_required=["touchpoint"])
    for session_id in ("", " \t"):
        visit = a_visit()
        visit.session_id = session_id
        packed, _ = pack(visit, own)
        assert (packed.verdict, codes(packed)) == (REJECTED, ["SESSION_ID_MISSING"])
    assert pack(a_purchase(), own)[0].verdict == ACCEPTED
    visit = a_visit()
    visit.session_id = "s-1"
    assert pack(visit, own)[0].verdict == ACCEPTED


def test_campaign_parameters_within_the_own_site_are_a_warning() -> None:
    event = a_visit(page_url="https://shop.example/a?utm_source=banner", referrer_url="https://shop.example/")
    packed, admitted = pack(event)
    assert codes(packed) == ["UTM_ON_OWN_SITE"]
    assert admitted.channel_evidence.continues_session


def test_a_retry_has_the_payload_digest_of_the_first_attempt_over_another_network_too() -> None:
    first, retry = a_visit(client_ip="203.0.113.7"), a_visit(client_ip="198.51.100.1", user_agent=f"{BROWSER} new")
    retry.event_time.FromMicroseconds(NOW - 1)
    retry.sent_time.FromMicroseconds(NOW - 1)
    assert pack(first)[0].payload_digest == pack(retry)[0].payload_digest


def test_the_order_of_a_call_is_kept() -> None:
    events = [a_visit(), a_purchase(), a_refund()]
    assert [one.event_id for one in take_all(events, rules(), NOW, backfill=False)] == ["e-1", "e-2", "e-3"]


def test_what_is_joined_is_the_message_it_stands_for() -> None:
    event = a_visit(page_url="https://shop.example/?gclid=G1&utm_source=s", referrer_url="https://www.google.com/")
    readings = read_texts(event, "touchpoint")
    touch = touch_of(event, readings, read_url(event.context.page_url), read_referrer(event.context.referrer_url))
    evidence = rules().channels.classify(touch)
    learned = AdmittedEvent(verdict=ACCEPTED, identity_tokens=["visitor:x"], source_rank=1)
    joined = AdmittedEvent.FromString(join(event, learned.SerializeToString(), evidence, click_ids_of(touch)))
    assert joined.event == event
    for field in evidence._fields:
        if field != "utm_ignored":
            assert getattr(joined.channel_evidence, field) == getattr(evidence, field)
    joined.ClearField("event")
    joined.ClearField("channel_evidence")
    assert joined == learned


def test_fields_unknown_here_are_not_stored() -> None:
    event = a_visit()
    event.MergeFromString(b"\xfa\x7f\x0eann@example.de")  # field 2047
    assert b"ann@" not in pack(event)[0].admitted


def test_a_kind_of_touchpoint_unknown_here_is_a_visit() -> None:
    event = a_visit(referrer_url="https://www.paypal.com/")
    event.touchpoint.kind = 99  # type: ignore[assignment]
    assert pack(event)[1].channel_evidence.rule == "ignored_referrer"


DATA_KEY = {"value": "a" * 43 + "="}


def match_keys(event: Event, **settings: Any) -> MatchKeys | None:
    packed, _ = pack(event, rules(**{"data_key": DATA_KEY, **settings}))
    return None if packed.match_keys is None else MatchKeys.FromString(packed.match_keys.plain)


def test_match_keys_of_an_order_are_what_its_caller_sent() -> None:
    order = a_purchase()
    order.identifiers.email, order.identifiers.customer_id = "Ann@Example.com ", "c-1"
    order.identifiers.address.city = "Graz"
    found = match_keys(order)
    assert found is not None
    assert (found.identifiers.email, found.identifiers.customer_id) == ("Ann@Example.com ", "c-1")
    assert found.identifiers.address.city == "Graz"
    assert pack(order, rules(data_key=DATA_KEY))[1].event.HasField("identifiers") is False


@pytest.mark.parametrize(
    ("observer", "kept"),
    [
        pytest.param(0, ("203.0.113.9", BROWSER), id="a touchpoint's, unless said otherwise, are the browser's"),
        pytest.param(1, ("203.0.113.9", BROWSER), id="browser"),
        pytest.param(3, ("203.0.113.9", BROWSER), id="forwarded"),
        pytest.param(4, None, id="a backend's address and agent are not the person's"),
    ],
)
def test_address_and_agent_are_kept_where_they_are_the_persons(observer: int, kept: tuple[str, str] | None) -> None:
    visit = a_visit(client_ip="203.0.113.9")
    visit.context.observed_by = observer
    found = match_keys(visit)
    assert (None if found is None else (found.client_ip, found.user_agent)) == kept


@pytest.mark.parametrize(
    ("field", "device_id", "is_kept"),
    [
        ("apple_advertising_ids", "EA7583CD-A667-48BC-B806-42ECB2B48606", True),
        ("android_advertising_ids", "cdda802e-fb9c-47ad-9866-0794d394c912", True),
        ("device_ids", "EA7583CD-A667-48BC-B806-42ECB2B48606", False),
        ("apple_advertising_ids", "vendor-1", False),
        ("android_advertising_ids", "00000000-0000-0000-0000-000000000000", False),
    ],
)
def test_an_advertising_id_is_kept_where_nothing_else_names_a_person(field: str, device_id: str, is_kept: bool) -> None:
    order = a_purchase()
    order.ClearField("identifiers")
    order.identifiers.visitor_id = "v-1"
    getattr(order.identifiers, field).append(device_id)
    found = match_keys(order)
    assert (None if found is None else list(getattr(found.identifiers, field))) == ([device_id] if is_kept else None)


def test_nothing_is_gathered_where_the_workspace_has_no_data_key() -> None:
    order = a_purchase()
    order.identifiers.email = "ann@example.com"
    assert pack(order)[0].match_keys is None


def test_match_keys_of_one_person_have_the_key_of_the_most_telling_identifier() -> None:
    visit, order = a_visit(client_ip="203.0.113.9"), a_purchase()
    for event in (visit, order):
        event.identifiers.visitor_id = "v-1"
        event.identifiers.customer_id = "c-1"
    own = rules(data_key=DATA_KEY)
    names = {packed.match_keys.name for event in (visit, order) if (packed := pack(event, own)[0]).match_keys}
    assert len(names) == 1


def test_an_order_number_that_is_an_e_mail_address_counts_as_before_and_is_kept_nowhere() -> None:
    order, refund, twin = a_purchase(), a_refund("r-1"), a_purchase()
    for event in (order, twin):
        event.conversion.order_id = "ann@example.com"
    refund.adjustment.order_id = "ann@example.com"
    packed, admitted = pack(order)
    assert packed.key.order_digest == order_digest("shop", "purchase", "", "ann@example.com")
    assert pack(refund)[1].conversion_id == admitted.conversion_id
    assert (packed.verdict, packed.reasons[0].code.value, packed.reasons[0].field) == (
        ACCEPTED,
        "PERSONAL_DATA_REDACTED",
        "conversion.order_id",
    )
    kept = admitted.event.conversion.order_id
    assert kept.startswith("x1:")
    assert kept == pack(twin)[1].event.conversion.order_id
    assert b"ann@" not in packed.admitted


def _set(path: str) -> Any:
    def change(event: Event) -> None:
        *parents, name = path.split(".")
        message: Any = event
        for parent in parents:
            message = getattr(message, parent)
        setattr(message, name, f"7-{EMAIL}")

    return pytest.param(change, path, id=path)


EMAIL = "Ann%40Example.com"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        _set("event_id"),
        _set("session_id"),
        _set("conversion.name"),
        _set("conversion.store"),
        _set("conversion.pixel_event_id"),
        _set("conversion.recurrence.subscription_id"),
        _set("conversion.recurrence.cycle"),
        _set("conversion.lead.lead_id"),
        _set("click_ids.gclid"),
        _set("browser_ids.fbp"),
        _set("consent.source"),
        _set("experiment.id"),
        pytest.param(lambda e: e.conversion.coupon_codes.append(EMAIL), "conversion.coupon_codes", id="a coupon code"),
        pytest.param(
            lambda e: e.conversion.pixel_event_ids.update({"meta": EMAIL}),
            "conversion.pixel_event_ids",
            id="a pixel id",
        ),
        pytest.param(
            lambda e: e.conversion.pixel_event_ids.update({EMAIL: "x"}), "conversion.pixel_event_ids", id="its name"
        ),
        pytest.param(
            lambda e: e.conversion.items.add(item_id=EMAIL), "conversion.items[0].item_id", id="the id of an item"
        ),
        pytest.param(
            lambda e: e.conversion.items.add(item_id="i", name=f"Mug for {EMAIL}"),
            "conversion.items[0].name",
            id="the name of an item",
        ),
        pytest.param(
            lambda e: setattr(e.context, "page_url", f"https://s.example/?who={EMAIL}"), "context.page_url", id="a page"
        ),
        pytest.param(
            lambda e: setattr(e.context, "referrer_url", f"https://s.example/{EMAIL}"),
            "context.referrer_url",
            id="a referrer",
        ),
    ],
)
def test_an_e_mail_address_out_of_place_is_taken_out_and_nothing_is_lost(change: Any, field: str) -> None:
    event = a_purchase()
    event.conversion.recurrence.subscription_id = event.conversion.recurrence.cycle = "1"
    event.conversion.recurrence.kind = 2
    event.conversion.lead.lead_id = event.conversion.lead.stage = "1"
    event.experiment.id = event.experiment.arm = "1"
    change(event)
    packed, _ = pack(event)
    assert packed.verdict == ACCEPTED
    assert [(reason.code.value, reason.field) for reason in packed.reasons] == [("PERSONAL_DATA_REDACTED", field)]
    assert EMAIL.encode() not in packed.admitted
    assert b"xample.com" not in packed.admitted


def test_an_event_that_is_refused_keeps_no_e_mail_address_in_its_ids_either() -> None:
    event = a_purchase(-1)
    event.event_id = event.conversion.order_id = "ann@example.com"
    packed, admitted = pack(event)
    assert (packed.verdict, packed.event_id) == (REJECTED, "ann@example.com")
    assert b"ann@" not in packed.admitted
    assert admitted.event.event_id.startswith("x1:")


def test_a_click_id_that_is_an_e_mail_address_is_no_evidence() -> None:
    event = a_visit()
    event.click_ids.gclid = "ann@example.com"
    packed, admitted = pack(event)
    assert codes(packed) == ["PERSONAL_DATA_REDACTED"]
    assert (list(admitted.channel_evidence.click_ids), admitted.channel_evidence.rule) == ([], "direct")


MINUTE = 60 * 10**6


@pytest.mark.parametrize(
    ("observed_by", "make", "sent", "call", "correction"),
    [
        pytest.param(0, "visit", -60, None, 60, id="a touchpoint is a browser's"),
        pytest.param(1, "purchase", -60, None, 60, id="a browser's slow clock"),
        pytest.param(2, "purchase", -60, 0, 60, id="an app's, passed on by a server whose clock is right"),
        pytest.param(0, "purchase", -60, -60, 60, id="a backend's slow clock: its order"),
        pytest.param(0, "refund", -60, -60, 60, id="its refund"),
        pytest.param(0, "identify", -60, -60, 60, id="its log-in"),
        pytest.param(4, "visit", -60, -60, 60, id="its touchpoint"),
        pytest.param(3, "visit", -60, -60, 60, id="what it forwards, by its own clock"),
        pytest.param(0, "purchase", -60, None, 0, id="a backend may have held it back"),
        pytest.param(0, "purchase", -60, 0, 0, id="a backend has held it back, or sends it again as it was"),
        pytest.param(3, "visit", -60, 0, 0, id="a server has held back what it forwards"),
        pytest.param(4, "visit", -60, None, 0, id="a backend may have held its touchpoint back"),
        pytest.param(0, "purchase", 600, None, -600, id="nothing is held back before it is sent: a fast clock"),
        pytest.param(0, "refund", 600, 0, -600, id="a fast clock, and a call by a right one"),
        pytest.param(3, "visit", 600, 600, -600, id="a fast clock of what is forwarded"),
        pytest.param(0, "purchase", -10, -10, 0, id="slower by no more than a call may take"),
        pytest.param(0, "purchase", 10, 10, 0, id="hardly fast"),
        pytest.param(1, "purchase", -10, None, 0, id="a browser's, hardly slow"),
    ],
)
def test_a_wrong_clock_is_corrected_whatever_happened_and_what_is_late_is_not(
    observed_by: int, make: str, sent: int, call: int | None, correction: int
) -> None:
    event = {"visit": a_visit, "purchase": a_purchase, "refund": a_refund, "identify": an_identification}[make]()
    event.context.observed_by = observed_by  # type: ignore[assignment]
    event.event_time.FromMicroseconds(NOW - 60 * MINUTE + sent * 10**6)
    event.sent_time.FromMicroseconds(NOW + sent * 10**6)
    packed, admitted = pack(event, call_micros=None if call is None else NOW + call * 10**6)
    assert packed.verdict == ACCEPTED
    assert admitted.event.event_time.ToMicroseconds() == NOW - 60 * MINUTE + (sent + correction) * 10**6
    assert admitted.clock_correction_micros == correction * 10**6
    assert ("CLOCK_CORRECTED" in codes(packed)) is bool(correction)


def test_an_order_of_a_backend_that_is_ten_minutes_fast_is_not_of_the_future() -> None:
    event = a_purchase()
    event.event_time.FromMicroseconds(NOW + 10 * MINUTE)
    assert codes(pack(event)[0]) == ["EVENT_TIME_OUT_OF_WINDOW"]
    event = a_purchase()
    event.event_time.FromMicroseconds(NOW + 10 * MINUTE)
    event.sent_time.FromMicroseconds(NOW + 10 * MINUTE)
    assert pack(event)[1].event.event_time.ToMicroseconds() == NOW


YEARS = 70 * 366 * 24 * 60 * MINUTE


@pytest.mark.parametrize(
    ("fast", "told", "kept"),
    [
        pytest.param(180 * MINUTE, 180 * MINUTE, 0, id="of the same moment"),
        pytest.param(180 * MINUTE, 179 * MINUTE, -MINUTE, id="a minute before, by the same clock"),
        pytest.param(-180 * MINUTE, -181 * MINUTE, -MINUTE, id="by a slow clock"),
        pytest.param(0, -MINUTE, -MINUTE, id="by a right clock"),
        pytest.param(180 * MINUTE, YEARS, None, id="in the future by any clock"),
        pytest.param(0, 5_000_000, 5_000_000, id="as near as clocks are"),
        pytest.param(0, MINUTE, None, id="in the future by a right clock"),
    ],
)
def test_what_was_decided_and_clicked_before_an_event_is_corrected_with_it(
    fast: int, told: int, kept: int | None
) -> None:
    event = a_visit()
    event.event_time.FromMicroseconds(NOW + fast)
    event.sent_time.FromMicroseconds(NOW + fast)
    event.consent.ad_user_data = 1
    event.click_ids.gclid = "G1"
    for moment in (event.consent.consent_time, event.click_ids.click_time):
        moment.FromMicroseconds(NOW + told)
    packed, admitted = pack(event)
    expected = NOW if kept is None else NOW + kept
    assert admitted.event.consent.consent_time.ToMicroseconds() == expected
    (click,) = admitted.channel_evidence.click_ids
    assert click.click_time.ToMicroseconds() == expected
    assert admitted.event.click_ids.HasField("click_time") is (kept is not None)
    ahead = [reason.field for reason in packed.reasons if reason.code.value == "TIME_AHEAD"]
    assert ahead == ([] if kept is not None else ["click_ids.click_time", "consent.consent_time"])


def test_a_decision_later_than_an_old_event_is_one() -> None:
    event = a_purchase()
    event.event_time.FromMicroseconds(NOW - 60 * MINUTE)
    event.consent.consent_time.FromMicroseconds(NOW - MINUTE)
    packed, admitted = pack(event)
    assert packed.reasons == []
    assert admitted.event.consent.consent_time.ToMicroseconds() == NOW - MINUTE


def test_the_first_of_times_is_corrected_to_no_earlier_one() -> None:
    event = an_identification()
    event.event_time.FromMicroseconds(NOW + MINUTE)
    event.sent_time.FromMicroseconds(NOW + MINUTE)
    event.consent.consent_time.seconds = -62_135_596_800
    assert pack(event)[1].event.consent.consent_time.ToDatetime().year == 1


def test_a_corrected_clock_changes_neither_the_claim_nor_the_payload() -> None:
    right, wrong = a_visit(), a_visit()
    wrong.event_time.FromMicroseconds(NOW + 3_600 * 10**6)
    wrong.sent_time.FromMicroseconds(NOW + 3_600 * 10**6)
    first, second = pack(right)[0], pack(wrong)[0]
    assert (first.event_digest, first.payload_digest) == (second.event_digest, second.payload_digest)


def test_the_window_is_held_against_the_corrected_time() -> None:
    event = a_visit()
    year = 366 * 86_400 * 10**6
    event.event_time.FromMicroseconds(NOW - year)
    event.sent_time.FromMicroseconds(NOW - year + 10**6)
    assert pack(event)[0].verdict == ACCEPTED, "a phone whose clock was a year slow"
    event = a_visit()
    event.sent_time.FromMicroseconds(NOW - 40 * 86_400 * 10**6)
    assert codes(pack(event)[0]) == ["EVENT_TIME_OUT_OF_WINDOW"], "corrected by 40 days into the future"


@pytest.mark.parametrize(
    ("observed_by", "kind", "codes_expected"),
    [
        (1, "visit", ["ADDRESS_LISTED"]),
        (0, "visit", ["ADDRESS_LISTED"]),
        (2, "purchase", ["ADDRESS_LISTED"]),
        (3, "visit", []),
        (4, "visit", []),
        (0, "purchase", []),
    ],
)
def test_a_listed_address_is_suspicious_only_where_a_browser_or_app_was_seen_with_it(
    observed_by: int, kind: str, codes_expected: list[str]
) -> None:
    listed = read_network("203.0.113.0/24")
    assert listed is not None
    workspace = Workspace.model_validate({"id": "shop", "pepper": {"value": "p" * 16}})
    own = compile_rules(workspace, AddressBook([("hosting", [listed])]))
    event = a_visit(client_ip="203.0.113.7") if kind == "visit" else a_purchase()
    event.context.client_ip, event.context.observed_by = "203.0.113.7", observed_by  # type: ignore[assignment]
    packed, admitted = pack(event, own)
    assert codes(packed) == codes_expected
    assert packed.verdict == (QUARANTINED if codes_expected else ACCEPTED)
    assert admitted.agent_evidence.address_token
    if codes_expected:
        visitor = admitted.agent_evidence
        assert (visitor.bot, visitor.bot_name, visitor.bot_category) == (True, "hosting", "address")


def test_what_is_no_address_is_a_warning() -> None:
    packed, admitted = pack(a_visit(client_ip="203.0.113.7:443"))
    assert (packed.verdict, codes(packed)) == (ACCEPTED, ["ADDRESS_UNREADABLE"])
    assert not admitted.agent_evidence.address_token


@pytest.mark.parametrize(
    ("said", "page", "kept", "is_told"),
    [
        pytest.param("Cj0\nmsclkid=b", "", {}, True, id="a line break"),
        pytest.param("Cj0\nmsclkid=b", "?gclid=a", {"gclid": "a"}, True, id="the page's own is used"),
        pytest.param("Cj0\x00", "", {}, True, id="an end"),
        pytest.param("Cj0\x85b", "", {}, True, id="a next line"),
        pytest.param(" Cj0 \r\n", "", {"gclid": "Cj0"}, False, id="blanks around it"),
        pytest.param("", "?ttclid=x%0Afbclid%3Dy&gclid=a%0A", {"gclid": "a"}, False, id="in the page's URL"),
        pytest.param("", "#ttclid=x%0Afbclid%3Dy&gclid=a%0A", {"gclid": "a"}, False, id="in its fragment"),
    ],
)
@pytest.mark.parametrize("make", [a_purchase, a_visit])
def test_a_click_id_is_of_one_line(
    make: Callable[[], Event], said: str, page: str, kept: dict[str, str], is_told: bool
) -> None:
    event = make()
    event.context.user_agent, event.context.page_url = BROWSER, f"https://shop.example/{page}"
    event.click_ids.gclid = said
    packed, admitted = pack(event)
    assert [reason.field for reason in packed.reasons] == (["click_ids.gclid"] if is_told else [])
    assert own_click_ids(admitted.event) == kept
    if admitted.event.HasField("touchpoint"):
        assert {click.family: click.value for click in admitted.channel_evidence.click_ids} == kept
    else:  # what reconciliation reads
        lines = event_details(admitted, "conversion").get("own_click_ids", "").splitlines()
        assert lines == [f"{family}={value}" for family, value in kept.items()]


@pytest.mark.parametrize(
    ("codes", "kept", "is_told"),
    [
        pytest.param(["SAVE10", "FREE"], ["SAVE10", "FREE"], False, id="as sent"),
        pytest.param([" SAVE10 \r\n", "FREE"], ["SAVE10", "FREE"], False, id="blanks around it"),
        pytest.param(["SAVE10\nFREE", "MAY"], ["MAY"], True, id="a line break"),
        pytest.param(["SAVE\x0010"], [], True, id="another control character"),
        pytest.param([" ", "MAY"], ["MAY"], True, id="empty"),
    ],
)
def test_a_coupon_code_is_of_one_line(codes: list[str], kept: list[str], is_told: bool) -> None:
    event = a_purchase()
    event.conversion.coupon_codes.extend(codes)
    packed, admitted = pack(event)
    assert [reason.field for reason in packed.reasons] == (["conversion.coupon_codes"] if is_told else [])
    assert list(admitted.event.conversion.coupon_codes) == kept
    assert event_details(admitted, "conversion").get("coupon_codes", "").splitlines() == kept


@pytest.mark.parametrize("value", ["  ", "undefined", "{gclid}"])
def test_a_click_id_of_nothing_but_blanks_or_what_stands_for_none_is_none(value: str) -> None:
    event = a_visit(page_url="https://shop.example/")
    event.click_ids.gclid, event.touchpoint.utm.source = value, "  "
    assert not own_click_ids(event)
    _, admitted = pack(event)
    assert admitted.channel_evidence.channel == "Direct"
    assert not admitted.channel_evidence.click_ids


MANY = 20_000


def with_devices(event: Event) -> None:
    event.identifiers.device_ids.extend(f"device-{number}" for number in range(MANY))


def with_other_ids(event: Event) -> None:
    for number in range(MANY):
        event.identifiers.other_ids[f"kind-{number}"] = f"{number}"


def with_properties(event: Event) -> None:
    for number in range(MANY):
        event.properties[f"phone-{number}"] = "+491715550177"


def with_items(event: Event) -> None:
    for _ in range(MANY):
        event.conversion.items.add(item_id="a\uff20")


def with_coupons(event: Event) -> None:
    event.conversion.coupon_codes.extend(["+491715550177"] * MANY)


def with_a_long_page(event: Event) -> None:
    event.context.page_url = "https://shop.example/" + "/%41" * 20 * MANY


def with_a_long_title(event: Event) -> None:
    event.touchpoint.title = "\\u0040" * 20 * MANY


@pytest.mark.parametrize(
    ("event", "grow"),
    [
        (a_visit(), with_devices),
        (a_visit(), with_other_ids),
        (a_visit(), with_properties),
        (a_purchase(), with_items),
        (a_purchase(), with_coupons),
        (a_visit(), with_a_long_page),
        (a_visit(), with_a_long_title),
    ],
)
def test_what_is_refused_for_its_length_is_not_read_to_its_end(event: Event, grow: Callable[[Event], None]) -> None:
    grow(event)
    own = rules()
    started = process_time()
    packed, admitted = pack(event, own)
    assert process_time() - started < 0.06, "some 100 ms, or for lists even seconds, where it is"
    assert packed.verdict == REJECTED
    assert "FIELD_TOO_LONG" in codes(packed)
    assert len(packed.reasons) <= 201
    assert len(packed.admitted) < 20_000
    assert admitted.event.event_id == event.event_id


def test_of_the_vendors_that_destinations_have_it_is_noted_whom_the_events_strings_name() -> None:
    google = declared_batches("google", "https://google.example", allow_private_addresses=False)
    meta = declared_batches("meta", "https://meta.example", tcf_vendor=4, allow_private_addresses=False)
    own = rules(destinations=[google, meta])
    for string, expected in ((naming(4), ([4], [755])), ("undefined", ([], [])), ("", ([], []))):
        for event in (a_visit(), a_purchase()):
            event.consent.tcf_string = string
            packed, admitted = pack(event, own)
            assert (list(admitted.allowed_vendors), list(admitted.denied_vendors)) == expected
            assert not packed.reasons
    event = a_visit()
    event.consent.tcf_string = naming(4)
    assert not pack(event)[1].denied_vendors
