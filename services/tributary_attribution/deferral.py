"""What busy people's events ask for beyond what a batch may cost: done beside the batches of others, and not at once.

A batch credits as many conversions of one person as fit into its share, of many busy people as many as fit into some
shares, and notes the others before its events are acknowledged. Here they are credited, from what is known when their
turn comes: however many events asked, once.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import structlog

from tributary.attribution.v1.conversion_pb2 import RevisionCause
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.affected import Affected
from tributary_attribution.credit_settings import conversion_life_seconds
from tributary_attribution.known import MAX_CAUSING_EVENTS, CausingEvent
from tributary_attribution.publishing import Publisher
from tributary_attribution.steps import let_others_run
from tributary_domain.event_order import event_hash
from tributary_domain.revision import Cause
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.errors import PoisonEvent, TributaryError, WorkerDecision
from tributary_runtime.workspace_lookup import WorkspaceLookup
from tributary_storage.clickhouse.names import micros, timestamp
from tributary_storage.codec.conversion_revisions import PublishedConversion
from tributary_storage.redis.conversions import Conversions
from tributary_storage.redis.deferred import DeferredConversions

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 16
"""Conversions of one shard that are read, published and told together."""
_LEASE_SECONDS: Final = 60
_REST: Final = 2.0
"""How much longer it rests after a conversion than the conversion took: so that it takes a third of the process."""
_LOOK_SECONDS: Final = 1.0
"""How often it looks whether anything waits."""

SHARE: Final = 20_000
"""Entries of one person's journey that a batch looks at, each as often as a conversion that looks at it."""
_SHARES: Final = 10
"""How many such shares a batch has for all people together; the first conversion of each does not ask for one."""
_AT_LEAST: Final = 50
"""What a conversion costs without any entry, in entries."""


class Deferral:
    """Defers conversions, and credits them later: a loop.

    Args:
        deferred: Keeps what waits.
        conversions: Keeps why.
        publisher: Credits.
        lookup: Knows the workspaces.
        clock: Measures.
        share: How much of one person's journey a batch looks at.
    """

    name = "deferral"

    def __init__(
        self,
        deferred: DeferredConversions,
        conversions: Conversions,
        publisher: Publisher,
        lookup: WorkspaceLookup,
        clock: Clock,
        share: int = SHARE,
    ) -> None:
        self._share = share
        self._deferred = deferred
        self._conversions = conversions
        self._publisher = publisher
        self._lookup = lookup
        self._clock = clock

    def divide(self, affected: Iterable[Affected]) -> tuple[list[Affected], list[Affected]]:
        """Returns the conversions that a batch credits itself, and those that have to wait: too many of busy people.

        Args:
            affected: What the batch observed first.
        """
        now: list[Affected] = []
        later: list[Affected] = []
        done: dict[int, int] = defaultdict(int)
        in_all = 0
        for one in affected:
            if one.journey is not None and not one.elsewhere:  # what others have now is known to this batch only
                work = len(one.journey.entries) + _AT_LEAST
                own = done[id(one.journey)]
                if own and (own + work > self._share or in_all + work > self._share * _SHARES):
                    later.append(one)
                    continue
                done[id(one.journey)] += work
                in_all += work
            now.append(one)
        return now, later

    async def defer(self, later: Sequence[Affected], since_micros: int) -> None:
        """Notes conversions that have to wait; durable on return.

        Args:
            later: Of `divide`.
            since_micros: When the oldest event of the batch was accepted.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        if later:
            life_seconds = conversion_life_seconds(one.workspace for one in later)
            await self._deferred.defer({one.key: _why(one) for one in later}, life_seconds, since_micros)
            metrics.DEFERRED_CONVERSIONS.add(len(later))

    async def run(self, stop: asyncio.Event) -> None:
        """Credits what waits until stopped; an outage is for the next time."""
        while not stop.is_set():
            taken = 0
            try:
                taken = await self._some(_Rest(self._clock))
            except (TributaryError, WorkerDecision) as failure:
                log.warning("deferral_failed", reason=str(failure))
            if not taken:
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await stop.wait()
                except TimeoutError:
                    continue

    async def work_off(self) -> int:
        """Credits all that waits, without a rest; returns how many conversions."""
        done = 0
        while taken := await self._some(let_others_run):
            done += taken
        return done

    async def _some(self, pause: Callable[[], Awaitable[None]]) -> int:
        """Credits some conversions; returns how many were taken."""
        keys = await self._deferred.take(_AT_ONCE, _LEASE_SECONDS)
        if not keys:
            return 0
        waiting = await self._read(keys)
        try:
            revisions = await self._publisher.publish(waiting, pause)
        except PoisonEvent:
            revisions = []
            for one in waiting:
                try:
                    revisions += await self._publisher.publish([one], pause)
                except PoisonEvent as poison:  # its events were acknowledged: only a reconciliation can repair it
                    log.error("deferred_conversion_given_up", conversion=one.key, reason=poison.reason)
        await self._publisher.tell(revisions)
        await self._deferred.finish({one.key: one.askings for one in waiting})
        return len(keys)

    async def _read(self, keys: Sequence[str]) -> list[Affected]:
        """Returns conversions that wait, with what is kept of why; those of unknown workspaces wait on."""
        places = {key: key.partition("|") for key in keys}
        workspaces = await self._lookup.find({workspace for workspace, _, _ in places.values()})
        waiting: list[Affected] = []
        for key, stored in (await self._conversions.observe({key: {} for key in keys}, 0)).items():
            workspace = workspaces.get(places[key][0])
            if workspace is None:
                continue
            one = Affected(workspace, places[key][2])
            one.take(stored)
            one.askings = stored.askings
            _remember(one, stored.causes)
            one.is_exact = Cause.EXCHANGE_RATE not in one.known_causes
            waiting.append(one)
        return waiting


class _Rest:
    """Rests after each conversion, in proportion to how long it took."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = clock.monotonic_seconds()

    async def __call__(self) -> None:
        await asyncio.sleep(_REST * (self._clock.monotonic_seconds() - self._since))
        self._since = self._clock.monotonic_seconds()


