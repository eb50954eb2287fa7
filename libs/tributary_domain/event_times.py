"""When an event happened: read, corrected by the client's clock, and held against the accept window.

The one rule: each window is shorter than what protects it. An event that is older than the life of its claim could be
counted twice, so without a business key it may be 28 days old (claims live at least 36), with one 399 (order claims
live 400). `backfill` lifts the window for historical imports: what the claims have forgotten is looked up in what was
recorded then.
"""

from typing import Final, NamedTuple

from tributary_domain.event_shape import MomentLike

MICROS: Final = 1_000_000
_DAY: Final = 86_400 * MICROS
_FIRST_SECOND: Final = -62_135_596_800
_LAST_SECOND: Final = 253_402_300_799
"""The years 1 to 9999, as `google.protobuf.Timestamp` has them."""

EARLIEST_MICROS: Final = _FIRST_SECOND * MICROS
"""The first of them."""

CLOCK_TOLERANCE_MICROS: Final = 10 * MICROS
"""A client's clock this close is right: the rest is the way of the call."""


CLAIMS_LAST_MICROS: Final = 35 * _DAY
"""An event that happened since is claimed still if it was ever accepted: claims live 36 days at least."""


class AcceptWindow(NamedTuple):
    """How old, or how far ahead, an event may be, in microseconds."""

    event_micros: int = 28 * _DAY
    """Known only by its event id."""
    order_micros: int = 399 * _DAY
    """With a business key."""
    ahead_micros: int = 300 * MICROS
    """In the future."""
    backfill_micros: int = 3_653 * _DAY
    """By backfill: ten years."""

    def holds(self, event_micros: int, now_micros: int, *, has_business_key: bool, backfill: bool) -> bool:
        """Tells whether an event of this time is taken now; both edges are included."""
        age = now_micros - event_micros
        limit = self.order_micros if has_business_key else self.event_micros
        return -self.ahead_micros <= age <= (self.backfill_micros if backfill else limit)


def read_micros(moment: MomentLike) -> int | None:
    """Returns a time in microseconds since 1970 UTC, truncated; `None` if it is no time."""
    nanos = moment.nanos
    if _FIRST_SECOND <= moment.seconds <= _LAST_SECOND and 0 <= nanos < 1_000_000_000:
        return moment.seconds * MICROS + nanos // 1_000
    return None


def clock_correction(sent_micros: int, receive_micros: int) -> int:
    """Returns how wrong the clock was that timed an event, in microseconds to be added to its times.

    Args:
        sent_micros: That clock when the event was sent.
        receive_micros: Ours when it came.

    Returns:
        0 where the difference is within what a call may take.

    >>> clock_correction(13_000_000, 10_000_000), clock_correction(10_800_000_000, 0)
    (0, -10800000000)
    """
    difference = receive_micros - sent_micros
    return difference if abs(difference) > CLOCK_TOLERANCE_MICROS else 0


def is_late_not_wrong(sent_micros: int, receive_micros: int, call_micros: int | None) -> bool:
    """Tells whether a server may have held an event back, or repeats an attempt, rather than have a slow clock.

    Nothing that is held back comes before it was sent: a clock ahead of ours is wrong. One behind may be right; that it
    is slow is known where the attempt itself was sent at that time, too.

    Args:
        sent_micros: The clock that the event was timed by, when it was sent.
        receive_micros: Ours when it came.
        call_micros: The sender's clock when it made this attempt; `None` if it does not say.

    >>> is_late_not_wrong(70_000_000, 10_000_000, None), is_late_not_wrong(10_000_000, 70_000_000, None)
    (False, True)
    >>> is_late_not_wrong(10_000_000, 70_000_000, 10_000_000)
    False
    """
    if sent_micros >= receive_micros:
        return False
    return call_micros is None or abs(call_micros - sent_micros) > CLOCK_TOLERANCE_MICROS
