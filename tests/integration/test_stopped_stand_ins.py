"""A run of an erasure that stopped once stand-ins had taken their place goes on with them as they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.integration.test_erased_families import totals
from tests.integration.test_lost_erasures import own
from tests.integration.test_rebuild import bring_back, lose_all
from tests.integration.test_reconciliation import Reconciled
from tests.integration.test_told_while_erasing import ERASED, LIVING, UNIT, assert_stream_is_batch, happen
from tests.integration.test_under_way_while_erasing import over
from tests.support.attribution import NOON, Events
from tests.support.families import Families
from tributary_domain.erasures import Erasure
from tributary_domain.settings import SECOND
from tributary_runtime.privacy_settings import ErasureMode

__all__ = ["own"]

_MINUTE = 60 * SECOND
_BEGIN = NOON - NOON % _MINUTE
"""Stand-ins stand at the minute: what happened within one is in order all the same."""


class StoppedError(Exception):
    """The process has gone."""


def stopping_after(step: Callable[[Erasure], Awaitable[None]]) -> Callable[[Erasure], Awaitable[None]]:
    """Returns a step of an erasure after which its process is gone, the first time."""
    done: list[str] = []

    async def stops(erasure: Erasure) -> None:
        await step(erasure)
        done.append(erasure.erasure_id)
        if len(done) == 1:
            raise StoppedError

    return stops


@pytest.mark.parametrize("seconds", [pytest.param(3, id="within a minute"), pytest.param(600, id="minutes apart")])
async def test_a_lead_counts_once_though_the_run_stopped_and_the_state_store_is_lost_since(
    own: Reconciled, workspace: str, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    families, attribution, lead = Families(Events(workspace)), own.attribution, {"lead_id": "l-1"}

    def told(name: str, stage: str, at: int, micros: int) -> Any:
        return families.stage(name, event_id=stage, at=at, stage=stage, micros=micros, **lead)

    await happen(
        own,
        told(ERASED, "new", _BEGIN + 5 * SECOND, 20 * UNIT),
        told(ERASED, "won", _BEGIN + (5 + seconds) * SECOND, 900 * UNIT),
        told(LIVING, "paid", _BEGIN - 60 * _MINUTE, 70 * UNIT),
    )
    before = await totals(attribution)
    erasing = attribution.erasing
    monkeypatch.setattr(erasing._stand_ins, "take_place", stopping_after(erasing._stand_ins.take_place))
    erasure = await erasing.request(erasing.plan(workspace, [ERASED], ErasureMode.SEVER))
    with pytest.raises(StoppedError):
        await erasing.go_on(erasure)
    [stopped] = await attribution.erasures.opened()
    await over(own, await erasing.go_on(stopped))
    assert await totals(attribution) == before
    await assert_stream_is_batch(own)
    await lose_all(attribution)
    await bring_back(attribution)
    await happen(own, told(LIVING, "early", _BEGIN - 120 * _MINUTE, 5 * UNIT))
    assert await totals(attribution) == before
    await assert_stream_is_batch(own)
