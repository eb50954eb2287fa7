"""Stages of a lead that a later one took the place of: whose is now what they were sent as.

The one rule: a lead is one object, which is called as its latest stage is. What a stage was sent as otherwise, before
anybody knew that both are of one lead, is taken back: by who told it last, for it may have been told of several.
"""

from __future__ import annotations

from enum import Enum

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_delivery.ledger import first_sent, tried_as
from tributary_delivery.newest import NewestRevisions
from tributary_delivery.recollection import Recollection
from tributary_delivery.sender import Sender
from tributary_delivery.visible_ids import is_named
from tributary_runtime.crm_destinations import CrmDestination
from tributary_runtime.destination_settings import DestinationSettings
from tributary_storage.redis.delivery_job import Job, KnownAs, Lane


class Fate(Enum):
    """What becomes of the object that a superseded stage was sent as."""

    PASSED_ON = "passed on"
    """It is the latest stage's, or another's that is taken back itself."""
    TAKEN_BACK = "taken back"
    """It is nobody's: the lead is another object."""
    AWAITED = "awaited"
    """Nobody can tell before what is published of the latest stage is stored, too."""


class SupersededStages:
    """Tells it for one lane.

    Args:
        lane: Which.
        settings: Of the destination.
        sender: Knows what the objects of leads are called.
        newest: Where the latest stage is read.
    """

    def __init__(self, lane: Lane, settings: DestinationSettings, sender: Sender, newest: NewestRevisions) -> None:
        self._lane = lane
        self._settings = settings
        self._sender = sender
        self._newest = newest

    async def fate(self, job: Job, revised: ConversionRevised, maybe_taken: int, recalled: Recollection) -> Fate:
        """Returns what becomes of what was sent of a conversion, or may have been, if it is a superseded stage.

        What the latest stage is called is claimed here where it was not told yet, so that it is called so when it is.

        Args:
            job: Of the conversion.
            revised: As it is now.
            maybe_taken: The revision of a creation that was tried and never confirmed; 0: none.
            recalled: What the ledger knows.

        Raises:
            StorageUnavailableError: Nobody can tell now.
        """
        settings, leads, latest_id = self._settings, self._sender.leads, revised.state.superseded_by
        if not isinstance(settings, CrmDestination) or settings.has_newest or leads is None:
            return Fate.PASSED_ON
        if not latest_id or not revised.state.HasField("lead") or is_named(revised.match, self._lane.destination):
            return Fate.PASSED_ON
        own = await self._known_as(job, maybe_taken, recalled)
        if own is None or own.account not in ("", self._sender.account):
            return Fate.PASSED_ON
        newest = await self._newest.read(self._lane.workspace, [latest_id])
        latest = newest.revisions.get(latest_id)
        if latest_id in newest.unstored:
            return Fate.AWAITED
        if (
            latest is None
            or is_named(latest.match, self._lane.destination)
            or leads.kind(latest) != leads.kind(revised)
        ):
            return Fate.PASSED_ON
        name = await leads.name(latest, await recalled.deliveries(latest_id), own.visible_id)
        if name == own.visible_id or await leads.holder(revised, own.visible_id) not in ("", job.conversion_id):
            return Fate.PASSED_ON
        return Fate.TAKEN_BACK

    async def _known_as(self, job: Job, maybe_taken: int, recalled: Recollection) -> KnownAs | None:
        """Returns as what a stage was sent; None: nobody knows."""
        deliveries = await recalled.deliveries(job.conversion_id)
        pinned = first_sent(deliveries, self._lane.destination)
        if pinned is not None:
            return pinned.known_as
        return job.known_as or tried_as(deliveries, self._lane.destination, maybe_taken)
