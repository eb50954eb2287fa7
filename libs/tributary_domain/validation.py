"""Tier 1: what is checked of every event at the door, before anything is stored.

Tables of rules, one per kind of event; each rule adds its reasons. The one rule: only what can never be right is
rejected, with the field and how to mend it, all problems at once. What may be right but is suspicious is quarantined.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from tributary_domain.amounts import check_amounts, check_items, check_money
from tributary_domain.blanks import bare
from tributary_domain.event_shape import EventLike, MomentLike
from tributary_domain.event_times import AcceptWindow, read_micros
from tributary_domain.ids import CONVERSION_PREFIX, RESERVED_EVENT_PREFIXES
from tributary_domain.lead_stages import LOST
from tributary_domain.personal import holds_personal
from tributary_domain.placeholders import is_placeholder, is_placeholder_event_id, refuse_placeholder
from tributary_domain.reasons import Reason, ReasonCode
from tributary_domain.texts import (
    CLICK_IDS,
    CONSENT,
    CONTEXT,
    EXPERIMENT,
    HUMAN_CHECK,
    Readings,
    TextGroup,
    personal,
)
from tributary_domain.unexpected_amounts import ExpectedAmounts

EVENT_ID_CHARACTERS: Final = 128
MAX_PROPERTIES: Final = 64
PROPERTY_NAME_CHARACTERS: Final = 64
PROPERTY_CHARACTERS: Final = 1024
MAX_COUPONS: Final = 16
MAX_PIXEL_EVENT_IDS: Final = 16

MAX_PERIOD_SECONDS: Final = 3_660 * 86_400

_TRAFFIC_KINDS, _OBSERVERS, _CONSENT_STATES, _HUMAN_VERDICTS, _CUSTOMER_TYPES = 3, 4, 2, 3, 2
"""The highest value of each enum to which none will be added."""
_PURPOSES: Final = ("ad_storage", "analytics_storage", "ad_user_data", "ad_personalization", "sale_or_sharing")

_RETRACTION = 3
_NO_TOTAL: Final = frozenset({0, 1, _RETRACTION, 4, 5})
"""Reasons of adjustments whose amount is no new total; an unknown one stands for a restatement."""
_HUMAN_VERDICT_BOT = 2


class Expectations(NamedTuple):
    """What a workspace expects of its events."""

    window: AcceptWindow = AcceptWindow()
    """How old they may be."""
    conversion_names: frozenset[str] = frozenset()
    """The names it defines; empty: any name is taken."""
    amounts: ExpectedAmounts | None = None
    """Of its conversions; None: any amount is taken."""
    kinds_with_session: frozenset[str | None] = frozenset()
    """Kinds of event that need a session id."""


Rule = Callable[[EventLike, Expectations, list[Reason]], None]
"""Adds what is wrong with an event."""


def refuse(event: EventLike, kind: str | None, readings: Readings, expected: Expectations, found: list[Reason]) -> None:
    """Adds every reason why an event can never be right, apart from its texts' length, its time and its identifiers.

    Args:
        event: The event.
        kind: `event.WhichOneof("kind")`.
        readings: Its texts: they say which parts it has.
        expected: What the workspace expects.
        found: Where the reasons go.
    """
    if kind is None:
        found.append(_KIND_MISSING)
    event_id = event.event_id
    if len(event_id) > EVENT_ID_CHARACTERS:
        message = f"Longer than {EVENT_ID_CHARACTERS} characters."
        found.append(Reason(ReasonCode.EVENT_ID_TOO_LONG, "event_id", message))
    elif event_id.startswith(RESERVED_EVENT_PREFIXES):
        found.append(_EVENT_ID_RESERVED)
    else:
        refuse_placeholder("event_id", event_id, found, is_placeholder_event_id)
    if kind in expected.kinds_with_session and is_placeholder(event.session_id):
        found.append(_SESSION_ID_MISSING)
    if not 0 <= event.traffic <= _TRAFFIC_KINDS:
        found.append(_unknown("traffic"))
    for rule in _RULES.get(kind, ()):
        rule(event, expected, found)
    for group, rule in _OPTIONAL_PARTS:
        if group in readings:
            rule(event, expected, found)
    if event.properties:
        _check_properties(event, expected, found)


def suspect(
    event: EventLike, kind: str | None, readings: Readings, expected: Expectations, found: list[Reason]
) -> None:
    """Adds every reason to quarantine an event, apart from its user agent."""
    if HUMAN_CHECK in readings and event.human_check.verdict == _HUMAN_VERDICT_BOT:
        found.append(_HUMAN_CHECK_FAILED)
    if expected.amounts is not None:
        expected.amounts.suspect(event, kind, found)


def warn(event: EventLike, kind: str | None, expected: Expectations, found: list[Reason]) -> None:
    """Adds every reason to look at an event that is taken all the same."""
    if kind == "conversion" and expected.conversion_names and event.conversion.name not in expected.conversion_names:
        found.append(_NAME_UNKNOWN)
    if expected.amounts is not None:
        expected.amounts.warn(event, kind, found)


def _touchpoint(event: EventLike, expected: Expectations, found: list[Reason]) -> None:
    touchpoint = event.touchpoint
    if not touchpoint.kind:
        _missing("touchpoint.kind", "Say what kind of contact it was.", found)
    if touchpoint.HasField("cost"):
        check_money(event, touchpoint.cost, "touchpoint.cost", found)


def _conversion(event: EventLike, expected: Expectations, found: list[Reason]) -> None:
    conversion = event.conversion
    if not bare(conversion.name):
        _missing("conversion.name", "Name the conversion as the workspace does: purchase, lead.", found)
    if conversion.HasField("value"):
        check_money(event, conversion.value, "conversion.value", found)
    if conversion.HasField("amounts"):
        check_amounts(conversion.amounts, "conversion.amounts", found)
    if conversion.HasField("recurrence"):
        _recurrence(conversion.recurrence, found)
    if conversion.HasField("lead"):
        _lead(conversion.lead, found)
    if conversion.coupon_codes:
        _at_most(MAX_COUPONS, conversion.coupon_codes, "conversion.coupon_codes", found)
        _members(64, conversion.coupon_codes, "conversion.coupon_codes", found)
    if conversion.pixel_event_ids:
        _at_most(MAX_PIXEL_EVENT_IDS, conversion.pixel_event_ids, "conversion.pixel_event_ids", found)
        _members(128, conversion.pixel_event_ids.values(), "conversion.pixel_event_ids", found)
        _members(64, conversion.pixel_event_ids.keys(), "conversion.pixel_event_ids", found)
    if not 0 <= conversion.customer_type <= _CUSTOMER_TYPES:
        found.append(_unknown("conversion.customer_type"))
    if conversion.items:
        check_items(conversion.items, "conversion.items", found)


def _recurrence(recurrence: Any, found: list[Reason]) -> None:
    if not recurrence.subscription_id:
        _missing("conversion.recurrence.subscription_id", "Say which subscription it is.", found)
    if not recurrence.cycle:
        _missing("conversion.recurrence.cycle", "Say which cycle it is: a subscription id is not one order.", found)
    if not recurrence.kind:
        _missing("conversion.recurrence.kind", "Say what kind of cycle it is.", found)
    if recurrence.HasField("period"):
        period = recurrence.period
        is_span = 0 <= period.nanos < 1_000_000_000 and 0 <= period.seconds <= MAX_PERIOD_SECONDS
        if not is_span or not (period.seconds or period.nanos):
            message = "A cycle lasts longer than nothing, and at most 3660 days."
            found.append(Reason(ReasonCode.FIELD_MALFORMED, "conversion.recurrence.period", message))


def _lead(lead: Any, found: list[Reason]) -> None:
    if not lead.lead_id and not lead.root_order_id:
        _missing("conversion.lead.lead_id", "Name the lead, or the order id of its first conversion.", found)
    stage = bare(lead.stage)
    if stage in LOST and is_placeholder(lead.lead_id) and is_placeholder(lead.root_order_id):
        refuse_placeholder("conversion.lead.lead_id", lead.lead_id or lead.root_order_id, found)  # it retracts nothing
    if not stage:
        _missing("conversion.lead.stage", "Say which stage the lead reached.", found)


def _adjustment(event: EventLike, expected: Expectations, found: list[Reason]) -> None:
    adjustment = event.adjustment
    target = adjustment.WhichOneof("target")
    if target is None or not getattr(adjustment, target):
        message = "Name the conversion that changes: by order_id, event_id or conversion_id."
        _missing("adjustment.order_id", message, found)
    elif target == "order_id" and not bare(adjustment.conversion_name):
        _missing("adjustment.conversion_name", "An order id is only unique with its conversion's name.", found)
    elif target == "conversion_id" and not bare(adjustment.conversion_id).startswith(CONVERSION_PREFIX):
        message = f"A conversion id begins with {CONVERSION_PREFIX}, as Tributary answered it."
        found.append(Reason(ReasonCode.FIELD_MALFORMED, "adjustment.conversion_id", message))
    else:
        is_nothing = is_placeholder_event_id if target == "event_id" else is_placeholder
        refuse_placeholder(f"adjustment.{target}", getattr(adjustment, target), found, is_nothing)
    refuse_placeholder("adjustment.adjustment_id", adjustment.adjustment_id, found)
    if not adjustment.reason:
        _missing("adjustment.reason", "Say what changed the value.", found)
    if adjustment.HasField("amount"):
        is_total = adjustment.reason not in _NO_TOTAL
        check_money(event, adjustment.amount, "adjustment.amount", found, may_be_negative=is_total)
    elif adjustment.reason and adjustment.reason != _RETRACTION:
        _missing("adjustment.amount", "Only a retraction needs no amount.", found)
    if adjustment.HasField("amounts"):
        check_amounts(adjustment.amounts, "adjustment.amounts", found)
    if adjustment.items:
        check_items(adjustment.items, "adjustment.items", found)


def _consent_change(event: EventLike, expected: Expectations, found: list[Reason]) -> None:
    if not event.HasField("consent"):
        _missing("consent", "Say what the person decided.", found)
    elif not event.consent.HasField("consent_time"):
        _missing("consent.consent_time", "Say when the person decided: the newest decision wins.", found)


def _context(event: EventLike, expected: Expectations, found: list[Reason]) -> None:
    if not 0 <= event.context.observed_by <= _OBSERVERS:
        found.append(_unknown("context.observed_by"))


def _consent(event: EventLike, expected: Expectations, found: list[Reason]) -> None:
    for purpose in _PURPOSES:
        if not 0 <= getattr(event.consent, purpose) <= _CONSENT_STATES:
            found.append(_unknown(f"consent.{purpose}"))
    if event.consent.HasField("consent_time"):
        _time(event.consent.consent_time, "consent.consent_time", found)


def _click_ids(event: EventLike, expected: Expectations, found: list[Reason]) -> None:
    if event.click_ids.HasField("click_time"):
        _time(event.click_ids.click_time, "click_ids.click_time", found)


def _experiment(event: EventLike, expected: Expectations, found: list[Reason]) -> None:
    if not event.experiment.id:
        _missing("experiment.id", "Name the experiment.", found)
    if not event.experiment.arm:
        _missing("experiment.arm", "Name the arm.", found)


def _human_check(event: EventLike, expected: Expectations, found: list[Reason]) -> None:
    check = event.human_check
    if not 0 <= check.verdict <= _HUMAN_VERDICTS:
        found.append(_unknown("human_check.verdict"))
    if check.token and not check.provider:
        _missing("human_check.provider", "Say who issued the token.", found)
    if check.HasField("score_percent") and not 0 <= check.score_percent <= 100:
        message = "A score goes from 0 (bot) to 100 (human)."
        found.append(Reason(ReasonCode.FIELD_MALFORMED, "human_check.score_percent", message))
    if check.HasField("check_time"):
        _time(check.check_time, "human_check.check_time", found)


def _check_properties(event: EventLike, expected: Expectations, found: list[Reason]) -> None:
    properties = event.properties
    if len(properties) > MAX_PROPERTIES:
        _at_most(MAX_PROPERTIES, properties, "properties", found)
        return
    for name, value in properties.items():
        if not 1 <= len(name) <= PROPERTY_NAME_CHARACTERS:
            code = ReasonCode.FIELD_TOO_LONG if name else ReasonCode.FIELD_MALFORMED
            message = f"A property's name has 1 to {PROPERTY_NAME_CHARACTERS} characters."
            found.append(Reason(code, "properties", message))
        elif len(value) > PROPERTY_CHARACTERS:
            message = f"A property's value has at most {PROPERTY_CHARACTERS} characters."
            found.append(Reason(ReasonCode.FIELD_TOO_LONG, "properties", message))
        elif holds_personal(value) or holds_personal(name):
            found.append(personal("properties"))


_RULES: Final[Mapping[str | None, tuple[Rule, ...]]] = {
    "touchpoint": (_touchpoint,),
    "conversion": (_conversion,),
    "adjustment": (_adjustment,),
    "consent_change": (_consent_change,),
}
"""Kind of event -> its rules."""

_OPTIONAL_PARTS: Final[tuple[tuple[TextGroup, Rule], ...]] = (
    (CONTEXT, _context),
    (CONSENT, _consent),
    (CLICK_IDS, _click_ids),
    (EXPERIMENT, _experiment),
    (HUMAN_CHECK, _human_check),
)
"""Part that any event may have -> its rule."""


def _unknown(field: str) -> Reason:
    message = "This number is none of the values, and none will be added: send another, or leave it unset."
    return Reason(ReasonCode.FIELD_MALFORMED, field, message)


def _missing(field: str, message: str, found: list[Reason]) -> None:
    found.append(Reason(ReasonCode.FIELD_MISSING, field, message))


def _time(moment: MomentLike, field: str, found: list[Reason]) -> None:
    if read_micros(moment) is None:
        message = "A time is within the years 1 to 9999, its nanoseconds between 0 and 999 999 999."
        found.append(Reason(ReasonCode.TIME_MALFORMED, field, message))


def _at_most(limit: int, values: Any, field: str, found: list[Reason]) -> None:
    if len(values) > limit:
        found.append(Reason(ReasonCode.FIELD_TOO_LONG, field, f"More than {limit}."))


def _members(limit: int, values: Any, field: str, found: list[Reason]) -> None:
    if max(map(len, values), default=0) > limit:
        found.append(Reason(ReasonCode.FIELD_TOO_LONG, field, f"One is longer than {limit} characters."))


_KIND_MISSING: Final = Reason(
    ReasonCode.KIND_MISSING, "kind", "Set one of touchpoint, conversion, adjustment, identify, consent_change."
)
_EVENT_ID_RESERVED: Final = Reason(
    ReasonCode.EVENT_ID_RESERVED, "event_id", 'Ids that begin with "d1:" or "t1:" are Tributary\'s own.'
)
_SESSION_ID_MISSING: Final = Reason(
    ReasonCode.SESSION_ID_MISSING,
    "session_id",
    "The workspace requires a session id on events of this kind: send the one the visit has.",
)
_NAME_UNKNOWN: Final = Reason(
    ReasonCode.CONVERSION_NAME_UNKNOWN,
    "conversion.name",
    "The workspace defines its conversion names, and this is none of them: it is counted by the defaults.",
)
_HUMAN_CHECK_FAILED: Final = Reason(ReasonCode.HUMAN_CHECK_FAILED, "human_check.verdict", "The human check failed.")
