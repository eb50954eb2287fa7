"""What a conversion's observations carry by which destinations can recognise the person -> `MatchResolution`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from tributary.attribution.v1.conversion_pb2 import MatchResolution, ResolvedClickId
from tributary.event.v1.consent_pb2 import Consent
from tributary.event.v1.event_pb2 import Event
from tributary_storage.clickhouse.names import micros
from tributary_storage.codec.conversion_parts import ConversionPart

_HINTS: Final = frozenset({"gad_source", "gad_campaignid", "gclsrc", "mc_cid"})
"""Fields of ClickIds that name no click."""

_LONGEST_SEND_WINDOW_DAYS: Final = 90
_SEND_WINDOW_DAYS: Final = {"li_fat_id": 30}
"""How old a click may be that is sent to its destination, where that is not the longest."""
_DAY_MICROS: Final = 86_400_000_000

_PURPOSES: Final = ("ad_storage", "analytics_storage", "ad_user_data", "ad_personalization", "sale_or_sharing")


class JourneyClick(NamedTuple):
    """A click id of the person's journey."""

    click_time_micros: int
    """Of its first sight."""
    family: str
    value: str


def match_of(parts: Sequence[ConversionPart], clicks: Iterable[JourneyClick] = ()) -> MatchResolution:
    """Resolves the match keys of a conversion.

    Args:
        parts: The observations that make its state, in event order.
        clicks: Of the person's journey up to the conversion; neither quarantined nor without consent.

    Returns:
        Click ids by family: the conversion's own, else the newest of the journey inside the family's send window;
        browser ids, the newest of each; pixel ids of the best ranked observation that has them; the most restrictive
        consent.
    """
    own: dict[str, JourneyClick] = {}
    browser_ids: dict[str, str] = {}
    sealed: dict[bytes, None] = {}
    for part in parts:
        event = part.event
        if event.HasField("click_ids"):
            stated = event.click_ids.HasField("click_time")
            time = micros(event.click_ids.click_time) if stated else part.event_time_micros
            for family, value in _texts(event.click_ids):
                if family not in _HINTS and (family not in own or time >= own[family].click_time_micros):
                    own[family] = JourneyClick(time, family, value)
        if event.HasField("browser_ids"):
            browser_ids.update(_texts(event.browser_ids))
        if part.admitted.sealed_match_keys:
            sealed[part.admitted.sealed_match_keys] = None
    resolved = _newest(clicks, parts[0].event_time_micros) | own
    match = MatchResolution(
        click_ids=[
            ResolvedClickId(family=family, value=value, click_time=_time(time), own=family in own)
            for family, (time, _, value) in sorted(resolved.items())
        ],
        browser_ids=browser_ids,
        sealed_match_keys=sealed,
    )
    for part in sorted(parts, key=lambda part: -part.admitted.source_rank):
        conversion = part.event.conversion
        match.pixel_event_id = match.pixel_event_id or conversion.pixel_event_id
        for destination, pixel_event_id in conversion.pixel_event_ids.items():
            if destination not in match.pixel_event_ids:
                match.pixel_event_ids[destination] = pixel_event_id
    consent = most_restrictive(part.event for part in parts)
    if consent is not None:
        match.consent.CopyFrom(consent)
    return match


def _newest(clicks: Iterable[JourneyClick], conversion_time_micros: int) -> dict[str, JourneyClick]:
    """Returns the newest click id of each family that a destination may still be sent."""
    newest: dict[str, JourneyClick] = {}
    for click in clicks:
        days = _SEND_WINDOW_DAYS.get(click.family, _LONGEST_SEND_WINDOW_DAYS)
        oldest = conversion_time_micros - days * _DAY_MICROS
        if oldest <= click.click_time_micros <= conversion_time_micros:
            newest[click.family] = max(click, newest.get(click.family, click))
    return newest


def most_restrictive(events: Iterable[Event]) -> Consent | None:
    """Returns, per purpose, a denial if anybody stated one, else a grant if anybody stated one.

    Args:
        events: In event order.

    Returns:
        Strings and region of the newest event that has them; None if nobody said anything.
    """
    result: Consent | None = None
    for event in events:
        if not event.HasField("consent"):
            continue
        said = event.consent
        if result is None:
            result = Consent()
            result.CopyFrom(said)
            continue
        for purpose in _PURPOSES:
            strictest = max(getattr(result, purpose), getattr(said, purpose))  # unsaid < granted < denied
            setattr(result, purpose, strictest)
        result.tcf_string = said.tcf_string or result.tcf_string
        result.gpp_string = said.gpp_string or result.gpp_string
        result.region = said.region or result.region
        result.gpc = result.gpc or said.gpc
        if said.HasField("consent_time") and micros(said.consent_time) > micros(result.consent_time):
            result.consent_time.CopyFrom(said.consent_time)
    return result


def _texts(message: Any) -> Iterable[tuple[str, str]]:
    """Yields the texts that are set, by field name."""
    return ((field.name, value) for field, value in message.ListFields() if isinstance(value, str))


def _time(time_micros: int) -> Timestamp:
    seconds, rest = divmod(time_micros, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1_000)
