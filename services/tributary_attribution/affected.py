"""Conversions that a batch of events may have changed: found in journeys, by time and by who a person is."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Final, NamedTuple

from tributary_attribution.arrivals import Arrival
from tributary_attribution.credit_settings import history_micros, slack_micros
from tributary_attribution.known import MAX_CAUSING_EVENTS, CausingEvent, Known
from tributary_attribution.memberships import is_related
from tributary_attribution.models import Models
from tributary_attribution.one_order import NO_ORDER, OneOrder
from tributary_attribution.pinned_settings import PinnedSettings
from tributary_attribution.rates import Rates
from tributary_domain.consent import DENIED
from tributary_domain.event_order import NEVER
from tributary_domain.lead_stages import StageStanding
from tributary_domain.revision import Cause
from tributary_domain.stand_ins import is_stand_in
from tributary_domain.ties import most_telling, telling
from tributary_domain.traces import NEEDED
from tributary_runtime.attribution_settings import AttributionSettings
from tributary_runtime.workspaces import Workspace
from tributary_storage.codec.conversion_parts import ConversionPart, unpack_parts
from tributary_storage.redis.conversions import StoredConversion, conversion_key
from tributary_storage.redis.firsts import FirstConversion
from tributary_storage.redis.journey_homes import SettledPerson
from tributary_storage.redis.journey_layout import Journey
from tributary_storage.redis.ties import Place


class Joined(NamedTuple):
    """An event as far as conversions want to know it."""

    time_micros: int
    """From when on it may change conversions."""
    event_hash: int
    causing: CausingEvent
    is_released: bool = False
    """Whether it was in quarantine until now."""


class Word(NamedTuple):
    """What an event says its person decided about consent."""

    arrival: Arrival
    is_news: bool
    """Whether nothing was credited under it before, as far as one can know: only then is it what changes anything."""


@dataclass(frozen=True, slots=True)
class Kin:
    """What others of its lead or subscription are to a conversion."""

    origin: Affected | None = None
    """Whose credit it has instead of its own path's."""
    is_lead: bool = False
    """Whether it is of a lead."""
    standing: StageStanding | None = None
    """Among the stages of its lead; None: it is of none, or no good."""
    superseded_by: str = ""
    """The id of the stage that counts in its place; empty: none does."""
    lead: tuple[str, ...] = ()
    """Ids of the others of its lead that are good: all have one place among other conversions, that of the earliest."""
    relatives: tuple[str, ...] = ()
    """Ids of the conversions that may change when it does."""
    order: OneOrder = NO_ORDER
    """What it is to the same order as somebody else told it."""

    @property
    def told(self) -> tuple[str, StageStanding | None, str, frozenset[object]]:
        """What of it another conversion may change."""
        credited = "" if self.origin is None else self.origin.conversion_id
        return credited, self.standing, self.superseded_by, self.order.told


NO_KIN: Final = Kin()


