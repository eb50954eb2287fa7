"""Contacts of HubSpot that are known by their e-mail, looked at before they are written: each is of many conversions.

The one rule: the newest conversion wins, whichever is delivered last, and nobody who buys becomes a lead again. When a
contact's newest happened is what the property holds that is told `time`; without one in the file nobody knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from tributary_delivery.destinations.adapter import Answer, Request
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.destinations.readings import mapping_of, objects_of
from tributary_runtime.crm_destinations import HubSpotDestination

EMAIL: Final = "email"
_LIFECYCLE: Final = "lifecyclestage"
_STAGES: Final = (
    *("subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead"),
    *("opportunity", "customer", "evangelist"),
)
"""As HubSpot orders them; of stages of an account's own nobody knows which is later."""
_OK, _PARTLY = 200, 207
_TIME: Final = "time"


def look(events: Sequence[bytes], settings: HubSpotDestination, path: str) -> Request | None:
    """Asks for what decides; None: it is no contact of many conversions, or nothing that is told depends on it.

    Args:
        events: As `hubspot_event` says them.
        settings: Of the destination.
        path: Of the objects.
    """
    asked = _asked(settings)
    if not asked:
        return None
    inputs = [{"id": json.loads(event)["id"]} for event in events]
    body = {"idProperty": EMAIL, "properties": [EMAIL, *asked], "inputs": inputs}
    return Request(f"{path}/batch/read", json_bytes(body))


def seen(events: Sequence[bytes], answer: Answer, settings: HubSpotDestination) -> Sequence[bytes | None] | None:
    """Returns what is to be written of each event, None: nothing; or None if the answer does not tell.

    Who is asked about and not there is answered with 207, among the errors.
    """
    if answer.status not in {_OK, _PARTLY} or not isinstance(answer.body, Mapping):
        return None
    held: dict[str, Mapping[str, Any]] = {}
    for one in objects_of(answer.body.get("results")):
        properties = mapping_of(one.get("properties"))
        held[str(properties.get(EMAIL) or "").lower()] = properties
    return [_news(event, held, settings) for event in events]


def _news(event: bytes, held: Mapping[str, Mapping[str, Any]], settings: HubSpotDestination) -> bytes | None:
    said = json.loads(event)
    has, told = held.get(str(said["id"]).lower()), said["properties"]
    if has is None:
        return event
    for name in _times(settings):
        before, now = _millis(has.get(name)), _millis(told.get(name))
        if before is not None and now is not None and now < before:
            return None
    if not _goes_back(has.get(_LIFECYCLE), told.get(_LIFECYCLE)) or settings.lifecycle_goes_back:
        return event
    return json_bytes({**said, "properties": {name: text for name, text in told.items() if name != _LIFECYCLE}})


def _asked(settings: HubSpotDestination) -> list[str]:
    if settings.id_property != EMAIL:
        return []
    told = settings.properties.keys() | settings.constants.keys()
    has_lifecycle = _LIFECYCLE in told and not settings.lifecycle_goes_back
    return [*_times(settings), *([_LIFECYCLE] if has_lifecycle else [])]


def _times(settings: HubSpotDestination) -> list[str]:
    return [name for name, source in settings.properties.items() if source == _TIME]


def _goes_back(before: object, now: object) -> bool:
    return before in _STAGES and now in _STAGES and _STAGES.index(str(now)) < _STAGES.index(str(before))


def _millis(value: object) -> int | None:
    """Returns a time of HubSpot's in milliseconds: a text of them, or ISO 8601.

    >>> _millis("1767323045000"), _millis("2026-01-02T03:04:05Z"), _millis("2026-01-02"), _millis("")
    (1767323045000, 1767323045000, 1767312000000, None)
    """
    if not isinstance(value, str) or not value:
        return None
    if value.isascii() and value.isdigit():
        return int(value[:18])
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