def _why(one: Affected) -> bytes:
    """Returns why a conversion has to be credited again: a revision without a state."""
    events = sorted(one.causing.values())
    causes = one.known_causes | ({Cause.QUARANTINE_RELEASE} if one.released else set())
    why = ConversionRevised(
        causes=[RevisionCause.Value(f"REVISION_CAUSE_{cause.name}") for cause in causes],
        causing_event_ids=[event.event_id for event in events[:MAX_CAUSING_EVENTS]],
        traceparent=next((event.traceparent for event in events if event.traceparent), ""),
    )
    if events:
        why.cause_accept_time.CopyFrom(timestamp(events[0].accept_time_micros))
    return why.SerializeToString(deterministic=True)


def _remember(one: Affected, causes: bytes) -> None:
    """Gives a conversion back why it waits."""
    why = ConversionRevised.FromString(causes)
    one.known_causes |= {Cause[RevisionCause.Name(cause).removeprefix("REVISION_CAUSE_")] for cause in why.causes}
    accepted = micros(why.cause_accept_time)
    for event_id in why.causing_event_ids:
        one.causing[event_id] = CausingEvent(accepted, event_id, why.traceparent)
        one.arrived.add(event_hash(event_id))
    if len(why.causing_event_ids) >= MAX_CAUSING_EVENTS or one.askings > 1:  # not all that arrived are named
        shown = _shown(one)
        one.arrived.update(part.event_hash for part in one.parts if part.event.event_id not in shown)
    if Cause.QUARANTINE_RELEASE in one.known_causes:  # which of them it was is not kept
        one.known_causes.remove(Cause.QUARANTINE_RELEASE)
        one.released |= one.arrived


def _shown(one: Affected) -> set[str]:
    """Returns the events that say something of a conversion and that its published state shows."""
    if one.stored is None or not one.stored.published:
        return set()
    state = PublishedConversion(one.stored.published).state
    return {*state.observation_event_ids, *(adjustment.event_id for adjustment in state.adjustments)}
