"""Rates that all replicas share: each leases a tenth of a second of a rate, and asks again when that is used up.

The one rule: over all replicas a rate is kept to within a tenth of a second per replica, and a request that is refused
costs no round trip until the moment it was told. Fails open: without Redis nobody is refused, and nobody waits for it:
what does not answer soon is not asked for a second.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import redis.asyncio
import structlog

from tributary_runtime.clock import Clock
from tributary_storage.redis import keys
from tributary_storage.redis.scripts import Script

log = structlog.get_logger(__name__)

LEASE_SECONDS: Final = 0.1
BURST_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 0.5
"""How long a lease may take."""
REST_SECONDS: Final = 1.0
"""How long nothing is asked after one that did not come."""

_LEASE = Script("lease_rate")
_MOST_KNOWN: Final = 10_000


@dataclass(slots=True)
class _Balance:
    """What this replica still has of a rate."""

    units: float = 0.0
    closed_until_seconds: float = 0.0
    """By the monotonic clock: until then there is nothing to be had."""


class SharedRates:
    """Takes from rates.

    Args:
        client: Of the role *state*.
        clock: Tells when asking again is worth it.
    """

    def __init__(self, client: redis.asyncio.Redis, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._balances: dict[str, _Balance] = {}
        self._rests_until_seconds = 0.0

    async def take(self, name: str, per_second: int, units: int) -> float:
        """Takes units from a rate; one request may take more than there is, the next ones wait for it.

        Args:
            name: Of the rate, "key:k1:events".
            per_second: What it allows, with a burst of a second.
            units: How many.

        Returns:
            0 if they were taken, else after how many seconds there could be some.
        """
        balance = self._balances.get(name)
        if balance is None:
            if len(self._balances) >= _MOST_KNOWN:
                self._balances.clear()  # costs a lease each, nothing else
            balance = self._balances[name] = _Balance()
        if balance.units <= 0:
            now = self._clock.monotonic_seconds()
            if now < balance.closed_until_seconds:
                return balance.closed_until_seconds - now
            if now < self._rests_until_seconds:
                return 0.0
            wanted = max(per_second * LEASE_SECONDS, units) - balance.units
            arguments = [str(per_second), str(per_second * BURST_SECONDS), str(wanted)]
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    granted, told = await _LEASE(self._client, [keys.rate(name)], arguments)
            except (TimeoutError, redis.RedisError) as error:
                self._rests_until_seconds = self._clock.monotonic_seconds() + REST_SECONDS
                log.warning("rate_unknown", rate=name, reason=str(error) or "it did not answer in time")
                return 0.0
            if not granted:
                wait_seconds = max(int(told) / 1e6, 0.001)
                balance.closed_until_seconds = now + wait_seconds
                return wait_seconds
            balance.units += wanted
        balance.units -= units
        return 0.0
