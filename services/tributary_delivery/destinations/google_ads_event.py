"""A conversion as Google Ads' own uploads take it, and what adjusts one.

The one rule: every conversion carries an order id, so that an adjustment names it by that alone.
"""

from __future__ import annotations

from typing import Any, Final

from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_OPERATION_RETRACT,
    INELIGIBLE_REASON_MISSING_FIELD,
    INELIGIBLE_REASON_NO_CONSENT,
    INELIGIBLE_REASON_NO_MATCH_KEY,
    INELIGIBLE_REASON_TOO_OLD,
)
from tributary.event.v1.event_pb2 import ORIGIN_APP
from tributary_delivery.destinations.adapter import Mapped, Outgoing, Unmappable
from tributary_delivery.destinations.google_clicks import click_of
from tributary_delivery.destinations.json_bytes import units
from tributary_delivery.destinations.moments import conversion_micros, to_the_second
from tributary_delivery.destinations.person_fields import person_fields
from tributary_domain.consent import DENIED, GRANTED
from tributary_runtime.search_destinations import GoogleAdsDestination

CONVERSIONS: Final = "conversions"
ADJUSTMENTS: Final = "conversionAdjustments"
_HASHED: Final = ("hashedEmail", "hashedPhoneNumber")
_MOST_IDENTIFIERS: Final = 5
_MOST_ADJUSTED_DAYS: Final = 54
"""How old a conversion may be that is adjusted."""
_CONSENTS: Final = {GRANTED: "GRANTED", DENIED: "DENIED"}


def event(outgoing: Outgoing, settings: GoogleAdsDestination) -> Mapped | Unmappable:
    """Returns a conversion, or an adjustment of one, in the words of Google Ads."""
    if outgoing.permits.is_opted_out:  # an upload says nothing of personalisation
        return Unmappable(INELIGIBLE_REASON_NO_CONSENT, "Google Ads' uploads cannot be told of an opt-out")
    micros = conversion_micros(outgoing)
    action = f"customers/{settings.customer_id}/conversionActions/{outgoing.name}"
    if not outgoing.visible_id:
        return Unmappable(INELIGIBLE_REASON_MISSING_FIELD, "orderId")
    if outgoing.operation != DELIVERY_OPERATION_CREATE:
        return _adjustment(outgoing, action, micros)
    person = person_fields("google_ads", outgoing)
    click = click_of(outgoing)
    identifiers = [{name: value} for name in _HASHED for value in person.values.get(name, ())][:_MOST_IDENTIFIERS]
    if click is None and not identifiers:
        return Unmappable(INELIGIBLE_REASON_NO_MATCH_KEY)
    said: dict[str, Any] = {
        "conversionAction": action,
        "conversionDateTime": to_the_second(micros, " "),
        "orderId": outgoing.visible_id,
        "conversionEnvironment": "APP" if outgoing.revised.state.origin == ORIGIN_APP else "WEB",
    }
    if click is not None:
        said[click.family] = click.value
    if outgoing.amount_micros is not None:
        said |= {"conversionValue": units(outgoing.amount_micros), "currencyCode": outgoing.currency}
    if identifiers:
        said["userIdentifiers"] = identifiers
    if outgoing.permits.ad_user_data in _CONSENTS:
        said["consent"] = {"adUserData": _CONSENTS[outgoing.permits.ad_user_data]}
    family, click_id = (click.family, click.value) if click is not None else ("", "")
    digests = {name: person.first(name) for name in _HASHED if name in person.values}
    return Mapped(said, family, click_id, digests, micros, group=CONVERSIONS)


def _adjustment(outgoing: Outgoing, action: str, micros: int) -> Mapped | Unmappable:
    """Returns an adjustment, at the time of this attempt: the latest of several holds."""
    if outgoing.now_micros - micros > _MOST_ADJUSTED_DAYS * 86_400_000_000:
        why = f"Google Ads adjusts conversions of the last {_MOST_ADJUSTED_DAYS} days only"
        return Unmappable(INELIGIBLE_REASON_TOO_OLD, why)
    adjustment: dict[str, Any] = {
        "conversionAction": action,
        "orderId": outgoing.visible_id,
        "adjustmentDateTime": to_the_second(max(outgoing.now_micros, micros + 1_000_000), " "),
    }
    if outgoing.operation == DELIVERY_OPERATION_RETRACT:
        adjustment["adjustmentType"] = "RETRACTION"
    elif outgoing.amount_micros is None:
        return Unmappable(INELIGIBLE_REASON_MISSING_FIELD, "restatementValue.adjustedValue")
    else:
        value = {"adjustedValue": units(outgoing.amount_micros), "currencyCode": outgoing.currency}
        adjustment |= {"adjustmentType": "RESTATEMENT", "restatementValue": value}
    return Mapped(adjustment, time_micros=micros, group=ADJUSTMENTS)
