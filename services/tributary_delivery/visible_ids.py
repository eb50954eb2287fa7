"""The id by which an ad destination knows a conversion: the caller's own, so that its browser tag and we count it once.

The one rule: the same for ever. It is made of what does not change, and a correction takes it from the ledger.
"""

from __future__ import annotations

import hashlib

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised


def visible_id(
    revised: ConversionRevised,
    destination_id: str,
    *,
    id_is_order: bool,
    most_characters: int,
    with_store: bool = True,
) -> str:
    """Returns the id: the browser tag's for this destination, its id for all, the order's, else the event's.

    Order numbers repeat between shops, and one with a cycle names several conversions: "berlin/1001:2" is the second of
    order 1001 in the store berlin. Where no store is named it is the number alone.

    Args:
        revised: The conversion.
        destination_id: As the caller names it in `pixel_event_ids`.
        id_is_order: Whether the destination's tag reports order numbers.
        most_characters: What is longer is hashed.
        with_store: Whether the store is part of it; an earlier version left it out, and what that began goes on so.
    """
    match, state = revised.match, revised.state
    shared = match.pixel_event_ids.get(destination_id, "") or match.pixel_event_id
    order = state.order_key.order_id if id_is_order else ""
    if order and state.order_key.cycle:
        order = f"{order}:{state.order_key.cycle}"
    if order and with_store and state.order_key.store:
        order = f"{state.order_key.store}/{order}"
    event = state.observation_event_ids[0] if state.observation_event_ids else state.conversion_id
    chosen = shared or order or event
    return chosen if len(chosen) <= most_characters else hashlib.sha256(chosen.encode()).hexdigest()[:most_characters]
