"""What few events say, as maps: columns that many fields share, because every column costs each insert.

The one rule: what was not said has no key. The keys of `events.details` are the names below and never change; what an
event's page, referrer and UTM parameters were is in `admitted`, for who classifies it again.
"""

from __future__ import annotations

from typing import Any, Final

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1.adjustment_pb2 import Adjustment
from tributary.event.v1.consent_pb2 import Consent, ConsentState
from tributary.event.v1.context_pb2 import HumanCheck, HumanCheckProvider, HumanVerdict
from tributary.event.v1.conversion_pb2 import Amounts, Conversion, CustomerType, RecurrenceKind, ValueSource
from tributary.event.v1.touchpoint_pb2 import Ad, Touchpoint
from tributary_domain.consent_strings import states_by
from tributary_storage.clickhouse.names import micros, names_of
from tributary_storage.codec.own_clicks import own_click_ids

AD_DETAILS: Final = (
    *("campaign_name", "adset_id", "ad_id", "creative_id"),
    *("keyword", "match_type", "network", "placement"),
)
"""Fields of an ad that have no column of their own."""

SOURCE_DETAILS: Final = ("term", "content")
"""Fields of where a touch came from that have no column of their own."""

_PARTS: Final = ("goods", "discount", "tax", "shipping", "fees", "gift_card", "cost_of_goods")

EVENT_DETAILS: Final = (
    *("sent_time_micros", "clock_correction_micros"),
    *(*AD_DETAILS, *SOURCE_DETAILS, "landing", "coupon_code", "cost_currency", "cost_micros"),
    *("customer_type", "value_source", "pixel_event_id", "subscription_id", "recurrence_kind"),
    *("lead_id", "root_order_id", "stage", "target_event_id", "experiment_id", "experiment_arm"),
    *("coupon_codes", *(f"amount_{part}_micros" for part in _PARTS)),
    *("consent_ad_storage", "consent_sale_or_sharing", "consent_region", "consent_source", "consent_time_micros"),
    *("consent_by_strings", "consent_allowed_vendors", "consent_denied_vendors"),
    *("human_provider", "human_verdict", "human_score_percent", "bot_name", "bot_category"),
    *("click_times_micros", "target_conversion_id", "own_click_ids"),
)
"""Every key of `events.details`; `coupon_codes` are lines, and so are `click_times_micros`: one per click id, 0 where
nobody said when the click was made. `own_click_ids`, of a conversion, are lines of family=value: no click id, and no
coupon code, holds a line break. `consent_by_strings` are the states that consent strings and the browser's signal say,
packed as in `consent_decisions`: SQL reads no such string; the vendors, that they name and do not name, are lines,
too. Of these a sighting keeps some, and has `sighted_click` and `sighted_interaction` (`retention/keep_sightings`).
What is left in a journey of an erased order has `erased_order`, its random id (`erasure/strip_events`).
"""

_CONSENT: Final = names_of(ConsentState.DESCRIPTOR)
_CUSTOMERS: Final = names_of(CustomerType.DESCRIPTOR)
_RECURRENCES: Final = names_of(RecurrenceKind.DESCRIPTOR)
_VALUE_SOURCES: Final = names_of(ValueSource.DESCRIPTOR)
_PROVIDERS: Final = names_of(HumanCheckProvider.DESCRIPTOR)
_VERDICTS: Final = names_of(HumanVerdict.DESCRIPTOR)
_NOTHING: Final[dict[str, str]] = {}


def amounts_map(amounts: Amounts) -> dict[str, int]:
    """Returns the parts of a value that were stated, in micros.

    >>> amounts_map(Amounts(goods_micros=5, tax_micros=0))
    {'goods': 5, 'tax': 0}
    """
    return {field.name.removesuffix("_micros"): value for field, value in amounts.ListFields()}


def ad_details(ad: Ad) -> dict[str, str]:
    """Returns what an ad says beside destination, account and campaign id."""
    return {name: value for name in AD_DETAILS if (value := getattr(ad, name))}


