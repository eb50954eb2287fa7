"""A conversion as Google's Data Manager API takes it.

The one rule: a correction is the same event again with another value, so all else of it is as it was sent first: an
event that does not match the first becomes a second conversion. So does one of a sale in a store or by phone, which
Google does not adjust: those are not corrected.
"""

from __future__ import annotations

from typing import Any, Final

from tributary.attribution.v1.conversion_pb2 import ResolvedClickId
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    INELIGIBLE_REASON_MISSING_FIELD,
    INELIGIBLE_REASON_NO_MATCH_KEY,
    INELIGIBLE_REASON_UNSPECIFIED,
)
from tributary.event.v1 import event_pb2
from tributary_delivery.destinations.adapter import Mapped, Outgoing, Unmappable
from tributary_delivery.destinations.google_clicks import click_of
from tributary_delivery.destinations.json_bytes import units
from tributary_delivery.destinations.moments import conversion_micros, rfc3339
from tributary_delivery.destinations.person_fields import PersonFields, person_fields
from tributary_domain.consent import DENIED, GRANTED
from tributary_runtime.ad_destinations import GoogleDestination

_EVENT_SOURCES: Final = {
    event_pb2.ORIGIN_UNSPECIFIED: "WEB",
    event_pb2.ORIGIN_WEB: "WEB",
    event_pb2.ORIGIN_APP: "APP",
    event_pb2.ORIGIN_STORE: "IN_STORE",
    event_pb2.ORIGIN_PHONE: "PHONE",
    event_pb2.ORIGIN_MESSAGE: "MESSAGE",
}
_UNADJUSTED: Final = frozenset({event_pb2.ORIGIN_STORE, event_pb2.ORIGIN_PHONE})
_CONSENTS: Final = {GRANTED: "CONSENT_GRANTED", DENIED: "CONSENT_DENIED"}
_MOST_IDENTIFIERS: Final = 10
_ADDRESS: Final = ("givenName", "familyName", "regionCode", "postalCode")


def event(outgoing: Outgoing, _settings: GoogleDestination) -> Mapped | Unmappable:
    """Returns a conversion in Google's words."""
    is_correction = outgoing.operation != DELIVERY_OPERATION_CREATE
    if is_correction and outgoing.revised.state.origin in _UNADJUSTED:
        return Unmappable(INELIGIBLE_REASON_UNSPECIFIED, "Google adjusts no sales in stores and none by phone")
    person = person_fields("google", outgoing)
    click = click_of(outgoing)
    identifiers = _identifiers(person)
    if click is None and not identifiers:
        return Unmappable(INELIGIBLE_REASON_NO_MATCH_KEY)
    if not outgoing.visible_id:
        return Unmappable(INELIGIBLE_REASON_MISSING_FIELD, "transactionId")
    micros = conversion_micros(outgoing)
    said: dict[str, Any] = {
        "destinationReferences": [outgoing.name],
        "eventTimestamp": rfc3339(micros),
        "transactionId": outgoing.visible_id,
        "eventSource": _EVENT_SOURCES.get(outgoing.revised.state.origin, "OTHER"),
    }
    if is_correction:
        said["lastUpdatedTimestamp"] = rfc3339(outgoing.now_micros)
    if outgoing.amount_micros is not None:
        said |= {"conversionValue": units(outgoing.amount_micros), "currency": outgoing.currency}
    if ad_identifiers := _ad_identifiers(click, person):
        said["adIdentifiers"] = ad_identifiers
    if identifiers:
        said["userData"] = {"userIdentifiers": identifiers}
    if consent := _consent(outgoing):
        said["consent"] = consent
    family, click_id = (click.family, click.value) if click is not None else ("", "")
    digests = {name: value for name, value in person.digests.items() if name not in _ADDRESS or _has_address(person)}
    return Mapped(said, family, click_id, digests, micros, group=outgoing.name)


def _identifiers(person: PersonFields) -> list[dict[str, Any]]:
    """Returns what the person is recognised by, the most telling first."""
    identifiers: list[dict[str, Any]] = [
        {name: value} for name in ("emailAddress", "phoneNumber") for value in person.values.get(name, ())
    ]
    if _has_address(person):
        identifiers.insert(2, {"address": {name: person.first(name) for name in _ADDRESS}})
    return identifiers[:_MOST_IDENTIFIERS]


def _has_address(person: PersonFields) -> bool:
    """Tells whether all four are known: Google takes no less."""
    return all(name in person.values for name in _ADDRESS)


def _ad_identifiers(click: ResolvedClickId | None, person: PersonFields) -> dict[str, Any]:
    found: dict[str, Any] = {} if click is None else {click.family: click.value}
    device = {name: person.first(name) for name in ("ipAddress", "userAgent") if name in person.values}
    if device:
        found["landingPageDeviceInfo"] = device
    return found


def _consent(outgoing: Outgoing) -> dict[str, str]:
    permits = outgoing.permits
    said = {"adUserData": permits.ad_user_data, "adPersonalization": permits.ad_personalization}
    if permits.is_opted_out:
        said["adPersonalization"] = DENIED
    return {name: _CONSENTS[state] for name, state in said.items() if state in _CONSENTS}
