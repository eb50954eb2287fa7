"""Puts conversions into a destination's language, and together what goes into one request.

The one rule: what was said of a conversion first is said again: by the same id, name and time, whatever the settings
call it by now (`naming`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_OPERATION_RETRACT,
    INELIGIBLE_REASON_NO_MATCH_KEY,
    INELIGIBLE_REASON_TOO_OLD,
    INELIGIBLE_REASON_UNSPECIFIED,
)
from tributary_delivery.attempt import Attempt
from tributary_delivery.corrections import NOT_REPEATED, Corrections, Pin, sent_click_ids, worth
from tributary_delivery.destinations.adapter import (
    ON_ITS_WAY_SECONDS,
    Adapter,
    Home,
    Outgoing,
    Permits,
    PersonKeys,
    Unmappable,
)
from tributary_delivery.destinations.destination import PERMANENT, Outcome
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.key_consents import KeyConsents
from tributary_delivery.lead_objects import LeadObjects, NameStores
from tributary_delivery.ledger import Memory
from tributary_delivery.match_keys import MatchKeyOpener
from tributary_delivery.naming import Naming
from tributary_delivery.sender import Formed, Refused
from tributary_delivery.withheld import ways_to_repeat
from tributary_domain.consent import UNSAID
from tributary_runtime.batch_destinations import BatchDestination
from tributary_runtime.clock import Clock
from tributary_storage.redis.delivery_job import KnownAs, Lane

log = structlog.get_logger(__name__)

_LEFT_OUT: Final = "what is linked with somebody who does not allow it is left out"
_NOT_RETRACTED: Final = "it takes no conversion back, and this one has no value that could be set to 0"


class Wording:
    """How one lane says what it has for a destination that takes many conversions in one request.

    Args:
        lane: Which.
        settings: Of the destination.
        adapter: Its language.
        opener: Opens match keys.
        consents: Leaves out those that are of people who do not allow it.
        memory: What was sent before, for corrections.
        stores: Where conversions claim by what they are known.
        home_of: Workspace -> where it is.
        clock: Tells time.
    """

    def __init__(
        self,
        lane: Lane,
        settings: BatchDestination,
        adapter: Adapter,
        opener: MatchKeyOpener,
        consents: KeyConsents,
        memory: Memory,
        stores: NameStores,
        home_of: Callable[[str], Home],
        clock: Clock,
    ) -> None:
        self._lane = lane
        self._settings = settings
        self._adapter = adapter
        self._policy = adapter.policy
        self._naming = Naming(lane, settings, adapter, stores, memory)
        self._opener = opener
        self._consents = consents
        self._corrections = Corrections(lane, memory)
        self._home_of = home_of
        self._clock = clock
        self._latest_micros = (self._policy.most_age_seconds - ON_ITS_WAY_SECONDS) * 1_000_000
        self._too_old = f"it is sent conversions of the last {settings.most_age_days} days (most_age_days)"

    async def form(self, attempts: Sequence[Attempt]) -> Formed:
        """Says attempts in the destination's language; as many to a call as fit.

        Raises:
            StorageUnavailableError: Data keys, what was sent before, or what people allow cannot be read.
        """
        formed = Formed()
        if not attempts:
            return formed
        if self._settings.has_objects:  # of one object, what never was before what is, and the newest last
            attempts = sorted(attempts, key=_newest_last)
        now_micros = self._clock.unix_micros()
        attempts = await self._naming.name(attempts, formed, now_micros)
        pins = await self._corrections.pinned(attempts)
        ways = [self._ways(one, pin) for one, pin in zip(attempts, pins, strict=True)]
        keys = iter(await self._opener.open(self._lane.workspace, [one for own in ways for one in own]))
        opened = [[(one, next(keys)) for one in own] for own in ways]
        told = await self._consents.heed(self._lane.workspace, self._settings, attempts, opened)
        calls: dict[str, list[Attempt]] = {}
        sizes: dict[str, int] = {}
        objects: set[str] = set()
        for (attempt, own), pin in zip(told, pins, strict=True):
            said = self._say(attempt, own, pin, now_micros, formed)
            if said is None:
                continue
            if said.is_test:
                formed.calls.append([said])
                continue
            if said.mapped.object_id:
                if said.mapped.object_id in objects:
                    formed.later.append(said)
                    continue
                objects.add(said.mapped.object_id)
            group, size = group_of(said), len(said.event) + 1
            call = calls.get(group, [])
            is_full = len(call) >= self._policy.batch_size
            if call and (is_full or sizes[group] + size > self._policy.request_bytes):
                formed.calls.append(call)
                call, sizes[group] = [], 0
            call.append(said)
            calls[group], sizes[group] = call, sizes.get(group, 0) + size
        formed.calls.extend(calls.values())
        for call in formed.calls:
            call.sort(key=lambda one: one.mapped.parent)
        return formed

    def _say(
        self,
        attempt: Attempt,
        ways: Sequence[tuple[ConversionRevised, PersonKeys]],
        pin: Pin | None,
        now_micros: int,
        formed: Formed,
    ) -> Attempt | None:
        """Returns an attempt with its event; None if it cannot be said, which `formed` then tells.

        Of the ways in which it may be told, as the one that repeats what was told first.
        """
        age_micros = now_micros - attempt.revised.state.conversion_time.ToMicroseconds()
        if not attempt.is_correction and age_micros > self._latest_micros:
            formed.refused.append(Refused(attempt, INELIGIBLE_REASON_TOO_OLD, self._too_old))
            return None
        known_as = attempt.known_as or KnownAs("")
        (told, keys), *others = ways
        try:
            outgoing = self._outgoing(attempt, told, known_as, keys, now_micros, pin)
            if attempt.operation == DELIVERY_OPERATION_RETRACT and self._has_nothing_to_say(outgoing):
                formed.refused.append(Refused(attempt, INELIGIBLE_REASON_UNSPECIFIED, _NOT_RETRACTED))
                return None
            mapped = self._adapter.event(outgoing)
            event = b"" if isinstance(mapped, Unmappable) else json_bytes(mapped.event)
        except Exception as error:  # a bug of ours: never what the error says, it may hold what was to be hashed
            log.error("conversion_not_said", destination=self._lane.destination, kind=type(error).__name__)
            why = f"Tributary failed: {type(error).__name__}; nothing was sent."
            formed.failed.append((attempt, Outcome(PERMANENT, message=why, is_untaken=True)))
            return None
        if isinstance(mapped, Unmappable) and others:
            return self._say(attempt, others, pin, now_micros, formed)
        if isinstance(mapped, Unmappable):
            is_left_out = attempt.lacks_keys and mapped.reason == INELIGIBLE_REASON_NO_MATCH_KEY
            why = "; ".join(filter(None, (mapped.message, _LEFT_OUT if is_left_out else "")))
            formed.refused.append(Refused(attempt, mapped.reason, why))
            return None
        if pin is not None and self._policy.repeats_identifiers and not pin.is_repeated_by(mapped):
            if others:
                return self._say(attempt, others, pin, now_micros, formed)
            formed.refused.append(Refused(attempt, INELIGIBLE_REASON_NO_MATCH_KEY, NOT_REPEATED))
            return None
        if self._settings.has_newest:
            mapped = replace(mapped, digests=self._naming.contact(mapped.object_id))
        if attempt.is_test:
            event = b""  # a trial is made of what was said
        else:
            mapped = replace(mapped, event={})  # what is in the event's bytes need not be kept twice
        known_as = replace(known_as, time_micros=mapped.time_micros)
        return replace(attempt, mapped=mapped, event=event, known_as=known_as)

    def _outgoing(
        self,
        attempt: Attempt,
        revised: ConversionRevised,
        known_as: KnownAs,
        keys: PersonKeys,
        now_micros: int,
        pin: Pin | None,
    ) -> Outgoing:
        pinned = pin.first if pin is not None else None
        amount_micros, currency = worth(attempt, revised)
        return Outgoing(
            revised=revised,
            operation=DELIVERY_OPERATION_CREATE if attempt.is_test else attempt.operation,
            name=known_as.name,
            visible_id=known_as.visible_id,
            amount_micros=amount_micros,
            currency=currency,
            keys=keys,
            permits=attempt.permits or Permits(UNSAID, UNSAID),
            click_ids=sent_click_ids(revised, pinned),
            now_micros=now_micros,
            time_micros=known_as.time_micros,
            pinned=pinned,
            home=self._home_of(self._lane.workspace),
        )

    def _ways(self, attempt: Attempt, pin: Pin | None) -> list[ConversionRevised]:
        """Returns the conversion as it may be told: as it was known first, without what its person did not want told.

        Where a correction must repeat by what a conversion was recognised, there may be others of which one does.
        """
        if pin is None or attempt.permits is None:
            return [attempt.revised if pin is None else pin.revised]
        ways = ways_to_repeat(pin.revised, attempt.permits.withheld_until_micros)
        return ways if self._policy.repeats_identifiers else ways[:1]

    def _has_nothing_to_say(self, retraction: Outgoing) -> bool:
        """Tells whether a retraction would change nothing there."""
        return self._policy.retracts_by_value and retraction.amount_micros is None

    @property
    def leads(self) -> LeadObjects | None:
        """Names the objects of leads; None: it is no CRM."""
        return self._naming.leads

    def visible_id(self, revised: ConversionRevised, *, with_store: bool = True) -> str:
        """Returns the id by which the destination knows a conversion that it is told of first."""
        return self._naming.visible_id(revised, with_store=with_store)


def _newest_last(attempt: Attempt) -> tuple[bool, int]:
    is_retraction = attempt.operation == DELIVERY_OPERATION_RETRACT
    return not is_retraction, attempt.revised.state.conversion_time.ToMicroseconds()


def group_of(attempt: Attempt) -> str:
    """Returns which request an attempt belongs into, where its destination has several."""
    return attempt.mapped.group if attempt.mapped is not None else ""
