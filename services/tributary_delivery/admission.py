"""May a call be made now: what a destination asked of us, and what is shared by all that call with its credential.

The one rule: a destination that asks to be called more slowly narrows itself; an API that does not answer, and a quota,
are everybody's who calls with the same credential, in whatever process and workspace.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog

from tributary_delivery.destinations.destination import RETRY, THROTTLED, UNKNOWN, Outcome
from tributary_runtime.batch_destinations import BatchDestination
from tributary_runtime.clock import Clock
from tributary_runtime.destination_settings import DestinationSettings
from tributary_runtime.errors import UnavailableError
from tributary_storage.redis.credential_gates import Gate
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.destination_states import DestinationStates

log = structlog.get_logger(__name__)

_MAYBE_ANSWERED: Final = frozenset({RETRY, THROTTLED, UNKNOWN})
_SERVER_ERROR: Final = 500
_REQUEST_TIMEOUT: Final = 408
_SAY_SECONDS: Final = 1.0
"""How often an answered call is said to all, at least, while calls are answered: somebody else's failures are over."""


class Admission:
    """Admits the calls of one lane.

    Args:
        lane: Which.
        settings: Of the destination.
        states: Where everybody's quotas and circuits are.
        clock: Measures time.
        call_seconds: How long a call may take.
    """

    def __init__(
        self, lane: Lane, settings: DestinationSettings, states: DestinationStates, clock: Clock, call_seconds: float
    ) -> None:
        self._lane = lane
        self._per_minute = settings.quota.requests_per_minute
        self._states = states
        self._clock = clock
        self._call_seconds = call_seconds
        self._gate = gate_of(lane, settings)
        self._has_failed = False
        self._said_seconds = 0.0

    async def take(self, wanted: int) -> tuple[int, float]:
        """Returns how many calls may be made now, and in how many seconds the next one could be.

        Raises:
            StorageUnavailableError: Make none.
        """
        granted, wait_seconds = await self._states.take_quota(self._lane, self._per_minute, wanted)
        if not granted:
            return 0, wait_seconds
        shared, shared_seconds = await self._states.gates.admit(self._gate, granted, self._call_seconds)
        return shared, max(wait_seconds if granted < wanted else 0.0, shared_seconds)

    async def record(self, outcomes: Sequence[Outcome], call_seconds: float) -> None:
        """Takes note of what a call came to that took so long."""
        is_ok = any(map(is_answered, outcomes))
        now = self._clock.monotonic_seconds()
        if is_ok and not self._has_failed and now < self._said_seconds + _SAY_SECONDS:
            return
        self._has_failed, self._said_seconds = not is_ok, now
        try:
            pause_seconds = await self._states.gates.record(self._gate, is_ok=is_ok, call_seconds=call_seconds)
        except UnavailableError as outage:
            log.warning("call_not_noted", destination=self._lane.destination, reason=str(outage))
            return
        if pause_seconds:
            log.warning("credential_left_alone", destination=self._lane.destination, seconds=pause_seconds)


def gate_of(lane: Lane, settings: DestinationSettings, kind: str = "") -> Gate:
    """Returns with whom a destination shares: all that call its API with the same credential; a webhook with none.

    Args:
        lane: Which.
        settings: Of the destination.
        kind: Of calls that are counted apart from others with the same credential; "": of conversions.
    """
    parts = [lane.workspace, lane.destination]
    if isinstance(settings, BatchDestination):
        secret = settings.oauth.client_id if settings.oauth is not None else settings.access_token
        with suppress(ValueError):  # a file that was read without its secrets calls nobody
            parts = [settings.type, settings.base_url, "" if secret is None else secret.reveal()]
    parts += [kind] if kind else []
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=16, person=b"credential")
    quota = settings.quota
    return Gate(
        digest.hexdigest(),
        quota.requests_per_minute,
        quota.requests_per_day or 0,
        per_ten_seconds=quota.requests_per_ten_seconds or 0,
    )


def is_answered(outcome: Outcome) -> bool:
    """Tells whether an outcome shows that the API works, whatever it said of what it was sent.

    A conversion that is to be sent again later, or a call that was one too many, holds up itself and its destination.
    """
    if outcome.outcome in _MAYBE_ANSWERED:
        return outcome.is_answer and 0 < outcome.status_code < _SERVER_ERROR and outcome.status_code != _REQUEST_TIMEOUT
    return True
