"""Ids that name nothing, taken out of an event that may do without them; and blanks, taken off those that name.

A shop whose tag sends "undefined" for every order number sells all the same: each sale is then known by its event id.
The one rule: what an event is told apart by (the digests of what was sent) is made before, so that it stays the same.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from tributary.event.v1.event_pb2 import Event
from tributary.ingestion.v1.deal_pb2 import Deal
from tributary_domain import texts
from tributary_domain.blanks import bare, blank_ended
from tributary_domain.click_id_proofs import holds_control
from tributary_domain.placeholders import ignored, is_placeholder, named, named_store, placeholders
from tributary_domain.reasons import Reason, ReasonCode

_OF_A_DEAL: Final[dict[str, Callable[[str], str]]] = {
    "order_id": named,
    "lead_id": named,
    "store": named_store,
    "conversion_name": str,
}
"""What a deal is compared with conversions by -> what it is worth."""
_NO_CODES: Final = Reason(
    ReasonCode.PLACEHOLDER_IGNORED,
    "conversion.coupon_codes",
    "A code is empty, or holds a line break or another control character, and was taken as not sent. "
    "Send one code per element.",
)
_NO_CODE: Final = Reason(
    ReasonCode.PLACEHOLDER_IGNORED,
    "touchpoint.coupon_code",
    "The code is empty, or holds a line break or another control character, and was taken as not sent. Send one code.",
)


def drop_placeholders(event: Event, kind: str | None, readings: texts.Readings) -> list[Reason]:
    """Takes ids that name nothing out of an event, and coupon codes that are none.

    What is listed is freed of blanks around it, too; for the rest there is `strip_ids`.

    Args:
        event: Ours: it is changed.
        kind: `event.WhichOneof("kind")`.
        readings: Its texts.

    Returns:
        A warning per field; none: `readings` still holds.
    """
    reasons: list[Reason] = []
    for group, at in placeholders(readings):
        message: Any = attrgetter(group.path)(event) if group.path else event
        message.ClearField(group.names[at])
        reasons.append(ignored(group.field(at)))
    if kind == "conversion" and (ids := event.conversion.pixel_event_ids):
        for destination, value in list(ids.items()):
            ids[destination] = bare(value)
        nameless = [destination for destination, value in ids.items() if is_placeholder(value)]
        for destination in nameless:
            del ids[destination]
        if nameless:
            reasons.append(ignored("conversion.pixel_event_ids"))
    if kind == "conversion" and (codes := event.conversion.coupon_codes):
        kept = [bare(code) for code in codes if is_code(code)]
        if len(kept) < len(codes):
            reasons.append(_NO_CODES)
        if kept != codes:
            codes[:] = kept
    if kind == "touchpoint" and (code := event.touchpoint.coupon_code) and not is_code(code):
        event.touchpoint.ClearField("coupon_code")
        reasons.append(_NO_CODE)
    return reasons


def is_code(code: str) -> bool:
    """Tells whether a coupon code is one, of one line; blanks around it do not count."""
    code = bare(code)
    return bool(code) and not holds_control(code)


def strip_ids(event: Event, readings: texts.Readings) -> bool:
    """Takes blanks and line ends off what tells orders, leads, refunds, sessions and coupons apart.

    Args:
        event: Ours: it is changed.
        readings: Its texts.

    Returns:
        Whether anything was changed; else `readings` still holds.
    """
    ended = blank_ended(readings)
    for group, at in ended:
        message: Any = attrgetter(group.path)(event) if group.path else event
        setattr(message, group.names[at], bare(readings[group][0][at]))
    return bool(ended)


def settle_deal(deal: Deal) -> list[Reason]:
    """Reads the ids by which a deal is compared with conversions as those of conversions are read.

    Args:
        deal: Ours: it is changed.

    Returns:
        A warning per id that names nothing, and was taken out.
    """
    reasons: list[Reason] = []
    for name, worth in _OF_A_DEAL.items():
        sent = getattr(deal, name)
        read = bare(worth(sent))
        if read != sent:
            setattr(deal, name, read)
            if not read and worth is not str:
                reasons.append(ignored(name))
    return reasons
