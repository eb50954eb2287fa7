"""The calls of one lane: made, split where a whole one was refused, and their outcomes left in its outbox.

The one rule: what a destination refused as a whole it took nothing of; so it is sent again in parts, until only what is
to blame is left. Every part is an attempt of its own: noted before it is made, within the quota, and not against what
people said meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Protocol

import structlog

from tributary.delivery.v1.delivery_pb2 import (
    OUTCOME_CLASS_CONFIG,
    OUTCOME_CLASS_PERMANENT,
    OUTCOME_CLASS_RETRY,
    OUTCOME_CLASS_SPLIT,
    OUTCOME_CLASS_THROTTLED,
    OutcomeClass,
)
from tributary_delivery.admission import Admission
from tributary_delivery.attempt import CONFIG_PAUSE_SECONDS, Attempt, AttemptRules, after_split, settle
from tributary_delivery.destinations.destination import Outcome
from tributary_delivery.doubts import kept_of, untold
from tributary_delivery.foreign_clicks import ForeignClicks
from tributary_delivery.outbox import Outbox
from tributary_delivery.overtaking import Overtaking
from tributary_delivery.sender import Sender
from tributary_delivery.taken_apart import Found
from tributary_delivery.turns import PermitsChanged, PlaceLost, Turn, TurnLost, Turns
from tributary_delivery.unmade import line_before, unmade
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.destination_settings import DestinationSettings
from tributary_runtime.errors import UnavailableError
from tributary_runtime.traces import linked_span
from tributary_storage.redis.delivery_job import Lane, Settlement
from tributary_storage.redis.destination_states import DestinationStates

log = structlog.get_logger(__name__)

_SERVER_ERROR: Final = 500
_UNTAKEN: Final = Outcome(
    OUTCOME_CLASS_RETRY, message="It was part of a request that was refused as a whole.", is_untaken=True
)


_AGAIN_SECONDS: Final = 1.0
"""When a call is tried anew whose jobs, or what people allow, could not be made sure of."""


class Again(Protocol):
    """How a lane lets a part of a call be made, or what it takes instead."""

    async def begin(self, attempts: Sequence[Attempt], waiting: Sequence[Attempt]) -> tuple[list[Attempt], float]:
        """Waits for the quota and notes attempts; returns those that may be made, and since when at the earliest.

        Keeps what waits ours meanwhile.

        Raises:
            UnavailableError: None may be made now.
        """
        ...


class Calls:
    """Makes the calls of one lane.

    Args:
        lane: Which.
        settings: Of the destination.
        digest: Of the settings.
        sender: How it is called.
        states: Where a pause is said to all replicas.
        rules: When to try again.
        clock: Tells and measures time.
        turns: Whose jobs are whose.
        overtaking: Told what was answered.
        outbox: Takes the outcomes.
        admission: Learns from them.
        again: Lets a part of a call be made.
        ended: Told when a call has ended.
    """

    def __init__(
        self,
        lane: Lane,
        settings: DestinationSettings,
        digest: str,
        sender: Sender,
        states: DestinationStates,
        rules: AttemptRules,
        clock: Clock,
        turns: Turns,
        overtaking: Overtaking,
        outbox: Outbox,
        admission: Admission,
        *,
        again: Again,
        ended: Callable[[], None],
    ) -> None:
        self._lane = lane
        self._digest = digest
        self._type = metrics.DestinationType(settings.type)
        self._sender = sender
        self._states = states
        self._rules = rules
        self._clock = clock
        self._turns = turns
        self._overtaking = overtaking
        self._outbox = outbox
        self._admission = admission
        self._again = again
        self._ended = ended
        self._foreign = ForeignClicks(lane, settings, states)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> int:
        """How many are under way."""
        return len(self._tasks)

    def start(self, call: Sequence[Attempt], begin_seconds: float) -> None:
        """Begins a call that was let be made, and noted, at `begin_seconds` of the monotonic clock, or later."""
        now_micros = self._clock.unix_micros()
        first = [replace(attempt, now_micros=now_micros) for attempt in call]
        for attempt in first:
            self._outbox.hold(attempt.job.conversion_id)
        open_attempts = {attempt.job.conversion_id: attempt for attempt in first}
        task = asyncio.create_task(self._make(first, begin_seconds, open_attempts))
        self._tasks.add(task)
        task.add_done_callback(partial(self._end, open_attempts))

    async def finish(self) -> None:
        """Returns when none is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _make(self, call: list[Attempt], begin_seconds: float, open_attempts: dict[str, Attempt]) -> None:
        """Makes one call, and as many as it takes to find out what is wrong with it."""
        parts, found = [call], Found()
        while parts:
            part = parts.pop()
            is_first = part is call
            waiting = [attempt for later in parts for attempt in later]
            if not is_first:
                try:
                    part, begin_seconds = await self._again.begin(part, waiting)
                except UnavailableError as outage:
                    log.warning("call_not_split", destination=self._lane.destination, reason=str(outage))
                    self._keep_all([*part, *waiting], _UNTAKEN, open_attempts)
                    return
                for conversion_id in set(open_attempts) - {one.job.conversion_id for one in [*part, *waiting]}:
                    del open_attempts[conversion_id]  # withheld, or no longer ours
                if not part:
                    continue
            turn = self._turns.of(part, begin_seconds)
            try:
                parts += await self._try(part, turn, open_attempts, found)
            except PermitsChanged:
                await self._overtaking.let_go(part)  # who allows what is decided on anew
                self._put_off(part, open_attempts, 0.0, is_first=is_first)
                continue
            except PlaceLost as lost:
                await self._overtaking.let_go(part)
                self._put_off(part, open_attempts, lost.wait_seconds, is_first=is_first)
                self._put_off(waiting, open_attempts, lost.wait_seconds, was_noted=False)
                return
            except (TurnLost, UnavailableError) as lost:
                await self._overtaking.let_go(part)
                log.warning(
                    "call_not_made", destination=self._lane.destination, reason=str(lost) or "its lease is over"
                )
                ours = self._still_ours(part, turn, open_attempts)
                self._put_off(ours, open_attempts, _AGAIN_SECONDS, is_first=is_first)
                self._put_off(waiting, open_attempts, _AGAIN_SECONDS, was_noted=False)
                return
            is_answered = found.why_not is None
            parts = found.look_elsewhere(parts)
            if found.why_not is not None:  # the rest of a request that was refused: not now
                if is_answered:
                    await self._react([found.why_not])
                waiting = [attempt for later in parts for attempt in later]
                self._keep_all(waiting, found.why_not, open_attempts)
                return

    def _put_off(
        self,
        attempts: Sequence[Attempt],
        open_attempts: dict[str, Attempt],
        seconds: float,
        *,
        is_first: bool = False,
        was_noted: bool = True,
    ) -> None:
        """Lets attempts that are not made be decided on once more; written down is the request that they were part of.

        Args:
            attempts: Which.
            open_attempts: Of which nothing is known yet.
            seconds: When.
            is_first: Whether there was none: nothing was sent yet.
            was_noted: As of `unmade`.
        """
        now_micros = self._clock.unix_micros()
        for one in attempts:
            line = None
            if not is_first:
                line = line_before(replace(one, now_micros=now_micros), _UNTAKEN, seconds, was_noted=was_noted)
                line.destination_id = self._lane.destination
            open_attempts.pop(one.job.conversion_id, None)
            self._outbox.add(unmade(one, seconds, was_noted=was_noted), line)

    def _still_ours(self, part: Sequence[Attempt], turn: Turn, open_attempts: dict[str, Attempt]) -> list[Attempt]:
        """Lets go of what is no longer ours: whoever has it writes down what becomes of it. Returns the rest."""
        for lost in set(turn.conversion_ids) - set(turn.ours):
            if open_attempts.pop(lost, None) is not None:
                self._outbox.release(lost)
        return [one for one in part if one.job.conversion_id in turn.ours]

    async def _try(
        self, part: Sequence[Attempt], turn: Turn, open_attempts: dict[str, Attempt], found: Found
    ) -> list[list[Attempt]]:
        """Sends a part; returns what of it is to be sent again, in parts."""
        now_micros, started = self._clock.unix_micros(), self._clock.monotonic_seconds()
        part = [replace(attempt, now_micros=now_micros) for attempt in part]
        open_attempts.update({attempt.job.conversion_id: attempt for attempt in part})
        traceparents = [attempt.revised.traceparent for attempt in part]
        with linked_span("deliver", traceparents, destination=self._type.value):
            outcomes = await self._sender.send(part, turn)
            if not part[0].is_test:  # a test shares its request with nobody, and is validated whoever's click it has
                outcomes = await self._foreign.judge(outcomes)
        took_seconds = self._clock.monotonic_seconds() - started - turn.waited_seconds
        if not all(one.is_unsent for one in outcomes):
            metrics.DELIVERY_DURATION.record(took_seconds, destination=self._type)
        await self._overtaking.end(part, outcomes)
        await self._admission.record(outcomes, took_seconds)
        split: list[Attempt] = []
        settled: list[Outcome] = []
        for attempt, outcome in zip(part, outcomes, strict=True):
            if outcome.outcome == OUTCOME_CLASS_SPLIT and len(part) > 1:
                split.append(after_split(attempt, outcome))
                continue
            if outcome.outcome == OUTCOME_CLASS_SPLIT:
                outcome = replace(outcome, outcome=OUTCOME_CLASS_PERMANENT)
            settled.append(outcome)
            self._count(outcome)
            self._keep(attempt, outcome, open_attempts)
        found.note(settled, is_alone=len(part) == 1)
        await self._react(outcomes)
        if not split:
            return []
        metrics.DELIVERY_ATTEMPTS.add(1, destination=self._type, outcome=metrics.Outcome.SPLIT)
        if len(split) < len(part):  # those to blame were named
            return [split]
        middle = (len(split) + 1) // 2
        return [split[middle:], split[:middle]]

    def _end(self, open_attempts: dict[str, Attempt], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._ended()
        if task.cancelled() or (failure := task.exception()) is None:
            return
        # A bug of ours: it must neither stop the lane nor be tried for ever.
        log.error("delivery_failed", destination=self._lane.destination, exc_info=failure)
        message = f"Tributary failed: {type(failure).__name__}; its log says where."
        for attempt in list(open_attempts.values()):
            failed = Outcome(OUTCOME_CLASS_RETRY, message=message)
            self._count(failed)
            self._keep(attempt, failed, open_attempts)

    def _keep_all(self, attempts: Sequence[Attempt], outcome: Outcome, open_attempts: dict[str, Attempt]) -> None:
        """Settles what is not sent now: nothing of it was taken, unless one of its attempts left a doubt."""
        for attempt in attempts:
            sure = outcome.is_untaken and not attempt.doubt_micros
            self._keep(attempt, replace(outcome, is_untaken=sure), open_attempts)

    def _keep(self, attempt: Attempt, outcome: Outcome, open_attempts: dict[str, Attempt]) -> None:
        """Puts an outcome into the outbox."""
        if outcome.is_ok:
            publish_micros = attempt.revised.publish_time.ToMicroseconds()
            lag_seconds = max(0.0, (self._clock.unix_micros() - publish_micros) / 1e6)
            metrics.CREDIT_TO_DELIVERY.record(lag_seconds, destination=self._type)
        settled, line = settle(attempt, outcome, self._rules)
        line.destination_id = self._lane.destination
        open_attempts.pop(attempt.job.conversion_id, None)
        newer, newest = None, attempt.newest
        if newest is not None and settled.what is Settlement.GIVEN_UP and settled.revision > attempt.revised.revision:
            newer = untold(attempt, newest, self._lane.destination)  # it is given up as well
        elif settled.what is Settlement.GIVEN_UP:
            newer = kept_of(attempt, outcome, self._lane.destination)
        self._outbox.add(settled, line, newer)

    def _count(self, outcome: Outcome) -> None:
        kind = metrics.Outcome[OutcomeClass.Name(outcome.outcome).removeprefix("OUTCOME_CLASS_")]
        if outcome.is_unsent:
            metrics.DELIVERY_UNSENT.add(1, destination=self._type, outcome=kind)
        else:
            metrics.DELIVERY_ATTEMPTS.add(1, destination=self._type, outcome=kind)

    async def _react(self, outcomes: Sequence[Outcome]) -> None:
        """Slows or pauses the lane for everybody where the destination asks for it.

        What is wrong with the configuration of some, and not of others that were taken, holds up themselves alone.
        """
        is_working = any(one.is_ok for one in outcomes)
        kinds = {OUTCOME_CLASS_THROTTLED} if is_working else {OUTCOME_CLASS_CONFIG, OUTCOME_CLASS_THROTTLED}
        told = next((one for one in outcomes if one.outcome in kinds), None)
        if told is None:
            return
        try:
            if told.outcome == OUTCOME_CLASS_CONFIG:
                log.error("destination_paused", destination=self._lane.destination, reason=told.message)
                await self._pause(CONFIG_PAUSE_SECONDS, told.message, settings=self._digest)
                return
            if told.status_code < _SERVER_ERROR:  # it counts our calls, and they are too many
                await self._states.slow_down(self._lane)
            if told.retry_after_seconds:
                await self._pause(told.retry_after_seconds, "The destination asked to wait.")
        except UnavailableError as outage:
            log.warning("pause_not_kept", destination=self._lane.destination, reason=str(outage))

    async def _pause(self, seconds: float, why: str, *, settings: str = "") -> None:
        until_millis = self._clock.unix_micros() // 1000 + round(seconds * 1000)
        await self._states.pause(self._lane, until_millis, why, settings=settings)
