"""Delivery jobs: which conversion waits for which destination, since when, until when, and who has it now.

A job holds (conversion, revision) only; what is sent is read when it is sent, so a conversion that changes while it
waits is sent once, as it is then. One job per (conversion, destination): never two calls about one conversion at once,
never an older revision after a newer one.

A worked example, for destination "crm" and one conversion:

    plan revision 7                job {r 7, a 0, f 1}, due now
    lease                          due +60 s, for whoever comes if we die
    begin                          job {a 1, t 7}: revision 7 is being tried
    plan revision 9 meanwhile      job {r 9}
    settle: again                  due in 2 s; the retry carries revision 9 under the id of the first attempt, and since
                                   7 may have arrived under it, only 7 counts as taken ...
    settle: taken 7                sent "7 ..."; 9 is newer: due now, as a message of its own
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import redis.asyncio

from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis import keys
from tributary_storage.redis.scripts import Argument, Script

_PLAN: Final = Script("plan_jobs")
_LEASE: Final = Script("lease_jobs")
_BEGIN: Final = Script("begin_attempts")
_SETTLE: Final = Script("settle_jobs")

SENT_LIFE_SECONDS: Final = 100 * 86_400
"""How long Redis remembers what a destination took: the longest correction window. Then the sent ledger knows."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One destination of one workspace: what its jobs have to themselves."""

    workspace: str
    destination: str


@dataclass(frozen=True, slots=True)
class PlannedRevision:
    """A revision that a destination shall get."""

    conversion_id: str
    revision: int
    previous_revision: int
    plan_micros: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What a destination last took of a conversion."""

    revision: int
    value_micros: int
    counted: bool

    def written(self) -> str:
        """Returns it as it is kept."""
        return f"{self.revision} {self.value_micros} {int(self.counted)}"

    @classmethod
    def read(cls, text: bytes) -> Taken | None:
        """Returns what was kept; None where nothing was."""
        if not text:
            return None
        revision, value_micros, counted = text.split()
        return cls(int(revision), int(value_micros), counted == b"1")


@dataclass(frozen=True, slots=True)
class Job:
    """A job that this process has for a while."""

    conversion_id: str
    revision: int
    """The newest one planned; what is sent may be newer still."""
    attempts: int
    """How many were made."""
    plan_micros: int
    first_tried_revision: int
    """What the first attempt under the present message id carried; 0: none was made."""
    never_sent: bool
    """Whether it is known that the destination took nothing of this conversion."""
    taken: Taken | None
    """What the destination last took, as far as Redis remembers."""


class Settlement(Enum):
    """What became of an attempt."""

    TAKEN = "taken"
    AGAIN = "again"
    GIVEN_UP = "given_up"
    DROPPED = "dropped"
    """There was nothing to send."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What becomes of a job."""

    conversion_id: str
    what: Settlement
    revision: int
    """What was settled: a newer one planned meanwhile stays to be done."""
    due_millis: int = 0
    """For AGAIN."""
    taken: Taken | None = None
    """For TAKEN."""