def event_details(admitted: AdmittedEvent, kind: str) -> dict[str, str]:
    """Returns what an event says that has no column of its own.

    Args:
        admitted: The event, and what the door learned of it.
        kind: `event.WhichOneof("kind")`.
    """
    event = admitted.event
    found: dict[str, Any] = {}
    if kind == "touchpoint":
        _touchpoint(event.touchpoint, admitted, found)
    elif kind == "conversion":
        _conversion(event.conversion, found)
        if own := own_click_ids(event):
            found["own_click_ids"] = "\n".join(f"{family}={value}" for family, value in own.items())
    elif kind == "adjustment":
        _adjustment(event.adjustment, found)
    if event.HasField("sent_time"):
        found["sent_time_micros"] = micros(event.sent_time)
        if correction := admitted.clock_correction_micros:
            found["clock_correction_micros"] = correction
    if event.HasField("experiment"):
        found["experiment_id"], found["experiment_arm"] = event.experiment.id, event.experiment.arm
    if event.HasField("consent"):
        _consent(event.consent, admitted, found)
    if event.HasField("human_check"):
        _human_check(event.human_check, found)
    if bot_name := admitted.agent_evidence.bot_name:
        found["bot_name"], found["bot_category"] = bot_name, admitted.agent_evidence.bot_category
    return {name: str(value) for name, value in found.items() if value != ""} if found else _NOTHING


def _touchpoint(touchpoint: Touchpoint, admitted: AdmittedEvent, found: dict[str, Any]) -> None:
    if touchpoint.HasField("ad"):
        found |= ad_details(touchpoint.ad)
    evidence = admitted.channel_evidence
    if term := evidence.term:
        found["term"] = term
    if content := evidence.content:
        found["content"] = content
    if any(click_id.HasField("click_time") for click_id in evidence.click_ids):
        found["click_times_micros"] = "\n".join(str(micros(click_id.click_time)) for click_id in evidence.click_ids)
    if touchpoint.HasField("landing"):
        found["landing"] = int(touchpoint.landing)
    if coupon_code := touchpoint.coupon_code:
        found["coupon_code"] = coupon_code
    if touchpoint.HasField("cost"):
        found["cost_currency"], found["cost_micros"] = touchpoint.cost.currency_code, touchpoint.cost.amount_micros


def _conversion(conversion: Conversion, found: dict[str, Any]) -> None:
    if customer_type := conversion.customer_type:
        found["customer_type"] = _CUSTOMERS[customer_type]
    if value_source := conversion.value_source:
        found["value_source"] = _VALUE_SOURCES[value_source]
    if pixel_event_id := conversion.pixel_event_id:
        found["pixel_event_id"] = pixel_event_id
    if conversion.HasField("recurrence"):
        recurrence = conversion.recurrence
        found["subscription_id"], found["recurrence_kind"] = recurrence.subscription_id, _RECURRENCES[recurrence.kind]
    if conversion.HasField("lead"):
        lead = conversion.lead
        found["lead_id"], found["root_order_id"], found["stage"] = lead.lead_id, lead.root_order_id, lead.stage
    if conversion.HasField("amounts"):
        _amounts(conversion.amounts, found)
    if conversion.coupon_codes:
        found["coupon_codes"] = "\n".join(conversion.coupon_codes)


def _adjustment(adjustment: Adjustment, found: dict[str, Any]) -> None:
    if target_event_id := adjustment.event_id:
        found["target_event_id"] = target_event_id
    if target_conversion_id := adjustment.conversion_id:
        found["target_conversion_id"] = target_conversion_id
    if adjustment.HasField("amounts"):
        _amounts(adjustment.amounts, found)


def _amounts(amounts: Amounts, found: dict[str, Any]) -> None:
    found |= {f"amount_{part}_micros": value for part, value in amounts_map(amounts).items()}


def _consent(consent: Consent, admitted: AdmittedEvent, found: dict[str, Any]) -> None:
    if ad_storage := consent.ad_storage:
        found["consent_ad_storage"] = _CONSENT[ad_storage]
    if sale_or_sharing := consent.sale_or_sharing:
        found["consent_sale_or_sharing"] = _CONSENT[sale_or_sharing]
    if region := consent.region:
        found["consent_region"] = region
    if source := consent.source:
        found["consent_source"] = source
    if consent.HasField("consent_time"):
        found["consent_time_micros"] = micros(consent.consent_time)
    if states := states_by(consent.tcf_string, consent.gpp_string, gpc=consent.gpc):
        found["consent_by_strings"] = states
    if allowed := admitted.allowed_vendors:
        found["consent_allowed_vendors"] = "\n".join(map(str, allowed))
    if denied := admitted.denied_vendors:
        found["consent_denied_vendors"] = "\n".join(map(str, denied))


def _human_check(check: HumanCheck, found: dict[str, Any]) -> None:
    found["human_provider"] = _PROVIDERS[check.provider]
    found["human_verdict"] = _VERDICTS[check.verdict]
    if check.HasField("score_percent"):
        found["human_score_percent"] = check.score_percent
