"""Where an answer says of which events of a request it speaks: their places, as numbers or in a path or a sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_NUMBERS: Final = ("index", "event_index")
_LISTS: Final = ("record_indexes", "indexes")
_PATHS: Final = ("field", "path", "error_message", "message", "reason")
_PLACE: Final = re.compile(r"\b(?:events|data)(?:\[|\.)([0-9]{1,6})\b")
"""As in "data.events.3.event_at", "events[3]": what comes first is the event's, whatever list within it follows."""


def places_of(error: Mapping[str, Any], events: int) -> set[int]:
    """Returns the places that an error names, of so many events; none: it names none, or some that are not there.

    >>> places_of({"index": 3}, 5), places_of({"message": "events[2].items[7].price"}, 5), places_of({"index": 9}, 5)
    ({3}, {2}, set())
    """
    found = {error[name] for name in _NUMBERS if _is_number(error.get(name))}
    for name in _LISTS:
        listed = error.get(name)
        found |= {one for one in listed if _is_number(one)} if isinstance(listed, list) else set()
    if not found:
        for name in _PATHS:
            said = error.get(name)
            if isinstance(said, str) and (match := _PLACE.search(said)):
                found.add(int(match[1]))
                break
    return found if all(0 <= place < events for place in found) else set()


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
