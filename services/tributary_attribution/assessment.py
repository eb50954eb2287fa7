"""A conversion's parts and its person's journey -> what it is and who shares it, whatever is published.

Pure: no store is asked and no clock is read, so the answer depends on what is known and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary.attribution.v1.credit_pb2 import TouchSource
from tributary_attribution.counting import has_earlier, status_of
from tributary_attribution.credit_settings import core_settings, declared_for
from tributary_attribution.known import Known
from tributary_attribution.pinned_values import default_value, value_basis
from tributary_attribution.views import Views, as_passed_over, kept_for_ids
from tributary_domain import conversion as domain
from tributary_domain.attribution import Attribution, attribute, kept
from tributary_domain.conversion import ConversionStatus, conversion_facts, in_lead, in_order, told_again
from tributary_domain.data_driven import without_data_driven
from tributary_domain.event_order import OrderKey
from tributary_domain.inheritance import inherit
from tributary_domain.journey import JourneyTouch, path_start
from tributary_domain.revision import Cause
from tributary_domain.settings import AttributionSettings
from tributary_domain.stand_ins import is_stand_in
from tributary_domain.windows import CreditableConversion, is_whole
from tributary_storage.clickhouse.names import micros
from tributary_storage.codec.conversion_revisions import PublishedConversion
from tributary_storage.redis.descriptors import digest_of
from tributary_storage.redis.journey_layout import Journey

AHEAD_MICROS: Final = 5 * 60 * 1_000_000
"""How far ahead of the clock an event may be."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a conversion is, who shares it, and all that this was computed from."""

    facts: domain.ConversionFacts
    published: PublishedConversion | None
    """What is published of it."""
    settings: AttributionSettings
    conversion: CreditableConversion
    entries: Sequence[JourneyTouch]
    """Of the journey, as it sees it, in event order."""
    settled: Sequence[JourneyTouch]
    """Touches of before that the journey has forgotten."""
    passed_over: Sequence[JourneyTouch]
    """What is left of a journey that has lost too much: as it sees it, and none of `entries`."""
    sees_internal: bool
    """Whether it sees internal and test traffic: it is such itself."""
    attribution: Attribution
    """Its credit: computed, or as published as far as forgetting alone would change it."""
    is_trimmed: bool
    """Whether the journey has lost what an exact answer needs."""
    path: Sequence[JourneyTouch]
    """The touches of data_driven's window, oldest first."""
    source_of: Callable[[int], TouchSource | None]
    """Descriptor -> source."""
    origin: Assessment | None = None
    """Of whose credit it has instead of its own path's: settings, conversion, entries and path are those of it."""


