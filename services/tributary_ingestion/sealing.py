"""What is personal in an event, taken out before anything is stored.

The one rule: after `strip`, the event names nobody. Identity lives on in keyed tokens, the user agent in what it is,
the address in a keyed digest; everything else that is personal is gone.
"""

from typing import Any

from tributary.event.v1.event_pb2 import Event
from tributary_domain import texts
from tributary_domain.reasons import Reason, ReasonCode
from tributary_domain.urls import Url

_AMOUNTS = {"touchpoint": "cost", "conversion": "value", "adjustment": "amount"}
"""Kind -> its field of money."""
_CODE_CHARACTERS = 5
"""Of what may still be a misspelt currency."""
_OF_SENDER = tuple(
    path.split(".")
    for path in (
        *("click_ids", "browser_ids", "session_id", "human_check", "properties", "experiment"),
        *("context.page_url", "context.referrer_url", "context.language", "consent.tcf_string", "consent.gpp_string"),
        *("touchpoint.interaction_id", "touchpoint.title", "touchpoint.coupon_code"),
        *("conversion.pixel_event_id", "conversion.pixel_event_ids", "conversion.coupon_codes"),
        *("conversion.lead.lead_id", "conversion.recurrence.subscription_id"),
    )
)
"""What somebody is known again by, or went through."""
_UNSAFE = frozenset({ReasonCode.PERSONAL_DATA_IN_CLEAR, ReasonCode.FIELD_TOO_LONG})


def strip(event: Event, readings: texts.Readings, page: Url, referrer: Url) -> None:
    """Takes everything personal out of an event, in place.

    Args:
        event: As sent.
        readings: Its texts: they say which parts it has.
        page: Its page URL, as read.
        referrer: Its referrer, as read.
    """
    event.ClearField("identifiers")
    event.DiscardUnknownFields()  # who knows what is in them
    if texts.CONTEXT in readings:
        context = event.context
        context.ClearField("client_ip")
        context.ClearField("user_agent")
        if page.is_cut:
            context.page_url = page.cleaned
        if referrer.is_cut:
            context.referrer_url = referrer.cleaned
    if texts.CLICK_IDS in readings:
        event.click_ids.ClearField("kx")  # Klaviyo's is an e-mail address in disguise
    if texts.HUMAN_CHECK in readings:
        event.human_check.ClearField("token")


def forget_sender(event: Event) -> None:
    """Takes out of a stripped event what else tells of whoever sent it, in place: no erasure would find it.

    What was sold, when, and what it was worth stays.
    """
    for *parts, field in _OF_SENDER:
        message: Any = event
        for part in parts:
            message = getattr(message, part) if message is not None and message.HasField(part) else None
        if message is not None:  # else it would be there from then on
            message.ClearField(field)


def refused_rest(event: Event, rejections: list[Reason]) -> Event:
    """Returns what is kept of a stripped event that was refused: all of it, unless just that is what was wrong with it.

    A text that is too long, or holds personal data, is not kept by being refused: id and time remain. What was sent as
    a currency but looks like none is not kept either.
    """
    if any(reason.code is ReasonCode.CURRENCY_UNKNOWN for reason in rejections):
        _forget_currency(event)
    if not any(reason.code in _UNSAFE or reason.code is ReasonCode.EVENT_ID_TOO_LONG for reason in rejections):
        return event
    rest = Event(event_id=event.event_id)
    if event.HasField("event_time"):
        rest.event_time.CopyFrom(event.event_time)
    return rest


def _forget_currency(event: Event) -> None:
    kind = event.WhichOneof("kind")
    if kind in _AMOUNTS:
        money = getattr(getattr(event, kind), _AMOUNTS[kind])
        if len(money.currency_code) > _CODE_CHARACTERS:
            money.currency_code = ""
