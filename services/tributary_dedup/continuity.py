"""Refuses to acknowledge on an event log that is older than what is known of it.

The one rule: a log that ends before the last place that is known to have been in it has lost acknowledged events and
their claims, however healthy it looks: it was emptied, or restored from a copy. Somebody must look, and confirm.

Two know where it ended: ClickHouse, which recorded it, and every dedup that lived through the restart of Redis, which
saw it a second before. What is compared is where the log ended *when this run of Redis began* (whoever meets a run
first notes that in it), never where it ends by now: new events would soon hide what is missing.

While ClickHouse does not answer the door stays open as long as anybody can vouch for the log: somebody compared this
run of Redis with ClickHouse before, or this process saw the run before it and misses nothing. Then the question stays
open: ClickHouse is asked as soon as it answers, and until then the recorder writes nothing to it, so that it is asked
about the log before this run. If Redis was restarted, no dedup lived through it and ClickHouse is out as well, nobody
can vouch for it: it stays closed until ClickHouse answers, or the operator vouches for it. That opens the door until
ClickHouse answers, and no longer: what is known to be missing is confirmed, not vouched for.

While some nodes of a cluster do not answer, the shards of the others go on, also for a process that begins then: each
shard knows which runs it was compared in. Those that are away are compared once they are back, before they are used.
A shard that does not know it any more, though others do or this process saw it there, was emptied while Redis ran: all
that was recorded of it is missing, whatever was appended since. So it is while a node is away: then this process knows
what was in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

import structlog

from tributary_runtime.errors import PartOutageError, PreconditionError, StorageUnavailableError, UnavailableError
from tributary_storage.continuity import RECORD_SECONDS, older
from tributary_storage.redis.client import name_of_runs
from tributary_storage.redis.keys import Lane

log = structlog.get_logger(__name__)

Position = tuple[int, int]
Positions = dict[tuple[int, Lane], Position]

_START: Final = (0, 0)


class Log(Protocol):
    """The event log. Every method raises `StorageUnavailableError` if it does not answer."""

    async def last_positions(self) -> Positions:
        """Returns the last id each stream has given out."""
        ...

    async def runs(self) -> tuple[set[str], bool]:
        """Returns what names this run of each node of Redis that answers, and whether all do."""
        ...

    async def positions_at_begin(self, run: str) -> Positions:
        """Returns the last ids when this run was first met, by whoever asks this first."""
        ...

    async def passed_run(self) -> str:
        """Returns the run that was compared with ClickHouse; empty: none was."""
        ...

    async def note_passed(self, run: str) -> None:
        """Notes that a run was compared with ClickHouse, and lacks nothing that was not confirmed."""
        ...

    async def noted_runs(self) -> dict[int, str]:
        """Returns the run that each shard that answers says was compared; empty: it says of none."""
        ...

    async def passed_nodes(self) -> set[str]:
        """Returns the runs of nodes that all shards that answer say were compared."""
        ...

    async def loss_micros(self) -> int:
        """Returns when the last confirmed loss was, microseconds since 1970; 0: there was none."""
        ...


class Recorded(Protocol):
    """What was recorded of the log."""

    async def last_positions(self) -> Positions:
        """Returns the highest place recorded of each stream; streams of which nothing was are missing."""
        ...


class Continuity:
    """A guard.

    Args:
        event_log: What is there.
        recorded: What was there.
        is_vouched_for: Whether an operator vouches for the log while nobody else can. Never against what is known:
            where ClickHouse or this process misses something, the loss must be confirmed.
    """

    name = "log:continuity"

    def __init__(self, event_log: Log, recorded: Recorded, *, is_vouched_for: bool) -> None:
        self._event_log = event_log
        self._positions = recorded
        self._is_vouched_for = is_vouched_for
        self._seen: Positions = {}
        self._seen_runs: set[str] = set()
        self._noted_run = ""
        """The last that every shard said was compared."""
        self.is_known = False
        """Whether this run of Redis was compared with ClickHouse; while it was not, nothing is recorded."""
        self.loss_micros = 0
        """When the last confirmed loss was, microseconds since 1970; 0: there was none."""
        if is_vouched_for:
            log.warning("log_vouched_for", setting="TRIBUTARY_DEDUP_ACCEPT_OLDER_LOG", until="ClickHouse answers")

    async def __call__(self) -> None:
        """Returns if the log has everything that is known to have been in it, or if somebody vouches for it meanwhile.

        Raises:
            PreconditionError: It is an older copy, or nobody can tell whether it is.
            PartOutageError: Some nodes of a cluster do not answer; those that do have not restarted since they were
                compared.
            StorageUnavailableError: The log does not answer.
        """
        runs, is_whole = await self._event_log.runs()
        if not is_whole:
            if not runs <= self._seen_runs:
                if not runs <= await self._event_log.passed_nodes():
                    raise StorageUnavailableError("The event log did not answer.", metadata={"store": "log"})
                self.loss_micros = await self._event_log.loss_micros()
                self.is_known = True
            await self._require_noted()
            raise PartOutageError("Some nodes of the event log do not answer.", metadata={"store": "log"})
        run = name_of_runs(runs)
        self.loss_micros = await self._event_log.loss_micros()
        is_passed = await self._event_log.passed_run() == run  # asked first: it is noted of each shard before
        noted = await self._event_log.noted_runs()
        was_noted = self._noted_run == run or run in noted.values()
        emptied = {shard for shard, said in noted.items() if not said} if was_noted else set()
        if is_passed and not emptied:
            if set(noted.values()) != {run}:
                await self._event_log.note_passed(run)  # an earlier version noted it of no shard
            self._noted_run = run
            await self._see(runs)
            self.is_known = True
            return
        self.is_known = False
        recorded = await self._recorded()  # first: what is recorded after the begin was noted is no loss
        if emptied:  # the others were compared in this run, and have had more recorded of them since
            last = await self._event_log.last_positions()
            begin = there = {place: position for place, position in last.items() if place[0] not in emptied}
        else:
            begin = await self._event_log.positions_at_begin(run)
            # Of a run that it has seen already, this process knows more than where it began.
            there = await self._event_log.last_positions() if runs == self._seen_runs else begin
        self._require(self._seen, there)
        if recorded is not None:
            try:
                self._require(recorded, begin)
            except PreconditionError:
                # Where nothing was emptied, another process may have been first, and have recorded since.
                if emptied or await self._event_log.passed_run() != run:
                    raise
            await self._event_log.note_passed(run)
            self._noted_run = run
            self.is_known = True
        elif not self._seen and not self._is_vouched_for:
            message = (
                "Redis was restarted, no dedup lived through it, and ClickHouse does not answer: nobody can tell "
                "whether this event log is an older copy. ClickHouse is asked until it answers; if it cannot, and the "
                "log is certainly whole, set TRIBUTARY_DEDUP_ACCEPT_OLDER_LOG=true until it does."
            )
            raise PreconditionError(message, subject="redis:log", reason="LOG_CONTINUITY_UNKNOWN")
        elif not self._seen:
            log.warning("unknown_log_accepted", setting="TRIBUTARY_DEDUP_ACCEPT_OLDER_LOG")
        await self._see(runs)

    async def _require_noted(self) -> None:
        """Refuses shards that were emptied, of those that answer while others do not."""
        if not self._noted_run:
            return
        emptied = {shard for shard, said in (await self._event_log.noted_runs()).items() if not said}
        if emptied:
            self.loss_micros = await self._event_log.loss_micros()
            lost = {place: position for place, position in self._seen.items() if place[0] in emptied}
            was_known, self.is_known = self.is_known, False
            self._require(lost, {})
            self.is_known = was_known

    async def _recorded(self) -> Positions | None:
        """Returns what ClickHouse knows; None if it does not answer."""
        try:
            async with asyncio.timeout(RECORD_SECONDS):
                return await self._positions.last_positions()
        except (UnavailableError, TimeoutError) as outage:
            log.warning("continuity_unknown", reason=str(outage) or "ClickHouse did not answer in time.")
            return None

    async def _see(self, runs: set[str]) -> None:
        """Remembers where the log ends now."""
        self._seen, self._seen_runs = await self._event_log.last_positions(), runs

    def _require(self, known: Mapping[tuple[int, Lane], Position], there: Positions) -> None:
        """Refuses a log that lacks what is known of it, unless that was confirmed."""
        behind = sorted(place for place, position in known.items() if there.get(place, _START) < position)
        missing = [place for place in behind if known[place][0] * 1_000 > self.loss_micros]
        if missing:
            raise older("log", [f"{shard}/{lane}" for shard, lane in missing])
        if behind:
            log.warning("older_log_accepted", streams=len(behind))