def assess(
    known: Known,
    views: Views,
    journey_life_seconds: int,
    settings: AttributionSettings | None = None,
) -> Assessment | None:
    """Computes what a conversion is now, whatever is published.

    Args:
        known: All that is known of it.
        views: Knows how it sees the journey.
        journey_life_seconds: How long a journey lives after its last event.
        settings: To credit it under; None: those that it was credited under, or, if it never was or is credited anew
            on purpose, those that are effective at its time.

    Returns:
        None where only adjustments are known so far.
    """
    workspace, parts, journey = known.workspace, known.parts, known.journey
    published = PublishedConversion(known.stored.published) if known.stored.published else None
    before = None if published is None else published.state
    name = next((part.event.conversion.name for part in parts if part.is_observation), "")
    state = conversion_facts(
        [part.observation() for part in parts if part.is_observation],
        [part.adjustment() for part in parts if not part.is_observation],
        default_value(workspace, name, before),
        value_basis(workspace, name, before),
        [part.observation() for part in known.valued_plainly],
    )
    anchor = state.anchor
    if anchor is None:
        return None
    state = in_order(in_lead(state, known.standing), is_merged=known.merged_into is not None)
    state = told_again(state, is_severed=known.is_severed)
    time = state.conversion_time_micros
    origin = None if known.origin is None else assess(known.origin, views, journey_life_seconds, settings)

    def known_source(descriptor: int) -> TouchSource | None:
        found = views.source_of(workspace.id, descriptor)
        if found is None and published is not None:
            found = published.sources.get(descriptor)
        return found if found is not None or origin is None else origin.source_of(descriptor)

    settings = settings or _settings(known, before, time)
    sees_internal = state.status is ConversionStatus.UNCOUNTED
    view = views.of(workspace.id, journey, settings, sees_internal=sees_internal)
    entries = view.entries
    counts = status_of(
        workspace,
        known.conversion_id,
        state,
        name,
        journey,
        entries,
        settings,
        known.retracted,
        known.takes_place_of,
        before,
        known.first,
        is_whole=has_earlier(known.elsewhere, name, anchor.order_key)
        or _is_whole(journey, settings, time, journey_life_seconds, known.stored.redis_time_micros),
    )
    if counts is not state.status:
        state = replace(state, status=counts)
    if origin is not None:
        path: list[JourneyTouch] = []
        conversion, attribution = inherit(
            origin.conversion,
            origin.attribution,
            state.amount_micros or 0,
            origin.entries,
            origin.settings,
            origin.settled,
            path,
        )
        return Assessment(
            facts=state,
            published=published,
            settings=origin.settings,
            conversion=conversion,
            entries=origin.entries,
            settled=origin.settled,
            passed_over=origin.passed_over,
            sees_internal=sees_internal,
            attribution=attribution,
            is_trimmed=origin.is_trimmed,
            path=path,
            source_of=known_source,
            origin=origin,
        )
    is_less = is_incomplete(journey, settings, time, journey_life_seconds, known.stored.redis_time_micros)
    # What was lost of a window that is not whole any more may as well have been in it, or after the conversion.
    has_earlier_touch = journey is not None and journey.has_lost_touches and (published is None or not is_less)
    is_trimmed = journey is not None and not is_whole(entries, time, settings, journey.trimmed_until_micros)
    start = None
    if settings.path_reset_names:
        earned = _earned(known, published) if is_less or is_trimmed else None
        start = _path_start(known, entries, anchor.order_key, settings, earned)
    conversion = _creditable(known.conversion_id, state, has_earlier_touch=has_earlier_touch, start=start)
    settled: Sequence[JourneyTouch] = ()
    path = []
    if published is None or published.state.HasField("inherited_from"):
        attribution = attribute(entries, conversion, settings, path=path)
    else:
        others = {entry[:2] for other in known.elsewhere for entry in other.entries} - view.held
        forgotten = [touch for touch in published.touches if touch[:2] not in others]
        if is_trimmed:  # what is left tells less than what was published: nothing is earned anew from it
            entries = ()
        elif journey is not None and journey.is_recalled and not is_less:
            forgotten = []
        else:
            forgotten = [touch for touch in forgotten if touch[:2] not in view.held]
            if journey is not None and is_less and Cause.RECONCILIATION not in known.known_causes:
                since = complete_since_micros(journey, journey_life_seconds, known.stored.redis_time_micros)
                entries = kept_for_ids(entries, since, {touch[1] for touch in published.touches}.union(known.arrived))
        has_lost = bool(forgotten) or is_trimmed or is_less
        settled = as_passed_over(forgotten, settings, known_source)
        computed = attribute(entries, conversion, settings, settled, path)
        # Where nothing is lost, what was published may have been said of touches that are somebody else's now.
        attribution = _keep(published, computed, conversion, has_forgotten=bool(forgotten)) if has_lost else computed
    return Assessment(
        facts=state,
        published=published,
        settings=settings,
        conversion=conversion,
        entries=entries,
        settled=settled,
        passed_over=() if entries else view.entries,
        sees_internal=sees_internal,
        attribution=attribution,
        is_trimmed=is_trimmed,
        path=path,
        source_of=known_source,
    )


def _is_whole(
    journey: Journey | None,
    settings: AttributionSettings,
    conversion_time_micros: int,
    journey_life_seconds: int,
    now_micros: int,
) -> bool:
    """Tells whether a journey holds all that ever was in a window."""
    return (
        journey is not None
        and not journey.trimmed_until_micros
        and not is_incomplete(journey, settings, conversion_time_micros, journey_life_seconds, now_micros)
    )


