"""Delivery jobs: which conversion waits for which destination, since when, until when, and who has it now.

A job holds (conversion, revision) only; what is sent is read when it is sent, so a conversion that changes while it
waits is sent once, as it is then. One job per (conversion, destination): never two calls about one conversion at once,
never an older revision after a newer one.

A creation keeps its message id, and so its content, over all attempts: an earlier one may have been taken although its
reply was lost. So does what it was called there and in which account, when it was said to have happened and which value
it was told, whatever the configuration says by then. What is newer follows as a change, with an id of its own. Time is
Redis' own: replicas need not agree on it. A worked example, for destination "crm" and one conversion:

    plan revision 7                job {r 7, f 1}, due now
    lease                          due +30 s, for whoever comes if we die
    begin the creation             job {t 7, a 1, c 7, k [id, name, ...]}: 7 is tried, and may be taken from now on
    plan revision 9 meanwhile      job {r 9}
    settle: again                  due in 2 s; the retry carries 7 again
    settle: taken 7                sent "7 ..."; 9 is newer: due now, a change
    settle: given up instead       sent "7 -1 1 m7": whether it has 7 is not known; 9 is due now, after 7 once more
    settle: again, untaken         job {c 0, f 1}: certainly not taken, so the retry carries 9, or nothing
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import redis.asyncio

from tributary_runtime.errors import TributaryError
from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import (
    UNKNOWN_VALUE,
    Job,
    KnownAs,
    Lane,
    Leased,
    Plan,
    PlannedRevision,
    Settled,
    Taken,
    Tried,
)
from tributary_storage.redis.refusals import translate
from tributary_storage.redis.scripts import Argument, Script

_PLAN: Final = Script("plan_jobs")
_LEASE: Final = Script("lease_jobs")
_BEGIN: Final = Script("begin_attempts")
_SETTLE: Final = Script("settle_jobs")
_RENEW: Final = Script("renew_leases")

_NEVER: Final = "never"
_UNTAKEN: Final = re.compile(rb"\d+ a(\d+):(\d+) never")
"""What was tried under an earlier job, and how often: none of that was taken. Who does not know leaves it out."""
SENT_LIFE_SECONDS: Final = 100 * 86_400
"""How long Redis remembers what a destination took: the longest correction window. Then the sent ledger knows."""

DEAD_LIFE_SECONDS: Final = 400 * 86_400
"""How long what was given up is counted as dead: as long as the sent ledger has it."""


class DeliveryJobs:
    """The jobs of all destinations. Fails closed: what Redis does not answer is unknown, and is done again."""

    def __init__(self, client: redis.asyncio.Redis, loss_micros: Callable[[], int] = lambda: 0) -> None:
        """Takes the Redis of role *jobs*, and what tells when its last confirmed loss was (0: there was none).

        Of what was published before a loss it is not known here whether it was sent: the ledger knows.
        """
        self._client: Any = client
        self._loss_micros = loss_micros

    async def plan(self, lane: Lane, revisions: Sequence[PlannedRevision], hold_seconds: int = 0) -> list[Plan]:
        """Plans revisions; returns what became of each. May run twice.

        Args:
            lane: For which destination.
            revisions: In any order.
            hold_seconds: How long a conversion waits before it is sent first.

        Raises:
            StorageUnavailableError: Some may be planned; plan the same again.
        """
        names = self._queues(lane)
        arguments: list[Argument] = [hold_seconds * 1000]
        loss_micros = self._loss_micros()
        for one in revisions:
            names += self._names(lane, one.conversion_id)
            previous = one.previous_revision or int(one.revision <= loss_micros)
            is_forgotten = 0 < one.previous_revision <= loss_micros
            only_if_sent = int(one.only_if_sent and not is_forgotten)
            arguments += (one.conversion_id, one.revision, previous, one.plan_micros, only_if_sent)
        return [Plan(int(one)) for one in await self._run(_PLAN, names, arguments)]

    async def lease(
        self, lane: Lane, token: str, lease_seconds: float, most: int, *, ours_too: bool = False, settings: str = ""
    ) -> Leased:
        """Takes up to `most` due jobs, the longest due first; none while the destination is paused.

        With `ours_too`, what is leased under this token is due too: for who may not have heard what it took. A pause
        that is for other `settings` (their digest) holds nobody up.

        Raises:
            StorageUnavailableError: Some may be taken; ask for `ours_too`.
        """
        due = job_keys.due(lane.workspace, lane.destination)
        try:
            found = await self._client.zrange(due, 0, most - 1)
        except redis.RedisError as error:
            raise _failed(error) from error
        if not found:
            return Leased([], 0.0)
        ids = [one.decode() for one in found]
        names: list[Argument] = [
            due,
            job_keys.destination_state(lane.workspace, lane.destination),
            job_keys.planned(lane.workspace, lane.destination),
        ]
        for one in ids:
            names += self._names(lane, one)
        arguments: list[Argument] = [round(lease_seconds * 1000), token, int(ours_too), settings, *ids]
        wait_millis, *answers = await self._run(_LEASE, names, arguments)
        jobs = [_job(one, answer) for one, answer in zip(ids, answers, strict=True) if answer]
        return Leased(jobs, wait_millis / 1000)

    async def begin(self, lane: Lane, token: str, lease_seconds: float, tried: Sequence[Tried]) -> list[int]:
        """Notes that attempts are being made, and lets the lease begin anew.

        Returns:
            The number of each attempt at its revision, from 1; 0 where the lease was lost: make none.

        Raises:
            StorageUnavailableError: Unknown; make none.
        """
        names = [*self._queues(lane), job_keys.destination_state(lane.workspace, lane.destination)]
        arguments: list[Argument] = [token, round(lease_seconds * 1000)]
        for one in tried:
            names += self._names(lane, one.conversion_id)
            known_as = one.known_as.written() if one.known_as is not None else ""
            arguments += (one.conversion_id, one.revision, int(one.creates), one.attempts_before, known_as)
            arguments += (int(one.is_refused_before), one.newest_revision)
            arguments.append(UNKNOWN_VALUE if one.is_value_unknown else "")
        return [int(one) for one in await self._run(_BEGIN, names, arguments)]

    async def renew(self, lane: Lane, token: str, lease_seconds: float, conversion_ids: Sequence[str]) -> set[str]:
        """Keeps jobs longer that are being sent, or whose outcome waits; returns which are still ours.

        Raises:
            StorageUnavailableError: Some may not be kept.
        """
        names: list[Argument] = [job_keys.due(lane.workspace, lane.destination)]
        names += [job_keys.job(lane.workspace, lane.destination, one) for one in conversion_ids]
        arguments: list[Argument] = [token, round(lease_seconds * 1000), *conversion_ids]
        answers = await self._run(_RENEW, names, arguments)
        return {one for one, is_ours in zip(conversion_ids, answers, strict=True) if is_ours}

    async def settle(self, lane: Lane, token: str, settled: Sequence[Settled]) -> list[bool]:
        """Says what became of jobs.

        Returns:
            One per job: whether it was still ours.

        Raises:
            StorageUnavailableError: Unknown; what is unsettled is done again when the lease ends.
        """
        names: list[Argument] = [
            job_keys.due(lane.workspace, lane.destination),
            job_keys.dead(lane.workspace, lane.destination),
            job_keys.planned(lane.workspace, lane.destination),
            job_keys.mending(lane.workspace, lane.destination),
        ]
        arguments: list[Argument] = [token, SENT_LIFE_SECONDS, DEAD_LIFE_SECONDS * 1000]
        for one in settled:
            names += self._names(lane, one.conversion_id)
            remembered = one.taken.written() if one.taken else _NEVER if one.is_untaken else ""
            delay_millis = round(one.delay_seconds * 1000)
            refused = int(one.is_refused)
            arguments += (one.conversion_id, one.what.value, one.revision, delay_millis, remembered, refused)
            arguments += (one.noted.value, int(one.is_mending))
        return [bool(one) for one in await self._run(_SETTLE, names, arguments)]

    async def is_begun(self, lane: Lane, conversion_id: str, *, is_creation: bool) -> bool:
        """Tells whether something was tried of a conversion and is not settled: it may be under way.

        Args:
            lane: At which destination.
            conversion_id: Of the conversion.
            is_creation: Whether only its creation is meant, not what follows it.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        job = job_keys.job(lane.workspace, lane.destination, conversion_id)
        try:
            return int(await self._client.hget(job, "c" if is_creation else "t") or 0) > 0
        except redis.RedisError as error:
            raise _failed(error) from error

    async def is_planned(self, lane: Lane, conversion_id: str) -> bool:
        """Tells whether anything of a conversion waits, or is under way.

        Args:
            lane: At which destination.
            conversion_id: Of the conversion.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        try:
            return bool(await self._client.exists(job_keys.job(lane.workspace, lane.destination, conversion_id)))
        except redis.RedisError as error:
            raise _failed(error) from error

    async def is_untaken(self, lane: Lane, conversion_id: str) -> bool:
        """Tells whether it is known that no attempt at the creation of a conversion was taken.

        Args:
            lane: At which destination.
            conversion_id: Of the conversion.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        job, sent = self._names(lane, conversion_id)
        try:
            known = await self._client.get(sent) or b""
            return known.endswith(_NEVER.encode()) and not int(await self._client.hget(job, "c") or 0)
        except redis.RedisError as error:
            raise _failed(error) from error

    async def marks(self, places: Collection[str]) -> dict[str, int]:
        """Returns the highest revision ever tried at each `<workspace>/<destination>`; 0 where none was.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        found: dict[str, int] = {}
        try:
            for place in places:
                workspace, _, destination = place.partition("/")
                found[place] = int(
                    await self._client.hget(job_keys.destination_state(workspace, destination), "m") or 0
                )
        except redis.RedisError as error:
            raise _failed(error) from error
        return found

    async def waiting(self, lane: Lane) -> int:
        """Returns how many conversions wait, those being sent included.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        try:
            return int(await self._client.zcard(job_keys.due(lane.workspace, lane.destination)))
        except redis.RedisError as error:
            raise _failed(error) from error

    async def dead(self, lane: Lane, now_millis: int) -> int:
        """Returns how many conversions are in the dead letters: given up, and neither taken nor planned since.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        oldest = now_millis - DEAD_LIFE_SECONDS * 1000
        try:
            return int(await self._client.zcount(job_keys.dead(lane.workspace, lane.destination), oldest, "+inf"))
        except redis.RedisError as error:
            raise _failed(error) from error

    async def oldest_plan_micros(self, lane: Lane) -> int:
        """Returns when what waits longest was planned; 0: nothing waits.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        try:
            oldest = await self._client.zrange(
                job_keys.planned(lane.workspace, lane.destination), 0, 0, withscores=True
            )
        except redis.RedisError as error:
            raise _failed(error) from error
        return int(oldest[0][1]) if oldest else 0

    async def _run(self, script: Script, names: Sequence[Argument], arguments: Sequence[Argument]) -> Any:
        try:
            return await script(self._client, names, arguments)
        except redis.RedisError as error:
            raise _failed(error) from error

    @staticmethod
    def _queues(lane: Lane) -> list[Argument]:
        return [job_keys.due(lane.workspace, lane.destination), job_keys.planned(lane.workspace, lane.destination)]

    @staticmethod
    def _names(lane: Lane, conversion_id: str) -> tuple[str, str]:
        return (
            job_keys.job(lane.workspace, lane.destination, conversion_id),
            job_keys.sent(lane.workspace, lane.destination, conversion_id),
        )


