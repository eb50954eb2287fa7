"""Two who share orders are erased at once: neither erasure puts back what the other took out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.test_erasure import CANARY, canaries
from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, NOON, Attribution, Events
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tributary_domain.erasures import Erasure
from tributary_runtime.errors import Backpressure
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.statements import statement

ONE, OTHER = (
    (f"customer:{CANARY}-one", f"visitor:{CANARY}-one"),
    (f"customer:{CANARY}-other", f"visitor:{CANARY}-other"),
)


@pytest.fixture
async def own(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Reconciled]:
    about = (migrated_redis_url, clickhouse_url, workspace)
    async with reconciled(*about, delivery_seconds=PATIENCE_SECONDS) as opened, forgetting(opened.attribution):
        yield opened


async def go_on(attribution: Attribution, erasure: Erasure) -> None:
    """Runs an erasure until a run of it comes to its end."""
    for _ in range(12):
        try:
            await attribution.erasing.go_on(erasure)
        except Backpressure:
            await attribution.work_off()
            opened = await attribution.erasures.opened()
            erasure = next((one for one in opened if one.erasure_id == erasure.erasure_id), erasure)
        else:
            return
    raise AssertionError(erasure.remaining)


async def erase(attribution: Attribution, tokens: tuple[str, str], mode: ErasureMode) -> None:
    plan = attribution.erasing.plan(attribution.workspace.id, list(tokens), mode)
    await go_on(attribution, await attribution.erasing.request(plan))


@pytest.mark.parametrize("mode", list(ErasureMode))
@pytest.mark.parametrize("name", ["strip_events", "strip_observations"])
async def test_neither_puts_back_what_the_others_erasure_took_out(
    own: Reconciled, workspace: str, name: str, mode: ErasureMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, attribution = Events(workspace), own.attribution
    await own.happen(*(make.identify(*tokens, at=NOON - DAY) for tokens in (ONE, OTHER)))
    for order_id, (teller, _), (_, device) in (("a", ONE, OTHER), ("b", OTHER, ONE)):
        number = f"{order_id}-{CANARY}"
        await own.happen(
            make.order(teller, order_id=number),
            make.order(device, order_id=number, at=NOON + 1, letter="M", rank=1),
        )
    execute, asked_of = attribution.clickhouse.execute, [statement(f"erasure/{name}")]

    async def overtaken(asked: str, *values: Any, **how: Any) -> Any:
        if asked in asked_of:
            asked_of.clear()
            await erase(attribution, OTHER, mode)
        return await execute(asked, *values, **how)

    monkeypatch.setattr(attribution.clickhouse, "execute", overtaken)
    await erase(attribution, ONE, mode)
    monkeypatch.undo()
    assert not asked_of
    for _ in range(5):
        for opened in await attribution.erasures.opened():
            await go_on(attribution, replace(opened, due_micros=0))
    assert await attribution.erasures.opened() == []
    assert await canaries(attribution) == []