@dataclass(slots=True)
class Affected:
    """A conversion that the batch may have changed."""

    workspace: Workspace
    conversion_id: str
    stored: StoredConversion | None = None
    parts: list[ConversionPart] = field(default_factory=list)
    changes: list[ConversionPart] = field(default_factory=list)
    """Of what stands in for somebody: what changed its order, as far as others of that are changed by it."""
    journey: Journey | None = None
    has_journey: bool = False
    """Whether the journey was looked for."""
    causing: dict[str, CausingEvent] = field(default_factory=dict)
    """Some of the events, at least the first `MAX_CAUSING_EVENTS`."""
    arrived: set[int] = field(default_factory=set)
    """Hashes of the events."""
    released: set[int] = field(default_factory=set)
    """Hashes of those of them that were in quarantine until now."""
    known_causes: set[Cause] = field(default_factory=set)
    was_lost: bool = False
    """Whether Redis may know less of it than it did: ClickHouse was asked."""
    is_plain: bool = False
    """Whether it is what an order would be without its cycle: it may be adjusted though nobody observed it."""
    claim_micros: int = 0
    """When an observation of it was accepted whose claim was new then, and which was never read before; 0: none."""
    elsewhere: list[Journey] = field(default_factory=list)
    """Journeys of others, who may have been the same person."""
    askings: int = 0
    """Where it was deferred: how often that had been asked for when it was read."""
    retracted: frozenset[str] = frozenset()
    """Other conversions of its name that its person's journey has and that were taken back, or are another's, where its
    name does not count every one."""
    told_as: dict[str, str] = field(default_factory=dict)
    """Conversions that would end its path -> which they count as, where that is another or none (`path_ends`)."""
    ending_names: frozenset[str] = frozenset()
    """Names of conversions that may end its path, under any settings that it may be credited under."""
    first: FirstConversion | None = None
    """The first of its name and person, where one counts per person and the journey has forgotten it."""
    kin: Kin = NO_KIN
    """Whom it is related to, as far as that matters to it."""
    model_version: str = ""
    """The model of data_driven that it is moved to on purpose; empty: it keeps its own."""
    must_publish: bool = False
    """Whether what is published of it is to be published again even if nothing changed: somebody has lost it."""
    is_reattributed: bool = False
    """Whether it is credited under the settings of today on purpose, whatever it was credited under."""
    is_exact: bool = False
    """Whether its journey has to be whole for it, whatever is published: what is published may have been of less."""
    looks_back_micros: int = 0
    """How far before it a touch may change its credit, where that is further than under its workspace's settings."""
    tried: Sequence[AttributionSettings] = ()
    """Settings that somebody asks for it under."""
    since_micros: int = NEVER
    """From when on its journey has to be whole, where that is earlier than its window begins."""
    is_severed: bool = False
    """Whether its order counts already, as what is left of it: its person was erased, and somebody told it again."""
    is_replayed: bool = False
    """Whether all that is recorded of its person was brought to its journey once more."""
    recounts: bool = False
    """Whether its path is counted, though it was published before and is not: the count was lost with the store."""

    @property
    def key(self) -> str:
        """Returns what it is kept under."""
        return conversion_key(self.workspace.id, self.conversion_id)

    def take(self, stored: StoredConversion) -> None:
        """Takes what was read of it."""
        self.stored = stored
        self.parts = unpack_parts(stored.parts.values())
        if is_stand_in(self.conversion_id):
            self.changes = [part for part in self.parts if part.admitted.of_order]
            self.parts = [part for part in self.parts if not part.admitted.of_order]

    def known(
        self, models: Models | None = None, rates: Rates | None = None, pinned: PinnedSettings | None = None
    ) -> Known:
        """Returns all that was read of it, and of whose credit it has.

        Args:
            models: The models of data_driven; None: it is not credited.
            rates: The exchange rates; None: a conversion that has none yet is not converted.
            pinned: The settings that conversions were credited under; None: it is credited under those of today.
        """
        if self.stored is None:
            raise RuntimeError("a conversion is computed before it is read")
        origin, own = self.kin.origin, {part.event_hash for part in self.parts}
        return Known(
            workspace=self.workspace,
            conversion_id=self.conversion_id,
            stored=self.stored,
            parts=self.kin.order.with_adjustments(self.parts),
            journey=self.journey,
            causing=list(self.causing.values()),
            arrived=self.arrived,
            released=self.released,
            known_causes=self.known_causes,
            models=models,
            must_publish=self.must_publish,
            model_version=self.model_version,
            recounts=self.recounts,
            is_replayed=self.is_replayed,
            retracted=self.retracted,
            told_as=self.told_as,
            ending_names=self.ending_names,
            takes_place_of=frozenset((*self.kin.lead, *self.kin.order.takes_place_of)),
            first=self.first,
            elsewhere=self.elsewhere,
            pinned=pinned,
            is_reattributed=self.is_reattributed,
            rates=rates,
            origin=None if origin is None else origin.known(models, rates, pinned),
            is_lead=self.kin.is_lead,
            standing=self.kin.standing,
            superseded_by=self.kin.superseded_by,
            merged_into=self.kin.order.merged_into,
            merged_from=self.kin.order.merged_from,
            told_plainly=self.kin.order.observations,
            valued_plainly=self.kin.order.valued,
            changes=[part for part in self.kin.order.changes if part.event_hash not in own],
            is_one_order=self.kin.order.is_credited,
            is_severed=self.is_severed,
        )

    @property
    def is_related(self) -> bool:
        """Tells whether it is of a lead or a subscription, or would be how a lead began."""
        if self.stored is not None and self.stored.families:
            return True
        return any(part.is_observation and is_related(part.event.conversion) for part in self.parts)

    def became(self) -> tuple[object, ...]:
        """Returns what became of other conversions, as far as it matters to it, and to whose credit it has."""
        origin = self.kin.origin
        return self.retracted, dict(self.told_as), () if origin is None else origin.became()

    def journey_version(self) -> int:
        """Returns the newest journey that it is computed from: its person's, or that of whose credit it has.

        Of one that may have another's credit never below what was computed before: the other's journey may be older
        than the one that counted then. So the journey of these is read after what is published.
        """
        own = 0 if self.journey is None else self.journey.version
        noted = 0 if self.stored is None else self.stored.journey_version
        if not self.is_related:
            return own or noted
        origin = self.kin.origin
        return max(own, noted, 0 if origin is None else origin.journey_version())

    def take_over(self, other: Affected) -> None:
        """Takes what another conversion was asked for: it turned out to be this one."""
        self.causing |= other.causing
        self.arrived |= other.arrived
        self.released |= other.released

    def note(self, events: Sequence[Joined]) -> None:
        """Notes events that may have changed it; of many, the first in the order in which they were accepted."""
        self.arrived.update(event.event_hash for event in events)
        self.released.update(event.event_hash for event in events if event.is_released)
        if len(events) > MAX_CAUSING_EVENTS:
            events = nsmallest(MAX_CAUSING_EVENTS, events, key=lambda event: event.causing[:2])
        for event in events:
            self.causing.setdefault(event.causing.event_id, event.causing)

    def window_begin_micros(self) -> int:
        """Returns from when on a touch may earn credit for it: what is older is only told apart, never shown."""
        times = [part.event_time_micros for part in self.parts if part.is_observation]
        begin = min(times, default=0) - max(history_micros(self.workspace), self.looks_back_micros)
        return min(begin, self.since_micros)

    def place(self) -> Place | None:
        """Returns the identifier that it belongs to: the most telling of its observations, of several the first.

        None: nobody is named.
        """
        homes = [
            (telling(home)[0], part.event_time_micros, part.event_hash, home)
            for part in self.parts
            if part.is_observation and part.admitted.identity_tokens
            for home in [most_telling(part.admitted.identity_tokens)]
        ]
        return (self.workspace.id, min(homes)[3]) if homes else None

    def strays(self) -> list[Place]:
        """Returns the identifiers of its observations that are not its person's: it may have been another's before."""
        if self.journey is None:
            return []
        tokens = {token for part in self.parts if part.is_observation for token in part.admitted.identity_tokens}
        return [(self.workspace.id, token) for token in sorted(tokens - self.journey.tokens)]

    @property
    def was_observed_again(self) -> bool:
        """Tells whether an observation of it arrived that is not the only one: it may have been another's until now."""
        observed = [part.event_hash for part in self.parts if part.is_observation]
        return len(observed) > 1 and any(one in self.arrived for one in observed)

    def is_nobodys(self, journey: Journey | None) -> bool:
        """Tells whether a journey is not that of its person: it was found where an observation of it was seen."""
        place = self.place()
        return journey is not None and (place is None or place[1] not in journey.tokens)


