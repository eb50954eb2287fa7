"""The times of an event: corrected by what its sender's clock was wrong, all of them alike.

The phone that timed an event timed the click and the decision about consent before it by the same clock. The one rule:
no time that an event tells is left where it decides for ever: nobody clicked after what the click led to, and nobody
has decided yet what is told now.
"""

from typing import Any, Final

from tributary.event.v1.event_pb2 import Event
from tributary_domain.event_times import CLOCK_TOLERANCE_MICROS, EARLIEST_MICROS, MICROS, read_micros
from tributary_domain.reasons import Reason, ReasonCode

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
