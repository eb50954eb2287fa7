"""Conversions on their way to a destination: say only what matters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tributary.attribution.v1.conversion_pb2 import ResolvedClickId
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_CREATE, DeliveryOperation
from tributary.event.v1.event_pb2 import ORIGIN_WEB, Origin
from tributary_delivery.destinations.adapter import (
    Answer,
    Home,
    Mapped,
    Outgoing,
    Permits,
    PersonKeys,
    Pinned,
    PostalAddress,
    Unmappable,
)
from tributary_domain.consent import GRANTED

VECTORS = Path(__file__).parents[1] / "vectors"

JANE = PersonKeys(emails=("Jane.Doe@Example.com",))

NAMES = {
    "given": "given_name",
    "family": "family_name",
    "street": "street",
    "city": "city",
    "region": "region",
    "zip": "postal_code",
    "country": "country_code",
}


def keys(address: dict[str, str] | None = None, **own: Any) -> PersonKeys:
    """Returns opened match keys; the parts of an address by the short names of `NAMES`."""
    parts = {NAMES[name]: value for name, value in (address or {}).items()}
    return PersonKeys(**own, address=PostalAddress(**parts) if address else None)


def click_id(family: str, value: str, *, micros: int = 1_762_900_000_000_000) -> ResolvedClickId:
    """Returns a click id as attribution resolves it."""
    resolved = ResolvedClickId(family=family, value=value)
    resolved.click_time.FromMicroseconds(micros)
    return resolved


def an_outgoing(
    *,
    name: str = "Purchase",
    visible_id: str = "order-1001",
    person: PersonKeys = JANE,
    amount_micros: int | None = 49_900_000,
    currency: str = "USD",
    operation: DeliveryOperation.ValueType = DELIVERY_OPERATION_CREATE,
    micros: int = 1_767_323_045_000_000,
    order_id: str = "order-1001",
    origin: Origin.ValueType = ORIGIN_WEB,
    clicks: tuple[ResolvedClickId, ...] = (),
    browser_ids: dict[str, str] | None = None,
    items: tuple[dict[str, Any], ...] = (),
    pinned: Pinned | None = None,
    opted_out: bool = False,
    permits: Permits | None = None,
    home: Home = Home(),  # noqa: B008 - frozen
    now_micros: int = 1_767_326_645_000_000,
) -> Outgoing:
    """Returns a conversion on its way: of 2 January 2026, an hour before it is sent."""
    revised = ConversionRevised(workspace="shop", revision=7)
    state = revised.state
    state.conversion_id, state.name, state.origin, state.counted = "c1:1", "purchase", origin, True
    state.order_key.order_id = order_id
    state.conversion_time.FromMicroseconds(micros)
    for item in items:
        state.items.add(**item)
    revised.match.click_ids.extend(clicks)
    revised.match.browser_ids.update(browser_ids or {})
    return Outgoing(
        revised=revised,
        operation=operation,
        name=name,
        visible_id=visible_id,
        amount_micros=amount_micros,
        currency=currency if amount_micros is not None else "",
        keys=person,
        permits=permits or Permits(GRANTED, GRANTED, opted_out),
        click_ids={click.family: click for click in clicks},
        now_micros=now_micros,
        time_micros=pinned.time_micros if pinned is not None else 0,
        pinned=pinned,
        home=home,
    )


def said(result: Mapped | Unmappable) -> dict[str, Any]:
    """Returns the event of a conversion that can be said."""
    assert isinstance(result, Mapped), result
    return dict(result.event)


def why(result: Mapped | Unmappable) -> int:
    """Returns why a conversion cannot be said."""
    assert isinstance(result, Unmappable), result
    return result.reason


def an_answer(status: int, body: Any = None, text: str = "", **headers: str) -> Answer:
    """Returns a destination's answer; `retry_after` is the header `retry-after`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, body, text or ("" if body is None else json.dumps(body)), 1_767_326_645)


def golden(platform: str, field: str) -> dict[str, Any]:
    """Returns the row of the vectors that holds a whole request."""
    rows = json.loads((VECTORS / "hashing_google_meta_microsoft_pinterest.json").read_text())
    rows += json.loads((VECTORS / "hashing_and_signing_others.json").read_text())["vectors"]
    (row,) = (row for row in rows if row["platform"] == platform and row["field"] == field)
    assert isinstance(row, dict)
    return row