def find_affected(
    affected: dict[str, Affected],
    workspace: Workspace,
    person: SettledPerson,
    events: Sequence[Arrival],
    linked: Sequence[Joined] = (),
    elsewhere: Sequence[Journey] = (),
    decided: Sequence[Word] = (),
) -> None:
    """Notes which conversions of a person the events may have changed.

    All that are not before an event: however old a touch is, it may tell why nobody earned a conversion, and its click
    id may be what a destination recognises the person by, which looks back further than credit does. Where who the
    person is has changed, all; where they decided about consent, those that are not before the decision.

    Args:
        affected: To be added to.
        workspace: Whose person it is.
        person: As the batch left them.
        events: Those of the batch that are theirs.
        linked: What changed who they are.
        elsewhere: Journeys of others, who may have been the same person.
        decided: What events said that the person consented to.
    """
    journey = person.journey
    is_other = person.is_merged or person.is_split
    added = sorted(
        (joined(event) for event in events if event.entry is not None or event.traces), key=lambda one: one.time_micros
    )
    times = [one.time_micros for one in added]
    slack = slack_micros(workspace)
    for conversion_id, observed in journey.conversions.items():
        key = conversion_key(workspace.id, conversion_id)
        causing = added[: bisect_right(times, max(observed) + slack)]
        words = [one for one in decided if decision_micros(one.arrival) <= max(observed) + slack]
        is_all = person.why == 2 or person.is_again or is_other
        if not is_all and not causing and not words and key not in affected:
            continue
        one = affected_at(affected, workspace, conversion_id)
        one.journey, one.has_journey = journey, True
        one.is_exact = one.is_exact or journey.is_recalled
        if person.is_merged:
            one.known_causes.add(Cause.IDENTITY_MERGE)
        if person.is_split:
            one.known_causes.add(Cause.IDENTITY_UNMERGE)
            one.elsewhere.extend(elsewhere)
        news = [arrival for arrival, is_news in words if is_news]
        if any(map(is_denial, news)):
            one.known_causes.add(Cause.CONSENT_WITHDRAWN)
        causing = [*causing, *(joined(arrival) for arrival in news if arrival.entry is None)]
        if is_other:
            causing = [*causing, *linked]
        elif person.why == 2 and not causing:
            causing = [joined(event) for event in events] if len(added) < len(events) else added
        one.note(causing)


def decision_micros(arrival: Arrival) -> int:
    """Returns when what an event says about consent was decided; the end of time: it says nothing."""
    return NEVER if arrival.decision is None else arrival.decision.time_micros


def is_denial(arrival: Arrival) -> bool:
    """Tells whether an event denies that its person is measured, or recognised by destinations."""
    decision = arrival.decision
    return decision is not None and any(decision.state_of(purpose) == DENIED for purpose in NEEDED)


def affected_at(affected: dict[str, Affected], workspace: Workspace, conversion_id: str) -> Affected:
    """Returns a conversion among those affected, after adding it if it is not there."""
    key = conversion_key(workspace.id, conversion_id)
    one = affected.get(key)
    if one is None:
        one = affected[key] = Affected(workspace, conversion_id)
    return one


def joined(arrival: Arrival) -> Joined:
    """Returns what conversions want to know of an event."""
    causing = CausingEvent(arrival.accept_time_micros, arrival.event_id, arrival.traceparent)
    return Joined(arrival.reach_micros, arrival.event_hash, causing, arrival.is_released)
