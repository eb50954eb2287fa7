"""What can be said of an event, as keyword arguments.

Whatever is left out stays unset; the contract (`protos/tributary/event/v1`) says what unset means, field by field, and
what the limits are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal, TypedDict

from tributary.common.v1.money_pb2 import Money
from tributary.event.v1.click_ids_pb2 import BrowserIds, ClickIds
from tributary.event.v1.consent_pb2 import Consent
from tributary.event.v1.context_pb2 import HumanCheck
from tributary.event.v1.conversion_pb2 import Amounts, Item, LeadStage, Recurrence
from tributary.event.v1.identifiers_pb2 import PostalAddress
from tributary.event.v1.touchpoint_pb2 import Ad

TouchpointKind = Literal["visit", "click", "impression", "engaged_view", "open", "coupon"]
OriginName = Literal["web", "app", "store", "phone", "message", "email", "crm", "other"]
ObserverName = Literal["browser", "app", "forwarded", "backend"]
TrafficName = Literal["normal", "internal", "test"]

Amount = Decimal | int | str | Money
"""An amount of money: exact, to the millionth. A float is refused, because it is not what it looks like. A `Money` has
its own currency, the others need `currency`."""


class EventFields(TypedDict, total=False):
    """Of every event."""

    event_id: str
    """Yours, 1-128 characters, the same on every attempt; without, the client makes a UUIDv7."""
    event_time: datetime
    """When it happened, with a time zone: taken as it is. Without, now, and the server corrects this machine's
    clock where it is more than 10 seconds off."""
    traceparent: str
    """W3C; without, that of OpenTelemetry's current span, if there is one."""
    customer_id: str
    """Your id of a logged-in customer."""
    visitor_id: str
    """The id in your cookie, or of the app installation."""
    device_ids: Sequence[str]
    """Vendor ids and others that no ad destination is told."""
    apple_advertising_ids: Sequence[str]
    """IDFA: told to ad destinations that know people by it."""
    android_advertising_ids: Sequence[str]
    """GAID, also called AAID: likewise."""
    email: str
    """Plain; hashed at the door and kept nowhere."""
    email_sha256: str
    """Of the trimmed, lower-case address, in hexadecimal."""
    phone: str
    """Plain, with country code or of the workspace's region."""
    phone_sha256: str
    """Of the number in E.164 with its "+", in hexadecimal."""
    other_ids: Mapping[str, str]
    """By kind: `{"loyalty": "4711"}`."""
    address: PostalAddress
    """For destinations that match by it."""
    session_id: str
    """Of your own session."""
    client_ip: str
    """The person's address, never your backend's."""
    user_agent: str
    """The person's, never your backend's."""
    page_url: str
    """With its parameters."""
    referrer_url: str
    """As the browser said."""
    language: str
    """BCP 47."""
    app_id: str
    """The app's bundle id."""
    app_version: str
    """The app's version."""
    observed_by: ObserverName
    """Whose address and user agent these are."""
    click_ids: ClickIds | Mapping[str, str]
    """By parameter name: `{"gclid": "..."}`."""
    browser_ids: BrowserIds | Mapping[str, str]
    """By name: `{"fbp": "..."}`."""
    consent: Consent | Mapping[str, bool | str]
    """Purpose to whether it was granted: `{"ad_user_data": True}`; a purpose left out was not decided.

    What else `Consent` has goes beside them as it is: `{"gpc": True, "region": "DE"}`.
    """
    human_check: HumanCheck
    """Token or verdict of a CAPTCHA."""
    properties: Mapping[str, str]
    """Kept, never interpreted; no personal data."""
    origin: OriginName
    """Where it happened."""
    traffic: TrafficName
    """Whether it counts."""
    experiment: tuple[str, str]
    """Id and arm."""


class TouchpointFields(EventFields, total=False):
    """Of a touchpoint, beside those of every event."""

    utm_source: str
    utm_medium: str
    utm_campaign: str
    utm_term: str
    utm_content: str
    utm_id: str
    utm_source_platform: str
    ad: Ad
    """The ad that was clicked or seen."""
    interaction_id: str
    """Shared by a click and the visit it caused."""
    landing: bool
    """Whether this page view began a visit."""
    cost: Amount
    """What it cost."""
    currency: str
    """Of `cost`, ISO 4217."""
    coupon_code: str
    """For "coupon"."""
    title: str
    """What the page or mail was called."""


class ConversionFields(EventFields, total=False):
    """Of a conversion, beside those of every event."""

    order_id: str
    """The order number: with it, browser and backend may both send the order, and it is counted once."""
    store: str
    """The shop that gave the number."""
    value: Amount
    """What it was worth; left out differs from zero."""
    currency: str
    """Of `value` and `amounts`, ISO 4217."""
    amounts: Amounts
    """The parts of `value`, in micros."""
    pixel_event_id: str
    """The id that the destinations' browser tags sent for it."""
    pixel_event_ids: Mapping[str, str]
    """The same by destination."""
    recurrence: Recurrence
    """Its place in a subscription."""
    lead: LeadStage
    """The lead, and the stage it has reached."""
    coupon_codes: Sequence[str]
    """Codes used."""
    is_new_customer: bool
    """Whether the buyer is new; left out, the journey says."""
    items: Sequence[Item]
    """What was bought."""


class AdjustmentFields(EventFields, total=False):
    """Of a change to a conversion, beside those of every event. It names its conversion by one of the first three."""

    order_id: str
    """Its order id, with `store` and `cycle` as in the conversion."""
    conversion_event_id: str
    """Its event id, where it has no order id."""
    conversion_id: str
    """The id that Tributary answered."""
    store: str
    """As in the conversion."""
    cycle: str
    """With a subscription, which one."""
    adjustment_id: str
    """The refund's, credit note's or dispute's number: reported twice it counts once."""
    value: Amount
    """How much."""
    currency: str
    """Of `value`, ISO 4217: the conversion's."""
    amounts: Amounts
    """The parts of `value`, in micros."""
    items: Sequence[Item]
    """The items it concerns."""