def _settings(known: Known, before: ConversionState | None, time_micros: int) -> AttributionSettings:
    """Returns the settings that it is credited under: those it was, unless its time is that of others now."""
    workspace = known.workspace
    declared = declared_for(workspace, time_micros)
    if before is None or known.pinned is None or known.is_reattributed:
        return core_settings(declared)
    has_others = len(workspace.attribution) > 1
    if has_others and declared_for(workspace, micros(before.conversion_time)) is not declared:
        return core_settings(declared)  # settings are chosen by conversion time, and that was corrected
    version = before.settings_version
    return core_settings((known.pinned.of(workspace, version) if version else None) or declared)


def _keep(
    published: PublishedConversion, computed: Attribution, conversion: CreditableConversion, *, has_forgotten: bool
) -> Attribution:
    """Returns the credit of a conversion that was published before, whatever of its journey is forgotten."""
    if published.touches and not has_forgotten:
        return computed  # all that earned is still there
    before, start = published.snapshot, conversion.path_start
    place = conversion.event_time_micros, conversion.event_hash
    is_moved = (before.conversion_time_micros, before.event_hash) != place
    is_reset = start is not None and any(touch[:2] <= start for touch in published.touches)
    return kept(
        without_data_driven(published.attribution),
        computed,
        is_anonymous=conversion.is_anonymous,
        is_moved=is_moved or is_reset,
    )


def _creditable(
    conversion_id: str, state: domain.ConversionFacts, *, has_earlier_touch: bool, start: OrderKey | None
) -> CreditableConversion:
    anchor = state.anchor
    if anchor is None:
        raise ValueError("a conversion that nobody observed earns nobody anything")
    return CreditableConversion(
        event_time_micros=anchor.event_time_micros,
        event_hash=anchor.event_hash,
        amount_micros=state.amount_micros or 0,
        session=state.session,
        # What stands in for a conversion was somebody's: those who have its credit are told as before.
        is_anonymous=not state.identifiers and not is_stand_in(conversion_id),
        has_earlier_touch=has_earlier_touch,
        path_start=start,
    )


def _earned(known: Known, published: PublishedConversion | None) -> OrderKey | None:
    """Returns the earliest touch that what is published was credited to, unless it is credited anew on purpose."""
    if published is None or published.state.HasField("inherited_from"):
        return None
    if known.is_reattributed or known.is_replayed:  # what it lacks after a loss is not known: credit stays
        return None
    return min((touch[:2] for touch in published.touches), default=None)


def _path_start(
    known: Known,
    entries: Sequence[JourneyTouch],
    place: OrderKey,
    settings: AttributionSettings,
    earned: OrderKey | None,
) -> OrderKey | None:
    journey = known.journey
    if journey is None:
        return None
    return path_start(
        entries,
        place,
        {digest_of(name.encode()) for name in settings.path_reset_names},
        settings.history_micros,
        journey.orders,
        journey.internal,
        earned,
        known.arrived,
        {name: counted if counted != known.conversion_id else "" for name, counted in known.told_as.items()},
    )


def is_incomplete(
    journey: Journey | None,
    settings: AttributionSettings,
    conversion_time_micros: int,
    journey_life_seconds: int,
    now_micros: int,
) -> bool:
    """Tells whether Redis may have forgotten touches of the window: then those that earned credit before still do."""
    if journey is None:
        return True
    since = complete_since_micros(journey, journey_life_seconds, now_micros)
    return conversion_time_micros - settings.history_micros < since


def complete_since_micros(journey: Journey, journey_life_seconds: int, now_micros: int) -> int:
    """Returns from when on a journey is whole.

    That is what it says itself; and where one of its identifiers has none, had anything come under it within the life
    of a journey, it would have one.
    """
    since = max(journey.since_micros, journey.trimmed_until_micros)
    return max(since, now_micros - journey_life_seconds * 1_000_000 + AHEAD_MICROS) if journey.is_bare else since
