"""What is deleted never comes back: neither a typing error nor a wrong clock nor a neighbour deletes at once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.test_expiry import DAY, Kept, expiring, kept_of, lived
from tests.integration.test_reconciliation import reconciled
from tests.support.attribution import Events
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import PreconditionError
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.retention import MonthOfRows, RetainedTable, RetentionRecords

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def kept(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Kept]:
    async with reconciled(migrated_redis_url, clickhouse_url, workspace) as world:
        yield kept_of(world)


async def test_who_keeps_less_by_mistake_has_three_days_to_correct_it(kept: Kept, workspace: str) -> None:
    await lived(kept, Events(workspace))
    assert await kept.delete() == {"events": 2}
    seen = await kept.rows("events FINAL", "event_id")
    for days, months in ((40, 14), (1, 3), (2, 3), (1, 14), (1, 3), (2, 3), (1, 1), (2, 1)):
        kept.clock.micros += days * DAY
        assert await kept.expiry.delete(kept.keeping(months)) == {}
        assert await kept.rows("events FINAL", "event_id") == seen
    kept.clock.micros += DAY
    assert await kept.expiry.delete(kept.keeping(1)) == {"events": 2}


async def test_nothing_is_deleted_by_a_clock_that_is_not_that_of_clickhouse(kept: Kept) -> None:
    kept.clock.micros = SystemClock().unix_micros() + 400 * DAY
    with pytest.raises(PreconditionError, match="clock"):
        await kept.expiry.delete_due()
    assert await kept.rows("retentions", "finish_time") == []


class Refusing(RetentionRecords):
    """Records of which those of one workspace cannot be read, by a mistake of ours."""

    def __init__(self, clickhouse: ClickHouse, workspace: str) -> None:
        super().__init__(clickhouse)
        self._refused = workspace

    async def months(
        self, workspace: str, table: RetainedTable, before_micros: int, accepted_until_micros: int
    ) -> list[MonthOfRows]:
        if workspace == self._refused:
            raise ValueError("visitor:v")
        return await super().months(workspace, table, before_micros, accepted_until_micros)


async def test_what_fails_of_one_workspace_keeps_nobody_elses(
    kept: Kept, workspace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await lived(kept, Events(workspace))
    own = kept.keeping(14)
    bad = own.model_copy(update={"id": f"{own.id}-0"})
    for one in (own, bad):
        await kept.tell(one.id, 14)
    records = Refusing(kept.attribution.clickhouse, bad.id)
    assert await expiring(records, kept).delete(bad, own) == {"events": 2}
    states = await records.states()
    assert (states[own.id].finish_micros, states[bad.id].finish_micros) == (kept.clock.micros, 0)
    assert "visitor:v" not in capsys.readouterr().out
