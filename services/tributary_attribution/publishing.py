"""Conversions that may have changed -> revisions, published and told: computed until nothing moves any more.

ClickHouse before the conversion log, and only then is the mark of a revision taken away: whoever meets the mark of a
run that stopped finishes it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from tributary.attribution.v1.conversion_pb2 import RevisionCause
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.affected import Affected
from tributary_attribution.assessment import Assessment, assess
from tributary_attribution.credit_settings import conversion_life_seconds, journey_life_seconds
from tributary_attribution.crediting import Revision, revise
from tributary_attribution.families import Families
from tributary_attribution.known import Known
from tributary_attribution.last_revisions import LastRow, as_last_published
from tributary_attribution.models import Models, UnknownModelError
from tributary_attribution.pinned_settings import PinnedSettings, UnknownSettingsError
from tributary_attribution.rates import Rates, UnknownRatesError
from tributary_attribution.relatives import heirs, relatives
from tributary_attribution.restoration import Restoration
from tributary_attribution.rivalry import Rivals, successors
from tributary_attribution.severed_orders import SeveredOrders
from tributary_attribution.steps import let_others_run, together
from tributary_attribution.unpublished import Told, Unpublished, unpublished
from tributary_attribution.views import Views
from tributary_domain.journey import TouchKind
from tributary_domain.revision import Cause
from tributary_domain.settings import AttributionSettings
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.errors import Backpressure, PoisonEvent
from tributary_storage.clickhouse.exchange_rates import RatesDay
from tributary_storage.codec.touch_sources import SourceCache
from tributary_storage.redis.click_ids import ClickIds
from tributary_storage.redis.conversions import Conversions, LostConversion, Publication
from tributary_storage.redis.descriptors import Descriptors
from tributary_storage.redis.people import People
from tributary_storage.redis.person_paths import PersonPaths
from tributary_storage.redis.ties import Place

_ATTEMPTS: Final = 10
"""How often a conversion that moved is computed again before the batch waits."""

_CAUSES: Final = {RevisionCause.Value(f"REVISION_CAUSE_{cause.name}"): cause for cause in Cause}


class Writer(Protocol):
    """Where revisions are stored before anybody is told."""

    async def write(self, revisions: Iterable[Told]) -> None:
        """Returns when all are stored; may run twice.

        Raises:
            StorageUnavailableError: Some may be stored; the same are written again.
        """
        ...


class Past(Protocol):
    """What knows more of journeys than Redis. Both may raise `Backpressure` and `StorageUnavailableError`."""

    async def recall_windows(self, affected: Sequence[Affected], begins: Sequence[int]) -> None:
        """Makes the journeys of conversions whole from where their windows begin, where that matters."""
        ...

    async def find_others(self, affected: Sequence[Affected]) -> None:
        """Finds the journeys of others who may have had conversions until now; conversions take them as `elsewhere`."""
        ...


class Publisher:
    """Computes and publishes conversions. Every method may run twice, and at once in several processes.

    Args:
        people: Finds journeys.
        conversions: Keeps parts and published states.
        descriptors: Keeps the texts of sources.
        click_ids: Keeps the texts of click ids.
        writer: Stores revisions.
        restoration: Restores what Redis has lost of conversions.
        paths: Is told whose path may have changed.
        models: Knows the models of data_driven.
        rates: Knows exchange rates.
        families: Relates stages of leads and cycles of subscriptions.
        pinned: Knows the settings that conversions were credited under.
        past: Knows what journeys have forgotten.
        severed: Knows which orders count as what is left of them.
        clock: Measures.
    """

    def __init__(
        self,
        people: People,
        conversions: Conversions,
        descriptors: Descriptors,
        click_ids: ClickIds,
        writer: Writer,
        restoration: Restoration,
        paths: PersonPaths,
        models: Models,
        rates: Rates,
        families: Families,
        pinned: PinnedSettings,
        past: Past,
        severed: SeveredOrders,
        clock: Clock,
    ) -> None:
        self._people = people
        self._conversions = conversions
        self._descriptors = descriptors
        self._click_ids = click_ids
        self._writer = writer
        self._restoration = restoration
        self._paths = paths
        self._models = models
        self._rates = rates
        self._families = families
        self._pinned = pinned
        self._past = past
        self._clock = clock
        self._severed = severed
        self._rivals = Rivals(people, conversions, families, severed, restoration, pinned)
        self._sources = SourceCache()

    async def publish(
        self, affected: Sequence[Affected], pause: Callable[[], Awaitable[None]] = let_others_run
    ) -> list[Unpublished]:
        """Computes and publishes until nothing moves any more; returns all that is not published everywhere yet.

        Args:
            affected: Of those that nobody has read yet, parts and journey are read.
            pause: Is waited for after each conversion.

        Raises:
            Backpressure: Conversions moved again and again while they were computed.
            StorageUnavailableError: A store does not answer.
            PoisonEvent: A source that may earn credit has lost its text: nothing may be published without it.
        """
        revisions: list[Unpublished] = []
        pending = list(affected)
        known = {one.key for one in pending}
        for _ in range(_ATTEMPTS):
            views = await self.read(pending)
            while more := [*relatives(pending, known), *successors(pending, known)]:
                pending += more
                views = await self.read(pending)
            pending = [one for one in pending if one.parts]
            if not pending:
                return revisions
            computed = await self._computed(pending, views, pause)
            answers = await self._conversions.publish([publication for publication, _ in computed])
            moved = []
            for one, (publication, revision), holds in zip(pending, computed, answers, strict=True):
                if not holds:
                    one.stored, one.has_journey = None, False
                    moved.append(one)
                    continue
                revisions += unpublished(one, publication.stored, revision)
            moved += heirs(pending, moved)
            moved += await self._overtaken([one for one in pending if one.stored is not None])
            if moved:
                metrics.PUBLISH_CONFLICTS.add(len(moved))
            pending = moved
        raise Backpressure("Conversions moved while they were computed.", pause_seconds=0.2)

    async def computed(self, one: Affected, views: Views) -> tuple[Publication, ConversionRevised | None]:
        """Computes a conversion; reads the model that it pins, and the rates of its day, if they are not known.

        Raises:
            StorageUnavailableError: They cannot be read.
        """
        [(publication, revision)] = await self._computed([one], views, let_others_run)
        return publication, None if revision is None else revision.message

    async def _computed(
        self, pending: Sequence[Affected], views: Views, pause: Callable[[], Awaitable[None]]
    ) -> list[tuple[Publication, Revision | None]]:
        """Does so of many, in order: the rates that they lack are asked for all at once."""
        computed: dict[int, tuple[Publication, Revision | None]] = {}
        while len(computed) < len(pending):
            days: set[RatesDay] = set()
            for at, one in enumerate(pending):
                if at not in computed:
                    try:
                        computed[at] = _compute(one, views, self._models, self._rates, self._pinned)
                    except UnknownModelError as unknown:
                        await self._models.load(one.workspace.id, unknown.version)
                    except UnknownSettingsError as unknown:
                        await self._pinned.load(one.workspace, unknown.version)
                    except UnknownRatesError as unknown:
                        days.add(unknown.day)
                    await pause()
            if days:
                await self._rates.load(days)
        return [computed[at] for at in range(len(pending))]

    async def give_back(self, affected: Sequence[Affected], rows: Mapping[str, LastRow]) -> list[Affected]:
        """Gives the state store back what was published last of conversions of which nobody has more than its row.

        Args:
            affected: The conversions, their parts read; they are to be read anew afterwards.
            rows: The rows, by conversion id.

        Returns:
            Those that may be published: others would be taken for new ones, by destinations, too, for their events tell
            otherwise than the row, and nobody has anything older of them.

        Raises:
            StorageUnavailableError: A store does not answer.
            PoisonEvent: As for `publish`.
        """
        views = await self.read(affected)
        for one in affected:
            one.must_publish = True  # so that it is computed, though nothing changes
        some = [one for one in affected if one.parts]
        last: dict[str, LostConversion] = {}
        left: set[str] = set()
        for one, (publication, revision) in zip(some, await self._computed(some, views, let_others_run), strict=True):
            if revision is not None and not publication.stored.pending:
                said = as_last_published(rows[one.conversion_id], revision.message)
                if said is None and not publication.stored.published:
                    left.add(one.key)
                elif said is not None:
                    last[one.key] = LostConversion(said.revision, said.SerializeToString(deterministic=True), {})
        await self._conversions.restore(last, conversion_life_seconds(one.workspace for one in affected))
        for one in affected:
            one.stored, one.has_journey, one.must_publish = None, False, False
        return [one for one in affected if one.key not in left]

    async def assessed(
        self, one: Affected, views: Views, models: Models, settings: AttributionSettings | None = None
    ) -> tuple[Known, Assessment | None]:
        """Returns what is known of a conversion, and what it would be published as; arguments as of `assess`.

        Raises:
            StorageUnavailableError: The settings that it was credited under cannot be read.
        """
        known = one.known(models, pinned=self._pinned)
        while True:
            try:
                return known, assess(known, views, journey_life_seconds([one.workspace]), settings)
            except UnknownSettingsError as unknown:
                await self._pinned.load(one.workspace, unknown.version)

    async def tell(self, revisions: Sequence[Unpublished], seen: Iterable[Place] = ()) -> None:
        """Stores revisions, tells the conversion log, takes their marks away: in this order.

        Whose path may be another now is marked beside, before a revision is told: a run that stopped is repeated.

        Args:
            revisions: What `publish` returned.
            seen: Identifiers whose person may have another path, whatever was published.

        Raises:
            StorageUnavailableError: A store does not answer; what it lacks stays marked.
        """
        people = dict.fromkeys(seen)  # and whose conversion began or ceased to count, for he led nowhere or does now
        people.update((one.place, None) for one in revisions if one.place and one.revised.counted_delta)
        people.update((other, None) for one in revisions for other in one.others)
        if not revisions:
            await self._paths.mark(people)
            return
        told = [(one.revised, one.content, one.credit) for one in revisions]
        await together(self._writer.write(told), self._paths.mark(people))
        await self._conversions.emit([(one.key, one.revised.revision) for one in revisions])
        now = self._clock.unix_micros()
        for revised, _, _ in told:
            if revised.HasField("cause_accept_time"):
                accepted = revised.cause_accept_time
                age = (now - accepted.seconds * 1_000_000 - accepted.nanos // 1_000) / 1e6
                metrics.EVENT_TO_CREDIT.record(max(0.0, age))
            if not revised.previous_revision:
                metrics.CONVERSIONS.add(1)
            for cause in revised.causes:
                metrics.REVISIONS.add(1, cause=_CAUSES[cause])

    async def read(self, affected: Sequence[Affected], *, may_lack_sources: bool = False) -> Views:
        """Reads what is not known yet of conversions: parts first, then journeys, then the texts of sources and clicks.

        Args:
            affected: Take what is read.
            may_lack_sources: Whether a source that has lost its text is left out: for who only asks.

        Returns:
            How they see their journeys.

        Raises:
            StorageUnavailableError: A store does not answer.
            PoisonEvent: As for `publish`.
        """
        unread = {one.key: one for one in affected if one.stored is None}
        if unread:
            read = await self._conversions.observe({key: {} for key in unread}, 0)
            for key, stored in read.items():
                unread[key].take(stored)
        await self._restoration.restore(affected)
        await self._severed.note(affected)
        everybody = [*affected, *await self._families.relate(affected)]
        lost = [one for one in everybody if not one.has_journey or one.is_related or one.is_nobodys(one.journey)]
        found = await self._people.find_each([one.place() for one in lost])
        for one, journey in zip(lost, found, strict=True):
            one.journey, one.has_journey = journey, True
        windows = [one.window_begin_micros() for one in everybody]
        await self._past.recall_windows(everybody, windows)
        await self._past.find_others(everybody)
        await self._rivals.read(affected)
        begins: dict[int, tuple[Affected, int]] = {}  # journey -> one who sees it, and from when on all who do
        for one, begin in zip(everybody, windows, strict=True):
            if one.journey is not None:
                known = begins.get(id(one.journey))
                begins[id(one.journey)] = one, begin if known is None else min(begin, known[1])
        sources: set[tuple[str, int]] = set()
        needed: set[tuple[str, int]] = set()
        clicks: set[tuple[str, int]] = set()
        for one, begin in begins.values():
            workspace_id = one.workspace.id
            for entry in () if one.journey is None else one.journey.entries:
                if entry.kind != TouchKind.CONVERSION:
                    (needed if entry.event_time_micros >= begin else sources).add((workspace_id, entry.descriptor))
                    if entry.click:
                        clicks.add((workspace_id, entry.click))
            clicks.update(
                (workspace_id, entry.click) for other in one.elsewhere for entry in other.entries if entry.click
            )
        life_seconds = conversion_life_seconds(one.workspace for one in affected)
        texts = await self._descriptors.read(sources | needed, life_seconds)
        if not may_lack_sources and any(place[1] and place not in texts for place in needed):
            # No outage: it would hold up every other workspace for ever. The worker finds the events it concerns.
            raise PoisonEvent("SOURCE_TEXT_LOST", "The state store has lost the text of a source that a journey has.")
        ids = await self._click_ids.read(clicks)
        return Views(self._sources.reading(texts), lambda workspace, number: ids.get((workspace, number)))

    async def _overtaken(self, published: Sequence[Affected]) -> list[Affected]:
        """Returns those for whose sake another conversion was taken back, or not any more, while they were published.

        Likewise those of whose lead or subscription another conversion became known. Whoever takes it back, or brings
        it, writes that first and then looks at them; they are published first and look again here:
        one of the two sees both.
        """
        before = [(one, one.became()) for one in published]
        await self._rivals.read(published)
        overtaken = [one for one, became in before if one.became() != became]
        moved = {one.key for one in overtaken}
        overtaken += await self._families.overtaken([one for one in published if one.key not in moved])
        for one in overtaken:
            one.stored, one.has_journey = None, False
        return overtaken


def _compute(
    one: Affected, views: Views, models: Models, rates: Rates, pinned: PinnedSettings
) -> tuple[Publication, Revision | None]:
    known = one.known(models, rates, pinned)
    stored = known.stored
    counted: list[bytes] = []
    revision = revise(known, views, journey_life_seconds([one.workspace]), counted)
    version = one.journey_version()
    path = counted[0] if counted else b""
    if revision is None:
        return Publication(stored, version, counted=path), None
    return Publication(stored, version, revision.said.revision, revision.content, revision.state, path), revision
