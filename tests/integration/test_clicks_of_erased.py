"""The text of a click id goes with the last who was sent on by it, and with nobody before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, NOON, SHARDS, Attribution, Events
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tributary_domain.erasures import Erasure
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.redis.click_ids import ClickIds, hash_of_click

KAY, LEE = "visitor:kay", "visitor:lee"
SHARED, OWN = "sent-on-by-kay", "kays-own"


@pytest.fixture
async def own(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Reconciled]:
    about = (migrated_redis_url, clickhouse_url, workspace)
    async with reconciled(*about, delivery_seconds=PATIENCE_SECONDS) as opened, forgetting(opened.attribution):
        yield opened


async def texts(attribution: Attribution) -> set[str]:
    """Returns the click ids that are kept, as a process reads them that knows none."""
    places = [(attribution.workspace.id, hash_of_click("gclid", value)) for value in (SHARED, OWN)]
    return {value for _, value in (await ClickIds(attribution.state, SHARDS).read(places)).values()}


def opened_by(events: Events, token: str, value: str, *, at: int = NOON - DAY) -> Any:
    return events.touch(token, at=at, channel="Paid Search", clicks={"gclid": value})


async def asked(attribution: Attribution, token: str, mode: ErasureMode = ErasureMode.SEVER) -> Erasure:
    return await attribution.erasing.request(attribution.erasing.plan(attribution.workspace.id, [token], mode))


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_a_click_that_somebody_else_came_by_stays_until_they_are_erased(
    own: Reconciled, workspace: str, mode: ErasureMode
) -> None:
    make, attribution = Events(workspace), own.attribution
    await own.happen(
        opened_by(make, KAY, SHARED, at=NOON - 2 * DAY),
        opened_by(make, KAY, OWN, at=NOON - 2 * DAY + 60_000_000),
        opened_by(make, LEE, SHARED),
    )
    assert await texts(attribution) == {SHARED, OWN}
    erasure = await attribution.erasing.go_on(await asked(attribution, KAY, mode))
    assert erasure.destroyed["click_ids"] == 1
    assert await texts(attribution) == {SHARED}
    await attribution.erasing.go_on(await asked(attribution, LEE, mode))
    assert await texts(attribution) == set()


async def test_who_opens_a_link_after_somebody_was_erased_has_its_click(own: Reconciled, workspace: str) -> None:
    make, attribution = Events(workspace), own.attribution
    await own.happen(opened_by(make, KAY, SHARED), make.order(KAY, order_id="o-kay"))
    await attribution.erasing.go_on(await asked(attribution, KAY))
    assert await texts(attribution) == set()
    await own.happen(opened_by(make, LEE, SHARED))
    assert await texts(attribution) == {SHARED}


@pytest.mark.parametrize("steps_of_other", range(13))
async def test_of_two_who_are_erased_at_once_the_last_takes_the_click_along(
    own: Reconciled, workspace: str, steps_of_other: int
) -> None:
    make, attribution = Events(workspace), own.attribution
    await own.happen(opened_by(make, KAY, SHARED, at=NOON - 2 * DAY), opened_by(make, LEE, SHARED))
    kay, lee = await asked(attribution, KAY), await asked(attribution, LEE)
    steps = list(attribution.erasing.steps())
    for step in steps[:steps_of_other]:
        kay = await step(kay)
    for step in steps:
        lee = await step(lee)
    for step in steps[steps_of_other:]:
        kay = await step(kay)
    assert await texts(attribution) == set()


@pytest.mark.parametrize("name", ["delete", "hdel"])
async def test_a_run_that_stops_before_or_at_a_journey_leaves_no_click_behind(
    own: Reconciled, workspace: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, attribution = Events(workspace), own.attribution
    await own.happen(opened_by(make, KAY, OWN), opened_by(make, LEE, SHARED))
    kay = await asked(attribution, KAY)

    def stopping(does: Callable[..., Awaitable[int]]) -> Callable[..., Awaitable[int]]:
        async def stopped(key: str, *fields: Any) -> int:
            await does(key, *fields)
            if ":journey:" in key:
                raise _Stopped
            return 1

        return stopped

    monkeypatch.setattr(attribution.state, name, stopping(getattr(attribution.state, name)))
    with pytest.raises(_Stopped):
        await attribution.erasing.go_on(kay)
    monkeypatch.undo()
    [opened] = [one for one in await attribution.erasures.opened() if one.erasure_id == kay.erasure_id]
    await attribution.erasing.go_on(opened)
    assert await texts(attribution) == {SHARED}


class _Stopped(Exception):
    """The process ends here."""
