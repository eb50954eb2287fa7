"""An erasure that a bug ends waits longer each time; those of others go on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import asdict

import pytest
from structlog.testing import capture_logs

from tests.integration.test_erasure import CANARY, CUSTOMER, canaries, lived, requested
from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tests.support.sealing import Hurried
from tributary_attribution.due_erasures import FIRST_SECONDS
from tributary_attribution.erasure_plans import planned
from tributary_domain.erasures import Erasure
from tributary_storage.redis import keys


@pytest.fixture
def clock() -> Hurried:
    return Hurried()


@pytest.fixture
async def own(
    migrated_redis_url: str, clickhouse_url: str, workspace: str, clock: Hurried
) -> AsyncIterator[Reconciled]:
    settings = {"delivery_seconds": PATIENCE_SECONDS, "clock": clock}
    async with (
        reconciled(migrated_redis_url, clickhouse_url, workspace, **settings) as opened,
        forgetting(opened.attribution),
    ):
        yield opened


def an_erasure(workspace: str) -> Erasure:
    return planned(workspace, (CUSTOMER,), 0, removes=True, reason="", requested_by="", own_seconds=0)


async def test_an_erasure_that_a_bug_ends_waits_while_others_go_on(
    own: Reconciled, workspace: str, clock: Hurried
) -> None:
    await lived(own, workspace)
    attribution = own.attribution
    wrong = an_erasure(workspace)
    broken = json.dumps({**asdict(wrong), "tokens": [f"visitor:{CANARY}-elsewhere"], "until_micros": "not a number"})
    await attribution.state.hset(keys.open_erasures(), wrong.erasure_id, broken)  # type: ignore[misc]
    right = await requested(attribution)
    right_now = json.dumps({**asdict(right), "due_micros": 0})
    await attribution.state.hset(keys.open_erasures(), right.erasure_id, right_now)  # type: ignore[misc]
    with capture_logs() as logs:
        assert await attribution.erasing.go_on_with_due() == 2
    told = [one for one in logs if one["event"] == "erasure_not_finished"]
    assert [(one["erasure"], one["log_level"], one["again_seconds"]) for one in told] == [
        (wrong.erasure_id, "error", FIRST_SECONDS)
    ]
    assert CANARY not in repr(logs)
    assert await canaries(attribution) == [keys.open_erasures()], "the other was erased"
    with capture_logs() as logs:
        await attribution.erasing.go_on_with_due()
    assert wrong.erasure_id not in repr(logs)
    clock.ahead += FIRST_SECONDS
    with capture_logs() as logs:
        await attribution.erasing.go_on_with_due()
    [again] = [one for one in logs if one.get("erasure") == wrong.erasure_id]
    assert again["again_seconds"] == 2 * FIRST_SECONDS
    await attribution.erasures.close(wrong)
