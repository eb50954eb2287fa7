"""The log is kept for its horizon, or as long as memory allows."""

from __future__ import annotations

import pytest

from tributary_dedup.retention import LEAST_HORIZON_SECONDS, SCARCE_SHARE, Retention
from tributary_runtime.errors import StorageUnavailableError

DAY = 86_400


class Keeping:
    """A log that notes what it was asked."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.horizons: list[float] = []
        self._failure = failure

    async def trim(self, horizon_seconds: float) -> int:
        self.horizons.append(horizon_seconds)
        if self._failure is not None:
            raise self._failure
        return 1


class Fill:
    """A log that is so full."""

    def __init__(self, share: float) -> None:
        self.share = share


@pytest.mark.parametrize(
    ("share", "horizon"),
    [(0.0, DAY), (SCARCE_SHARE, DAY), (SCARCE_SHARE + 0.01, LEAST_HORIZON_SECONDS), (1.0, LEAST_HORIZON_SECONDS)],
)
async def test_the_horizon_is_shortened_when_memory_is_scarce(share: float, horizon: float) -> None:
    keeping = Keeping()
    await Retention(keeping, Fill(share), DAY).trim()
    assert keeping.horizons == [horizon]


async def test_an_outage_is_for_the_next_time() -> None:
    keeping = Keeping(StorageUnavailableError("The event log did not answer."))
    await Retention(keeping, Fill(0.0), DAY).trim()
    assert keeping.horizons == [DAY]
