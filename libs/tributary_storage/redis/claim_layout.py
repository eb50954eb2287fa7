"""What a claim looks like: the bytes that the claim scripts take and give back.

The one rule: this module and `lua/admit.lua`, `lua/admit_orders.lua` are the only ones that know these bytes.

A claim is a field of 7 bytes and a value of 6 in a hash bucket; an order's value has 10, or 16 where a workspace ranks
more than two kinds of sources and one of the others stated a value.

| bytes | of a claim                                   | of an order                                    |
|-------|----------------------------------------------|------------------------------------------------|
| 0-1   | accept time in units of 128 s, modular       | 0-2: accept time in units of 128 s             |
| 2-4   | 2 bits digest version, 22 bits payload digest| 3: which ranks stated a value, a bit each      |
| 5     | 2 bits kind, 6 bits home shard               | 4-6, 7-9: value digest of rank 1 and of rank 2 |
|       |                                              | 10-12, 13-15: of rank 3 and of rank 4          |

Digests of different versions compare as equal, and version 0 (any that is not 1 to 3) equals everything: never a
CONFLICT because we changed what we hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from hashlib import blake2b
from typing import Final

from tributary_domain.claim_records import BEST_RANK, OrderPart
from tributary_domain.ids import VALUE_DIGEST_BYTES
from tributary_domain.shards import CLAIM_BYTES as CLAIM_FIELD_BYTES
from tributary_domain.shards import bucket_of_digest, claim_field, shard_of_digest
from tributary_storage.redis import keys
from tributary_storage.redis.epoch import Epoch

CLAIM_BYTES: Final = 6
ORDER_BYTES: Final = 10
"""Of an order as the script tells it."""
RECORD_BYTES: Final = 11
"""Of one event in the packed arguments of the scripts."""
FILLER: Final = bytes(RECORD_BYTES)
"""Stands for an event that claims nothing."""

ROUND_BYTES: Final = 4
UNIT_SECONDS: Final = 128
_UNIT_MICROS: Final = UNIT_SECONDS * 1_000_000
_CIRCLE: Final = 1 << 16
_NEAR_FUTURE: Final = 1024
"""The last units of the circle are no age but a clock that was set back."""


class Kind(IntEnum):
    """What was decided when a claim was made."""

    ACCEPTED = 0
    QUARANTINED = 1
    REGISTERED = 2
    """An event with an order: what was decided is in the home shard, the order's. In a home shard: a bar of an earlier
    version, nothing was decided there."""
    MERGED = 3
    """A further observation of a known order."""


ACCEPT: Final = bytes([Kind.ACCEPTED << 6])
QUARANTINE: Final = bytes([Kind.QUARANTINED << 6])
MERGE: Final = bytes([Kind.MERGED << 6])
REGISTER: Final = tuple(bytes([Kind.REGISTERED << 6 | shard]) for shard in range(64))
"""Kind byte of a registration, by home shard."""
MOVE: Final = tuple(range(128, 128 + 64))
"""Letter that registers an event anew, by the home shard that it is registered with."""

_RANKS: Final = tuple(bytes([rank]) for rank in range(BEST_RANK + 1))
_USUAL_RANKS: Final = 2
"""Of an order that takes 10 bytes."""
_HOME = blake2b(digest_size=16, person=b"trb order home")


def pack_claim(digest: bytes, mark: bytes, kind: bytes) -> bytes:
    """Returns the 11 bytes by which a script claims an event.

    Args:
        digest: 16 bytes of the event, or as many of them as make the field.
        mark: 3 bytes of its payload, from `claim_records.payload_mark`.
        kind: ACCEPT, QUARANTINE or an element of REGISTER.
    """
    return digest[:CLAIM_FIELD_BYTES] + mark + kind


def pack_order(order: OrderPart) -> bytes:
    """Returns the 11 bytes by which a script claims an order; of rank 0 it contradicts nobody."""
    return claim_field(order.digest) + _RANKS[order.rank] + order.value_digest


def order_rest(values: Mapping[int, bytes]) -> bytes:
    r"""Returns what follows the time in the value of an order.

    Args:
        values: Rank, 1 to 4, to the 3 bytes of the value it stated; ranks that stated none are left out.

    >>> order_rest({2: b"abc"})
    b'\x02\x00\x00\x00abc'
    """
    nothing = bytes(VALUE_DIGEST_BYTES)
    stated = [rank for rank in range(1, BEST_RANK + 1) if rank in values]
    slots = BEST_RANK if max(stated, default=0) > _USUAL_RANKS else _USUAL_RANKS
    digests = b"".join(values.get(rank, nothing) for rank in range(1, slots + 1))
    return bytes([sum(1 << rank - 1 for rank in stated)]) + digests


def order_values(value: bytes) -> dict[int, bytes]:
    r"""Returns what each rank stated, from the value of an order: rank to 3 bytes of the value.

    >>> order_values(b"now" + order_rest({2: b"abc", 3: b"xyz"}))
    {2: b'abc', 3: b'xyz'}
    """
    return {rank: value[3 * rank + 1 : 3 * rank + 4] for rank in range(1, BEST_RANK + 1) if value[3] & 1 << rank - 1}


def home_digest(event_digest: bytes) -> bytes:
    """Returns what stands for an event in its order's shard: never what it is registered under in its own."""
    state = _HOME.copy()
    state.update(event_digest)
    return state.digest()


