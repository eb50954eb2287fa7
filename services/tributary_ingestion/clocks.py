"""The times of an event: held against the accept window, corrected by what its sender's clock was wrong, all alike.

The phone that timed an event timed the click and the decision about consent before it by the same clock. The one rule:
no time that an event tells is left where it decides for ever: nobody clicked after what the click led to, and nobody
has decided yet what is told now.
"""

from typing import Any, Final

from tributary.event.v1.event_pb2 import Event
from tributary_domain.bots import is_persons_own
from tributary_domain.business_keys import has_business_key
from tributary_domain.event_times import (
    CLOCK_TOLERANCE_MICROS,
    EARLIEST_MICROS,
    MICROS,
    clock_correction,
    is_late_not_wrong,
    read_micros,
)
from tributary_domain.reasons import Reason, ReasonCode
from tributary_ingestion.workspace_rules import WorkspaceRules

_NO_TIME: Final = Reason(ReasonCode.EVENT_TIME_MISSING, "event_time", "Say when it happened.")
_BAD_TIME: Final = Reason(
    ReasonCode.TIME_MALFORMED, "event_time", "A time is within the years 1 to 9999, its nanoseconds below 10^9."
)
_BAD_SENT_TIME: Final = Reason(ReasonCode.TIME_MALFORMED, "sent_time", _BAD_TIME.message)
_OUT_OF_WINDOW: Final = Reason(
    ReasonCode.EVENT_TIME_OUT_OF_WINDOW,
    "event_time",
    "Older than the accept window, or too far ahead; historical events go through backfill.",
)
_NOT_KEPT: Final = Reason(
    ReasonCode.EVENT_TIME_OUT_OF_WINDOW,
    "event_time",
    "Older than what the workspace keeps of people: what it would share credit with is deleted. To import history, keep"
    " more (retention.person_event_months) before the first of it is deleted.",
)
FOR_TIME: Final = (_OUT_OF_WINDOW, _NOT_KEPT)
"""Why an event is refused that may have been taken when it was sent before."""
_CORRECTED: Final = Reason(
    ReasonCode.CLOCK_CORRECTED, "sent_time", "The sender's clock was wrong; its times were corrected by the difference."
)
_CLICK_LATER: Final = Reason(
    ReasonCode.TIME_AHEAD,
    "click_ids.click_time",
    "A click comes before what it led to: taken as made when the event happened. Send when the click was made.",
)
_DECIDED_LATER: Final = Reason(
    ReasonCode.TIME_AHEAD,
    "consent.consent_time",
    "What was decided was decided before it is told: taken as decided now. Send when the person decided.",
)


def check_times(
    event: Event,
    kind: str | None,
    rules: WorkspaceRules,
    clocks: tuple[int, int | None, int],
    found: list[Reason],
    *,
    backfill: bool,
) -> int:
    """Adds what is wrong with the event's times; returns the correction of its clock, in microseconds.

    Args:
        event: As sent.
        kind: Which one it is.
        rules: Of its workspace.
        clocks: When it came, the sender's clock when it made the call, and since when the workspace has events.
        found: Where the reasons go.
        backfill: Whether the accept window is lifted.
    """
    receive_micros, call_micros, retained_micros = clocks
    if not event.HasField("event_time"):
        found.append(_NO_TIME)
        return 0
    micros = read_micros(event.event_time)
    if micros is None:
        found.append(_BAD_TIME)
        return 0
    correction = 0
    if event.HasField("sent_time"):
        sent_micros = read_micros(event.sent_time)
        if sent_micros is None:
            found.append(_BAD_SENT_TIME)
        elif not backfill:  # an import says when it was sent then, not now
            correction = clock_correction(sent_micros, receive_micros)
            if (
                correction
                and not is_persons_own(int(event.context.observed_by), kind == "touchpoint")
                and is_late_not_wrong(sent_micros, receive_micros, call_micros)
            ):
                correction = 0
    window, micros = rules.expected.window, micros + correction
    if -window.ahead_micros <= receive_micros - micros <= window.event_micros:
        return correction
    has_key = has_business_key(event, kind)
    is_late_order = has_key and window.holds(micros, receive_micros, has_business_key=True, backfill=False)
    if not window.holds(micros, receive_micros, has_business_key=has_key, backfill=backfill):
        found.append(_OUT_OF_WINDOW)
    elif micros < retained_micros and kind != "adjustment" and not is_late_order:
        found.append(_NOT_KEPT)
    return correction


def settle_times(event: Event, correction: int, receive_micros: int, found: list[Reason]) -> None:
    """Truncates the event's time to microseconds, corrects its times, and bounds those that it tells beside its own.

    Args:
        event: Ours, its times known to be times: it is changed.
        correction: What is added to them, in microseconds.
        receive_micros: When it came.
        found: Where the warnings go.
    """
    moment = event.event_time
    if correction:
        found.append(_CORRECTED)
        _set(moment, moment.seconds * MICROS + moment.nanos // 1_000 + correction)
    elif moment.nanos % 1_000:
        moment.nanos -= moment.nanos % 1_000
    happened = moment.seconds * MICROS + moment.nanos // 1_000
    if event.HasField("click_ids") and event.click_ids.HasField("click_time"):
        clicked = (read_micros(event.click_ids.click_time) or 0) + correction
        if clicked > happened + CLOCK_TOLERANCE_MICROS:
            event.click_ids.ClearField("click_time")
            found.append(_CLICK_LATER)
        elif correction:
            _set(event.click_ids.click_time, clicked)
    if event.HasField("consent") and event.consent.HasField("consent_time"):
        decided = (read_micros(event.consent.consent_time) or 0) + correction
        latest = max(receive_micros, happened)
        if decided > latest + CLOCK_TOLERANCE_MICROS:
            _set(event.consent.consent_time, latest)
            found.append(_DECIDED_LATER)
        elif correction:
            _set(event.consent.consent_time, decided)


def _set(moment: Any, micros: int) -> None:
    micros = max(micros, EARLIEST_MICROS)
    moment.seconds, moment.nanos = micros // MICROS, micros % MICROS * 1_000
