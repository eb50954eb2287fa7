"""What the application is told, and what is written to its log where it asked for nothing.

The one rule: a callback can neither stop nor fail the delivery. What it raises is logged and counted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tributary.event.v1 import verdict_pb2
from tributary.event.v1.verdict_pb2 import EventVerdict
from tributary_client.counters import Tally
from tributary_client.entry import Decision, Entry, Loss
from tributary_client.errors import CallError, SpoolDamagedError

log = logging.getLogger("tributary_client")

_BAD = frozenset({verdict_pb2.VERDICT_CONFLICT, verdict_pb2.VERDICT_REJECTED, verdict_pb2.VERDICT_QUARANTINED})


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What the application wants to be told. All run on the client's thread, so each must be quick."""

    on_verdict: Callable[[Decision], None] | None = None
    """Of each event sent in the background, once it is decided."""
    on_drop: Callable[[Loss], None] | None = None
    """Of each event the client gives up; from the caller's thread where there was no room. Of a file of the spool that
    cannot be read once, with a `SpoolDamagedError`."""
    on_error: Callable[[CallError], None] | None = None
    """Of each batch that failed as a whole; it is sent again, so this is for whoever watches."""


class Teller:
    """Calls the callbacks.

    Args:
        callbacks: Of the application.
        tally: Counts what they raise.
    """

    def __init__(self, callbacks: Callbacks, tally: Tally) -> None:
        self._callbacks = callbacks
        self._tally = tally
        self._told: set[object] = set()

    def decided(self, decisions: Sequence[tuple[Entry, EventVerdict]]) -> None:
        """Tells of decisions; without a callback, the log is told once of each reason for a bad one."""
        tell = self._callbacks.on_verdict
        for entry, verdict in decisions:
            if tell is not None:
                self._call(tell, Decision(verdict, entry.body))
            elif verdict.verdict in _BAD:
                self._log(verdict)

    def lost(self, losses: Sequence[tuple[Entry, Exception]]) -> None:
        """Tells of events given up."""
        for entry, error in losses:
            if self._callbacks.on_drop is not None:
                self._call(self._callbacks.on_drop, Loss(entry.body, error))
            else:
                self._once(type(error), "Events are dropped: %s", error)

    def damaged(self, damages: Sequence[SpoolDamagedError]) -> None:
        """Tells of files of the spool that cannot be read."""
        for damage in damages:
            if self._callbacks.on_drop is not None:
                self._call(self._callbacks.on_drop, Loss(b"", damage))
            else:
                log.warning("Events are dropped: %s", damage)

    def failed(self, error: CallError) -> None:
        """Tells of a batch that failed as a whole."""
        if self._callbacks.on_error is not None:
            self._call(self._callbacks.on_error, error)
        else:
            self._once((type(error), error.code), "A batch failed, and is sent again: %s: %s", error.code.name, error)

    def _log(self, verdict: EventVerdict) -> None:
        reason = verdict.reasons[0] if verdict.reasons else verdict_pb2.Reason()
        name = verdict_pb2.Verdict.Name(verdict.verdict).removeprefix("VERDICT_")
        code = (
            verdict_pb2.ReasonCode.Name(reason.code) if reason.code in verdict_pb2.ReasonCode.values() else reason.code
        )
        message = "Events are %s (%s): %s %s First: %s. Pass on_verdict to be told of each."
        self._once((name, code), message, name, code, reason.field, reason.message, verdict.event_id)

    def _once(self, key: object, message: str, *arguments: object) -> None:
        if key not in self._told:
            self._told.add(key)
            log.warning(message, *arguments)

    def _call(self, callback: Callable[..., None], argument: object) -> None:
        try:
            callback(argument)
        except KeyboardInterrupt:  # of the caller's own thread, where there was no room
            raise
        except BaseException:  # the application's own, its sys.exit() too; the delivery goes on
            self._tally.callback_errors += 1
            log.exception("A callback of the application failed.")
