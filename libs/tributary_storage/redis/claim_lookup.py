"""Reads claims without making any, and writes again those that are past their life.

The one rule: off the path of acknowledgements. A claim that is there and decides is never changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from tributary_domain.shards import CLAIM_BYTES, claim_field
from tributary_runtime.errors import StorageUnavailableError, TributaryError
from tributary_storage.redis.claim_layout import (
    ACCEPT,
    MERGE,
    QUARANTINE,
    REGISTER,
    Kind,
    Placement,
    claim_kind,
    claim_time_micros,
    home_digest,
    home_shard,
    order_rest,
    order_values,
    pack_claim,
)
from tributary_storage.redis.refusals import translate
from tributary_storage.redis.scripts import Argument, Script

_RESTORE = Script("restore_claims")
_KIND_BYTE = {Kind.ACCEPTED: ACCEPT, Kind.QUARANTINED: QUARANTINE, Kind.MERGED: MERGE}
_MOST_PER_CALL = 500


@dataclass(frozen=True, slots=True)
class KnownClaim:
    """What a claim says of an event."""

    kind: Kind
    """REGISTERED: an event with an order whose second step never came, or found another value for the order."""
    accept_micros: int
    """Rounded down to 128 s."""


@dataclass(frozen=True, slots=True)
class Silent:
    """In place of a claim: the node that has it does not answer."""

    failure: StorageUnavailableError
    """Why."""


@dataclass(frozen=True, slots=True)
class LostClaim:
    """A claim to be written again."""

    event_digest: bytes
    payload_mark: bytes
    """As in its claim record."""
    kind: Kind
    """ACCEPTED, QUARANTINED or MERGED."""
    order_digest: bytes
    """Empty if it was known by its event id alone."""


class ClaimLookup:
    """Reads and restores the claims of one installation.

    Args:
        client: Of the role *log*.
        placement: Where claims live.
    """

    def __init__(self, client: redis.asyncio.Redis, placement: Placement) -> None:
        self._client: Any = client
        self._placement = placement

    async def events(self, digests: Sequence[bytes]) -> list[KnownClaim | None]:
        """Returns what is claimed of each event, None where nothing is; each is found through its own shard.

        Raises:
            StorageUnavailableError: Redis did not answer, or some node of a cluster.
        """
        found: list[KnownClaim | None] = []
        for claim in await self.events_that_answer(digests):
            if isinstance(claim, Silent):
                raise claim.failure
            found.append(claim)
        return found

    async def events_that_answer(self, digests: Sequence[bytes]) -> list[KnownClaim | Silent | None]:
        """Returns the same, and where a node of a cluster does not answer that nobody says.

        Raises:
            StorageUnavailableError: Redis did not answer for any event.
        """
        shard = self._placement.shard
        places = [self._placement.claims_key(digest, shard(digest)) for digest in digests]
        values = await self._ask([(place, claim_field(digest)) for place, digest in zip(places, digests, strict=True)])
        if values and all(isinstance(value, Silent) for value in values):
            raise values[0].failure
        now = await self._now_micros()

        def read(value: bytes | Silent | None) -> KnownClaim | Silent | None:
            if value is None or isinstance(value, Silent):
                return value
            return KnownClaim(claim_kind(value), claim_time_micros(value, now))

        found = [read(value) for value in values]
        registered = [at for at, claim in enumerate(found) if _is_registered(claim)]
        homes = [home_digest(digests[at]) for at in registered]
        shards = [home_shard(values[at]) for at in registered]
        at_home = await self._ask(
            [
                (self._placement.claims_key(home, shard), claim_field(home))
                for home, shard in zip(homes, shards, strict=True)
            ]
        )
        for at, value in zip(registered, at_home, strict=True):
            claim = read(value)
            if claim is not None and not _is_registered(claim):
                found[at] = claim
        return found

    async def orders(self, digests: Sequence[bytes]) -> list[dict[int, bytes] | None]:
        """Returns what each rank of observers stated of each order (`claim_layout.order_values`), None: unclaimed.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        shard = self._placement.shard
        where = [(self._placement.orders_key(one, shard(one)), claim_field(one)) for one in digests]
        values = await self._ask(where)
        for value in values:
            if isinstance(value, Silent):
                raise value.failure
        return [None if value is None else order_values(value) for value in values]

    async def restore(self, events: Sequence[LostClaim], orders: Mapping[bytes, Mapping[int, bytes]]) -> int:
        """Writes claims again; what is there stays as it is. May run twice.

        Args:
            events: As they were claimed.
            orders: Order digest to what each rank of observers stated (`claim_layout.order_rest`).

        Returns:
            How many claims and orders were written.

        Raises:
            StorageUnavailableError: Redis did not answer; some may be written.
        """
        by_shard: dict[int, list[tuple[str, bytes, bytes]]] = {}
        for order, values in orders.items():
            shard = self._placement.shard(order)
            place = self._placement.orders_key(order, shard)
            by_shard.setdefault(shard, []).append((place, claim_field(order), order_rest(values)))
        for event in events:
            for shard, place, record in self._records(event):
                field, rest = record[:CLAIM_BYTES], record[CLAIM_BYTES:]
                by_shard.setdefault(shard, []).append((place, field, rest))
        calls: list[tuple[list[Argument], list[Argument]]] = []
        for lost in by_shard.values():
            for start in range(0, len(lost), _MOST_PER_CALL):
                some = lost[start : start + _MOST_PER_CALL]
                calls.append(([place for place, _, _ in some], [part for _, *parts in some for part in parts]))
        written = 0
        try:
            for names, parts in calls:
                written += int(await _RESTORE(self._client, names, parts))
        except redis.RedisError as error:
            raise _failed(error) from error
        return written

    def _records(self, event: LostClaim) -> list[tuple[int, str, bytes]]:
        """Returns (shard, bucket, record) of the claims that one event had; the one it is found by comes last."""
        digest, mark, shard = event.event_digest, event.payload_mark, self._placement.shard(event.event_digest)
        place = self._placement.claims_key(digest, shard)
        kind = _KIND_BYTE[event.kind]
        if not event.order_digest:
            return [(shard, place, pack_claim(digest, mark, kind))]
        home, home_at = home_digest(digest), self._placement.shard(event.order_digest)
        at_home = self._placement.claims_key(home, home_at)
        return [
            (home_at, at_home, pack_claim(home, mark, kind)),
            (shard, place, pack_claim(digest, mark, REGISTER[home_at])),
        ]

    async def _ask(self, where: Sequence[tuple[str, bytes]]) -> list[Any]:
        """Returns per place its value, None where there is none, or `Silent`."""
        if not where:
            return []
        pipeline = self._client.pipeline(transaction=False)
        for bucket, field in where:
            pipeline.hget(bucket, field)
        try:
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
        except redis.RedisError as error:
            raise _failed(error) from error
        return [_answer(one) for one in answers]

    async def _now_micros(self) -> int:
        try:
            seconds, micros = await self._client.time()
        except redis.RedisError as error:
            raise _failed(error) from error
        return int(seconds) * 1_000_000 + int(micros)


def _is_registered(claim: KnownClaim | Silent | None) -> bool:
    return isinstance(claim, KnownClaim) and claim.kind is Kind.REGISTERED


def _answer(answer: Any) -> Any:
    """Returns one place's answer of a pipeline; raises what is no outage."""
    if not isinstance(answer, redis.RedisError):
        return answer
    failure = _failed(answer)
    failure.__cause__ = answer
    if isinstance(failure, StorageUnavailableError):
        return Silent(failure)
    raise failure


def _failed(error: redis.RedisError) -> TributaryError:
    return translate(error, "log", "The event log did not answer.")
