"""Before a backfill restores anything, there must be room for it."""

from __future__ import annotations

from typing import cast

import pytest

from tests.support.admissions import AN_EPOCH, Sent, a_request
from tributary.dedup.v1 import dedup_service_pb2
from tributary_dedup.admission import Admission, Committer
from tributary_dedup.backfill import Backfill, Claimed, Recorded
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import OverloadedError
from tributary_storage.redis.claim_layout import Placement


class Full:
    """A log over its soft limit."""

    is_full = True


class Unlost:
    """A log that never lost anything."""

    loss_micros = 0


async def test_a_full_log_is_asked_for_nothing_and_written_nothing() -> None:
    unreachable = object()
    admission = Admission(cast("Committer", unreachable), Placement(AN_EPOCH), Full(), SystemClock())
    backfill = Backfill(admission, cast("Claimed", unreachable), cast("Recorded", unreachable), Unlost(), SystemClock())
    request = a_request("shop", [Sent("old", order="o-1")], dedup_service_pb2.LANE_BULK, backfill=True)
    with pytest.raises(OverloadedError) as refused:
        await backfill.admit(request)
    assert (refused.value.reason, refused.value.retry_delay_seconds) == ("LOG_FULL", 1)
