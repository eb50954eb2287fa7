"""The state store is lost while somebody is being erased: the erasure goes on where it was, counting nothing twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.test_erased_families import ANN, a_world, channels, happen, late, totals
from tests.integration.test_families import Names, assert_batch_agrees
from tests.integration.test_rebuild import bring_back, lose_all
from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, NOON, Admitted, Events
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tributary_domain.erasures import SEVERED_PREFIX, Erasure, ErasureState
from tributary_runtime.clock import SystemClock
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.integrity import StoredIntegrity

PERSON, DEVICE, LIVING, OTHERS = "customer:k", "visitor:kv", "customer:l", "visitor:lv"
EUR = 1_000_000
FIRST_RUN = ("_bury", "_note", "_stand_in", "copied", "half", "_sever", "_strip", "_forget", "_prove")
SECOND_RUN = ("_note", "copied", "_prove")


@pytest.fixture
async def own(stores: Any, clickhouse_url: str, workspace: str) -> AsyncIterator[Reconciled]:
    """Attribution with what reconciles it, and a delivery that forgets."""
    declared: dict[str, Any] = {"conversions": [{"name": "lead"}, {"name": "purchase"}, {"name": "payment"}]}
    settings = {"delivery_seconds": PATIENCE_SECONDS, **declared}
    async with (
        reconciled(stores.empty_redis_url(), clickhouse_url, workspace, **settings) as made,
        forgetting(made.attribution),
    ):
        yield made


async def live(own: Reconciled, events: Events) -> Sequence[Admitted]:
    """Lets the person order, and somebody living; returns what they did."""
    said = (
        events.identify(PERSON, DEVICE, at=NOON - DAY, event_id="kl"),
        events.identify(LIVING, OTHERS, at=NOON - DAY, event_id="ll"),
        events.touch(DEVICE, at=NOON - DAY, event_id="kt"),
        events.order(PERSON, order_id="O", event_id="ko", micros=100 * EUR),
        events.touch(OTHERS, at=NOON - DAY, event_id="lt"),
        events.order(LIVING, order_id="P", event_id="lp", micros=7 * EUR, at=NOON + 9),
    )
    await own.happen(*said)
    return said


async def run_until(own: Reconciled, erasure: Erasure, last: str) -> None:
    """Does the steps of a run up to one, as a process does that dies then."""
    erasing = own.attribution.erasing
    for step in erasing.steps():
        if step.__name__ == "_sever" and last in ("copied", "half"):
            await copy(own, erasure, with_deleting=last == "half")
            return
        erasure = await step(erasure)
        if step.__name__ == last:
            return


async def copy(own: Reconciled, erasure: Erasure, *, with_deleting: bool) -> None:
    records = own.attribution.erasing._records
    if not erasure.removes:
        await records.severed.sever(erasure)
    if with_deleting:
        statement = "ALTER TABLE conversions DELETE WHERE workspace = %(w)s AND conversion_id IN %(ids)s"
        await own.execute(statement, ids=list(erasure.conversion_ids))


async def sealed(own: Reconciled) -> int:
    """Returns how many rows ClickHouse has of erasures that are not finished, in all versions."""
    statement = "SELECT count() FROM unfinished_erasures WHERE workspace = %(w)s"
    [(number,)] = await own.attribution.clickhouse.execute(statement, {"w": own.attribution.workspace.id})
    return int(number)


async def end(own: Reconciled) -> None:
    """Goes on with what is due until nothing is open."""
    attribution = own.attribution
    for _ in range(9):
        await attribution.erasing.go_on_with_due()
        for one in await attribution.erasures.opened():
            await attribution.erasures.keep(replace(one, due_micros=0))
        if not await attribution.erasures.opened():
            return
    raise AssertionError(await attribution.erasures.opened())


async def conversions(own: Reconciled) -> list[tuple[str, int, bool]]:
    rows = await own.attribution.stored("conversion_id, value_micros, counted")
    return sorted(
        (SEVERED_PREFIX if name.startswith(SEVERED_PREFIX) else name, value, yes) for name, value, yes in rows
    )


async def assert_as_erased(own: Reconciled, events: Events, mode: ErasureMode) -> None:
    """Nothing of the person is left; what stays counts once, and batch says the same."""
    attribution, workspace = own.attribution, own.attribution.workspace.id
    assert await sealed(own) == 0, "what tells whose the severed conversions were is gone"
    theirs = (events.conversion_id("P"), 7 * EUR, True)
    kept = [(SEVERED_PREFIX, 100 * EUR, True)] if mode is ErasureMode.SEVER else []
    assert await conversions(own) == sorted([theirs, *kept])
    asked = attribution.erasing.plan(workspace, [PERSON, DEVICE], mode)
    assert not any((await attribution.erasing.survey(asked)).values())
    assert (await own.run(own.a_run(repairs=False))).counts.get("differences", 0) == 0
    assert await own.differences() == []
    integrity = StoredIntegrity(attribution.clickhouse)
    observed = (await integrity.events(workspace)).observed_conversions
    assert observed == (await integrity.conversions(workspace)).rows


@pytest.mark.parametrize("mode", list(ErasureMode))
@pytest.mark.parametrize(
    ("last", "is_second"), [*((one, False) for one in FIRST_RUN), *((one, True) for one in SECOND_RUN)]
)
async def test_an_erasure_goes_on_after_a_loss_of_the_state_store(
    own: Reconciled, workspace: str, mode: ErasureMode, last: str, is_second: bool
) -> None:
    events, attribution = Events(workspace), own.attribution
    await live(own, events)
    erasing = attribution.erasing
    erasure = await erasing.request(erasing.plan(workspace, [PERSON, DEVICE], mode, own_seconds=0))
    if is_second:
        erasure = await erasing.go_on(erasure)
    await run_until(own, erasure, last)
    await lose_all(attribution)
    await bring_back(attribution)
    await end(own)
    ended = await erasing.get(workspace, erasure.erasure_id)
    assert (ended.state, ended.mode) == (ErasureState.FINISHED, mode.value)
    await assert_as_erased(own, events, mode)


@pytest.mark.parametrize("mode", list(ErasureMode))
@pytest.mark.parametrize("last", ["_bury", "copied", "_sever"])
async def test_it_goes_on_before_all_is_back_and_though_the_log_is_read_again(
    own: Reconciled, workspace: str, mode: ErasureMode, last: str
) -> None:
    events, attribution = Events(workspace), own.attribution
    said = await live(own, events)
    erasing = attribution.erasing
    erasure = await erasing.request(erasing.plan(workspace, [PERSON, DEVICE], mode, own_seconds=0))
    await run_until(own, erasure, last)
    await lose_all(attribution)
    assert await erasing.go_on_with_due() == 1
    await attribution.handle(*said)
    await bring_back(attribution)
    await end(own)
    assert (await erasing.get(workspace, erasure.erasure_id)).state is ErasureState.FINISHED
    await assert_as_erased(own, events, mode)


@pytest.mark.parametrize("last", ["_note", "_stand_in", "copied", "_sever", "_forget"])
async def test_who_is_of_a_family_with_others_stands_in_for_them_once(
    own: Reconciled, workspace: str, last: str
) -> None:
    attribution, named = own.attribution, a_world(workspace)
    await happen(attribution, named)
    before = await totals(attribution)
    erasing = attribution.erasing
    erasure = await erasing.request(erasing.plan(workspace, [ANN], ErasureMode.SEVER, own_seconds=0))
    await run_until(own, erasure, last)
    await lose_all(attribution)
    await bring_back(attribution)
    await end(own)
    for more in ({}, late(workspace)):
        await happen(attribution, more)
        assert await totals(attribution) == before
        assert await channels(attribution, named, "won 2", "won 3", "second") == ["Email"] * 3
        await assert_batch_agrees(attribution)


@pytest.mark.parametrize(
    ("last", "kept", "is_late"),
    [
        ("_stand_in", ":open", False),
        ("_stand_in", "", True),
        ("_strip", ":conversion:", False),
        ("_sever", ":open before", False),
    ],
)
async def test_they_stand_in_once_though_a_part_was_not_lost(
    own: Reconciled, workspace: str, last: str, kept: str, is_late: bool
) -> None:
    """Of a cluster, one node may be lost, or come back as it was before; and a later run may have what came late."""
    attribution, named = own.attribution, a_world(workspace)
    await happen(attribution, named)
    before = await totals(attribution)
    erasing = attribution.erasing
    erasure = await erasing.request(erasing.plan(workspace, [ANN], ErasureMode.SEVER, own_seconds=0))
    kept, _, is_older = kept.partition(" ")
    held = await dumped(own, kept)
    await run_until(own, erasure, last)
    if is_late:
        [opened] = await attribution.erasures.opened()
        await erasing._opened.keep(replace(opened, state=ErasureState.DESTROYED))
    held = held if is_older else await dumped(own, kept)
    await lose_all(attribution)
    for key, content in held.items():
        await attribution.state.restore(key, 0, content)
    attribution.losses[-1] = SystemClock().unix_micros()
    await bring_back(attribution)
    await end(own)
    await assert_stood_in(own, named, before)


async def dumped(own: Reconciled, part: str) -> dict[bytes, Any]:
    """Returns what the state store has under names with a part; with an empty one, nothing."""
    state = own.attribution.state
    return {key: await state.dump(key) async for key in state.scan_iter(match=f"*{part}*")} if part else {}


async def test_they_stand_in_once_though_the_loss_comes_while_they_are_severed(own: Reconciled, workspace: str) -> None:
    """What deletes the conversions takes minutes: others work off the loss meanwhile."""
    attribution, named = own.attribution, a_world(workspace)
    await happen(attribution, named)
    before = await totals(attribution)
    erasing = attribution.erasing
    erasure = await erasing.request(erasing.plan(workspace, [ANN], ErasureMode.SEVER, own_seconds=0))
    steps = list(erasing.steps())
    while steps[0].__name__ != "_sever":
        erasure = await steps.pop(0)(erasure)
    await copy(own, erasure, with_deleting=True)
    await lose_all(attribution)
    await attribution.handle(Events(workspace).touch(OTHERS, at=NOON - DAY, event_id="x"))
    for step in steps:
        erasure = await step(erasure)
    await bring_back(attribution)
    await end(own)
    await assert_stood_in(own, named, before)


async def assert_stood_in(own: Reconciled, named: Names, before: Any) -> None:
    """Totals are what they were, also with what comes late; batch says the same."""
    attribution = own.attribution
    for more in ({}, late(attribution.workspace.id)):
        await happen(attribution, more)
        assert await totals(attribution) == before
        assert await channels(attribution, named, "won 2", "won 3", "second") == ["Email"] * 3
    assert (await own.run(own.a_run(repairs=True))).counts.get("differences", 0) == 0


async def test_delivery_that_never_answered_is_asked_again_after_a_loss(
    stores: Any, clickhouse_url: str, workspace: str
) -> None:
    redis_url = stores.empty_redis_url()
    async with reconciled(redis_url, clickhouse_url, workspace, delivery_seconds=0.3) as own:
        attribution, erasing = own.attribution, own.attribution.erasing
        await live(own, Events(workspace))
        plan = erasing.plan(workspace, [PERSON, DEVICE], ErasureMode.SEVER, own_seconds=0)
        erasure = await erasing.request(plan)
        for is_lost in (False, True):
            if is_lost:
                await lose_all(attribution)
                await bring_back(attribution)
            for _ in range(3):
                await erasing.go_on_with_due()
                for one in await attribution.erasures.opened():
                    await attribution.erasures.keep(replace(one, due_micros=0))
            got = await erasing.get(workspace, erasure.erasure_id)
            assert (got.state, got.remaining["names_in_jobs"]) == (ErasureState.DESTROYED, 1), is_lost
        async with forgetting(attribution):
            await end(own)
        assert (await erasing.get(workspace, erasure.erasure_id)).state is ErasureState.FINISHED
