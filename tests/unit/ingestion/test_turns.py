"""Turns: one alone has the door, among others each has a little of it, and nobody waits for another's line."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from tributary_ingestion.turns import (
    BYTES_AT_ONCE,
    BYTES_PER_EVENT,
    EVENTS_ALONE,
    EVENTS_AMONG_OTHERS,
    SHARED_SECONDS,
    STEPS,
    Turns,
)
from tributary_runtime.errors import OverloadedError


class Hand:
    """A clock that is moved by hand."""

    seconds = 1.0

    def monotonic_seconds(self) -> float:
        return self.seconds

    def unix_micros(self) -> int:
        return int(self.seconds * 1e6)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)


def a_door(max_calls: int = 100, clock: Hand | None = None) -> Turns:
    return Turns(max_calls, clock or Hand())


async def entered(turns: Turns, workspace: str, events: int) -> asyncio.Task[None]:
    """Starts a call and lets it come as far as it can."""
    task = asyncio.ensure_future(turns.enter(workspace, events))
    for _ in range(3):
        await asyncio.sleep(0)
    return task


async def test_one_workspace_alone_keeps_dedup_busy() -> None:
    turns = a_door()
    calls = [await entered(turns, "shop", 100) for _ in range(EVENTS_ALONE // 100 + 1)]
    assert [call.done() for call in calls] == [True] * (EVENTS_ALONE // 100) + [False]
    turns.leave("shop", 100)
    await calls[-1]


async def test_among_others_a_workspace_has_few_events_and_the_others_wait_in_its_own_line() -> None:
    turns = a_door()
    await turns.enter("quiet", 1)
    flood = [await entered(turns, "flood", 100) for _ in range(20)]
    assert sum(call.done() for call in flood) == EVENTS_AMONG_OTHERS // 100
    await asyncio.wait_for(turns.enter("quiet", 100), 60)
    await asyncio.wait_for(turns.enter("third", 100), 60)
    assert sum(call.done() for call in flood) == EVENTS_AMONG_OTHERS // 100
    for call in flood:
        call.cancel()


async def test_a_call_larger_than_all_that_is_allowed_gets_its_turn_alone() -> None:
    turns = a_door()
    await turns.enter("quiet", 1)
    await turns.enter("flood", EVENTS_AMONG_OTHERS * 3)
    second = await entered(turns, "flood", 1)
    assert not second.done()
    turns.leave("flood", EVENTS_AMONG_OTHERS * 3)
    await second


async def test_calls_of_a_workspace_are_served_in_order() -> None:
    turns, order = a_door(), list[int]()
    await turns.enter("flood", EVENTS_ALONE)

    async def call(number: int) -> None:
        await turns.enter("flood", 10)
        order.append(number)
        turns.leave("flood", 10)

    calls = [asyncio.ensure_future(call(number)) for number in range(5)]
    await asyncio.sleep(0)
    turns.leave("flood", EVENTS_ALONE)
    await asyncio.gather(*calls)
    assert order == [0, 1, 2, 3, 4]


async def test_a_door_that_another_workspace_just_used_is_kept_ready_for_its_next_call() -> None:
    clock = Hand()
    turns = a_door(clock=clock)
    await turns.enter("quiet", 1)
    turns.leave("quiet", 1)
    flood = [await entered(turns, "flood", 100) for _ in range(10)]
    assert sum(call.done() for call in flood) == EVENTS_AMONG_OTHERS // 100
    clock.seconds += SHARED_SECONDS  # nobody else called since
    turns.leave("flood", 100)
    await asyncio.wait_for(asyncio.gather(*flood), 60)


async def test_who_leaves_while_waiting_gives_up_the_turn() -> None:
    turns = a_door()
    await turns.enter("shop", EVENTS_ALONE)
    gone, patient = await entered(turns, "shop", 10), await entered(turns, "shop", 10)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    turns.leave("shop", EVENTS_ALONE)
    await patient
    turns.leave("shop", 10)
    await asyncio.wait_for(turns.enter("shop", EVENTS_ALONE), 60)  # nothing is left behind


async def test_who_leaves_at_the_moment_of_its_turn_passes_it_on() -> None:
    turns = a_door()
    await turns.enter("shop", EVENTS_ALONE)
    gone, patient = await entered(turns, "shop", EVENTS_ALONE), await entered(turns, "shop", EVENTS_ALONE)
    turns.leave("shop", EVENTS_ALONE)  # the turn is given, the task has not run yet
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    await asyncio.wait_for(patient, 60)


async def test_who_leaves_while_waiting_may_be_passed_over_before_it_knows() -> None:
    turns = a_door()
    await turns.enter("shop", EVENTS_ALONE)
    gone, next_one = await entered(turns, "shop", 1), await entered(turns, "shop", EVENTS_ALONE)
    gone.cancel()
    turns.leave("shop", EVENTS_ALONE)  # in the same moment: the line goes on without the one that leaves
    with pytest.raises(asyncio.CancelledError):
        await gone
    await next_one
    turns.leave("shop", EVENTS_ALONE)
    await turns.enter("shop", EVENTS_ALONE)


async def test_a_workspace_has_at_most_half_of_the_calls_here() -> None:
    turns = a_door(10)
    flood = [await entered(turns, "flood", EVENTS_ALONE) for _ in range(5)]
    with pytest.raises(OverloadedError) as refused:
        await turns.enter("flood", 1)
    assert (refused.value.reason, refused.value.quota_subject) == ("TOO_MANY_CALLS", "workspace:flood")
    assert refused.value.retry_delay_seconds
    await asyncio.wait_for(turns.enter("quiet", 1), 60)
    for call in flood:
        call.cancel()


async def test_who_waits_for_somebody_else_keeps_nobody_from_a_turn() -> None:
    turns = a_door()
    async with turns.turn("shop", EVENTS_ALONE) as turn:
        second = await entered(turns, "shop", 10)
        assert not second.done()
        async with turn.pause():
            await second
            turns.leave("shop", 10)
    await asyncio.wait_for(turns.enter("shop", EVENTS_ALONE), 60)


async def test_a_failure_during_a_pause_leaves_nothing_behind() -> None:
    turns = a_door()
    with pytest.raises(ValueError, match="provider"):
        async with turns.turn("shop", EVENTS_ALONE) as turn, turn.pause():
            raise ValueError("provider")
    await asyncio.wait_for(turns.enter("shop", EVENTS_ALONE), 60)


async def test_what_one_workspace_may_have_in_memory_is_bounded_and_a_call_alone_always_comes_in() -> None:
    turns = a_door()
    await turns.enter("heavy", 1, BYTES_AT_ONCE * 2)
    with pytest.raises(OverloadedError) as refused:
        await turns.enter("heavy", 1, 1)
    assert refused.value.reason == "TOO_MANY_BYTES"
    await turns.enter("other", 1, BYTES_AT_ONCE)
    turns.leave("heavy", 1, BYTES_AT_ONCE * 2)
    await turns.enter("heavy", 1, BYTES_AT_ONCE)


async def test_a_heavy_call_counts_as_one_of_more_events() -> None:
    turns = a_door()
    async with turns.turn("heavy", 1, EVENTS_ALONE * BYTES_PER_EVENT):
        second = await entered(turns, "heavy", 1)
        assert not second.done()
    await second


async def test_only_a_workspace_whose_calls_wait_is_crowded() -> None:
    turns = a_door()
    await turns.enter("quiet", 20)
    await turns.enter("flood", EVENTS_AMONG_OTHERS)
    assert not turns.is_crowded("flood")
    waiting = await entered(turns, "flood", 100)
    assert turns.is_crowded("flood")
    assert not turns.is_crowded("quiet")
    assert not turns.is_crowded("nobody")
    turns.leave("flood", EVENTS_AMONG_OTHERS)
    await waiting
    assert not turns.is_crowded("flood")


async def test_who_computes_for_long_lets_others_on_where_there_are_any() -> None:
    turns, steps = a_door(), 0

    async def somebody_else() -> None:
        nonlocal steps
        while True:
            steps += 1
            await asyncio.sleep(0)

    await turns.enter("flood", 100)
    other = asyncio.ensure_future(somebody_else())
    await turns.let_others_on()
    assert steps == 0  # alone at the door: nothing is lost on politeness
    await turns.enter("quiet", 20)
    await turns.let_others_on()
    assert steps == STEPS
    other.cancel()


async def test_however_many_flood_somebody_new_finds_room() -> None:
    turns = a_door(max_calls=12)
    waiting = []
    for flood in ("a", "b", "c"):
        calls = [await entered(turns, flood, EVENTS_ALONE) for _ in range(12)]
        refused = [call for call in calls if call.done() and isinstance(call.exception(), OverloadedError)]
        assert refused
        waiting += [call for call in calls if not call.done()]
    await asyncio.wait_for(turns.enter("new", 1), 60)
    for call in waiting:
        call.cancel()
