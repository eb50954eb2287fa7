"""Erasing a person: asked for once, durable before it has any effect, and gone on with until nothing is left.

Step by step; each may run twice, and a crash between any two leaves an open erasure, which any process goes on with:

1. What is needed to go on is kept in the state store: from here on it happens.
2. The same is stored sealed in ClickHouse, and that somebody is erased; then tombstones: no event brings them back.
3. The data keys: what they sealed, wherever a copy of it is, can be read by nobody.
4. The conversions are noted, and where changes wait that the person told (`shared_orders`), what stands in for those
   that others are counted or credited by (`stand_in_making`), and by what they are known if somebody tells them again
   (`severed_orders`): from here on that does not count, also what was told meanwhile. Their revisions are copied to
   random ids (where they go too, what closed books have) and deleted; then the stand-ins are put into the families.
5. Recorded events are stripped, those of others of the identifiers alone, and what is found by these is deleted; that
   others observed the conversions stays in their journeys; deals of the CRM are stripped.
6. Journeys, ties, consent, click ids, conversions and what data_driven learned (of these: where they go too) in the
   state store are destroyed, once all that was published of them meanwhile is severed; stand-ins take their places.
7. Delivery is asked to forget by what it knows the person's leads (`names_at_delivery`).
8. Others' conversions of their leads and subscriptions, and those that the person observed too (`shared_orders`), are
   credited again; what was published and sent of them, and dead letters, name the person no more (`heirs_of_erased`).
9. It is looked for what is left, also whether delivery has done that, and what was destroyed is stored.

All of it is done once more a little later, for what was on its way, and again as long as anything of before is
(`erasure_waits`); then the tokens, and the secret that the random ids were made of, are destroyed too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import structlog

from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary_attribution.directory import Directory
from tributary_attribution.due_erasures import DueErasures
from tributary_attribution.earlier_erasures import EarlierErasures
from tributary_attribution.erasure_notes import ErasureNotes
from tributary_attribution.erasure_plans import GRACE_SECONDS, OWN_SECONDS, buried, counted, is_again, planned
from tributary_attribution.erasure_waits import ErasureWaits
from tributary_attribution.forgetting import Forgetting
from tributary_attribution.heirs_of_erased import HeirsOfErased
from tributary_attribution.journeys import tokens_to_find
from tributary_attribution.letters_of_erased import LettersOfErased
from tributary_attribution.names_at_delivery import NamesAtDelivery
from tributary_attribution.observed_orders import ObservedOrders
from tributary_attribution.open_erasures import OpenErasures
from tributary_attribution.severing import Severing
from tributary_attribution.shared_orders import SharedOrders
from tributary_attribution.stand_in_making import StandInMaking
from tributary_attribution.stand_ins import StandIns
from tributary_attribution.told_again import ToldAgain
from tributary_domain.erasures import Erasure, ErasureState
from tributary_domain.sealing import key_name
from tributary_runtime.clock import Clock
from tributary_runtime.errors import Backpressure, NotFoundError, PreconditionError, TributaryError
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.erased_deals import ErasedDeals
from tributary_storage.clickhouse.erasures import ErasureRecords, StoredErasure
from tributary_storage.redis.conversions import Conversions
from tributary_storage.redis.data_keys import DataKeys
from tributary_storage.redis.dead_letters import DeadLetters
from tributary_storage.redis.erased_people import ErasedPeople
from tributary_storage.redis.erasures import Erasures
from tributary_storage.redis.people import People
from tributary_storage.redis.person_paths import PersonPaths

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 5.0


class Erasing:
    """Erases people. Every method may run twice, and at once in several processes.

    Args:
        people: Knows which identifiers are one person.
        erasures: The state store's part of it.
        erased: What the state store has of them.
        opened: What is under way.
        records: ClickHouse's part of it.
        data_keys: What match keys are sealed under.
        paths: As what path people who did not convert are counted.
        conversions: Tells what is not published everywhere yet.
        making: Makes stand-ins.
        stand_ins: Keep families as they are.
        heirs: Strip what others had of the person.
        shared: Keep what is others'.
        deals: Of the CRM.
        dead_letters: May name the person.
        names: Has delivery forget names.
        directory: Knows the workspaces.
        clock: Tells when.
        waits: Tells whether what may bring somebody back is on its way.
        grace_seconds: After how long what was on its way is looked for.
    """

    name = "erasures"

    def __init__(
        self,
        people: People,
        erasures: Erasures,
        erased: ErasedPeople,
        opened: OpenErasures,
        records: ErasureRecords,
        data_keys: DataKeys,
        paths: PersonPaths,
        conversions: Conversions,
        making: StandInMaking,
        stand_ins: StandIns,
        heirs: HeirsOfErased,
        shared: SharedOrders,
        deals: ErasedDeals,
        dead_letters: DeadLetters,
        names: NamesAtDelivery,
        directory: Directory,
        clock: Clock,
        waits: ErasureWaits,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._waits = waits
        self._people = people
        self._erasures = erasures
        self._erased = erased
        self._opened = opened
        self._records = records
        self._data_keys = data_keys
        self._making = making
        self._stand_ins = stand_ins
        self._heirs = heirs
        self._shared = shared
        self._observed = ObservedOrders(erased, records, shared)
        self._deals = deals
        self._letters = LettersOfErased(dead_letters, heirs, shared)
        self._names = names
        self._severing = Severing(records, directory)
        self._directory = directory
        self._clock = clock
        self._due = DueErasures(clock)
        self.earlier = EarlierErasures(opened)
        self._told_again = ToldAgain(conversions, records, shared, directory)
        keeping = (people, paths, conversions, records, shared)
        self._forgetting = Forgetting(erased, *keeping, stand_ins, self._told_again)
        self._notes = ErasureNotes(people, records, shared, deals, self._told_again)
        self._grace_micros = round(grace_seconds * 1e6)

    async def tokens_of(self, workspace_id: str, identifiers: Identifiers | None, person_id: str) -> list[str]:
        """Returns the identity tokens of a person, by identifiers or by person id, the most telling first.

        Raises:
            NotFoundError: They name nobody.
            StorageUnavailableError: The state store did not answer.
        """
        workspace = self._directory.get(workspace_id)
        if identifiers is not None:
            named = tokens_to_find(workspace, identifiers)
        else:
            named = [token] if (token := await self._people.token_of(workspace.id, person_id)) else []
        if not named:
            message = "Nothing is known of such a person in this workspace, or not any more."
            raise NotFoundError(message, resource_type="person", resource_name=person_id)
        people = await self._people.people_of({(workspace.id, token) for token in named})
        return sorted({*named, *(token for person in people.values() for token in person.tokens)})

    def plan(
        self,
        workspace_id: str,
        tokens: Sequence[str],
        mode: ErasureMode | None = None,
        *,
        reason: str = "",
        requested_by: str = "",
        own_seconds: float = OWN_SECONDS,
    ) -> Erasure:
        """Returns what erasing a person would be; nothing is done, or kept.

        Args:
            workspace_id: Whose person it is.
            tokens: All of the person's.
            mode: What stays; None: as the workspace says.
            reason: Why, for people.
            requested_by: Id of the API key.
            own_seconds: How long the caller works at it; then any process does.
        """
        mode = mode or self._directory.get(workspace_id).retention.erasure
        about = (workspace_id, tuple(tokens), self._clock.unix_micros())
        own: dict[str, Any] = {"reason": reason, "requested_by": requested_by, "own_seconds": own_seconds}
        return planned(*about, removes=mode is ErasureMode.REMOVE, **own)

    async def request(self, erasure: Erasure) -> Erasure:
        """Makes an erasure durable; from here on it happens. Raises `StorageUnavailableError`: ask again."""
        held = await self._notes.held(erasure)
        erasure = await self.earlier.noted(replace(erasure, until_micros=max([erasure.until_micros, *held])))
        await self._erasures.keep(erasure)
        return erasure

    async def survey(self, erasure: Erasure) -> dict[str, int]:
        """Returns how much is kept of a person, by store: what would be destroyed; after an erasure, nothing."""
        noted = await self._heirs.noted(await self._notes.noted(erasure))
        counts = {**await self._left(noted), "names_in_jobs": await self._names.found(noted)}
        counts["unlinked_identifiers"] = await self._records.bounds.unlinked_identifiers(erasure)  # these stay
        return {**counts, "waiting_orders": len(await self._records.bounds.waiting_orders(erasure))}

    async def may_sever(self, erasure: Erasure) -> None:
        """Sees that no total loses anything: what nobody has decided on yet could not be released afterwards.

        What an earlier erasure of the person destroys, which is under way, it destroys whoever asks for another.

        Raises:
            PreconditionError: Orders of the person wait in quarantine for their amount alone.
            StorageUnavailableError: A store did not answer.
        """
        if erasure.removes or not (orders := await self._records.bounds.waiting_orders(erasure)):
            return
        for earlier in await self.earlier.under_way(erasure):
            orders -= await self._records.bounds.waiting_orders(earlier)
        if orders:
            message = (
                f"{len(orders)} orders of the person wait in quarantine for their amount alone: release or reject them "
                "first, or no total will ever have them."
            )
            raise PreconditionError(message, subject="quarantine", reason="ORDERS_IN_QUARANTINE")

    async def kept(self, erasure: Erasure) -> int:
        """Returns of how many conversions that would be removed postings stay (`severing`). Raises as `survey`."""
        return len(await self._severing.posted(await self._notes.noted(erasure)))

    async def _left(self, erasure: Erasure) -> dict[str, int]:
        keys = await self._data_keys.read([(erasure.workspace, key_name(erasure.workspace, t)) for t in erasure.tokens])
        counts = await self._erased.held(erasure.workspace, erasure.tokens, erasure.until_micros)
        counts |= {"data_keys": len(keys), "dead_letters": await self._letters.left(erasure)}
        counts |= {**await self._heirs.left(erasure), **await self._shared.left(erasure)}
        return {**counts, **await self._records.found(erasure), "deals": await self._deals.count(erasure)}

    def steps(self) -> Sequence[Callable[[Erasure], Awaitable[Erasure]]]:
        """Returns the steps in their order; each returns what the next is told."""
        return (
            *(self._look, self._bury, self._shred, self._note),
            *map(self._told_again.looked_for, (self._stand_in, self._count_once, self._sever, self._strip)),
            *(self._forget, self._names.ask, self._told_again.looked_for(self._credit_others), self._prove),
        )

    async def go_on(self, erasure: Erasure, until: float | None = None) -> Erasure:
        """Does all steps, after those of earlier erasures of the person; until a moment of the loop's clock, if any.

        Raises:
            Backpressure: Its conversions are being published, or the moment has come; go on a little later.
            StorageUnavailableError: A store did not answer; go on later.
        """
        for earlier in await self.earlier.begun(erasure):
            await self.go_on(earlier, until)
        erasure = await self.earlier.noted(erasure)
        for step in self.steps():
            if until is not None and asyncio.get_running_loop().time() >= until:
                raise Backpressure("Nobody waits for the erasure any more.")
            erasure = await step(erasure)
        log.info("person_erased", workspace=erasure.workspace, erasure=erasure.erasure_id, state=erasure.state.value)
        return erasure

    async def get(self, workspace_id: str, erasure_id: str) -> StoredErasure:
        """Returns how far an erasure is.

        Raises:
            NotFoundError: There is no such erasure in the workspace.
            StorageUnavailableError: ClickHouse did not answer.
        """
        return await self._records.get(workspace_id, erasure_id)

    async def run(self, stop: asyncio.Event) -> None:
        """Goes on with what is due until stopped; an outage is for the next time."""
        while not stop.is_set():
            try:
                await self.go_on_with_due()
            except TributaryError as failure:
                log.warning("erasures_not_read", reason=failure.message)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await stop.wait()

    async def go_on_with_due(self) -> int:
        """Goes on with every erasure whose time has come; returns how many were."""
        due = self._due.among(await self._opened.opened())
        for erasure in due:
            with self._due.tried(erasure):
                await self.go_on(erasure)
        return len(due)

    async def _look(self, erasure: Erasure) -> Erasure:
        """Sees whether what may bring the person back is on its way: then this is not its last run."""
        has_more = is_again(erasure) and erasure.is_behind
        return replace(erasure, is_behind=has_more or await self._waits.is_behind(erasure))

    async def _bury(self, erasure: Erasure) -> Erasure:
        if not is_again(erasure):
            if erasure.state is ErasureState.REQUESTED:  # before any effect: who restores the tombstones reads it
                await self._opened.keep(erasure)
                await self._records.write(erasure, self._clock.unix_micros())
            await self._erasures.bury(buried(erasure))
        return erasure

    async def _shred(self, erasure: Erasure) -> Erasure:
        """Destroys the data keys; what was made of the same name since, belongs to somebody new."""
        if erasure.state is not ErasureState.REQUESTED or is_again(erasure):
            return erasure
        names = [(erasure.workspace, key_name(erasure.workspace, token)) for token in erasure.tokens]
        return counted(erasure, {"data_keys": await self._data_keys.destroy(names, erasure.until_micros)})

    async def _note(self, erasure: Erasure) -> Erasure:
        """Keeps which conversions it is about, once none of them is about to be told to anybody."""
        noted = await self._notes.noted(erasure)
        await self._forgetting.published(noted)
        await self._opened.keep(noted)  # from here on it may have begun to sever them
        return noted

    async def _stand_in(self, erasure: Erasure) -> Erasure:
        """Keeps what families go on knowing of its conversions, and by what these are recognised if told again."""
        if erasure.state is ErasureState.REQUESTED:  # a run may have stopped before this
            await self._count_once(erasure)
        prepared = await self._making.prepare(erasure, await self._records.severed.late(erasure))
        prepared = await self._heirs.noted(prepared)
        await self._opened.keep(prepared)
        if prepared.severed_orders != erasure.severed_orders and not is_again(prepared):
            await self._records.write(prepared, self._clock.unix_micros())
        return prepared

    async def _count_once(self, erasure: Erasure) -> Erasure:
        """Lets its orders count no more as anybody else tells them, before the conversions are theirs no longer."""
        await self._erasures.bury([(digest, erasure.until_micros) for digest in erasure.severed_orders])
        await self._stand_ins.count_once(erasure)
        return erasure

    async def _sever(self, erasure: Erasure) -> Erasure:
        counts = await self._severing.sever(erasure)
        await self._stand_ins.put(erasure)  # not before: families that are brought back would have both
        return counted(erasure, counts)

    async def _strip(self, erasure: Erasure) -> Erasure:
        found = await self._records.found(erasure)
        waiting = len(await self._records.bounds.waiting_orders(erasure))  # that came after it was asked for
        events = await self._shared.strip(erasure)
        events += await self._observed.strip(erasure)
        others = await self._shared.strip_identifiers(erasure)
        await self._records.delete_identifiers(erasure)
        names = ("consent_decisions", "identity_changes", "identity_words", "refusals")
        counts = {"events": events, "events_of_others": others, "deals": await self._deals.strip(erasure)}
        return counted(erasure, counts | {"waiting_orders": waiting} | {name: found[name] for name in names})

    async def _forget(self, erasure: Erasure) -> Erasure:
        return await self._forgetting.forget(erasure)

    async def _credit_others(self, erasure: Erasure) -> Erasure:
        await self._stand_ins.credit_others(erasure)
        letters = await self._letters.forget(erasure)  # before what tells which revisions are the person's is stripped
        return counted(erasure, {**await self._heirs.strip(erasure), "dead_letters": letters})

    async def _prove(self, erasure: Erasure) -> Erasure:
        """Looks for what is left, stores that, and closes the erasure after its second time."""
        # Looked before the survey: else what was on its way could come between the two.
        is_behind = erasure.is_behind or await self._waits.is_behind(erasure)
        await self._names.wait(erasure)
        remaining = await self._left(await self._notes.noted(erasure))
        remaining["names_in_jobs"] = await self._names.left(erasure)
        if erasure.state is not ErasureState.REQUESTED:
            remaining.pop("data_keys")
        is_last = erasure.state is ErasureState.DESTROYED and not is_behind and not any(remaining.values())
        state = ErasureState.FINISHED if is_last else ErasureState.DESTROYED
        now = self._clock.unix_micros()
        after = replace(erasure, remaining=remaining, state=state, due_micros=now + self._grace_micros)
        asked_last = erasure.is_asked_last and not is_behind
        after = replace(after, through_micros=now, is_behind=False, is_asked_last=asked_last)
        if not is_again(erasure):
            await self._records.write(after, now)
        if not is_last or not await self._opened.close(after):
            after = replace(after, state=ErasureState.DESTROYED)  # of one that nobody asked for, more came meanwhile
            await self._opened.keep(after)
        return after
