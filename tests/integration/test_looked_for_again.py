"""An erasure that looks for what came back: nothing puts it off, and it misses nothing that comes meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.integration.test_erasure import CANARY, CUSTOMER, VISITOR, end_all, lived, own, requested
from tests.integration.test_reconciliation import Reconciled
from tests.integration.test_refusals_of_erased import kept, left, refuse
from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events
from tributary_attribution.erasure_plans import again
from tributary_domain.erasures import Erasure, ErasureState

__all__ = ["own"]  # a fixture


def refused(events: Events, event_id: str) -> Admitted:
    return events.order(CUSTOMER, order_id=f"o-{CANARY}", event_id=event_id, letter="C")


async def the_open(attribution: Attribution) -> Erasure:
    [one] = [one for one in await attribution.erasures.opened() if one.workspace == attribution.workspace.id]
    return one


async def gone(own: Reconciled, workspace: str) -> tuple[Events, int]:
    """Erases the person; returns when something is refused later."""
    events, _ = await lived(own, workspace)
    erasure = await own.attribution.erasing.go_on(await requested(own.attribution))
    await end_all(own.attribution)
    return events, erasure.until_micros + DAY


async def test_what_is_sent_again_and_again_does_not_put_it_off(own: Reconciled, workspace: str) -> None:
    events, later = await gone(own, workspace)
    attribution = own.attribution
    due = []
    for number in range(3):
        await refuse(attribution, refused(events, "the same"), accept_micros=later + number)
        due.append((await the_open(attribution)).due_micros)
    assert len(set(due)) == 1
    far = replace(await the_open(attribution), due_micros=due[0] + 1)
    await attribution.erasures.look_again(far)
    going = await the_open(attribution)
    assert going.due_micros == due[0]
    await attribution.erasing.go_on(replace(going, due_micros=0))
    assert await left(attribution) == 0
    assert await the_open(attribution), "the last may not have been recorded yet"
    await attribution.erasing.go_on(await the_open(attribution))
    assert await attribution.erasures.opened() == []


@pytest.mark.parametrize("step", ["_look", "_note", "_stand_in", "_forget", "_prove"])
async def test_what_is_refused_while_it_looks_and_recorded_once_it_is_over_goes_too(
    own: Reconciled, workspace: str, step: str
) -> None:
    events, later = await gone(own, workspace)
    attribution = own.attribution
    await refuse(attribution, refused(events, "before"), accept_micros=later)
    going, during = replace(await the_open(attribution), due_micros=0), refused(events, "during")
    await attribution.erasures.keep(going)
    for one in attribution.erasing.steps():
        going = await one(going)
        if one.__name__ == step:
            await attribution.handle(during, accept_micros=later + 1)
    await attribution.record(during, accept_micros=later + 1)
    assert await left(attribution) == 1
    await end_all(attribution)
    assert (await kept(attribution), await left(attribution)) == (set(), 0)


async def test_it_looks_for_all_until_the_latest_moment(own: Reconciled, workspace: str) -> None:
    erasures, late = own.attribution.erasures, NOON + DAY
    for until in (NOON, late, NOON):
        await erasures.look_again(again(workspace, VISITOR, until, NOON))
    going = await the_open(own.attribution)
    assert (going.until_micros, going.is_behind) == (late, False)
    await erasures.look_again(again(workspace, VISITOR, late + 1, going.due_micros))
    assert not await erasures.close(going)
    await erasures.keep(replace(going, state=ErasureState.FINISHED))
    after = await the_open(own.attribution)
    assert (after.until_micros, after.is_behind, after.state) == (late + 1, True, ErasureState.FINISHED)
    assert await erasures.close(after)
    assert await erasures.opened() == []
