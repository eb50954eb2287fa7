"""Families of whom somebody is erased: what takes the place of the person's conversions, so that nothing counts anew.

Step by step; each may run twice, and a crash between any two is gone on with:

1. What stands in for each conversion is made and stored, and in no family yet (`stand_in_making`).
2. Once the conversion is severed, it is put into the families in ClickHouse.
3. It takes the place of the conversion in the state store, in each family in one step.
4. The others are credited again: they have the credit of the stand-in now, and not that of its touches.

Where conversions go altogether, nothing stands in for them: the others are counted as if they had never been.
"""

from __future__ import annotations

from collections import defaultdict

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_attribution.affected import Affected
from tributary_attribution.credit_settings import conversion_life_seconds
from tributary_attribution.directory import Directory
from tributary_attribution.memberships import kept_of
from tributary_attribution.order_changes import OrderChanges
from tributary_attribution.publishing import Publisher
from tributary_attribution.stand_in_making import parts_of
from tributary_domain.erasures import Erasure
from tributary_domain.families import Member, Membership
from tributary_domain.revision import Cause
from tributary_domain.stand_ins import is_stand_in
from tributary_runtime.clock import Clock
from tributary_runtime.errors import Backpressure
from tributary_storage.clickhouse.stand_ins import StandInRecords
from tributary_storage.redis.conversions import Conversions, LostConversion, conversion_key


class StandIns:
    """Puts stand-ins into families. Every method may run twice, and raises `StorageUnavailableError`.

    Args:
        conversions: Keeps parts and families.
        publisher: Reads and credits conversions.
        records: ClickHouse's part of it.
        changes: Keep what changed orders.
        directory: Knows the workspaces.
        clock: Tells when.
    """

    def __init__(
        self,
        conversions: Conversions,
        publisher: Publisher,
        records: StandInRecords,
        changes: OrderChanges,
        directory: Directory,
        clock: Clock,
    ) -> None:
        self._conversions = conversions
        self._publisher = publisher
        self._records = records
        self._changes = changes
        self._directory = directory
        self._clock = clock

    async def count_once(self, erasure: Erasure) -> None:
        """Credits anew what others told of an erasure's orders before it was known by what these are recognised.

        Raises:
            Backpressure: There was such; what stands in is to be made again.
        """
        if not erasure.severed_orders:
            return
        workspace = self._directory.get(erasure.workspace)
        mine = [Affected(workspace, one) for one in erasure.conversion_ids]
        await self._publisher.read(mine, may_lack_sources=True)
        names = {name for one in mine for name in one.kin.relatives}.difference(erasure.conversion_ids)
        others = [Affected(workspace, name, known_causes={Cause.ERASURE}) for name in sorted(names)]
        await self._publisher.read(others, may_lack_sources=True)
        revisions = await self._publisher.publish([one for one in others if one.is_severed])
        await self._publisher.tell(revisions)
        if any(one.revised.state.conversion_id in erasure.conversion_ids for one in revisions):
            raise Backpressure("Orders of the person were told by others meanwhile.", pause_seconds=1.0)

    async def put(self, erasure: Erasure) -> None:
        """Puts the stand-ins, of which the conversions are severed, into the families that are stored."""
        members = [Member(name, Membership(role), tuple(families)) for name, role, families in erasure.members]
        await self._records.put(erasure.workspace, members, self._clock.unix_micros())

    async def take_place(self, erasure: Erasure) -> None:
        """Puts the stand-ins where the conversions were.

        Raises:
            Backpressure: A conversion was published since its stand-in was made; make it again.
        """
        if not erasure.memberships:
            return
        workspace = erasure.workspace
        keys = {conversion_key(workspace, name): revision for name, revision, _ in erasure.places}
        stored = await self._conversions.observe({key: {} for key in keys}, 0) if keys else {}
        if any(one.revision > keys[key] for key, one in stored.items()):
            raise Backpressure("Conversions of the person were published meanwhile.", pause_seconds=1.0)
        life_seconds = conversion_life_seconds([self._directory.get(workspace)])
        named = {name for name, _, _ in erasure.members if is_stand_in(name)}
        found = await self._records.contents(workspace, named)
        lost = {}
        for name, content in found.items():
            parts = parts_of(map(AdmittedEvent.FromString, content.admitted), content.accept_micros)
            revision = ConversionRevised.FromString(content.revised).revision
            lost[conversion_key(workspace, name)] = LostConversion(revision, content.revised, parts)
        await self._conversions.restore(lost, life_seconds)
        await self._changes.take_place(workspace, named, life_seconds)
        gone: dict[str, list[bytes]] = defaultdict(list)
        for key, field in erasure.memberships:
            gone[key].append(bytes.fromhex(field))
        await self._conversions.replace(gone, taking_place(erasure), life_seconds)
        await self._changes.forget(erasure)

    async def credit_others(self, erasure: Erasure) -> None:
        """Credits the others of the families again.

        Raises:
            Backpressure: They moved again and again while they were computed.
        """
        workspace = self._directory.get(erasure.workspace)
        others = [Affected(workspace, name, known_causes={Cause.ERASURE}) for name in erasure.relatives]
        await self._conversions.forget_journeys([one.key for one in others])  # the person may have been the order's
        await self._publisher.tell(await self._publisher.publish(others))


def taking_place(erasure: Erasure) -> dict[str, dict[bytes, bytes]]:
    """Returns what is kept by key, in families and at conversions, in the place of what was kept of an erasure's."""
    kept: dict[str, dict[bytes, bytes]] = {}
    for name, role, families in erasure.members:
        for key, fields in kept_of(Member(name, Membership(role), tuple(families)), erasure.workspace).items():
            kept.setdefault(key, {}).update(fields)
    return kept