def _job(conversion_id: str, answer: Sequence[bytes]) -> Job:
    revision, attempts, plan_micros, tried, created, first, doubt, newest, known_as, *rest = answer
    begun, risks, unsent, sent = rest
    taken = Taken.read(sent)
    is_never = sent.endswith(_NEVER.encode())
    untaken = _UNTAKEN.fullmatch(sent)
    created_before = doubted_before = 0
    if sent and taken is None and not is_never:
        maybe, *since = sent.split()[3:]
        created_before, doubted_before = int(maybe[1:]), int(since[0]) if since else 0
    if risks == b"1":  # it is in doubt all the same, and the time that a destination knows it again begins anew
        created_before, doubted_before = int(created) or created_before, 0
    return Job(
        conversion_id=conversion_id,
        revision=int(revision),
        tried_revision=int(tried),
        attempts=int(attempts),
        plan_micros=int(plan_micros),
        never_sent=first == b"1" and (not sent or is_never),
        taken=taken,
        maybe_taken=0 if taken else created_before or int(created),
        doubt_micros=(doubted_before or int(doubt)) * 1000,
        newest_plan_micros=int(newest),
        try_micros=int(begun) * 1000,
        known_as=KnownAs.read(known_as) if int(created) else None,
        risks_duplicates=risks == b"1",
        unsent=int(unsent),
        attempts_untaken=(int(untaken[1]), int(untaken[2])) if untaken is not None else None,
        may_be_tried_before=is_never,
    )


def _failed(error: redis.RedisError) -> TributaryError:
    message = "The store of delivery jobs did not answer; what was planned stays and is tried again."
    return translate(error, "jobs", message)