class DeliveryJobs:
    """The jobs of all destinations. Fails closed: what Redis does not answer is unknown, and is done again."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        """Takes the Redis of role *jobs*."""
        self._client: Any = client

    async def plan(self, lane: Lane, revisions: Sequence[PlannedRevision], due_millis: int) -> int:
        """Plans revisions; returns how many were new. May run twice.

        Raises:
            StorageUnavailableError: Some may be planned; plan the same again.
        """
        names: list[Argument] = [keys.due(lane.workspace, lane.destination)]
        arguments: list[Argument] = [due_millis]
        for one in revisions:
            names += self._names(lane, one.conversion_id)
            arguments += (one.conversion_id, one.revision, one.previous_revision, one.plan_micros)
        return sum(await self._run(_PLAN, names, arguments))

    async def lease(self, lane: Lane, now_millis: int, end_millis: int, token: str, most: int) -> list[Job]:
        """Takes up to `most` due jobs, the longest due first, until `end_millis`.

        Raises:
            StorageUnavailableError: Some may be taken; they come back when the lease ends.
        """
        due = keys.due(lane.workspace, lane.destination)
        try:
            found = await self._client.zrangebyscore(due, "-inf", now_millis, start=0, num=most)
        except redis.RedisError as error:
            raise _unavailable() from error
        if not found:
            return []
        ids = [one.decode() for one in found]
        names: list[Argument] = [due]
        for one in ids:
            names += self._names(lane, one)
        answers = await self._run(_LEASE, names, [now_millis, end_millis, token, *ids])
        return [_job(one, answer) for one, answer in zip(ids, answers, strict=True) if answer]

    async def begin(self, lane: Lane, token: str, tried: Sequence[tuple[str, int]]) -> list[int]:
        """Notes that attempts are being made.

        Args:
            lane: Whose jobs.
            token: Of the lease.
            tried: (conversion id, revision) of each.

        Returns:
            The number of each attempt, from 1; 0 where the lease was lost: make none.

        Raises:
            StorageUnavailableError: Unknown; make none.
        """
        names = [keys.job(lane.workspace, lane.destination, one) for one, _ in tried]
        return [int(one) for one in await self._run(_BEGIN, names, [token, *(revision for _, revision in tried)])]

    async def settle(self, lane: Lane, token: str, now_millis: int, settled: Sequence[Settled]) -> list[bool]:
        """Says what became of jobs.

        Returns:
            One per job: whether it was still ours.

        Raises:
            StorageUnavailableError: Unknown; what is unsettled is done again when the lease ends.
        """
        names: list[Argument] = [
            keys.due(lane.workspace, lane.destination),
            keys.destination_state(lane.workspace, lane.destination),
        ]
        arguments: list[Argument] = [token, SENT_LIFE_SECONDS, now_millis]
        for one in settled:
            names += self._names(lane, one.conversion_id)
            remembered = one.taken.written() if one.taken else ""
            arguments += (one.conversion_id, one.what.value, one.revision, one.due_millis, remembered)
        return [bool(one) for one in await self._run(_SETTLE, names, arguments)]

    async def waiting(self, lane: Lane) -> tuple[int, float]:
        """Returns how many jobs wait, and the earliest due time in Unix milliseconds (0: none).

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        due = keys.due(lane.workspace, lane.destination)
        try:
            pipeline = self._client.pipeline(transaction=False)
            pipeline.zcard(due)
            pipeline.zrange(due, 0, 0, withscores=True)
            count, first = await pipeline.execute()
        except redis.RedisError as error:
            raise _unavailable() from error
        return int(count), float(first[0][1]) if first else 0.0

    async def _run(self, script: Script, names: Sequence[Argument], arguments: Sequence[Argument]) -> list[Any]:
        try:
            answer: list[Any] = await script(self._client, names, arguments)
        except redis.RedisError as error:
            raise _unavailable() from error
        return answer

    @staticmethod
    def _names(lane: Lane, conversion_id: str) -> tuple[str, str]:
        return (
            keys.job(lane.workspace, lane.destination, conversion_id),
            keys.sent(lane.workspace, lane.destination, conversion_id),
        )


def _job(conversion_id: str, answer: Sequence[bytes]) -> Job:
    revision, attempts, plan_micros, first_tried, first, taken = answer
    return Job(
        conversion_id=conversion_id,
        revision=int(revision),
        attempts=int(attempts),
        plan_micros=int(plan_micros),
        first_tried_revision=int(first_tried),
        never_sent=first == b"1",
        taken=Taken.read(taken),
    )


def _unavailable() -> StorageUnavailableError:
    message = "The store of delivery jobs did not answer; what was planned stays and is tried again."
    return StorageUnavailableError(message, metadata={"store": "jobs"})
