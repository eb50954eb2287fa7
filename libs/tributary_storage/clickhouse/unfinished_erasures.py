"""Erasures that are not finished, in ClickHouse: what a loss of the state store must not take.

The one rule: what is kept here tells whose the severed conversions were, so it is sealed, and deleted with the last
step of the erasure. Every method may run twice, and raises `StorageUnavailableError` if ClickHouse does not
answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import structlog

from tributary_domain.erasures import Erasure
from tributary_domain.sealed_erasures import erasures_key, open_erasure, seal_erasure
from tributary_domain.sealing import NONCE_BYTES, SealError
from tributary_runtime import metrics
from tributary_runtime.errors import NotFoundError
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement
from tributary_storage.codec.erasures import pack_erasure, unpack_erasure

log = structlog.get_logger(__name__)


class UnfinishedErasures:
    """Keeps them.

    Args:
        clickhouse: Through which.
        pepper_of: Returns a workspace's pepper; raises `NotFoundError`.
    """

    def __init__(self, clickhouse: ClickHouse, pepper_of: Callable[[str], bytes]) -> None:
        self._clickhouse = clickhouse
        self._pepper_of = pepper_of

    async def keep(self, erasure: Erasure, now_micros: int) -> None:
        """Keeps all that is needed to go on with an erasure."""
        key, name = self._key(erasure.workspace), erasure.erasure_id
        sealed = seal_erasure(key, name, pack_erasure(erasure).encode(), secrets.token_bytes(NONCE_BYTES))
        columns = ("workspace", "erasure_id", "version", "sealed")
        table = metrics.Table.UNFINISHED_ERASURES
        row = (erasure.workspace, name, now_micros, sealed)
        written = await self._clickhouse.insert(table.value, columns, [[one] for one in row])
        metrics.WRITTEN_ROWS.add(written, table=table)

    async def all(self) -> list[Erasure]:
        """Returns all of them that can be read."""
        found = []
        for workspace, name, sealed in await self._clickhouse.execute(
            statement("erasure/unfinished"), raw_strings=True
        ):
            try:
                key = self._key(workspace.decode())
                found.append(unpack_erasure(open_erasure(key, name.decode(), sealed)))
            except (SealError, NotFoundError) as failure:  # of a workspace that is no more, or has another pepper
                log.error("unfinished_erasure_not_read", erasure=name.decode(), reason=str(failure))
        return found

    async def drop(self, erasure: Erasure) -> None:
        """Destroys what is kept of an erasure."""
        asked = {"workspace": erasure.workspace, "erasure_id": erasure.erasure_id}
        await self._clickhouse.execute(statement("erasure/delete_unfinished"), asked)

    def _key(self, workspace: str) -> bytes:
        return erasures_key(workspace, self._pepper_of(workspace))
