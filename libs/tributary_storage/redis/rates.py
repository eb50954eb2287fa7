"""Rates that all replicas share: each leases a tenth of a second of a rate, and asks again when that is used up.

The one rule: over all replicas a rate is kept to within a tenth of a second per replica, and a request that is refused
costs no round trip until the moment it was told. Without Redis each replica keeps to its part of a rate by itself, so
that whoever floods is bounded then, too; and nobody waits for it: what does not answer soon is not asked for a second.
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
LONGEST_ALONE_SECONDS: Final = 5.0
"""What is told at most without Redis: it may be there again, and knows better."""

_LEASE = Script("lease_rate")
_MOST_KNOWN: Final = 10_000


@dataclass(slots=True)
class _Balance:
    """What this replica still has of a rate."""

    units: float = 0.0
    closed_until_seconds: float = 0.0
    """By the monotonic clock: until then there is nothing to be had."""
    alone_until_seconds: float = 0.0
    """By the same clock: when all that was taken without Redis would have come at the pace of this replica's part."""


class SharedRates:
    """Takes from rates.

    Args:
        client: Of the role *state*.
        clock: Tells when asking again is worth it.
        replicas: How many take from these rates, at least: without Redis each lets through its part.
    """

    def __init__(self, client: redis.asyncio.Redis, clock: Clock, replicas: int = 1) -> None:
        self._client = client
        self._clock = clock
        self._replicas = replicas
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
                return self._take_alone(balance, now, per_second, units)
            wanted = max(per_second * LEASE_SECONDS, units) - balance.units
            arguments = [str(per_second), str(per_second * BURST_SECONDS), str(wanted)]
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    granted, told = await _LEASE(self._client, [keys.rate(name)], arguments)
            except (TimeoutError, redis.RedisError) as error:
                now = self._clock.monotonic_seconds()
                self._rests_until_seconds = now + REST_SECONDS
                log.warning("rate_unknown", rate=name, reason=str(error) or "it did not answer in time")
                return self._take_alone(balance, now, per_second, units)
            if not granted:
                wait_seconds = max(int(told) / 1e6, 0.001)
                balance.closed_until_seconds = now + wait_seconds
                return wait_seconds
            balance.units += wanted
        balance.units -= units
        return 0.0

    def _take_alone(self, balance: _Balance, now: float, per_second: int, units: int) -> float:
        """Takes units from this replica's part of a rate, by the algorithm of `lease_rate.lua`."""
        own_per_second = per_second / self._replicas
        arrival = max(balance.alone_until_seconds, now)
        wait_seconds = arrival - now - BURST_SECONDS + 1 / own_per_second
        if arrival > now and wait_seconds > 0:
            return min(wait_seconds, LONGEST_ALONE_SECONDS)
        balance.alone_until_seconds = arrival + units / own_per_second
        return 0.0
