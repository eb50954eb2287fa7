"""An admitted event -> the traces it leaves of its person: click ids, browser ids, sealed match keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1.context_pb2 import OBSERVER_BACKEND, OBSERVER_BROWSER, OBSERVER_UNSPECIFIED
from tributary.event.v1.event_pb2 import Event
from tributary_domain.event_order import event_hash
from tributary_domain.identifiers import EMAIL as EMAIL_TOKEN
from tributary_domain.identifiers import PHONE as PHONE_TOKEN
from tributary_domain.ties import type_of
from tributary_domain.traces import DEVICE, EMAIL, PHONE, Trace, browser_slot, click_slot, half_hour, keys_slot, period
from tributary_storage.clickhouse.names import micros
from tributary_storage.codec.own_clicks import own_click_ids
from tributary_storage.redis.click_ids import hash_of_click
from tributary_storage.redis.trace_layout import Left

HINTS: Final = frozenset({"gad_source", "gad_campaignid", "gclsrc", "mc_cid"})
"""Fields of ClickIds that name no click."""
_NOT_THE_PERSONS: Final = HINTS | {"srsltid", "hsenc", "igshid", "kx"}
"""Those that say nothing of which ad a person clicked: only the conversion's own are shown."""
_NAMES: Final = {EMAIL_TOKEN: EMAIL, PHONE_TOKEN: PHONE}
_NAMING: Final = tuple(f"{name}:" for name in _NAMES)

_trace: Final[Callable[..., Trace]] = tuple.__new__  # in place of the one that takes arguments: half the time


def traces_of(admitted: AdmittedEvent, time_micros: int, hashed: int, flags: int) -> list[Left]:
    """Returns what an event leaves, with the slot of each.

    Args:
        admitted: The event, with its evidence as the door wrote it.
        time_micros: When it happened.
        hashed: Of its id.
        flags: Of `traces.flags_of`.
    """
    event = admitted.event
    left: list[Left] = []
    for family, value, click_micros in _clicks(admitted, time_micros):
        if family not in _NOT_THE_PERSONS:
            trace = _trace(Trace, (click_micros, hashed, hash_of_click(family, value), flags, value.encode()))
            left.append((click_slot(family), trace))
    if event.HasField("browser_ids"):
        within = period(time_micros)
        for name, value in texts_of(event.browser_ids):
            alike = event_hash(f"{within}:{value}")
            left.append((browser_slot(name), _trace(Trace, (time_micros, hashed, alike, flags, value.encode()))))
    sealed = admitted.sealed_match_keys
    if sealed:
        if is_of_device(event):
            alike = half_hour(time_micros)
            left.append((DEVICE, _trace(Trace, (time_micros, hashed, alike, flags, sealed))))
        named = [token for token in admitted.identity_tokens if token.startswith(_NAMING)]
        if named:
            alike = event_hash(f"{period(time_micros)}:{' '.join(named)}")
            left.append((keys_slot(names_in(named)), _trace(Trace, (time_micros, hashed, alike, flags, sealed))))
    return left


def is_of_device(event: Event) -> bool:
    """Tells whether the address and user agent of an event are of the person's own device."""
    observer = event.context.observed_by if event.HasField("context") else OBSERVER_UNSPECIFIED
    if observer == OBSERVER_UNSPECIFIED:
        observer = OBSERVER_BROWSER if event.HasField("touchpoint") else OBSERVER_BACKEND
    return observer != OBSERVER_BACKEND


def names_in(tokens: Iterable[str]) -> int:
    """Returns what identity tokens name: a sum of EMAIL and PHONE."""
    named = 0
    for token in tokens:
        named |= _NAMES.get(type_of(token), 0)
    return named


def texts_of(message: Any) -> Iterable[tuple[str, str]]:
    """Yields the texts of a message that are set, by field name."""
    return ((field.name, value) for field, value in message.ListFields() if isinstance(value, str))


def _clicks(admitted: AdmittedEvent, time_micros: int) -> Iterable[tuple[str, str, int]]:
    """Yields family, value and click time of the click ids that an event carries, in its page's URL too."""
    if admitted.HasField("channel_evidence"):
        for found in admitted.channel_evidence.click_ids:
            yield found.family, found.value, max(0, micros(found.click_time)) or time_micros
        return
    event = admitted.event
    own: Mapping[str, str] = own_click_ids(event)
    if own:
        click_micros = max(0, micros(event.click_ids.click_time)) or time_micros
        for family, value in own.items():
            yield family, value, click_micros
