"""What a conversion's observations carry, and what its person left, by which destinations can recognise them.

Both sides of `MatchResolution`: made of observations and traces, and read back from what is published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from tributary.attribution.v1.conversion_pb2 import MatchResolution, PersonKeys, ResolvedClickId
from tributary.event.v1.consent_pb2 import Consent
from tributary.event.v1.event_pb2 import Event
from tributary_domain.consent_strings import strictness
from tributary_domain.placeholders import is_placeholder
from tributary_domain.traces import (
    DEVICE,
    EMAIL,
    PHONE,
    Trace,
    browser_id_of,
    browser_slot,
    click_slot,
    family_of,
    keys_slot,
    names_of,
    oldest_click_micros,
)
from tributary_storage.clickhouse.names import micros, timestamp
from tributary_storage.codec.conversion_parts import ConversionPart
from tributary_storage.codec.event_traces import HINTS, is_of_device, names_in, texts_of
from tributary_storage.redis.click_ids import hash_of_click
from tributary_storage.redis.trace_layout import Left

_NOTHING: Final[Mapping[str, Trace]] = {}

_PURPOSES: Final = ("ad_storage", "analytics_storage", "ad_user_data", "ad_personalization", "sale_or_sharing")


def match_of(parts: Sequence[ConversionPart], left: Mapping[str, Trace] = _NOTHING) -> MatchResolution:
    """Resolves the match keys of a conversion, as `MatchResolution` says.

    Args:
        parts: The observations that make its state, in event order.
        left: By slot, what its person left that is the conversion's.
    """
    sealed = (part.admitted.sealed_match_keys for part in parts)
    match = MatchResolution(sealed_match_keys=dict.fromkeys(filter(None, sealed)))
    own = _own_clicks(parts)
    for family, (time, value) in sorted({**_clicks(left), **own}.items()):
        match.click_ids.append(
            ResolvedClickId(family=family, value=value, click_time=timestamp(time), own=family in own)
        )
    for slot, trace in left.items():
        if name := browser_id_of(slot):
            match.browser_ids[name] = trace.value.decode()
            match.browser_id_times[name].CopyFrom(timestamp(trace.time_micros))
    for part in parts:
        if part.event.HasField("browser_ids"):
            for name, value in texts_of(part.event.browser_ids):
                match.browser_ids[name] = value
                match.browser_id_times.pop(name, None)
    _add_keys(match, parts, left)
    for part in sorted(parts, key=lambda part: -part.admitted.source_rank):
        conversion = part.event.conversion
        if not match.pixel_event_id and not is_placeholder(conversion.pixel_event_id):
            match.pixel_event_id = conversion.pixel_event_id
        for destination, pixel_event_id in conversion.pixel_event_ids.items():
            # The door takes out what names nothing; what came before it did is read here.
            if destination not in match.pixel_event_ids and not is_placeholder(pixel_event_id):
                match.pixel_event_ids[destination] = pixel_event_id
    consent = most_restrictive(part.event for part in parts)
    if consent is not None:
        match.consent.CopyFrom(consent)
    match.denied_vendors.extend(sorted({vendor for part in parts for vendor in part.admitted.denied_vendors}))
    return match


def remembered(match: MatchResolution) -> Iterator[Left]:
    """Yields what a published conversion has of its person, as traces; what is its own is left out."""
    for click in match.click_ids:
        if not click.own:
            alike = hash_of_click(click.family, click.value)
            yield click_slot(click.family), Trace(micros(click.click_time), 0, alike, 0, click.value.encode())
    for name, time in match.browser_id_times.items():
        yield browser_slot(name), Trace(micros(time), 0, 0, 0, match.browser_ids[name].encode())
    if match.sealed_device_keys:
        yield DEVICE, Trace(micros(match.device_time), 0, 0, 0, match.sealed_device_keys)
    for keys in match.person_keys:
        names = EMAIL * keys.has_email + PHONE * keys.has_phone
        yield keys_slot(names), Trace(micros(keys.event_time), 0, 0, 0, keys.sealed)


def _own_clicks(parts: Sequence[ConversionPart]) -> dict[str, tuple[int, str]]:
    """Returns click time and value of a conversion's own click ids, by family; none that is too old to be sent."""
    own: dict[str, tuple[int, str]] = {}
    for part in parts:
        event = part.event
        if event.HasField("click_ids"):
            stated = event.click_ids.HasField("click_time")
            time = micros(event.click_ids.click_time) if stated else part.event_time_micros
            for family, value in texts_of(event.click_ids):
                is_old = time < oldest_click_micros(family, parts[0].event_time_micros)
                if family not in HINTS and not is_old and (family not in own or time >= own[family][0]):
                    own[family] = time, value
    return own


def _clicks(left: Mapping[str, Trace]) -> dict[str, tuple[int, str]]:
    found = ((family_of(slot), trace) for slot, trace in left.items())
    return {family: (trace.time_micros, trace.value.decode()) for family, trace in found if family}


def _add_keys(match: MatchResolution, parts: Sequence[ConversionPart], left: Mapping[str, Trace]) -> None:
    """Adds the sealed keys of other events, as far as a conversion's own lack what they hold."""
    sealing = [part for part in parts if part.admitted.sealed_match_keys]
    device = left.get(DEVICE)
    if device is not None and not any(is_of_device(part.event) for part in sealing):
        match.sealed_device_keys = device.value
        match.device_time.CopyFrom(timestamp(device.time_micros))
    named = names_in(token for part in sealing for token in part.admitted.identity_tokens)
    found: dict[Trace, int] = {}
    for name in (EMAIL, PHONE):
        if not named & name:
            telling = [(trace, names_of(slot)) for slot, trace in left.items() if names_of(slot) & name]
            found.update(sorted(telling)[-1:])
    for trace, names in sorted(found.items(), reverse=True):
        time, has_email, has_phone = timestamp(trace.time_micros), bool(names & EMAIL), bool(names & PHONE)
        match.person_keys.append(
            PersonKeys(sealed=trace.value, event_time=time, has_email=has_email, has_phone=has_phone)
        )


def most_restrictive(events: Iterable[Event]) -> Consent | None:
    """Returns, per purpose, a denial if anybody stated one, else a grant if anybody stated one.

    Args:
        events: In event order.

    Returns:
        The strictest string of each kind, the newest of such; the region of the newest event that has one. None if
        nobody said anything.
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
        if said.tcf_string and _is_as_strict(said.tcf_string, result.tcf_string, strictness):
            result.tcf_string = said.tcf_string
        if said.gpp_string and _is_as_strict(said.gpp_string, result.gpp_string, _strictness_of_gpp):
            result.gpp_string = said.gpp_string
        result.region = said.region or result.region
        result.gpc = result.gpc or said.gpc
        if said.HasField("consent_time") and micros(said.consent_time) > micros(result.consent_time):
            result.consent_time.CopyFrom(said.consent_time)
    return result


def _is_as_strict(string: str, than: str, strictness_of: Callable[[str], tuple[int, int, int]]) -> bool:
    return string == than or not than or strictness_of(string) >= strictness_of(than)


def _strictness_of_gpp(string: str) -> tuple[int, int, int]:
    return strictness("", string)
