"""What happens between handing an event over and its verdict.

The one rule: an event that was taken ends decided, or is told of as lost, or stays in the spool; never anything else.
Callers only put events down (`Holding`); everything else is done by the worker's thread.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf

from tributary_client import forks
from tributary_client.buffering import Buffering
from tributary_client.callbacks import Callbacks, Teller
from tributary_client.clock import Clock, SystemClock
from tributary_client.counters import Counters, Tally
from tributary_client.dispatch import Batching, Dispatcher, Parcel
from tributary_client.entry import Entry
from tributary_client.errors import ClosedError
from tributary_client.exchange import Exchange
from tributary_client.holding import Holding
from tributary_client.outcome import Failed, Outcome
from tributary_client.retry import RetryPolicy
from tributary_client.spool import Spooling
from tributary_client.tracing import Traced, trace
from tributary_client.transport import Transport, of_error
from tributary_client.worker import Worker

log = logging.getLogger("tributary_client")

_CHECK_SECONDS = 1.0
_STOP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How an engine works: nothing here changes, so that a forked child can begin anew with it."""

    open_transport: Callable[[], Transport]
    """Opens the way to the server; called when there is something to send."""
    batching: Batching = field(default_factory=Batching)
    """How many events travel together."""
    buffering: Buffering = field(default_factory=Buffering)
    """How many wait in memory."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    """When to try again."""
    spooling: Spooling | None = None
    """Where events are kept on disk."""
    callbacks: Callbacks = field(default_factory=Callbacks)
    """What the application wants to be told."""
    validate_only: bool = False
    """Of every batch in the background."""
    backfill: bool = False
    """Of every batch in the background."""
    clock: Clock = field(default_factory=SystemClock)
    """Tells the time."""
    chance: random.Random = field(default_factory=random.SystemRandom)
    """Where jitter comes from."""


class Engine:
    """Takes events, sends them, and tells what became of them.

    Args:
        plan: How.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._abandoned: list[object] = []
        self._begin()

    def _begin(self) -> None:
        """Puts everything at its beginning."""
        plan = self._plan
        kind = "validate" if plan.validate_only else "backfill" if plan.backfill else "lane"
        self._holding = Holding(plan.buffering, plan.spooling, kind)
        self._tally = Tally()
        self._counting = threading.Lock()
        self._teller = Teller(plan.callbacks, self._tally)
        self._worker = Worker(self._step, plan.clock)
        self._dispatcher = Dispatcher(
            plan.batching, plan.retry, plan.chance, validate_only=plan.validate_only, backfill=plan.backfill
        )
        self._transport: Transport | None = None
        self._under_way: dict[Parcel, Traced] = {}
        self._exchanges: set[Exchange] = set()
        self._untold: list[Callable[[], None]] = []

    # -- callers, on any thread --------------------------------------------------------------------------------------

    def open(self) -> None:
        """Opens the spool, if there shall be one, and goes on with what is left in it.

        Raises:
            SpoolError: It cannot be used.
        """
        if self._holding.open():
            self._worker.nudge()

    def offer(self, entry: Entry, *, waits: bool = True) -> Future[None] | None:
        """Takes an event if there is room; else returns what is done when it is worth trying again.

        Args:
            entry: The event.
            waits: Whether the caller waits for that; if not, what is returned is never done.

        Raises:
            ClosedError: The client is closed.
            SpoolError: The spool cannot be used.
        """
        self.open()
        taken = self._holding.take(entry, waits=waits)
        if isinstance(taken, Future):
            return taken
        if taken:
            self._worker.nudge()
        return None

    def refuse(self, entry: Entry, error: Exception) -> None:
        """Gives up an event that was not taken."""
        self._lose([(entry, error)])

    def exchange(self, exchange: Exchange) -> None:
        """Begins a call of `ingest`.

        Raises:
            ClosedError: The client is closed.
        """
        if self._holding.is_closed or not self._worker.post(lambda: self._attempt(exchange, is_new=True)):
            raise ClosedError("The client is closed; the events were not sent.")

    def flush(self) -> Future[None]:
        """Returns what is done when all that was taken until now is decided or lost, what is left in the spool too."""
        self.open()
        future = self._holding.wait()
        if not future.done():
            self._worker.nudge()
        return future

    def close(self, timeout: float) -> None:
        """Takes no more, waits for what was taken, and gives up the rest; with a spool, leaves it there."""
        if not self._holding.shut():
            return
        with suppress(FutureTimeoutError):
            self.flush().result(0 if self.may_not_wait else timeout)
        self._worker.stop(_STOP_SECONDS)
        self._give_up()

    def forked(self) -> None:
        """Begins anew in a forked child: what the parent has taken, the parent sends."""
        if self._transport is not None and not forks.IS_SUPPORTED:
            log.warning("gRPC may hang in this forked child: set GRPC_ENABLE_FORK_SUPPORT=1 before it is imported.")
        self._abandoned.append((self._transport, self._worker))  # gRPC may hang where these are destroyed
        self._holding.abandon()
        was_closed = self._holding.is_closed
        self._begin()
        if was_closed:
            self._holding.shut()

    @property
    def may_not_wait(self) -> bool:
        """Whether the caller is a callback: what it would wait for, nobody else would do."""
        return self._worker.is_current

    def counters(self) -> Counters:
        """Returns the numbers of this moment."""
        held, tally, dispatcher = self._holding.held(), self._tally, self._dispatcher
        named = tally.named()
        return Counters(
            tracked=held.taken,
            accepted=named["accepted"],
            duplicate=named["duplicate"],
            conflict=named["conflict"],
            rejected=named["rejected"],
            quarantined=named["quarantined"],
            valid=named["valid"],
            dropped=tally.dropped,
            open=held.open,
            in_memory=held.events,
            bytes_in_memory=held.bytes,
            waiting=dispatcher.waiting,
            undecided=tally.undecided,
            sent=tally.sent,
            failed=tally.failed,
            resent=tally.resent + dispatcher.resent,
            spool_bytes=held.spool_bytes,
            unspooled=held.unspooled,
            unreadable=held.unreadable,
            callback_errors=tally.callback_errors,
        )

    def _lose(self, losses: list[tuple[Entry, Exception]]) -> None:
        with self._counting:
            self._tally.dropped += len(losses)
        self._teller.lost(losses)

    # -- the worker's thread -----------------------------------------------------------------------------------------

    def _step(self, now: float) -> float:
        """Sends what may be sent, then tells what happened; returns when to be called again."""
        dispatcher, holding = self._dispatcher, self._holding
        for entry in holding.collect():
            dispatcher.add(entry, now)
        self._tell_damages()
        while (parcel := dispatcher.next_parcel(now, hurry=holding.is_hurried)) is not None:
            self._send(parcel)
        if self._transport is not None:
            self._transport.check()
        untold, self._untold = self._untold, []
        for tell in untold:
            tell()
        # While events wait for others, only as many as fill a parcel are worth waking for.
        if holding.look_again((dispatcher.lacks or inf) if dispatcher.ready else 1):
            return now
        is_watched = bool(dispatcher.in_flight or self._exchanges or holding.has_backlog)
        return min(dispatcher.next_time(), now + _CHECK_SECONDS if is_watched else inf)

    def _tell_damages(self) -> None:
        damages = self._holding.take_damages()
        if damages:
            self._untold.append(lambda: self._teller.damaged(damages))

    def _send(self, parcel: Parcel) -> None:
        self._tally.sent += 1
        traced = self._under_way[parcel] = trace([entry.traceparent for entry in parcel.entries])
        self._give(parcel, traced.traceparent, lambda outcome: self._take_outcome(parcel, outcome))

    def _give(self, parcel: Parcel, traceparent: str, take: Callable[[Outcome], None]) -> None:
        """Gives a parcel to the transport; `take` is run on this thread."""
        worker = self._worker

        def done(outcome: Outcome) -> None:
            worker.post(lambda: take(outcome))

        try:
            if self._transport is None:
                self._transport = self._plan.open_transport()
            self._transport.send(parcel, traceparent, self._plan.clock.unix_nanos(), done)
        except Exception as error:  # whatever gRPC raises: nothing is known, so the same is sent again
            done(of_error(error))

    def _take_outcome(self, parcel: Parcel, outcome: Outcome) -> None:
        traced = self._under_way.pop(parcel, None)
        if traced is None:
            return  # given up
        traced.end()
        teller = self._teller
        if isinstance(outcome, Failed):
            error = outcome.error
            self._tally.failed += 1
            self._untold.append(lambda: teller.failed(error))
        settled = self._dispatcher.take(parcel, outcome, self._plan.clock.monotonic())
        self._tally.undecided += settled.undecided
        self._tally.verdicts.update(verdict.verdict for _, verdict in settled.decided)
        if settled.decided:
            self._untold.append(lambda: teller.decided(settled.decided))
        if settled.refused:
            self._untold.append(lambda: self._lose([*settled.refused]))
        self._holding.settle([entry for entry, _ in (*settled.decided, *settled.refused)])

    def _attempt(self, exchange: Exchange, *, is_new: bool = False) -> None:
        if is_new:
            self._exchanges.add(exchange)
        if exchange.future.cancelled():
            self._exchanges.discard(exchange)
            return
        resent = exchange.resent
        parcel = exchange.parcel(self._plan.clock.monotonic())
        self._tally.resent += exchange.resent - resent
        self._give(parcel, exchange.traceparent, lambda outcome: self._take_answer(exchange, outcome))

    def _take_answer(self, exchange: Exchange, outcome: Outcome) -> None:
        due = None
        with suppress(InvalidStateError):  # its caller has left meanwhile
            due = exchange.take(outcome, self._plan.clock.monotonic())
        if due is None:
            self._exchanges.discard(exchange)
        else:
            self._worker.call_at(due, lambda: self._attempt(exchange))

    # -- at the end, when the worker's thread has ended --------------------------------------------------------------

    def _give_up(self) -> None:
        left = [*self._holding.collect(), *self._dispatcher.take_all()]
        left += [entry for parcel in self._under_way for entry in parcel.entries]
        self._under_way.clear()
        self._tell_damages()
        if self._transport is not None:
            self._transport.close()
        message = "The client was closed before this was decided."
        for exchange in self._exchanges:
            with suppress(InvalidStateError):
                exchange.future.set_exception(ClosedError(message))
        for tell in self._untold:
            tell()
        self._lose([(entry, ClosedError(message)) for entry in left if entry.place is None])
        self._holding.close(left)
