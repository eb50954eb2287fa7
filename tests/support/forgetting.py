"""Delivery as erasures need it: it forgets names, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.attribution import Attribution
from tributary_delivery.forgotten_names import ForgottenNames
from tributary_runtime.clock import SystemClock
from tributary_runtime.workspaces import Workspaces
from tributary_storage.clickhouse.recorded_leads import RecordedLeads
from tributary_storage.redis.erased_names import ErasedNames
from tributary_storage.redis.names_in_jobs import NamesInJobs
from tributary_storage.redis.replication import Replication

PATIENCE_SECONDS = 300.0
"""How long an erasure waits for it: `running_attribution(delivery_seconds=...)`."""


class _OneWorkspace:
    """What workspaces.yaml says."""

    def __init__(self, attribution: Attribution) -> None:
        self.current = Workspaces(workspaces=(attribution.workspace,))


@asynccontextmanager
async def forgetting(attribution: Attribution) -> AsyncIterator[None]:
    """Runs it until the end of the block; one server plays both roles."""
    state, stop = attribution.state, asyncio.Event()
    loop = ForgottenNames(
        *(ErasedNames(state), NamesInJobs(state), RecordedLeads(attribution.clickhouse)),
        *(_OneWorkspace(attribution), SystemClock(), Replication(state, "jobs", 0).settle),
        look_seconds=0.05,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(loop.run(stop))
        try:
            yield
        finally:
            stop.set()
