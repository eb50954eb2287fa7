"""What becomes of a conversion for the sake of others of its person: reads what became of these.

Of one name not every one may count: which they are says the journey (`counting`), and of what it has forgotten how the
person began (`firsts`). Others end the path of a conversion (`path_ends`).
"""

from __future__ import annotations

from collections.abc import Sequence

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.affected import Affected
from tributary_attribution.counting import counts_once, forgotten_first, rivals
from tributary_attribution.credit_settings import core_settings, history_micros
from tributary_attribution.families import Families
from tributary_attribution.path_ends import credited_at, later_ones, path_ends, told_as
from tributary_attribution.pinned_settings import PinnedSettings, UnknownSettingsError
from tributary_attribution.restoration import Restoration
from tributary_attribution.severed_orders import SeveredOrders
from tributary_attribution.taken_back import is_taken_back, moves_rivals
from tributary_runtime.attribution_settings import AttributionSettings
from tributary_storage.redis.conversions import Conversions, conversion_key
from tributary_storage.redis.people import People


class Rivals:
    """Reads them.

    Args:
        people: Knows how people began.
        conversions: Keeps parts.
        families: Knows of which leads they are, and which are one order.
        severed: Knows which orders count as what is left of them.
        restoration: Gives conversions back that Redis has lost.
        pinned: Knows the settings that conversions were credited under: they say what ends a path.
    """

    def __init__(
        self,
        people: People,
        conversions: Conversions,
        families: Families,
        severed: SeveredOrders,
        restoration: Restoration,
        pinned: PinnedSettings,
    ) -> None:
        self._people = people
        self._conversions = conversions
        self._restoration = restoration
        self._families = families
        self._severed = severed
        self._pinned = pinned

    async def read(self, affected: Sequence[Affected]) -> None:
        """Reads which other conversions were taken back or are another's, where a name does not count every one.

        And what became of those that would end a path: also for those whose credit conversions have.

        Args:
            affected: With parts and journeys, and what their families are to them; take it.

        Raises:
            StorageUnavailableError: A store did not answer.
        """
        await self._read_firsts(affected)
        asking: dict[str, list[Affected]] = {}
        for one in affected:
            one.retracted = frozenset()
            others = rivals(one.workspace, one.journey, one.parts, one.conversion_id)
            if one.first is not None:
                others.append(one.first.conversion_id)
            for other in others:
                asking.setdefault(conversion_key(one.workspace.id, other), []).append(one)
        ending = [(one, ends) for one in credited_at(affected) if (ends := await self._ends(one))]
        asked = {key: ones[0].workspace for key, ones in asking.items()}
        asked |= {conversion_key(one.workspace.id, name): one.workspace for one, ends in ending for name in ends}
        asked |= {one.key: one.workspace for one, _ in ending}  # what its order is to it is known of the others alike
        if not asked:
            return
        computed = {one.key: one for one in affected}
        found: dict[str, Affected] = {}
        for key, stored in (await self._conversions.observe({key: {} for key in asked}, 0)).items():
            rival = found[key] = Affected(asked[key], key.partition("|")[2])
            rival.take(stored)
            if (own := computed.get(key)) is not None:  # its family may be looked for further than Redis knows it
                rival.known_causes, rival.was_lost = own.known_causes, own.was_lost
        await self._restoration.restore([one for one in found.values() if one.key not in computed and _was_known(one)])
        for rival in found.values():
            self._severed.mark(rival)
        await self._families.relate(list(found.values()))
        for one, ends in ending:
            for name in ends:
                counted = told_as(found[conversion_key(one.workspace.id, name)], found[one.key])
                if counted is not None:
                    one.told_as[name] = counted
        for key in asking:
            rival = found[key]
            is_gone = rival.is_severed or is_taken_back(rival) or _was_removed(rival)
            is_somebodys = rival.place() is not None
            for one in asking[key]:
                if is_gone or (is_somebodys and rival.is_nobodys(one.journey)):
                    one.retracted |= {rival.conversion_id}

    async def _ends(self, one: Affected) -> list[str]:
        """Returns which other conversions may have ended the path of one; notes by which names."""
        one.told_as = {}
        settings = [*one.workspace.attribution, *one.tried, *await self._pinned_of(one)]
        one.ending_names = one.ending_names.union(*(own.resets_after for own in settings))
        if not one.ending_names:
            return []  # nearly always
        history = max(core_settings(own).history_micros for own in settings)
        return path_ends(one.journey, one.conversion_id, one.parts, one.ending_names, history)

    async def _pinned_of(self, one: Affected) -> list[AttributionSettings]:
        """Returns the settings that a conversion was credited under, if the workspace has others by now."""
        published = b"" if one.stored is None else one.stored.published
        own = (name for settings in one.workspace.attribution for name in settings.names)
        if not published or any(name.encode() in published for name in own):
            return []  # not even read: it names a version of today, of which nobody can make up another
        version = ConversionRevised.FromString(published).state.settings_version
        try:
            found = self._pinned.of(one.workspace, version) if version else None
        except UnknownSettingsError:
            found = await self._pinned.load(one.workspace, version)
        return [] if found is None else [found]

    async def _read_firsts(self, affected: Sequence[Affected]) -> None:
        """Reads the first conversions that journeys have forgotten, where a name counts one per person."""
        asking = [
            (one, one.journey) for one in affected if one.journey is not None and counts_once(one.workspace, one.parts)
        ]
        if not asking:
            return
        people = [(one.workspace.id, journey.tokens) for one, journey in asking]
        for (one, journey), firsts in zip(asking, await self._people.firsts.of_people(people), strict=True):
            one.first = forgotten_first(journey, one.parts, firsts)


def _was_known(one: Affected) -> bool:
    """Tells whether a conversion was published, or was there and is not: not one that is to be published yet."""
    is_published = one.stored is not None and one.stored.revision > 0
    return is_published or not any(part.is_observation for part in one.parts)


def _was_removed(one: Affected) -> bool:
    """Tells whether nothing is known of a conversion that a journey names: it went with its person, who was erased.

    Its parts are there before a journey names it, and what the store has lost of it since is restored.
    """
    is_published = one.stored is not None and one.stored.revision > 0
    return not is_published and not any(part.is_observation for part in one.parts)


def successors(affected: Sequence[Affected], known: set[str]) -> list[Affected]:
    """Returns conversions that may count or not any more, or whose path may begin elsewhere, for what became of others.

    Args:
        affected: Those that may have been; with parts and journeys, and what their families are to them.
        known: Keys of all that are computed anyway; takes those that are returned.
    """
    found = []
    for one in affected:
        journeys = [one.journey] if moves_rivals(one) else []
        if one.was_observed_again:
            journeys += one.elsewhere
        later = set(later_ones(one, history_micros(one.workspace)))
        found_in = dict.fromkeys(later, one.journey) | {
            rival: own
            for own in reversed(journeys)
            for rival in rivals(one.workspace, own, one.parts, one.conversion_id)
        }
        for rival, own in found_in.items():
            successor = Affected(one.workspace, rival)
            if successor.key not in known:
                known.add(successor.key)
                successor.take_over(one)
                successor.is_exact = rival in later  # what it earns now may be forgotten
                if own is not None and own.is_recalled:  # as far back as for whoever was taken back
                    successor.is_exact, successor.since_micros = True, one.window_begin_micros()
                found.append(successor)
    return found
