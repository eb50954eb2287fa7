"""Whether a destination that only queues what it takes has confirmed it: before that, nothing more is said of it.

The one rule: a correction leaves when what was sent before is confirmed, or has been there for so long that it must be
processed or lost (`confirm_seconds`, a day). Earlier the original may still be on its way: what restates it would be a
second conversion, or be written over by it. Later a report that cannot be read must not keep a refund from being told.

A report that does not say which of a request were refused, all of them for reasons that stay, is as good as will come.
Most were taken, and are to be told of their refunds; one that was not names the same click and person again when it is
restated, and is refused again for the same reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tributary.delivery.v1.delivery_pb2 import DELIVERY_STATE_ACCEPTED, Delivery
from tributary_delivery.reports import FIRST_SECONDS

LOOK_SECONDS: Final = 600.0
"""How often it is looked whether the report has come, after it can be expected."""
_READ_SECONDS: Final = 120.0
"""How long after it is due a report is read, if it is done by then."""


def unconfirmed_seconds(
    deliveries: Sequence[Delivery], destination_id: str, now_micros: int, most_seconds: float
) -> float:
    """Returns in how many seconds to look again whether a correction may leave; 0: it may.

    Args:
        deliveries: Of one conversion, oldest revision first.
        destination_id: Which destination.
        now_micros: Now.
        most_seconds: For how long a report is waited for, from when what was sent last was accepted.
    """
    taken = (one for one in deliveries if one.destination_id == destination_id and one.state == DELIVERY_STATE_ACCEPTED)
    last = max(taken, key=lambda one: one.revision, default=None)
    if last is None or last.report:
        return 0.0
    age_seconds = (now_micros - last.attempt_time.ToMicroseconds()) / 1e6
    left_seconds = most_seconds - age_seconds
    if left_seconds <= 0:
        return 0.0
    return min(left_seconds, max(LOOK_SECONDS, FIRST_SECONDS + _READ_SECONDS - age_seconds))
