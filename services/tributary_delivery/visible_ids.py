"""The id by which a destination knows a conversion: the caller's own, so that its browser tag and we count it once.

The one rule: the same for ever. It is made of what does not change, and a correction takes it from the ledger.
A CRM knows objects: the stages of a lead are one, and conversions of an order under different names are several.
"""

from __future__ import annotations

import hashlib

from tributary.attribution.v1.conversion_pb2 import ConversionState, MatchResolution, SameOrder
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_domain.placeholders import is_placeholder


def visible_id(
    revised: ConversionRevised,
    destination_id: str,
    *,
    id_is_order: bool,
    most_characters: int,
    with_store: bool = True,
    name: str = "",
) -> str:
    """Returns the id: the browser tag's for this destination, its id for all, the order's, else the event's.

    Order numbers repeat between shops, and one with a cycle names several conversions: "berlin/1001:2" is the second of
    order 1001 in the store berlin. Where no store is named it is the number alone, as it is written: a tag that reports
    order numbers knows no other.

    Args:
        revised: The conversion.
        destination_id: As the caller names it in `pixel_event_ids`.
        id_is_order: Whether the destination's tag reports order numbers.
        most_characters: What is longer is hashed.
        with_store: Whether the store is part of it; an earlier version left it out, and what that began goes on so.
        name: Of the conversion, where the destination knows others of the same order under the same name: it follows
            then, "1001|upsell", for to the destination one id is one conversion. "": none does.
    """
    state = revised.state
    order = _order(state, with_store=with_store) if id_is_order else ""
    if order and name:
        order = _of_several(order, name)
    return _within(shared_id(revised.match, destination_id) or order or _event(state), most_characters)


def shared_id(match: MatchResolution | SameOrder, destination_id: str) -> str:
    """Returns the id that browser tags sent: of this destination, else of all; "": none, or one that names nothing."""
    for stated in (match.pixel_event_ids.get(destination_id, ""), match.pixel_event_id):
        if not is_placeholder(stated):
            return stated
    return ""


def object_id(revised: ConversionRevised, destination_id: str, kind: str, *, most_characters: int) -> str:
    """Returns the id of the object that a conversion is in a CRM, or of which it is a part.

    That of a lead is the order that was its first conversion, where its stages name one, else "lead:" and the lead; but
    where it was told before, what it was called then.
    Where an order has several, what tells them apart follows: "berlin/1001|sign_up".

    Args:
        revised: The conversion.
        destination_id: Under which a caller names an object itself, in `pixel_event_ids`.
        kind: What tells an order's objects apart; "": it has one.
        most_characters: What is longer is hashed.

    >>> quoted = ConversionRevised()
    >>> quoted.state.order_key.order_id = "1001"
    >>> object_id(quoted, "crm", "a|b", most_characters=128)
    '1001|a%7Cb'
    """
    match, state = revised.match, revised.state
    if is_named(match, destination_id):
        return _within(match.pixel_event_ids[destination_id], most_characters)
    if state.lead.lead_id or state.lead.root_order_id:
        lead = state.lead
        chosen = _number(state.order_key.store, lead.root_order_id, "") or f"lead:{lead.lead_id}"
    else:
        chosen = shared_id(match, "") or _order(state, with_store=True) or _event(state)
    return _within(_of_several(chosen, kind) if kind else chosen, most_characters)


def is_named(match: MatchResolution, destination_id: str) -> bool:
    """Tells whether a caller says itself by what a destination knows a conversion."""
    return not is_placeholder(match.pixel_event_ids.get(destination_id, ""))


def _order(state: ConversionState, *, with_store: bool) -> str:
    key = state.order_key
    if not with_store:
        return f"{key.order_id}:{key.cycle}" if key.order_id and key.cycle else key.order_id
    return _number(key.store, key.order_id, key.cycle)


def _number(store: str, order_id: str, cycle: str) -> str:
    """Returns an order as "store/number:cycle", as far as it has them; "": it has no number.

    What is put together is quoted where it holds what separates the parts, so that no two orders read the same.

    >>> _number("", "2026/7:1", ""), _number("berlin", "2026/7", ""), _number("berlin/mitte", "7", "2")
    ('2026/7:1', 'berlin/2026/7', 'berlin%2Fmitte/7:2')
    >>> _number("de", "7:1", "2"), _number("de", "7", "1:2"), _number("de", "7:1", ""), _number("", "de/7", "2")
    ('de/7%3A1:2', 'de/7:1:2', 'de/7%3A1', 'de%2F7:2')
    """
    if not order_id or not (store or cycle):
        return order_id
    order = _quoted(order_id, ":" if store else ":/")
    before, after = _quoted(store, "/") + "/" if store else "", f":{cycle}" if cycle else ""
    return before + order + after


def _of_several(order: str, kind: str) -> str:
    """Returns what tells one of several conversions, or objects, of an order."""
    return f"{order}|{_quoted(kind, '|')}"


def _quoted(part: str, separators: str) -> str:
    for sign in "%" + separators:
        part = part.replace(sign, f"%{ord(sign):02X}")
    return part


def _event(state: ConversionState) -> str:
    return state.observation_event_ids[0] if state.observation_event_ids else state.conversion_id


def _within(chosen: str, most_characters: int) -> str:
    return chosen if len(chosen) <= most_characters else hashlib.sha256(chosen.encode()).hexdigest()[:most_characters]