def claim_kind(value: bytes) -> Kind:
    """Returns what was decided first."""
    return Kind(value[5] >> 6)


def home_shard(value: bytes) -> int:
    """Returns where a registered event was decided."""
    return value[5] & 63


def told_round(value: bytes) -> int:
    """Returns the round that `lua/admit.lua` or `lua/admit_orders.lua` told alone."""
    return int.from_bytes(value)


def told_home_round(value: bytes) -> int:
    """Returns the round that `lua/admit.lua` told together with a home shard."""
    return int.from_bytes(value[:5])


def pack_round(number: int) -> bytes:
    """Returns a round as a script is told it."""
    return number.to_bytes(ROUND_BYTES)


def claim_time_micros(value: bytes, now_micros: int) -> int:
    """Returns when a claim was made, rounded down to 128 s.

    Args:
        value: The claim; not older than 97 days, the sweeper sees to that.
        now_micros: The log's time, microseconds since 1970.

    >>> claim_time_micros(bytes([0, 3, 0, 0, 0, 0]), (65536 + 5) * 128_000_000) // 128_000_000
    65539
    """
    now = now_micros // _UNIT_MICROS
    age = (now - int.from_bytes(value[:2])) % _CIRCLE
    return (now - (0 if age >= _CIRCLE - _NEAR_FUTURE else age)) * _UNIT_MICROS


def order_time_micros(value: bytes) -> int:
    """Returns when an order was first claimed, rounded down to 128 s; right until 2038."""
    return int.from_bytes(value[:3]) * _UNIT_MICROS


class Placement:
    """Where claims live in an installation.

    Args:
        epoch: Its constants.
    """

    __slots__ = ("bits", "claims_prefixes", "orders_prefixes", "shards")

    def __init__(self, epoch: Epoch) -> None:
        self.shards = epoch.shards
        self.bits = epoch.claim_bucket_bits
        self.claims_prefixes = tuple(keys.claims(shard, 0).removesuffix("0") for shard in range(epoch.shards))
        self.orders_prefixes = tuple(keys.orders(shard, 0).removesuffix("0") for shard in range(epoch.shards))

    def shard(self, digest: bytes) -> int:
        """Returns the log shard of an event or order."""
        return shard_of_digest(digest, self.shards)

    def claims_key(self, digest: bytes, shard: int) -> str:
        """Returns the bucket that an event is claimed in: in its own shard, or in its order's."""
        return f"{self.claims_prefixes[shard]}{bucket_of_digest(digest, self.bits):x}"

    def orders_key(self, digest: bytes, shard: int) -> str:
        """Returns the bucket that an order is claimed in."""
        return f"{self.orders_prefixes[shard]}{bucket_of_digest(digest, self.bits):x}"
