"""What Google takes, whichever API it is told by: an id so long, and one click, for two are refused together."""

from __future__ import annotations

import re
from typing import Final

from tributary.attribution.v1.conversion_pb2 import ResolvedClickId
from tributary_delivery.destinations.adapter import Outgoing

MOST_ID_CHARACTERS: Final = 64
"""Of a transaction id, or an order id as it is called with uploads."""
_FAMILIES: Final = ("gclid", "gbraid", "wbraid")
"""What names one click first, then what names many."""
_COOKIE: Final = re.compile(r"GCL\.([0-9]{9,10})\.([\w-]{10,500})", re.ASCII)
"""`_gcl_aw`: `GCL.<Unix seconds of the click>.<gclid>`."""
_MOST_AGE_MICROS: Final = 90 * 86_400 * 1_000_000


def click_of(outgoing: Outgoing) -> ResolvedClickId | None:
    """Returns the click; of a correction the one it was sent with first, whatever is known since; None: no click."""
    pinned = outgoing.pinned
    if pinned is not None:
        if pinned.click_id_family not in _FAMILIES:
            return None
        return ResolvedClickId(family=pinned.click_id_family, value=pinned.click_id)
    for family in _FAMILIES:
        if (click := outgoing.click_ids.get(family)) is not None and click.value:
            return click
    return _from_cookie(outgoing)


def _from_cookie(outgoing: Outgoing) -> ResolvedClickId | None:
    """Returns the click that the browser remembers, where none was seen to land."""
    found = _COOKIE.fullmatch(outgoing.revised.match.browser_ids.get("gcl_aw", ""))
    if found is None:
        return None
    click_micros, micros = int(found[1]) * 1_000_000, outgoing.revised.state.conversion_time.ToMicroseconds()
    if not 0 <= micros - click_micros <= _MOST_AGE_MICROS:
        return None
    click = ResolvedClickId(family="gclid", value=found[2])
    click.click_time.FromMicroseconds(click_micros)
    return click
