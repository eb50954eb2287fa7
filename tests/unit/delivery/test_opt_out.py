"""Who objects to selling and sharing is told of with the destination's own restriction, or not at all."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.support.batches import BATCHES, a_batch_destination
from tests.support.outgoing import an_outgoing, click_id, keys, why
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_OPERATION_RESTATE,
    DELIVERY_OPERATION_RETRACT,
    INELIGIBLE_REASON_NO_CONSENT,
    DeliveryOperation,
)
from tributary_delivery.destinations import ADAPTERS
from tributary_delivery.destinations.adapter import Mapped, Unmappable

LDU: Final = {"data_processing_options": ["LDU"]}
RESTRICTIONS: Final[dict[str, dict[str, Any] | None]] = {
    "google": {"consent": {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_DENIED"}},
    "google_ads": None,
    "linkedin": None,
    "meta": {**LDU, "data_processing_options_country": 0, "data_processing_options_state": 0},
    "microsoft": None,
    "pinterest": {"custom_data": {"opt_out_type": "LDP"}},
    "reddit": {"user": {"data_processing_options": {"modes": ["LDU"]}}},
    "snap": LDU,
    "tiktok": {"limited_data_use": True},
    "hubspot": {},
    "salesforce": {},
}
"""Type -> what its event holds beside the usual; None: it has no such field. A CRM is the advertiser's own."""

CLICKS = tuple(click_id(family, "C1") for family in ("gclid", "msclkid", "li_fat_id", "ttclid", "epik"))
PERSON = keys(emails=("Ann@Example.com",), client_ip="203.0.113.7", user_agent="UA/1")


def holds(event: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(name in event and holds(event[name], value) for name, value in part.items())
    return bool(event == part)


def test_every_destination_stands_here() -> None:
    assert set(RESTRICTIONS) == set(ADAPTERS) == set(BATCHES)


@pytest.mark.parametrize(
    "operation", [DELIVERY_OPERATION_CREATE, DELIVERY_OPERATION_RESTATE, DELIVERY_OPERATION_RETRACT]
)
@pytest.mark.parametrize("kind", ADAPTERS)
def test_who_opted_out_is_told_of_as_restricted_or_not_at_all(
    kind: str, operation: DeliveryOperation.ValueType
) -> None:
    adapter = ADAPTERS[kind](a_batch_destination(kind))
    if operation not in adapter.policy.operations:
        return
    allowed, restricted = (
        adapter.event(an_outgoing(person=PERSON, clicks=CLICKS, operation=operation, opted_out=opted_out))
        for opted_out in (False, True)
    )
    assert isinstance(allowed, Mapped)
    restriction = RESTRICTIONS[kind]
    if restriction is None:
        assert why(restricted) == INELIGIBLE_REASON_NO_CONSENT
        return
    assert not isinstance(restricted, Unmappable)
    assert holds(restricted.event, restriction)
    assert not restriction or not holds(allowed.event, restriction)
