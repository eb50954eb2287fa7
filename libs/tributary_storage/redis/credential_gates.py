"""What all that call with one credential share, in whatever process and for whatever destination: quotas and a circuit.

The one rule: the outside counts calls by credential, so we do. Never more than the limit in any sliding minute, nor in
any ten seconds or any day where it counts those, whatever zone the outside counts its days in. An outage of its API is
noticed once: some failures in a row let nobody call; after a pause that grows one call tries. A worked example, at most
60 calls a minute:

    admit 20        15 granted, a quarter at once; the next one could be in 1.3 s
    5 fail          nobody calls for a second; then one probe, and nobody else until it has ended, or its process died
    it fails        nobody for two seconds, four, ... up to a minute
    one is answered all is as before
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio

from tributary_runtime.errors import TributaryError
from tributary_storage.redis import job_keys
from tributary_storage.redis.refusals import translate
from tributary_storage.redis.scripts import Script

_ADMIT: Final = Script("admit_calls")
_RECORD: Final = Script("record_call")

MINUTE_SECONDS: Final = 61.0
"""A minute, and a second for calls that are not all equally long on their way."""
_TEN_SECONDS: Final = 11.0
_DAY_SECONDS: Final = 86_460.0
FAILURES_UNTIL_OPEN: Final = 5
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 60.0
_FAILURES_COUNT_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Gate:
    """Whose calls are counted together, and how many there may be."""

    credential: str
    """A digest: no secret."""
    per_minute: int
    per_day: int = 0
    """0: no limit."""
    minute_seconds: float = MINUTE_SECONDS
    per_ten_seconds: int = 0
    """0: no limit."""


class CredentialGates:
    """The gates of all credentials, in the Redis of role *jobs*. Fails closed.

    Every method raises `StorageUnavailableError` if Redis does not answer: make no call.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        """Takes the Redis of role *jobs*."""
        self._client: Any = client

    async def admit(self, gate: Gate, wanted: int, call_seconds: float) -> tuple[int, float]:
        """Lets calls be made.

        Args:
            gate: With which credential.
            wanted: How many.
            call_seconds: How long one may take: for so long nobody else tries while the circuit is open.

        Returns:
            How many may be made now, and in how many seconds the next one could be.
        """
        own = gate.credential
        names = [
            job_keys.circuit(own),
            *(job_keys.credential_quota(own, span) for span in ("seconds", "minute", "day")),
        ]
        arguments = [
            *(wanted, round(call_seconds * 1e6)),
            *(gate.per_ten_seconds, round(_TEN_SECONDS * 1e6)),
            *(gate.per_minute, round(gate.minute_seconds * 1e6)),
            *(gate.per_day, round(_DAY_SECONDS * 1e6)),
        ]
        try:
            granted, wait_micros = await _ADMIT(self._client, names, arguments)
        except redis.RedisError as error:
            raise _failed(error) from error
        return int(granted), int(wait_micros) / 1e6

    async def record(self, gate: Gate, *, is_ok: bool, call_seconds: float) -> float:
        """Takes note of a call that has ended; returns for how many seconds nobody calls now.

        Args:
            gate: With which credential.
            is_ok: Whether it was answered, however.
            call_seconds: How long it took.
        """
        arguments = [
            *(int(is_ok), round(call_seconds * 1000), FAILURES_UNTIL_OPEN),
            *(round(FIRST_PAUSE_SECONDS * 1000), round(LONGEST_PAUSE_SECONDS * 1000)),
            round(_FAILURES_COUNT_SECONDS * 1000),
        ]
        try:
            return int(await _RECORD(self._client, [job_keys.circuit(gate.credential)], arguments)) / 1000
        except redis.RedisError as error:
            raise _failed(error) from error


def _failed(error: redis.RedisError) -> TributaryError:
    message = "The store of delivery jobs did not answer; nothing is sent until it does."
    return translate(error, "jobs", message)
