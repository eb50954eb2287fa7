"""Plans: reads the conversion log, and gives every destination that takes a conversion's name a job for it.

The one rule: a revision is acknowledged when every destination has a job for it or a line in the ledger that says why
not; one of a workspace that stays unknown is a dead letter. Whether a conversion may go is asked when it goes: what
holds now may not hold then. A destination that was taken out of the file gets jobs for what changes of conversions that
it may have, and for nothing else: they wait for it to come back, as what waited when it was taken out (`leftovers`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from structlog.contextvars import bind_contextvars

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    INELIGIBLE_REASON_NOT_MAPPED,
    Delivery,
)
from tributary_delivery.destination_spans import DestinationSpans
from tributary_delivery.holding import held_seconds
from tributary_delivery.ledger import Ledger, ineligible
from tributary_domain.stand_ins import is_stand_in
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.errors import Unfinished
from tributary_runtime.traces import linked_span
from tributary_runtime.workspace_lookup import WorkspaceLookup
from tributary_runtime.workspaces import Workspace
from tributary_storage.redis.conversion_log import RevisionEntry
from tributary_storage.redis.delivery_job import Lane, Plan, PlannedRevision
from tributary_storage.redis.delivery_jobs import SENT_LIFE_SECONDS, DeliveryJobs


class Planner:
    """The handler of group `deliver`.

    Args:
        lookup: Knows the workspaces, whose destinations.
        jobs: Where jobs are kept.
        ledger: Where it is written that a destination does not take a name.
        spans: Where it is noted which destinations there are, and were.
        clock: Tells when a revision was planned.
        wake: Told which lanes have new jobs.
    """

    def __init__(
        self,
        lookup: WorkspaceLookup,
        jobs: DeliveryJobs,
        ledger: Ledger,
        spans: DestinationSpans,
        clock: Clock,
        wake: Callable[[Lane], None],
    ) -> None:
        self._lookup = lookup
        self._jobs = jobs
        self._ledger = ledger
        self._spans = spans
        self._clock = clock
        self._wake = wake

    async def handle(self, entries: Sequence[RevisionEntry]) -> int:
        """Plans a batch; returns how many revisions it held.

        Raises:
            Unfinished: All is planned but the revisions of unknown workspaces.
            StorageUnavailableError: Jobs or ledger do not answer.
            PoisonEvent: An entry is no revision.
        """
        held = [(entry, entry.revised()) for entry in entries]
        traceparents = [revised.traceparent for _, revised in held]
        with linked_span("plan deliveries", traceparents, revisions=len(held)):
            unfinished = await self._plan_known(held)
        if unfinished is not None:
            raise unfinished
        return len(held)

    def singles(self, entry: RevisionEntry) -> Sequence[ConversionRevised]:
        """Takes an entry apart: it holds one revision."""
        return [entry.revised()]

    async def handle_single(self, entry: RevisionEntry, single: ConversionRevised) -> None:
        """Plans one revision."""
        unfinished = await self._plan_known([(entry, single)])
        if unfinished is not None:
            raise unfinished

    async def _plan_known(self, held: Sequence[tuple[RevisionEntry, ConversionRevised]]) -> Unfinished | None:
        """Plans the revisions of workspaces that are known; returns what is to be raised for the others."""
        workspaces = await self._lookup.find({revised.workspace for _, revised in held})
        known = [revised for _, revised in held if revised.workspace in workspaces]
        await self._plan(known, workspaces)
        if len(known) == len(held):
            return None
        later: list[RevisionEntry] = []
        aside: list[tuple[RevisionEntry, ConversionRevised]] = []
        for entry, revised in held:
            if revised.workspace not in workspaces:
                if self._lookup.waits(entry.accept_micros, [revised.workspace]):
                    later.append(entry)
                else:
                    aside.append((entry, revised))
        return self._lookup.unfinished(len(known), later=later, aside=aside)

    async def _plan(self, revisions: Sequence[ConversionRevised], workspaces: Mapping[str, Workspace]) -> None:
        now_micros = self._clock.unix_micros()
        planned: dict[tuple[Lane, int], list[tuple[ConversionRevised, PlannedRevision]]] = defaultdict(list)
        passed_over: list[tuple[str, Delivery]] = []

        def pass_over(revised: ConversionRevised, destination_id: str) -> None:
            about = (revised, destination_id, DELIVERY_OPERATION_CREATE, INELIGIBLE_REASON_NOT_MAPPED, now_micros)
            passed_over.append((revised.workspace, ineligible(*about)))

        for revised in revisions:
            if is_stand_in(revised.state.conversion_id):  # nobody is told of who was erased
                continue
            for destination in workspaces[revised.workspace].destinations:
                if not destination.is_sent_each:
                    continue
                is_mapped = destination.name_of(revised.state.name) is not None
                if not is_mapped and not revised.previous_revision:
                    pass_over(revised, destination.id)
                    continue
                # It was mapped once, perhaps: then what changes leaves it wrong there.
                one = _planned(revised, now_micros, only_if_sent=not is_mapped)
                lane = Lane(revised.workspace, destination.id)
                age_seconds = (now_micros - revised.state.conversion_time.ToMicroseconds()) / 1e6
                hold_seconds = held_seconds(destination.hold_seconds, age_seconds, destination.leaves_within_seconds)
                planned[lane, hold_seconds].append((revised, one))
        new = 0
        for (lane, hold_seconds), some in planned.items():
            plans = await self._jobs.plan(lane, [one for _, one in some], hold_seconds)
            for (revised, _), plan in zip(some, plans, strict=True):
                if plan is Plan.NEVER_SENT:
                    pass_over(revised, lane.destination)
            new += plans.count(Plan.NEW)
            if any(plan is not Plan.NEVER_SENT for plan in plans):
                self._wake(lane)
        # From here on ClickHouse is needed, which jobs of destinations that are there do not.
        new += await self._plan_for_gone(revisions, workspaces, now_micros)
        if passed_over:
            metrics.INELIGIBLE.add(len(passed_over))
            await self._ledger.write(passed_over)
        oldest: dict[str, int] = {}
        for revised in revisions:
            oldest[revised.workspace] = min(revised.revision, oldest.get(revised.workspace, revised.revision))
        for workspace, oldest_micros in oldest.items():
            declared = [one.id for one in workspaces[workspace].destinations if one.is_sent_each]
            await self._spans.note(workspace, declared, oldest_micros)
        bind_contextvars(planned=new, not_mapped=len(passed_over))

    async def _plan_for_gone(
        self, revisions: Sequence[ConversionRevised], workspaces: Mapping[str, Workspace], now_micros: int
    ) -> int:
        """Plans what changed for destinations that were taken out of the file; returns how many jobs are new.

        Of one that is gone for so long that nobody knows any more what it took, nothing is planned.
        """
        changed: dict[str, list[PlannedRevision]] = defaultdict(list)
        for revised in revisions:
            if revised.previous_revision and not is_stand_in(revised.state.conversion_id):
                changed[revised.workspace].append(_planned(revised, now_micros, only_if_sent=True))
        new, since_micros = 0, now_micros - SENT_LIFE_SECONDS * 1_000_000
        for workspace, some in changed.items():
            for destination_id in await self._spans.gone(workspaces[workspace], since_micros):
                new += (await self._jobs.plan(Lane(workspace, destination_id), some)).count(Plan.NEW)
        return new


def _planned(revised: ConversionRevised, now_micros: int, *, only_if_sent: bool) -> PlannedRevision:
    return PlannedRevision(
        conversion_id=revised.state.conversion_id,
        revision=revised.revision,
        previous_revision=revised.previous_revision,
        plan_micros=now_micros,
        only_if_sent=only_if_sent,
    )
