"""How far the workers are, for those who read what they wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import redis.asyncio
import structlog

from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis.backlogs import GroupBacklog, conversion_log_backlogs, event_log_backlogs
from tributary_storage.redis.deferred import DeferredConversions
from tributary_storage.redis.epoch import Epoch
from tributary_storage.redis.keys import ATTRIBUTE_GROUP
from tributary_storage.redis.verdicts import read_verdicts

log = structlog.get_logger(__name__)


class Progress:
    """What the event log, the conversion log and the verdict counters say.

    Args:
        log_store: Redis of the role *log*.
        state_store: Redis of the role *state*.
        epoch: For the number of shards.
    """

    def __init__(self, log_store: redis.asyncio.Redis, state_store: redis.asyncio.Redis, epoch: Epoch) -> None:
        self._log_store = log_store
        self._state_store = state_store
        self._shards = epoch.shards
        self._deferred = DeferredConversions(state_store, epoch.shards)

    async def complete_through_micros(self) -> int | None:
        """Returns the moment before which every accepted event has been credited and stored.

        Fails open: None if a Redis does not answer; who asks has an answer without it.
        """
        try:
            return complete_through(await self._event_log_backlogs())
        except StorageUnavailableError as error:
            log.warning("completeness_unknown", reason=error.message)
            return None

    async def backlogs(self) -> list[GroupBacklog]:
        """Returns what waits before every group of both logs.

        Raises:
            StorageUnavailableError: A Redis did not answer.
        """
        return [
            *await self._event_log_backlogs(),
            *await conversion_log_backlogs(self._state_store, self._shards),
        ]

    async def _event_log_backlogs(self) -> list[GroupBacklog]:
        """Returns the backlogs of the event log; conversions that attribution has put off wait there, too."""
        backlogs = await event_log_backlogs(self._log_store, self._shards)
        # After it and not beside it: what is put off is noted before its entry is acknowledged, so that one of the two
        # shows it. Asked the other way round, or both at once, it could be missed in both.
        deferred, since = await self._deferred.waiting()
        if since is None:
            return backlogs
        return [
            replace(one, entries=one.entries + deferred, oldest_micros=min(since, one.oldest_micros or since))
            if one.group == ATTRIBUTE_GROUP
            else one
            for one in backlogs
        ]

    async def verdicts(self, workspace: str) -> dict[str, int]:
        """Returns what the claim scripts counted for a workspace, by verdict.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        return (await read_verdicts(self._log_store, self._shards, workspace)).get(workspace, {})


def complete_through(backlogs: Sequence[GroupBacklog]) -> int | None:
    """Returns the moment before which nothing waits for credit, microseconds since 1970."""
    for backlog in backlogs:
        if backlog.group == ATTRIBUTE_GROUP:
            return backlog.now_micros if backlog.oldest_micros is None else backlog.oldest_micros
    return None


def is_settled(backlogs: Sequence[GroupBacklog]) -> bool:
    """Says whether nothing waits, before any group."""
    return all(backlog.oldest_micros is None and not backlog.entries for backlog in backlogs)
